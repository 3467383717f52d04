"""Writes the golden transcripts anew from the proxy: `python -m tests.contracts.regenerate [NAME ...]`.

What the client asks and what LoRAX says stay as they are; what the proxy asks LoRAX and what it
answers are replaced by what it does now. The result is reviewed as a diff: a transcript that changed
without a reason is a bug found.
"""

import sys
from pathlib import Path

from lorax_contracts import loader, transcripts
from tests.contracts.player import Upstream, play, warm
from tests.contracts.processes import ProxyProcess

__all__ = ["main"]

FOLDER = Path(transcripts.__file__).parent / "data" / "transcripts"


def main(names: list[str]) -> int:
    """Rewrites those transcripts, all when none is named; gives how many changed."""
    changed = 0
    with Upstream() as upstream, ProxyProcess(upstream.url) as proxy:
        warm(proxy.url, upstream)
        for name in names or loader.transcript_names():
            transcript = transcripts.load(name)
            happened = play(transcript, proxy.url, upstream).transcript
            if happened != transcript:
                changed += 1
                (FOLDER / f"{name}.txt").write_bytes(transcripts.render(happened).encode("utf-8"))
                print(f"{name}: changed")  # noqa: T201 - it is a command
    return changed


if __name__ == "__main__":
    print(f"{main(sys.argv[1:])} changed: review with git diff")  # noqa: T201 - it is a command
