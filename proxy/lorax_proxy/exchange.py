"""A request and its answer on a connection: uvicorn's cycle, where it ends or frames an answer.

- *An answer before the request is complete* (a refusal, most often) closes its connection unless
  little is missing, and says so; it is closed so that the client can read it.
- *HTTP/1.0* gets no chunks (RFC 9112 6.1): a stream ends with its connection.
- *Being cancelled*, which only the server's end does, is no error.
"""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

from lorax_proxy.core import failures
from lorax_proxy.surface import Message
from lorax_proxy.wire.openai_replies import encode_error

__all__ = ["ChunklessExchange", "Exchange"]


class Exchange(RequestResponseCycle):
    """A request and its answer."""

    is_rest_small: Callable[[], bool]
    """Whether so little is missing of the request that reading it keeps the connection."""
    body_bytes = 0
    """Bytes of the request's body that are counted as held, decoded ones too."""
    closes = False
    """Whether the answer came before the request was complete, and ends the connection."""

    def send(self, message: Message) -> Coroutine[Any, Any, None]:  # type: ignore[override]  # uvicorn's own type is as private as it is long
        """Take the application's next message."""
        if self.more_body:
            self._answer_early(message)
        return super().send(message)  # type: ignore[arg-type]  # see above

    def _answer_early(self, message: Message) -> None:
        """The answer comes before the request is complete: say whether the connection will go."""
        if message["type"] == "http.response.start":
            # who waits for `100 Continue` and gets an answer may or may not send the body then
            self.closes = self.waiting_for_100_continue or not self.is_rest_small()
            if self.closes:
                message["headers"] = [*message["headers"], (b"connection", b"close")]
        elif self.closes and not message.get("more_body", False):
            # uvicorn would close at once; the connection does it without a reset
            self.keep_alive = True

    async def run_asgi(self, app: Any) -> None:
        """Run the application; its being cancelled is no error."""

        async def ending(scope: Any, receive: Any, send: Any) -> None:
            try:
                await app(scope, receive, send)
            except asyncio.CancelledError:
                # the server shuts down, and the surface has told the client if it could
                if not self.response_complete:
                    self.disconnected = True
                    self.transport.abort()

        await super().run_asgi(ending)

    async def send_500_response(self) -> None:
        """Answer for an application that could not; uvicorn has logged why."""
        error = failures.internal("-")
        body = encode_error(error.message, error.type, error.param, error.code)
        fields = [*error.headers, ("content-type", "application/json"), ("connection", "close")]
        headers = [(name.encode(), value.encode()) for name, value in fields]
        headers.append((b"content-length", b"%d" % len(body)))
        await self.send({"type": "http.response.start", "status": 500, "headers": headers})
        await self.send({"type": "http.response.body", "body": body})


class ChunklessExchange(Exchange):
    """The same with an HTTP/1.0 client: it knows no chunks, and keeps only if it is told."""

    _to_the_end = False

    def send(self, message: Message) -> Coroutine[Any, Any, None]:  # type: ignore[override]  # as above
        """Take the application's next message."""
        if message["type"] == "http.response.start":
            names = {name.lower() for name, _ in message["headers"]}
            if b"content-length" not in names:
                self._to_the_end = True
                self.keep_alive = False
                # neither None, which would choose chunks, nor True
                self.chunked_encoding = False
            if b"connection" not in names:
                # older uvicorns leave `close` out
                kept = b"keep-alive" if self.keep_alive else b"close"
                message["headers"] = [*message["headers"], (b"connection", kept)]
        elif self._to_the_end:
            self.expected_content_length = len(message.get("body", b""))
        return super().send(message)
