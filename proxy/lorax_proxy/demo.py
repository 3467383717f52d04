"""`serve --demo`: a mock LoRAX as a child process, its adapters on offer, and an example to paste.

The mock is another program: it is started by its command and tells its address in one line, so that
nothing of it is imported here. It ends when its standard input does, which the operating system
sees to even when this process is killed.
"""

import json
import subprocess
import sys
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from lorax_proxy.errors import SettingsInvalid

__all__ = ["Mock", "example", "running_mock"]


_END_WAIT = 10
"""Seconds for a mock to end by itself: it has nothing to finish once the proxy has ended."""


@dataclass(frozen=True, slots=True)
class Mock:
    """A running mock: its address, its base model and the adapters that it can load."""

    url: str
    model_id: str
    adapters: Sequence[str]


@contextmanager
def running_mock() -> Generator[Mock]:
    """Start a mock on a free port, and end it with the block.

    Raises:
        SettingsInvalid: When it does not start.
    """
    process = subprocess.Popen(
        [
            sys.executable,
            # what lies in the folder that it is started in is nobody's library
            "-P",
            "-m",
            "lorax_openai",
            "mock",
            "serve",
            "--port=0",
            "--announce=json",
            "--exit-with-parent",
        ],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        # a Ctrl-C at the terminal is for the proxy, which then ends the mock in its turn
        start_new_session=True,
    )
    try:
        assert process.stdout is not None  # noqa: S101 - asked for above
        line = process.stdout.readline()
        if not line:
            raise SettingsInvalid("demo: the mock did not start; its own message is above")
        told = json.loads(line)
        yield Mock(told["url"], told["model_id"], told["adapters"])
    finally:
        assert process.stdin is not None  # noqa: S101 - asked for above
        process.stdin.close()
        try:
            process.wait(timeout=_END_WAIT)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        assert process.stdout is not None  # noqa: S101 - asked for above
        process.stdout.close()


def example(base_url: str, model: str) -> str:
    """Four lines of Python and one of curl that talk to `model` as they stand."""
    return f"""\
Paste into {_python()}:

from openai import OpenAI
client = OpenAI(base_url="{base_url}", api_key="unused")
answer = client.chat.completions.create(model="{model}", messages=[{{"role": "user", "content": "Hello!"}}])
print(answer.choices[0].message.content)

or into a shell:

curl -s {base_url}/chat/completions -H 'content-type: application/json' -d '{{"model": "{model}", "messages": [{{"role": "user", "content": "Hello!"}}]}}'
"""


def _python() -> str:
    """Where Python has the openai package: this one, as a path from here if it is below, or any."""
    if find_spec("openai") is None:
        return "any Python with the openai package"
    here = Path(sys.executable)
    shown = here.relative_to(Path.cwd()) if here.is_relative_to(Path.cwd()) else here
    return f"{shown} (or any Python with the openai package)"
