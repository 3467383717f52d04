"""A server without a socket: what the checker asks is answered by a function."""

import json
import time
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import urlsplit

from lorax_contracts.exchange import Exchange
from tests.contracts.reference import Asked, Said

__all__ = ["InProcess"]


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
