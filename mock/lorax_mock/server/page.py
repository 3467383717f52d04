"""The page of `/_mock/`: its parts put together into one document that fetches nothing.

The parts are plain HTML, CSS and JavaScript as browsers take them; nothing builds them. The document may run this
script and no other, and talk to this mock alone: its content security policy names both by their hashes.
"""

import hashlib
from base64 import b64encode
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Final

__all__ = ["Document", "document"]

_SCRIPTS: Final = ("dom", "copies", "requests", "detail", "schedule", "knobs", "start")
"""Parts of the script, in the order in which they stand in it."""


@dataclass(frozen=True, slots=True)
class Document:
    """A page and the policy that it is to be sent with."""

    html: bytes
    policy: bytes
    """The value of its `content-security-policy` header."""


@cache
def document() -> Document:
    """The page."""
    parts = files("lorax_mock.server") / "page_parts"

    def part(name: str) -> str:
        return (parts / name).read_text("utf-8")

    style = part("page.css")
    script = "\n".join(['"use strict";', *(part(f"{name}.js") for name in _SCRIPTS)])
    html = part("page.html").replace("/* style */", style).replace("/* script */", script)
    policy = (
        "default-src 'none'; connect-src 'self'; base-uri 'none'; form-action 'none'; "
        f"frame-ancestors 'none'; img-src data:; style-src {_hash(style)}; script-src {_hash(script)}"
    )
    return Document(html.encode(), policy.encode())


def _hash(text: str) -> str:
    return f"'sha256-{b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
