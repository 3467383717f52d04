"""The table of docs/parameters.md, printed from the table that the proxy works by.

`python -m tests.repo.support_table docs/parameters.md` writes it anew; a test holds the two equal.
"""

import sys
from pathlib import Path

from lorax_proxy.core.parameters import NEVER_FROM_A_CLIENT, TABLE, Endpoint, Parameter, Treatment

__all__ = ["BEGIN", "END", "rendered", "with_table"]

BEGIN = "<!-- parameters -->"
END = "<!-- /parameters -->"

_HEADINGS = {
    Treatment.TRANSLATED: "Translated",
    Treatment.ACCEPTED: "Accepted without effect",
    Treatment.REFUSED: "Refused by name (400 `unsupported_parameter`)",
    Treatment.EXTENSION: "LoRAX's own (in `extra_body`)",
}

_SHORT = {
    Endpoint.CHAT: "chat",
    Endpoint.COMPLETIONS: "completions",
    Endpoint.EMBEDDINGS: "embeddings",
}


def rendered() -> str:
    """The table in Markdown: a section for each treatment, a row for each parameter."""
    lines: list[str] = []
    for treatment, heading in _HEADINGS.items():
        lines += [f"**{heading}**", "", "| parameter | on | |", "|---|---|---|"]
        lines += [_row(row) for row in TABLE if row.treatment is treatment]
        lines.append("")
    lines += ["**Never a client's to set**", "", "| parameter | instead |", "|---|---|"]
    lines += [f"| `{name}` | {instead} |" for name, instead in NEVER_FROM_A_CLIENT.items()]
    return "\n".join(lines)


def with_table(text: str) -> str:
    """A document with the table between its markers.

    Raises:
        ValueError: When the document lacks the markers.
    """
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"no {BEGIN} and {END} to write the table between")
    return f"{before}{BEGIN}\n\n{rendered()}\n\n{END}{after}"


def _row(row: Parameter) -> str:
    endpoints = ", ".join(name for endpoint, name in _SHORT.items() if endpoint in row.endpoints)
    return f"| `{row.name}` | {endpoints} | {row.note.replace('|', '&#124;')} |"


if __name__ == "__main__":
    readme = Path(sys.argv[1])
    readme.write_text(with_table(readme.read_text("utf-8")), "utf-8")
