"""What one request's two wires carry, handed to a page that is open; nothing while none is.

A `Tap` is made for a request that arrives while somebody looks (`Recorder.watched`), and is handed
down with it: the shell gives it OpenAI's bytes, and the transport that it wraps (`Tap.on`) LoRAX's.
Without one nothing here runs. It keeps bytes and times and understands neither: what they mean is
worked out when somebody opens the request (`core.inspection.report`).

Memory is bounded three times: so many requests, so many bytes of each, so many bytes of all. An
answer is never kept from its client for it: what is too much is counted and not kept.
"""

import time
from collections import OrderedDict
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager

from lorax_proxy.core.inspection.recording import (
    Call,
    Moment,
    Outline,
    Recording,
    Way,
    hide_secrets,
    hide_token,
)
from lorax_proxy.core.plan import Plan
from lorax_proxy.errors import Lost, UpstreamError
from lorax_proxy.observe import Record
from lorax_proxy.upstream.transport import Response, Transport

__all__ = ["Recorder", "Tap", "Watch"]

_MOST_REQUESTS = 200
"""Requests that are kept: some screens full; who looks for one of more needs a log."""

_MOST_BYTES_EACH = 512 * 1024
"""Bytes of one request: a stream of some 1,500 tokens takes as much on both wires."""

_MOST_BYTES = 32 * 1024 * 1024
"""Bytes of all; the oldest requests go first."""

_MOMENT = 160
"""Bytes that a moment takes beside its data."""


class Tap:
    """One request, watched.

    Attributes:
        number: Its number, counted from 1.
        record: What is logged of it.
        recording: What passed.
        over: Whether the answer is complete, or given up.
    """

    __slots__ = ("_begun", "_gone", "_recorder", "_size", "number", "over", "record", "recording")

    def __init__(
        self, recorder: "Recorder", number: int, record: Record, recording: Recording
    ) -> None:
        self.number = number
        self.record = record
        self.recording = recording
        self.over = False
        self._recorder = recorder
        self._size = 0
        self._gone = False
        self._begun = time.perf_counter()

    @property
    def size(self) -> int:
        """Bytes that it takes."""
        return self._size

    def add(self, way: Way, data: bytes = b"", call: int = 0, size: int | None = None) -> None:
        """Take what passes.

        Args:
            way: Which way it goes.
            data: The bytes.
            call: Which LoRAX request.
            size: How many bytes they were, if `data` is not all of them.
        """
        recorder, recording = self._recorder, self.recording
        if self._gone or not recorder.watched:
            return
        size = len(data) if size is None else size
        kept = data if recording.texts else b""
        takes = _MOMENT + len(kept)
        if self._size + takes > recorder.most_bytes_each:
            recording.cut = True
            recorder.changed(self)
            return
        self._size += takes
        recording.moments.append(
            Moment(time.perf_counter() - self._begun, way, call, size, bytes(kept))
        )
        recorder.grown(self, takes)

    def on(
        self, transport: Transport, *, adapters: Sequence[str], bos: str, plan: Plan | None
    ) -> Transport:
        """A transport whose responses are watched; the answers are the same.

        Args:
            transport: The way to the upstream.
            adapters: The LoRAX adapter ids that the model's name stands for.
            bos: What `/generate` puts before a prompt.
            plan: What the request became.
        """
        recording = self.recording
        recording.adapters, recording.bos = adapters, bos
        if plan is not None and recording.texts:
            recording.outline = Outline.of(plan)
        return _TappedTransport(self, transport)

    def called(self, method: str, path: str, body: bytes) -> int:
        """A LoRAX request is sent; returns which it is."""
        self.recording.calls.append(Call(method, path))
        call = len(self.recording.calls) - 1
        self.add(Way.SENT, hide_token(body), call, size=len(body))
        return call

    def failed(self, error: UpstreamError, call: int) -> None:
        """No answer comes from LoRAX, or no more of it."""
        failure = error.failure
        why = failure.value if isinstance(failure, Lost) else f"answered {failure.status}"
        self.recording.calls[call].lost = why
        self.add(Way.BROKE, call=call)

    def forget(self) -> None:
        """Nobody can open the request any more: what passed is let go, and what passes is not kept."""
        self._gone = True
        self.recording.moments.clear()

    def finish(self) -> None:
        """The request is over, and its record complete."""
        self.over = True
        self._recorder.changed(self)


class Watch:
    """One open page: which requests have changed since it was told."""

    def __init__(self, recorder: "Recorder", wake: Callable[[], None]) -> None:
        self._recorder = recorder
        self._wake = wake
        self._changed: dict[int, None] = {}

    def __len__(self) -> int:
        """How many numbers of requests it holds."""
        return len(self._changed)

    def note(self, number: int) -> None:
        """A request has changed."""
        if not self._changed:
            self._wake()
        elif len(self._changed) > 2 * self._recorder.most:
            # a page that does not read its stream: what is kept no more need not be told
            self._changed = {each: None for each in self._changed if self._recorder.find(each)}
        self._changed[number] = None

    def take(self) -> Sequence[Tap]:
        """The requests that have changed and are kept, each once, and none of them any more."""
        changed, self._changed = self._changed, {}
        found = (self._recorder.find(number) for number in changed)
        return tuple(tap for tap in found if tap is not None)


