"""Servers without a socket: what the checker asks is answered by a function, or by the mock.

Each takes the place of a client of `check_server`.
"""

import json
import time
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import urlsplit

from lorax_contracts.exchange import Exchange
from lorax_mock.settings import Settings
from lorax_mock.testing.inprocess import LocalMock
from tests.contracts.reference import Asked, Said

__all__ = ["Changed", "InProcess", "Recorded"]


class InProcess:
    """Answers `check_server` by a pure function; takes the place of a client."""

    def __init__(self, answer: Callable[[Asked], Said], key: str | None = None) -> None:
        self._answer = answer
        self._key = key
        self.base = "http://reference.test"
        self.host = "http://reference.test"
        self.requests = 0
        self.seconds = 0.0
        self.asked: list[Exchange] = []

    def ask(
        self,
        method: str,
        path: str,
        request: Any = None,
        *,
        text: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Exchange:
        """One request, one reply."""
        self.requests += 1
        where = urlsplit(self.base).path + path
        body = (
            text if text is not None else b"" if request is None else json.dumps(request).encode()
        )
        now = int(time.time())
        sent = {"authorization": f"Bearer {self._key}"} if self._key else {}
        sent |= headers or {}
        try:
            document = json.loads(body)
        except (ValueError, RecursionError):
            document = None
        asked = Asked(method, where, sent, body, document, now, self.requests)
        said = self._answer(asked)
        content = said.body()
        exchange = Exchange(
            method=method,
            path=where,
            request=request,
            request_text=text,
            request_headers=sent,
            status=said.status,
            headers=tuple(said.headers.items()),
            body=content,
            end=said.end,
            at=now,
        )
        self.asked.append(exchange)
        return exchange


class Recorded:
    """What a right LoRAX says, as the mock says it: each request is asked once, and then recorded."""

    def __init__(self, kind: str = "generate") -> None:
        """Start a mock for a model of that kind."""
        self._mock = LocalMock(Settings(kind=kind))
        self._client = self._mock.client()
        self._said: dict[tuple[object, ...], Exchange] = {}

    def close(self) -> None:
        """End the mock."""
        self._client.close()
        self._mock.close()

    def ask(
        self, method: str, path: str, request: Any, text: bytes | None, headers: Mapping[str, str]
    ) -> Exchange:
        """The recorded reply."""
        body = (
            text if text is not None else b"" if request is None else json.dumps(request).encode()
        )
        key = method, path, body, *headers.items()
        if key not in self._said:
            sent = {"content-type": "application/json", **headers}
            reply = self._client.request(method, path, content=body, headers=sent)
            self._said[key] = Exchange(
                method=method,
                path=path,
                request=request,
                request_text=text,
                request_headers=headers,
                status=reply.status_code,
                headers=tuple((name.lower(), value) for name, value in reply.headers.items()),
                body=reply.content,
            )
        return self._said[key]


class Changed:
    """A LoRAX with one thing wrong: every recorded reply is changed on its way."""

    def __init__(self, recorded: Recorded, change: Callable[[Exchange], Exchange]) -> None:
        self._recorded = recorded
        self._change = change
        self.base = self.host = "http://lorax.test"
        self.requests = 0
        self.seconds = 0.0

    def ask(
        self,
        method: str,
        path: str,
        request: Any = None,
        *,
        text: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Exchange:
        """One request, one reply."""
        self.requests += 1
        return self._change(self._recorded.ask(method, path, request, text, headers or {}))
