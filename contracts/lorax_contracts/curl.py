"""A request as a curl command that repeats it when pasted."""

import json
import shlex

from lorax_contracts.exchange import Exchange

__all__ = ["curl"]

_PROBED = frozenset({"content-type", "authorization"})


def curl(exchange: Exchange, base: str = "http://HOST") -> str:
    """One line; `base` is scheme and host, the exchange's path has the rest.

    A key is never printed: the command reads it from the variable OPENAI_API_KEY.
    """
    parts = ["curl", "-sS", "-i"]
    stream = exchange.asked.get("stream") is True
    if stream or exchange.path.endswith("/generate_stream"):
        parts.append("-N")
    if exchange.method not in {"GET", "POST"}:
        parts += ["-X", exchange.method]
    parts.append(base.rstrip("/") + exchange.path)
    words = [shlex.quote(part) for part in parts]
    if "authorization" in exchange.request_headers:
        words += ["-H", '"authorization: Bearer $OPENAI_API_KEY"']
    body: bytes | None = exchange.request_text
    if body is None and exchange.request is not None:
        body = json.dumps(exchange.request, ensure_ascii=False, separators=(",", ":")).encode(
            "utf-8", "backslashreplace"
        )
    media = exchange.request_headers.get("content-type", "application/json")
    if body is not None:
        words += ["-H", shlex.quote(f"content-type: {media}")]
    for name, value in exchange.request_headers.items():
        if name not in _PROBED:
            words += ["-H", shlex.quote(f"{name}: {value}")]
    if body is not None:
        words += ["--data-binary", shlex.quote(body.decode("utf-8", "replace"))]
    elif exchange.method == "POST":
        words += ["-X", "POST"]
    return " ".join(words)
