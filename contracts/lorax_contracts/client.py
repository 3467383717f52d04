"""The only HTTP client here: one request at a time, every read bounded, nothing raised that a server did.

What a server does wrong is an `Exchange` that shows it (cut, silent, endless). What keeps a server
from being judged at all (no connection, TLS trouble) is `CannotRun`. Bounds, each an argument:

- bytes of a body: more than that and the body counts as endless;
- seconds of one request: a server may trickle bytes for ever, so the clock is not only per read:
  the request runs in a thread of its own and is left behind when its time is up;
- requests and seconds of the whole run: beyond them `Spent` ends it.

A 429 is waited for, as Retry-After says, and tried again a few times: a checker is a guest.
"""

import contextlib
import json
import ssl
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Self
from urllib.parse import urlsplit

import httpx

from lorax_contracts import sse
from lorax_contracts.address import address
from lorax_contracts.errors import CannotRun, ContractsError
from lorax_contracts.exchange import End, Exchange

__all__ = ["Bounds", "Client", "OpenStream", "Spent"]

_Given = tuple[str, str, Any, bytes | None, dict[str, str]]
_TRIES = 4
_PATIENCE = 3.0  # how much longer a second try waits
_LONGEST_WAIT = 10.0


class Spent(ContractsError):
    """The run's requests or seconds are used up."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """How much a run may take.

    Attributes:
        requests: of the whole run, retries after 429 included.
        seconds: of the whole run.
        patience: seconds without a byte after which a reply counts as silent.
        reply_seconds: of one request, from its first byte to the reply's last.
        body_bytes: of one reply.
    """

    requests: int = 300
    seconds: float = 120.0
    patience: float = 20.0
    reply_seconds: float = 60.0
    body_bytes: int = 4 * 1024 * 1024


@dataclass(slots=True)
class _Arriving:
    """A reply as far as it came; written by the request's thread, read when its time is up."""

    status: int = 0
    headers: tuple[tuple[str, str], ...] = ()
    pieces: list[bytes] = field(default_factory=list[bytes])
    size: int = 0
    end: End = End.IDLE
    trouble: Exception | None = None
    said: str = ""


class OpenStream:
    """A reply whose events are read one by one, and which may be left at any time.

    Attributes:
        status: the reply's.
    """

    def __init__(self, response: httpx.Response) -> None:
        """Takes a response whose body was not read."""
        self.status = response.status_code
        self._response = response
        self._pieces = response.iter_bytes()
        self._waiting = b""

    def events(self) -> Iterator[sse.Event]:
        """The events as they come, from where the last reader left off; ends with the body.

        Raises:
            CannotRun: the connection broke or fell silent.
        """
        while True:
            recording = sse.read(self._waiting)
            if recording.events:
                first = recording.events[0]
                self._waiting = self._waiting[first.offset + len(first.raw) :]
                if first.data is not None:
                    yield first
                continue
            try:
                piece = next(self._pieces, None)
            except httpx.HTTPError as error:
                raise CannotRun(f"the stream broke: {error!r}") from error
            if piece is None:
                return
            self._waiting += piece

    def close(self) -> None:
        """Closes the connection if the stream has not ended."""
        self._response.close()


