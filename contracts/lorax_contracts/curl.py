"""A request as a curl command that repeats it when pasted."""

import json
import re
import shlex

from lorax_contracts.exchange import Exchange

__all__ = ["WRONG_KEY", "curl", "is_secret"]

_PROBED = frozenset({"content-type", "authorization"})
_SECRET = re.compile("auth|cookie|key|secret|token")
WRONG_KEY = "wrong-key-q7x"
"""What is sent as a key that cannot be right; no secret."""
# From here on a body of one repeated byte is written as a recipe.
_LONG = 200


def is_secret(header: str) -> bool:
    """Whether a header of that lower-case name looks like one that holds a secret."""
    return _SECRET.search(header) is not None


def curl(exchange: Exchange, base: str = "http://HOST") -> str:
    """One line for a POSIX shell; `base` is scheme and host, the exchange's path has the rest.

    A key is never printed: the command reads it from the variable OPENAI_API_KEY, and other headers
    that hold a secret from a variable of the header's name. A body that cannot
    stand in a line of text is made by another command and piped in.
    """
    parts = ["curl", "-sS", "-i"]
    stream = exchange.asked.get("stream") is True
    if stream or exchange.path.endswith("/generate_stream"):
        parts.append("-N")
    if exchange.method not in {"GET", "POST"}:
        parts += ["-X", exchange.method]
    parts.append(base.rstrip("/") + exchange.path)
    words = [shlex.quote(part) for part in parts]
    authorization = exchange.request_headers.get("authorization", "")
    if authorization == f"Bearer {WRONG_KEY}":
        words += ["-H", shlex.quote(f"authorization: {authorization}")]
    elif authorization:
        words += ["-H", '"authorization: Bearer $OPENAI_API_KEY"']
    made, body = _body(exchange)
    media = exchange.request_headers.get("content-type", "application/json")
    if body is not None:
        words += ["-H", shlex.quote(f"content-type: {media}")]
    for name, value in exchange.request_headers.items():
        if name not in _PROBED and is_secret(name):
            words += ["-H", f"""{shlex.quote(f"{name}: ")}"${_variable(name)}\""""]
        elif name not in _PROBED:
            words += ["-H", shlex.quote(f"{name}: {value}")]
    if body is not None:
        words += ["--data-binary", shlex.quote(body)]
    elif exchange.method == "POST":
        words += ["-X", "POST"]
    # In a job's log `##[` begins a command of GitHub's; each stands within single quotes here.
    return (made + " ".join(words)).replace("##[", "#''#[")


def _variable(name: str) -> str:
    """The name of a shell's variable for a header."""
    plain = re.sub("[^A-Z0-9]", "_", name.upper())
    return f"_{plain}" if plain[0].isdecimal() else plain


def _body(exchange: Exchange) -> tuple[str, str | None]:
    """A command that makes the body, "" for none, and what curl is told; None when nothing is sent."""
    text = exchange.request_text
    if text is None:
        return "", None if exchange.request is None else _json(exchange.request)
    if len(text) > _LONG and len(set(text)) == 1:
        return f"head -c {len(text)} /dev/zero | tr '\\0' {shlex.quote(chr(text[0]))} | ", "@-"
    if text.isascii() and text.decode("ascii").isprintable() and not text.startswith(b"@"):
        return "", text.decode("ascii")
    plain = (
        chr(byte) if 32 <= byte < 127 and byte not in b"%\\'" else f"\\{byte:03o}" for byte in text
    )
    return f"printf '{''.join(plain)}' | ", "@-"


def _json(request: object) -> str:
    """The request as readable JSON, what a terminal might obey or hide as escapes."""
    text = json.dumps(request, ensure_ascii=False, separators=(",", ":"))
    # Outside its strings JSON is printable, and inside them an escape means the same.
    return "".join(one if one.isprintable() else json.dumps(one)[1:-1] for one in text)
