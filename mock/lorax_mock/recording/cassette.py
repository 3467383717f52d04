"""Recordings of a real LoRAX: what was asked, and every byte of the answer with its time.

A cassette is a file of JSON lines, one exchange each, in the order in which answers ended. Secrets never
reach it: credentials in headers are left out, `api_token` in bodies is replaced. Bodies that are UTF-8 text
are kept readable, others as base64.

Replay finds an exchange by method, path and body (equal JSON counts as equal, secrets apart); the n-th equal
request gets the n-th recording of it, and the last one again when they are used up.
"""

import base64
import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

__all__ = ["Cassette", "CassetteError", "Exchanged", "clean_body", "clean_headers", "read_cassette"]

_HIDDEN: Final = "(removed)"
_SECRET_HEADERS: Final = frozenset({
    "authorization", "proxy-authorization", "cookie", "set-cookie", "x-api-key", "api-key",
})  # fmt: skip
_SECRET_KEYS: Final = frozenset({"api_token", "api_key", "token"})
_HOP_HEADERS: Final = frozenset({"connection", "keep-alive", "transfer-encoding", "date", "server"})


class CassetteError(Exception):
    """The file is no cassette; the text says which line."""


@dataclass(frozen=True, slots=True)
class Exchanged:
    """One request and its answer."""

    method: str
    path: str
    body: bytes
    status: int
    headers: tuple[tuple[str, str], ...]
    chunks: tuple[tuple[float, bytes], ...]
    """Milliseconds since the request, and what came then."""

    broken: bool = False
    """Whether the answer ended in the middle."""

    def as_line(self) -> str:
        """One line of a cassette."""
        return json.dumps(
            {
                "method": self.method,
                "path": self.path,
                "body": _shown(self.body),
                "status": self.status,
                "headers": [list(header) for header in self.headers],
                "chunks": [[round(at, 3), _shown(data)] for at, data in self.chunks],
                "broken": self.broken,
            },
            ensure_ascii=False,
        )


def _shown(data: bytes) -> Any:
    try:
        return data.decode()
    except UnicodeDecodeError:
        return {"base64": base64.b64encode(data).decode()}


def _bytes(shown: Any) -> bytes:
    return base64.b64decode(shown["base64"]) if isinstance(shown, dict) else shown.encode()


def clean_headers(headers: Iterable[tuple[str, str]]) -> tuple[tuple[str, str], ...]:
    """Headers without secrets and without those that belong to one connection."""
    return tuple(
        (name.lower(), value)
        for name, value in headers
        if name.lower() not in _SECRET_HEADERS | _HOP_HEADERS
    )


def clean_body(body: bytes) -> bytes:
    """The body without secrets; what is not JSON stays as it is, and what is too deep to look into goes."""
    try:
        value = json.loads(body)
        cleaned = _without_secrets(value)
        if cleaned == value:
            return body
        return _spelled(cleaned)
    except RecursionError:
        return _HIDDEN.encode()
    except ValueError:
        return body


def _spelled(value: Any) -> bytes:
    """JSON that people can read; in ASCII if it holds half a surrogate pair, which UTF-8 has no bytes for."""
    try:
        return json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return json.dumps(value).encode()


def _without_secrets(value: Any) -> Any:
    match value:
        case dict():
            return {
                key: _HIDDEN
                if key in _SECRET_KEYS and isinstance(inner, str)
                else _without_secrets(inner)
                for key, inner in value.items()
            }
        case list():
            return [_without_secrets(inner) for inner in value]
        case _:
            return value


def read_cassette(text: str) -> list[Exchanged]:
    """The exchanges of a file; raises CassetteError."""
    out: list[Exchanged] = []
    # not `splitlines`: JSON may hold U+0085 and its like raw inside a string
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
            out.append(
                Exchanged(
                    row["method"],
                    row["path"],
                    _bytes(row["body"]),
                    row["status"],
                    tuple((name, value) for name, value in row["headers"]),
                    tuple((at, _bytes(data)) for at, data in row["chunks"]),
                    row.get("broken", False),
                )
            )
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise CassetteError(f"line {number}: no recorded exchange: {error!r}") from None
    if not out:
        raise CassetteError("nothing was recorded")
    return out


def _key(method: str, path: str, body: bytes) -> tuple[str, str, str]:
    cleaned = clean_body(body)
    try:
        return method, path, json.dumps(json.loads(cleaned), sort_keys=True)
    except (ValueError, RecursionError):
        return method, path, repr(cleaned)


class Cassette:
    """Recordings, and how often each was asked for."""

    def __init__(self, exchanges: Iterable[Exchanged]) -> None:
        self._by_key: dict[tuple[str, str, str], list[Exchanged]] = {}
        for one in exchanges:
            self._by_key.setdefault(_key(one.method, one.path, one.body), []).append(one)
        self._asked: dict[tuple[str, str, str], int] = {}

    def find(self, method: str, path: str, body: bytes) -> Exchanged | None:
        """The next recording for a request; None when there never was one."""
        key = _key(method, path, body)
        recorded = self._by_key.get(key)
        if recorded is None:
            return None
        place = self._asked.get(key, 0)
        self._asked[key] = place + 1
        return recorded[min(place, len(recorded) - 1)]

    def nearest(self, method: str, path: str) -> str:
        """What was recorded on that path, in words."""
        bodies = [key[2] for key in self._by_key if key[:2] == (method, path)]
        if bodies:
            return f"{method} {path} was recorded with other bodies, e.g. {bodies[0][:200]}"
        known = sorted({f"{key[0]} {key[1]}" for key in self._by_key})
        return f"recorded were {', '.join(known)}"