class Client:
    """Asks one server."""

    def __init__(
        self,
        base: str,
        *,
        key: str | None = None,
        bounds: Bounds | None = None,
        verify: bool = True,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        """Nothing is sent yet.

        Args:
            base: scheme and host, a path that every asked path is put behind, and a query that
                every request carries.
            key: sent as a bearer token.
            bounds: how much the run may take.
            verify: whether certificates are checked.
            headers: sent with every request, beyond the usual ones.

        Raises:
            CannotRun: the address or the key cannot be used.
        """
        self.base, self._query = address(base)
        if key is not None and not (key.isascii() and key.isprintable()):
            raise CannotRun("the key holds a character that no header can carry; was it cut wrong?")
        self._asked = 0
        self.bounds = bounds or Bounds()
        self.waited = 0.0
        self._given = {name.lower(): value for name, value in (headers or {}).items()}
        if key:
            self._given["authorization"] = f"Bearer {key}"
        self._began = time.monotonic()
        patience = self.bounds.patience
        self._http = httpx.Client(
            verify=verify and self.base.startswith("https:"),  # the authorities take long to read
            timeout=httpx.Timeout(patience, connect=min(patience, 10.0)),
            limits=httpx.Limits(max_connections=None, max_keepalive_connections=4),
            headers={"accept-encoding": "identity", "user-agent": "lorax-contracts"},
        )

    @property
    def requests(self) -> int:
        """How many were made."""
        return self._asked

    @property
    def seconds(self) -> float:
        """How long the run has taken."""
        return time.monotonic() - self._began

    @property
    def prefix(self) -> str:
        """The path of the base address, "" for none."""
        return urlsplit(self.base).path

    @property
    def host(self) -> str:
        """Scheme and host of the base address."""
        parts = urlsplit(self.base)
        return f"{parts.scheme}://{parts.netloc}"

    def close(self) -> None:
        """Closes idle connections."""
        self._http.close()

    def ask(
        self,
        method: str,
        path: str,
        request: Any = None,
        *,
        text: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Exchange:
        """Sends one request and reads its reply to whatever end it comes.

        Args:
            method: GET, POST, ...
            path: put behind the base's own path; starts with a slash.
            request: sent as JSON.
            text: sent as it is, instead of `request`.
            headers: beyond the usual ones.

        Raises:
            CannotRun: no connection.
            Spent: the run's requests or seconds are used up.
        """
        given = (method, path, request, text, dict(headers or {}))
        for attempt in range(_TRIES):
            exchange = self._certainly(given)
            if exchange.status != 429 or attempt == _TRIES - 1:
                return exchange
            self._wait(exchange)
        raise AssertionError("unreachable")  # pragma: no cover - the loop returns

    def _certainly(self, given: _Given) -> Exchange:
        """Asks again when the connection was closed before a byte of a reply.

        A server may close a kept connection at any time (RFC 9112, section 9.3.1); only when it closes
        a second one too, or does not take one any more, it is the request that it does not answer.
        """
        first = self._once(*given)
        if _silent(first):
            return self._patiently(first, given)
        if first.status != 0 or first.end is not End.CUT:
            return first
        try:
            return self._once(*given)
        except CannotRun:
            return first

    def _patiently(self, first: Exchange, given: _Given) -> Exchange:
        """Asks again, and waits longer, where the run's time allows: a cold server is no broken one."""
        patience = _PATIENCE * self.bounds.patience
        if self.bounds.seconds - self.seconds < patience or self._asked >= self.bounds.requests:
            return replace(first, end=End.LEFT)
        second = self._once(*given, patience=patience)
        if not _silent(second):
            return second
        waits = f"within {self.bounds.patience:g} s, nor within {patience:g} s when asked again"
        what = "no reply came" if second.status == 0 else "no more of the reply came"
        return replace(second, trouble=f"{what} {waits}")

    def open(self, method: str, path: str, request: Any) -> OpenStream:
        """Sends one request and leaves its reply to be read; the caller closes it.

        Raises:
            CannotRun: no connection, or no reply.
            Spent: the run's requests or seconds are used up.
        """
        self._count()
        headers = {"content-type": "application/json", **self._given}
        built = self._http.build_request(
            method, self.base + path + self._query, content=_json(request), headers=headers
        )
        try:
            return OpenStream(self._http.send(built, stream=True))
        except httpx.HTTPError as error:
            raise self._cannot(error) from error

    def _count(self) -> float:
        """Counts a request; gives the seconds that are left."""
        if self._asked >= self.bounds.requests:
            raise Spent(f"{self._asked} requests are used up; --requests allows more")
        left = self.bounds.seconds - self.seconds
        if left <= 0:
            raise Spent(f"{self.bounds.seconds:g} seconds are used up; --seconds allows more")
        self._asked += 1
        return left

    def _wait(self, refused: Exchange) -> None:
        stated = refused.header("retry-after")
        asked = float(stated) if stated is not None and stated.isdecimal() else 1.0
        pause = min(asked, _LONGEST_WAIT)
        if self.seconds + pause >= self.bounds.seconds:
            raise Spent(
                f"the server answers 429 and asks to wait longer ({asked:g} seconds) than the run"
                " may take; try again later, or raise --seconds"
            )
        self.waited += pause
        time.sleep(pause)

    def _once(
        self,
        method: str,
        path: str,
        request: Any,
        text: bytes | None,
        headers: dict[str, str],
        patience: float | None = None,
    ) -> Exchange:
        left = self._count()
        wait = self._http.timeout if patience is None else httpx.Timeout(patience, connect=10.0)
        sent = {**self._given, **headers}
        if request is not None or text is not None:
            sent.setdefault("content-type", "application/json")
        body = text if text is not None else _json(request)
        arriving = _Arriving()
        thread = threading.Thread(
            target=self._read, args=(method, path, sent, body, arriving, wait), daemon=True
        )
        thread.start()
        thread.join(min(self.bounds.reply_seconds + (patience or 0), left))
        if arriving.trouble is not None and arriving.status == 0:
            raise self._cannot(arriving.trouble) from arriving.trouble
        pieces = list(arriving.pieces)
        return Exchange(
            method=method,
            path=self.prefix + path + self._query,
            request=request,
            request_text=text,
            request_headers={k: v for k, v in sent.items() if (k, v) != _USUAL},
            status=arriving.status,
            headers=arriving.headers,
            body=b"".join(pieces),
            end=arriving.end if not thread.is_alive() else End.LEFT,
            at=int(time.time()),
            trouble=arriving.said,
        )

    def _read(
        self,
        method: str,
        path: str,
        headers: dict[str, str],
        body: bytes | None,
        arriving: _Arriving,
        wait: httpx.Timeout,
    ) -> None:
        try:
            with self._http.stream(
                method, self.base + path + self._query, content=body, headers=headers, timeout=wait
            ) as response:
                arriving.headers = tuple(
                    (name.lower(), value) for name, value in response.headers.multi_items()
                )
                arriving.status = response.status_code
                for piece in response.iter_bytes():
                    arriving.pieces.append(piece)
                    arriving.size += len(piece)
                    if arriving.size > self.bounds.body_bytes:
                        arriving.end = End.TOO_LONG
                        return
                arriving.end = End.COMPLETE
        except httpx.TimeoutException as error:
            arriving.end = End.IDLE
            if isinstance(error, httpx.ConnectTimeout):
                arriving.trouble = error
        except (httpx.ConnectError, httpx.UnsupportedProtocol, httpx.InvalidURL) as error:
            arriving.trouble = error
        except httpx.HTTPError as error:
            arriving.end, arriving.said = End.CUT, str(error)
            if _tls(error) is not None:
                arriving.trouble = error
        except Exception as error:  # noqa: BLE001 - a thread's exception would be lost
            arriving.trouble = error

    def _cannot(self, trouble: Exception) -> CannotRun:
        cause = _tls(trouble)
        if cause is not None:
            return CannotRun(
                f"{self.host}: TLS trouble: {cause}; is the scheme right, and is the certificate"
                " known? (--insecure does not check it)"
            )
        if isinstance(trouble, httpx.ConnectTimeout):
            return CannotRun(f"{self.host}: no connection within {self.bounds.patience:g} seconds")
        return CannotRun(f"{self.host}: no connection: {trouble}")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        # A thread that was left behind may still be reading.
        with contextlib.suppress(Exception):
            self.close()


def _silent(exchange: Exchange) -> bool:
    """Whether nothing came, or nothing more, for as long as was waited."""
    if exchange.status == 0:
        return exchange.end is not End.CUT
    return exchange.end is End.IDLE and b"[DONE]" not in exchange.body[-64:]


def _tls(trouble: BaseException) -> BaseException | None:
    """What TLS said, if that is behind it."""
    cause: BaseException | None = trouble
    while cause is not None and not isinstance(cause, ssl.SSLError):
        cause = cause.__cause__ or cause.__context__
    return cause


_USUAL = ("content-type", "application/json")


def _json(request: Any) -> bytes | None:
    if request is None:
        return None
    try:
        return json.dumps(request, ensure_ascii=False, separators=(",", ":")).encode("utf-8")
    except UnicodeEncodeError:  # a lone surrogate, which only an escape can carry
        return json.dumps(request, separators=(",", ":")).encode("ascii")
