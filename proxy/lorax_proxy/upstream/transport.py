"""The interface behind which an HTTP client talks to LoRAX: send, read, close.

Whatever goes wrong arrives as `UpstreamError` with a `errors.Lost`, so that nothing above
knows which client it is.
"""

from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol

from lorax_proxy.errors import Lost, UpstreamError

__all__ = ["MAX_IDLE", "PAUSE", "Response", "Transport", "pour_reads", "read_all"]

PAUSE = 0.25
"""Seconds before the second connect that is tried again, and so much more before each further one.
The first follows at once: a lost packet needs no patience, a server that restarts a little."""

_MAX_ANSWER = 256 * 1024 * 1024
"""Bytes of a whole answer. With 20 alternatives a token takes some 2 KB, and the longest contexts
hold 128k tokens; a server that sends more is not LoRAX, and must not fill our memory."""


MAX_IDLE = 256
"""Connections that are kept: as many as streams that commonly end at once; each is one socket."""


class Response(Protocol):
    """An answer under way: status and headers are here, the body may still be coming."""

    @property
    def status(self) -> int:
        """The HTTP status."""
        ...

    @property
    def headers(self) -> Sequence[tuple[str, str]]:
        """The headers, names in lower case."""
        ...

    async def read(self) -> bytes:
        """The next bytes of the body as they arrive; empty at its end.

        Raises:
            UpstreamError: When the body breaks off or stays silent for too long.
        """
        ...

    async def pour(self, sink: Callable[[bytes], bool]) -> None:
        """Hand the next bytes to `sink` as they arrive, until it says that it wants no more now.

        At the body's end it is handed none, once. It may be called wherever bytes arrive, so that each
        costs no task its turn; what it raises ends the pouring, and is raised here.

        Args:
            sink: Takes bytes, and tells whether it wants more; it does not wait.

        Raises:
            UpstreamError: As `read`.
        """
        ...

    async def close(self) -> None:
        """Give the connection back, or end the request if its body is not read to the end.

        LoRAX has no other way to cancel (router/src/infer.rs); closing twice does nothing.
        """
        ...


class Transport(Protocol):
    """A pool of connections to one LoRAX server.

    An *epoch* is a time through which connections to the server were open without a break, so that
    it cannot have been exchanged for another one. A new one begins with a connection that is made
    while no other is open, or in place of a kept one that turned out to be dead. A server that says
    that it closes after each answer begins none by it.
    """

    @property
    def epoch(self) -> int:
        """The number of the epoch."""
        ...

    @property
    def breaks(self) -> int:
        """How often the server ended a connection without a word, or may have."""
        ...

    async def send(
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        *,
        silence: float,
        epoch: int | None = None,
    ) -> Response:
        """Send a request and wait for the answer's headers.

        Args:
            method: The HTTP method.
            path: The path, from the server's root.
            body: A JSON document.
            silence: Seconds without a byte after which the response is given up.
            epoch: The epoch whose server the request was made for, if only that one may get it.

        Raises:
            UpstreamError: When no answer comes; `RENEWED` when it would have gone out on a
                connection of another epoch, and so was not sent.
        """
        ...

    async def aclose(self) -> None:
        """Close every connection."""
        ...


async def pour_reads(read: Callable[[], Awaitable[bytes]], sink: Callable[[bytes], bool]) -> None:
    """`Response.pour` by means of `Response.read`."""
    while True:
        data = await read()
        if not sink(data) or not data:
            return


async def read_all(response: Response, limit: int = _MAX_ANSWER) -> bytes:
    """The whole body.

    Args:
        response: An answer under way; it is not closed here.
        limit: The most bytes that are an answer.

    Raises:
        UpstreamError: When it breaks off, or is larger than any answer of LoRAX's.
    """
    chunks: list[bytes] = []
    size = 0
    while chunk := await response.read():
        chunks.append(chunk)
        size += len(chunk)
        if size > limit:
            raise UpstreamError(Lost.UNREADABLE)
    return b"".join(chunks)
