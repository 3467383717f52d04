"""Two ASGI applications: one records a real LoRAX to a cassette, one replays the cassette.

Recording passes everything through and writes each exchange when its answer has ended. Replaying sends the
recorded bytes in the recorded chunks, at once or at the recorded pace.
"""

import asyncio
from pathlib import Path
from typing import Final

import httpx

from lorax_mock.http.axum import JSON, Exchange, Receive, Scope, Send
from lorax_mock.recording.cassette import Cassette, Exchanged, clean_body, clean_headers
from lorax_mock.server.clock import clock
from lorax_mock.wire.replies import encode_error

__all__ = ["RecordApp", "ReplayApp"]

_LARGEST_BODY: Final = 64_000_000
_HOP: Final = frozenset({"connection", "keep-alive", "transfer-encoding", "host", "content-length"})


class RecordApp:
    """A pass-through that writes a cassette; credentials pass, and are not written."""

    def __init__(self, upstream: str, cassette: Path) -> None:
        self._upstream = upstream.rstrip("/")
        self._cassette = cassette
        self._client: httpx.AsyncClient | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI's entry."""
        if scope["type"] != "http":
            return
        exchange = Exchange(scope, receive, send)
        query = scope["query_string"].decode("latin-1")
        path = exchange.path + (f"?{query}" if query else "")
        body = await exchange.raw_body(_LARGEST_BODY)
        headers = [
            (name.decode("latin-1"), value.decode("latin-1"))
            for name, value in scope["headers"]
            if name.decode("latin-1").lower() not in _HOP
        ]
        if self._client is None:
            # LoRAX answers when it is done: adapter loads take minutes.
            self._client = httpx.AsyncClient(timeout=None)  # noqa: S113 - see above
        began = clock()
        try:
            async with self._client.stream(
                exchange.method, self._upstream + path, content=body, headers=headers
            ) as answer:
                await self._pass(exchange, path, body, answer, began)
        except httpx.ConnectError as error:
            text = f"lorax-mock cannot reach {self._upstream}: {error}"
            await exchange.reply(502, encode_error(text, "mock_upstream"), [JSON])

    async def _pass(
        self, exchange: Exchange, path: str, body: bytes, answer: httpx.Response, began: float
    ) -> None:
        told = clean_headers(answer.headers.multi_items())
        headers = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in told]
        await exchange.begin(answer.status_code, headers)
        chunks: list[tuple[float, bytes]] = []
        broken = False
        try:
            async for data in answer.aiter_raw():
                chunks.append(((clock() - began) * 1000, data))
                await exchange.chunk(data)
        except httpx.HTTPError:
            broken = True
        line = Exchanged(
            exchange.method,
            path,
            clean_body(body),
            answer.status_code,
            told,
            tuple(chunks),
            broken,
        ).as_line()
        with self._cassette.open("a", encoding="utf-8") as file:
            file.write(f"{line}\n")
        if broken:
            exchange.abort(reset=False)
        else:
            await exchange.end()


class ReplayApp:
    """A server of recordings."""

    def __init__(self, cassette: Cassette, *, paced: bool = False) -> None:
        self._cassette = cassette
        self._paced = paced

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI's entry."""
        if scope["type"] != "http":
            return
        exchange = Exchange(scope, receive, send)
        query = scope["query_string"].decode("latin-1")
        path = exchange.path + (f"?{query}" if query else "")
        body = await exchange.raw_body(_LARGEST_BODY)
        found = self._cassette.find(exchange.method, path, body)
        if found is None:
            why = self._cassette.nearest(exchange.method, path)
            text = f"lorax-mock has no recording of this request; {why}"
            await exchange.reply(500, encode_error(text, "mock_unrecorded"), [JSON])
            return
        headers = [
            (name.encode("latin-1"), value.encode("latin-1")) for name, value in found.headers
        ]
        await exchange.begin(found.status, headers)
        now = 0.0
        for at, data in found.chunks:
            if self._paced and at > now:
                await asyncio.sleep((at - now) / 1000)
                now = at
            await exchange.chunk(data)
        if found.broken:
            exchange.abort(reset=False)
        else:
            await exchange.end()