class Recorder:
    """The requests that were seen while a page was open.

    Attributes:
        watched: Whether a page is open: the one thing that a request looks at.
        texts: Whether bytes are kept.
        most: Requests that are kept.
        most_bytes_each: Bytes of one request.
    """

    def __init__(
        self,
        *,
        texts: bool,
        most: int = _MOST_REQUESTS,
        most_bytes_each: int = _MOST_BYTES_EACH,
        most_bytes: int = _MOST_BYTES,
    ) -> None:
        """Keep nothing yet.

        Args:
            texts: Whether to keep what is said.
            most: Requests that are kept.
            most_bytes_each: Bytes of one.
            most_bytes: Bytes of all.
        """
        self.watched = False
        self.texts = texts
        self.most_bytes_each = most_bytes_each
        self.most = most
        self._most_bytes = most_bytes
        self._watches: list[Watch] = []
        self._taps: OrderedDict[int, Tap] = OrderedDict()
        self._bytes = 0
        self._count = 0

    def __iter__(self) -> Iterator[Tap]:
        """The requests that are kept, the oldest first."""
        return iter(tuple(self._taps.values()))

    def find(self, number: int) -> Tap | None:
        """A request by its number, if it is still kept."""
        return self._taps.get(number)

    def begin(self, record: Record, headers: Sequence[tuple[bytes, bytes]]) -> Tap:
        """A request has arrived while a page is open."""
        self._count += 1
        fields = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in headers]
        recording = Recording(record.method, record.path, hide_secrets(fields), self.texts)
        tap = self._taps[self._count] = Tap(self, self._count, record, recording)
        while len(self._taps) > self.most:
            self._drop_oldest()
        self.changed(tap)
        return tap

    def grown(self, tap: Tap, size: int) -> None:
        """A request takes so many bytes more."""
        self._bytes += size
        while self._bytes > self._most_bytes and len(self._taps) > 1:
            self._drop_oldest()
        self.changed(tap)

    def changed(self, tap: Tap) -> None:
        """Whoever looks is to be told, unless it is forgotten already."""
        if tap.number in self._taps:
            for watch in self._watches:
                watch.note(tap.number)

    @contextmanager
    def watching(self, wake: Callable[[], None]) -> Generator[Watch]:
        """A page is open: what arrives from now on is recorded.

        Args:
            wake: Called when there is something to tell.
        """
        watch = Watch(self, wake)
        self._watches.append(watch)
        self.watched = True
        try:
            yield watch
        finally:
            self._watches.remove(watch)
            self.watched = bool(self._watches)

    def clear(self) -> None:
        """Forget every request; those under way are not seen any more."""
        while self._taps:
            self._drop_oldest()

    def _drop_oldest(self) -> None:
        _, tap = self._taps.popitem(last=False)
        self._bytes -= tap.size
        tap.forget()


class _TappedTransport:
    """A transport (`upstream.transport.Transport`) that shows what passes."""

    def __init__(self, tap: Tap, transport: Transport) -> None:
        self._tap = tap
        self._transport = transport

    @property
    def epoch(self) -> int:
        return self._transport.epoch

    @property
    def breaks(self) -> int:
        return self._transport.breaks

    async def send(
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        *,
        silence: float,
        epoch: int | None = None,
    ) -> Response:
        call = self._tap.called(method, path, body or b"")
        try:
            response = await self._transport.send(method, path, body, silence=silence, epoch=epoch)
        except UpstreamError as error:
            self._tap.failed(error, call)
            raise
        called = self._tap.recording.calls[call]
        called.status, called.headers = response.status, hide_secrets(response.headers)
        return _TappedResponse(self._tap, call, response)

    async def aclose(self) -> None:
        await self._transport.aclose()


class _TappedResponse:
    """An answer under way (`upstream.transport.Response`) that shows what passes."""

    def __init__(self, tap: Tap, call: int, response: Response) -> None:
        self._tap = tap
        self._call = call
        self._response = response
        self._over = False

    @property
    def status(self) -> int:
        return self._response.status

    @property
    def headers(self) -> Sequence[tuple[str, str]]:
        return self._response.headers

    async def read(self) -> bytes:
        try:
            data = await self._response.read()
        except UpstreamError as error:
            self._over = True
            self._tap.failed(error, self._call)
            raise
        self._came(data)
        return data

    async def pour(self, sink: Callable[[bytes], bool]) -> None:
        def shown(data: bytes) -> bool:
            self._came(data)
            return sink(data)

        try:
            await self._response.pour(shown)
        except UpstreamError as error:
            self._over = True
            self._tap.failed(error, self._call)
            raise

    async def close(self) -> None:
        if not self._over:
            self._over = True
            self._tap.add(Way.CLOSED, call=self._call)
        await self._response.close()

    def _came(self, data: bytes) -> None:
        if data:
            self._tap.add(Way.CAME, data, self._call)
        elif not self._over:
            self._over = True
            self._tap.add(Way.ENDED, call=self._call)
