"""A request's side of its connection, watched: what the client sent, and what it is sent."""

from collections.abc import Callable, Sequence

from lorax_proxy.client import CONNECTED, Connected, Message, Receive, Scope, Send
from lorax_proxy.core.inspection.recording import Way, hide_secrets
from lorax_proxy.tap import Tap

__all__ = ["watched"]


def watched(scope: Scope, receive: Receive, send: Send, tap: Tap) -> tuple[Scope, Receive, Send]:
    """A request whose bytes pass a tap.

    Args:
        scope: ASGI's, with the extension `CONNECTED`.
        receive: ASGI's.
        send: ASGI's; the server's own, unless something stands between that adds headers.
        tap: Where they pass.
    """
    connected: Connected = scope["extensions"][CONNECTED]
    tapped = _Tapped(connected, receive, send, tap, no_body=scope["method"] == "HEAD")
    extensions = {**scope["extensions"], CONNECTED: tapped}
    # who compares them learns whether something stands between (`Client.start`)
    through = tapped.send if send == connected.send else tapped.send_through
    return {**scope, "extensions": extensions}, tapped.receive, through


class _Tapped:
    """A connection (`client.Connected`) that shows what passes."""

    def __init__(
        self, connected: Connected, receive: Receive, send: Send, tap: Tap, *, no_body: bool
    ) -> None:
        self._connected = connected
        self._receive = receive
        self._send = send
        self._tap = tap
        # the server leaves out the body of what HEAD asks for (`exchange`)
        self._no_body = no_body

    @property
    def on_disconnect(self) -> Callable[[], None] | None:
        return self._connected.on_disconnect

    @on_disconnect.setter
    def on_disconnect(self, call: Callable[[], None] | None) -> None:
        self._connected.on_disconnect = call

    @property
    def on_shutdown(self) -> Callable[[], None] | None:
        return self._connected.on_shutdown

    @on_shutdown.setter
    def on_shutdown(self, call: Callable[[], None] | None) -> None:
        self._connected.on_shutdown = call

    @property
    def disconnected(self) -> bool:
        return self._connected.disconnected

    @property
    def write_paused(self) -> bool:
        return self._connected.write_paused

    def whole_body(self) -> bytes | None:
        body = self._connected.whole_body()
        if body is not None:
            self._tap.add(Way.ASKED, body)
        return body

    def count_body(self, size: int) -> None:
        self._connected.count_body(size)

    async def receive(self) -> Message:
        message = await self._receive()
        if message.get("body"):
            self._tap.add(Way.ASKED, message["body"])
        return message

    def start(self, status: int, block: bytes, length: int | None = None) -> None:
        lines = [line.split(b": ", 1) for line in block.split(b"\r\n")[:-1]]
        self._head(status, [(name, value) for name, value in lines])
        self._connected.start(status, block, length)

    def write(self, data: bytes) -> None:
        self._answered(data)
        self._connected.write(data)

    def end(self, data: bytes = b"") -> None:
        self._answered(data)
        self._done()
        self._connected.end(data)

    async def drain(self) -> None:
        await self._connected.drain()

    async def send(self, message: Message) -> None:
        await self.send_through(message)

    async def send_through(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self._head(message["status"], message.get("headers", ()))
        else:
            self._answered(message.get("body", b""))
            if not message.get("more_body", False):
                self._done()
        await self._send(message)

    def _head(self, status: int, headers: Sequence[tuple[bytes, bytes]]) -> None:
        recording = self._tap.recording
        recording.status = status
        recording.answer_headers = hide_secrets(
            [(name.decode("latin-1"), value.decode("latin-1")) for name, value in headers]
        )

    def _answered(self, data: bytes) -> None:
        if data and not self._no_body and not self._connected.disconnected:
            self._tap.add(Way.ANSWERED, data)

    def _done(self) -> None:
        if not self._connected.disconnected:
            self._tap.add(Way.DONE)
