"""The page as a document."""

import hashlib
import re
from base64 import b64encode

from lorax_mock.server.page import document


def _inline(name: str, html: str) -> str:
    found = re.findall(rf"<{name}(?: [^>]*)?>(.*?)</{name}>", html, re.DOTALL)
    assert len(found) == 1
    return str(found[0])


def test_the_policy_allows_this_script_and_style_and_nothing_else() -> None:
    """By their hashes, as a browser computes them; whatever is not named is forbidden."""
    shown = document()
    html, policy = shown.html.decode(), shown.policy.decode()
    allowed = dict(part.split(" ", 1) for part in policy.split("; "))
    assert allowed["default-src"] == "'none'"
    assert allowed["connect-src"] == "'self'"
    for name, rule in (("style", "style-src"), ("script", "script-src")):
        digest = b64encode(hashlib.sha256(_inline(name, html).encode()).digest()).decode()
        assert allowed[rule] == f"'sha256-{digest}'"
    assert "unsafe" not in policy


def test_it_fetches_nothing_from_anywhere() -> None:
    """No address but those of the mock's own routes, and of SVG's name, which nobody asks."""
    html = document().html.decode()
    assert re.findall(r"https?://[^\"'`\s]+", html) == ["http://www.w3.org/2000/svg"]
    assert not re.search(r"@import|<iframe|<img|\son\w+=", html)
    assert set(re.findall(r'(?:src|href)="([^"#]*)"', html)) <= {"data:,", ""}


def test_text_never_becomes_markup() -> None:
    """The script sets text, never HTML: prompts are strangers' text."""
    assert not re.search(
        r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(|new Function",
        document().html.decode(),
    )
