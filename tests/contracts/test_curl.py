"""The command that repeats a request is the request."""

import json
import shlex

from lorax_contracts.curl import curl
from lorax_contracts.exchange import Exchange
from tests.contracts import samples


def test_the_command_holds_the_very_request() -> None:
    """Method, address, content type and body survive the shell."""
    exchange = samples.asking(samples.golden("chat_stream"), stop="it's $HOME")
    words = shlex.split(curl(exchange, "http://localhost:8000"))
    assert words[:4] == ["curl", "-sS", "-i", "-N"]
    assert "http://localhost:8000/v1/chat/completions" in words
    assert json.loads(words[words.index("--data-binary") + 1]) == exchange.request


def test_a_key_is_never_printed() -> None:
    """Findings are pasted into public issues."""
    exchange = Exchange("GET", "/v1/models", 200, (), b"", request_headers={"authorization": "sk"})
    assert "sk" not in curl(exchange).split()
    assert "$OPENAI_API_KEY" in curl(exchange)


def test_odd_requests_are_repeated_as_they_were() -> None:
    """A body that is no JSON, another content type, another method, no body at all."""
    odd = Exchange(
        "PUT",
        "/v1/models",
        405,
        (),
        b"",
        request_text=b"{oops",
        request_headers={"content-type": "text/plain", "x-a": "b"},
    )
    words = shlex.split(curl(odd))
    assert words[3:5] == ["-X", "PUT"]
    assert "content-type: text/plain" in words
    assert "x-a: b" in words
    assert words[-1] == "{oops"
    bare = Exchange("POST", "/v1/chat/completions", 400, (), b"")
    assert curl(bare).endswith("-X POST")
