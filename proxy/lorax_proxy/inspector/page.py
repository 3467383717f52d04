"""The inspector: one page, and what it asks for: events while it is open, one request, to forget all.

Who may look: without a key only a browser on this machine, by one of its own names and with nobody in
between (`core.admission.check_local`), since what is shown is what others ask; with a key whoever has
it. The page itself says nothing, so it needs no key: it asks for it and sends it with its calls.

The page's open event stream is what turns recording on. It ends with the page, or with the server.
"""

import asyncio
import base64
import hashlib
import re
from collections.abc import Callable, Sequence
from importlib.metadata import version
from importlib.resources import files
from typing import Any
from urllib.parse import parse_qs

from lorax_proxy.client import Client, until_gone
from lorax_proxy.core.admission import check_local, check_same_origin
from lorax_proxy.core.inspection.report import inspect, inspect_copies, named_model
from lorax_proxy.errors import RequestRefused
from lorax_proxy.observe import INSPECTOR as PATH
from lorax_proxy.tap import Recorder, Tap
from lorax_proxy.wire.openai_replies import encode_json
from lorax_proxy.wire.sse import COMMENT
from lorax_proxy.wire.sse import encode as sse_event

__all__ = ["Inspector"]

_TOLD_EVERY = 0.1
"""Seconds between two tellings: a page need not hear of each token."""

_ALIVE = 15.0
"""Seconds after which a comment tells a page that its stream is alive."""

_KEPT = 60.0
"""Seconds that requests are kept for after the last page was closed: it may be loaded again."""

_BASE_URL = re.compile(r"https?://[\w.:\[\]/-]{1,300}", re.ASCII)

_MOCK = "x-lorax-mock-"
"""How the headers begin by which a mock LoRAX tells what acted (docs/mock.md)."""

_HEADERS = (
    ("cache-control", "no-store"),
    ("x-content-type-options", "nosniff"),
    ("referrer-policy", "no-referrer"),
    ("cross-origin-opener-policy", "same-origin"),
    ("cross-origin-resource-policy", "same-origin"),
)


class Inspector:
    """The page and its calls.

    Attributes:
        recorder: What requests are recorded by while it is open.
    """

    def __init__(
        self,
        *,
        models: Callable[[], Sequence[str]],
        texts: bool,
        needs_key: bool,
        most_body: int,
        at_root: bool = False,
        kept: float = _KEPT,
        alive: float = _ALIVE,
    ) -> None:
        """Prepare the page.

        Args:
            models: The names that its chat may ask.
            texts: Whether to record what is said.
            needs_key: Whether calls have shown a key, so that it does not matter where they are from.
            most_body: Bytes that a compressed request may become.
            at_root: Whether `/` leads to it.
            kept: Seconds that requests are kept for after the last page was closed.
            alive: Seconds of silence after which a page is told that its stream is alive.
        """
        self.recorder = Recorder(texts=texts)
        self._models = models
        self._needs_key = needs_key
        self._most_body = most_body
        self._at_root = at_root
        self._kept = kept
        self._alive = alive
        self._html = files("lorax_proxy.inspector").joinpath("page.html").read_bytes()
        self._policy = _policy(self._html.decode())
        self._forgetting: asyncio.TimerHandle | None = None

    @property
    def keyless(self) -> frozenset[str]:
        """What needs no key: a browser cannot send one before there is a page that asks for it."""
        return frozenset({PATH, f"{PATH}/", *(("/",) if self._at_root else ())})

    def owns(self, path: str) -> bool:
        """Whether a path is answered here."""
        return path.startswith(f"{PATH}/") or path == PATH or (self._at_root and path == "/")

    async def answer(self, client: Client, path: str) -> None:
        """Answer a request for one of its paths.

        Raises:
            RequestRefused: 403 for who may not look, 404 and 405 for what is not there.
        """
        self._check(client)
        rest = path.removeprefix(PATH)
        method = client.scope["method"]
        if not path.startswith(f"{PATH}/"):
            await self._redirect(client)
        elif rest == "/" and method in ("GET", "HEAD"):
            await self._page(client)
        elif rest == "/events" and method == "GET":
            await until_gone(client, lambda: self._events(client))
        elif rest == "/models" and method == "GET":
            await client.reply(encode_json({"models": self._models()}), headers=_HEADERS)
        elif rest == "/requests" and method == "DELETE":
            self.recorder.clear()
            await client.reply(b"{}", headers=_HEADERS)
        elif (found := re.fullmatch(r"/requests/([0-9]{1,9})(/copies)?", rest)) and method == "GET":
            await self._request(client, int(found[1]), copied=found[2] is not None)
        else:
            raise RequestRefused(
                f"The inspector has no {method} {path}.", status=404, code="unknown_url"
            )

    def _check(self, client: Client) -> None:
        scope = client.scope
        check_same_origin(scope["headers"])
        if not self._needs_key:
            peer = scope.get("client")
            check_local(peer[0] if peer else "", scope["http_version"], scope["headers"])

    async def _redirect(self, client: Client) -> None:
        # relative, for whoever reaches this server by another path or name
        await client.start(307, (("location", f".{PATH}/"), *_HEADERS), 0)
        client.end()

    async def _page(self, client: Client) -> None:
        headers = (
            ("content-type", "text/html; charset=utf-8"),
            ("content-security-policy", self._policy),
            *_HEADERS,
        )
        await client.start(200, headers, len(self._html))
        client.end(self._html)

    async def _request(self, client: Client, number: int, *, copied: bool) -> None:
        tap = self.recorder.find(number)
        if tap is None:
            raise RequestRefused(
                f"Request {number} is not kept any more.", status=404, code="not_found"
            )
        row, recording = _row(tap), tap.recording.snapshot()
        base_url = _base_url(client)

        def shown() -> bytes:
            if copied:
                return encode_json(inspect_copies(recording, base_url, self._most_body))
            return encode_json({**row, **inspect(recording, self._most_body)})

        # some 40 us for each token, which others need not wait for
        await client.reply(await asyncio.to_thread(shown), headers=_HEADERS)

    async def _events(self, client: Client) -> None:
        """Tell of each request, from the first to the last, until the page is closed."""
        changed, ending = asyncio.Event(), asyncio.Event()

        def end() -> None:
            ending.set()
            changed.set()

        if self._forgetting is not None:
            self._forgetting.cancel()
            self._forgetting = None
        client.when_ending(end)
        try:
            with self.recorder.watching(changed.set) as watch:
                headers = (("content-type", "text/event-stream; charset=utf-8"), *_HEADERS)
                await client.start(200, headers)
                client.write(_told("hello", self._hello()))
                client.write(_told("requests", [_row(tap) for tap in self.recorder]))
                while not ending.is_set():
                    try:
                        async with asyncio.timeout(self._alive):
                            await changed.wait()
                    except TimeoutError:
                        client.write(COMMENT)
                        continue
                    changed.clear()
                    if taps := watch.take():
                        client.write(_told("requests", [_row(tap) for tap in taps]))
                    await client.drain()
                    if not ending.is_set():
                        await asyncio.sleep(_TOLD_EVERY)
            client.end()
        finally:
            client.when_ending(None)
            if not self.recorder.watched:
                loop = asyncio.get_running_loop()
                self._forgetting = loop.call_later(self._kept, self.recorder.clear)

    def _hello(self) -> dict[str, Any]:
        return {
            "texts": self.recorder.texts,
            "kept": self.recorder.most,
            "version": version("lorax-openai"),
        }


def _base_url(client: Client) -> str:
    """Where the page's own browser finds this server: it says so, since it may be behind TLS."""
    (at,) = parse_qs(client.scope["query_string"].decode("latin-1")).get("at", [""])[:1]
    return at if _BASE_URL.fullmatch(at) else f"http://{client.header('host') or 'localhost'}"


def _told(kind: str, document: object) -> bytes:
    return b"event: %b\n%b" % (kind.encode(), sse_event(encode_json(document)))


def _row(tap: Tap) -> dict[str, Any]:
    """What the list shows of a request; times in milliseconds, but for `begun`, which is Unix time."""
    record = tap.record
    seconds = record.seconds or None
    per_token = None
    count = record.completion_tokens
    if seconds and record.first_token is not None and count:
        # choices come side by side
        steps = count / max(1, len(tap.recording.sent)) - 1
        per_token = (seconds - record.first_token) / steps if steps > 0 else None
    return {
        "number": tap.number,
        "request_id": record.request_id,
        "begun": record.begun,
        "method": record.method,
        "path": record.path,
        "status": record.status,
        "model": record.model or named_model(tap.recording),
        "adapters": tap.recording.adapters,
        "upstream": record.upstream,
        "stream": record.stream,
        "prompt_tokens": record.prompt_tokens or tap.recording.prompt_tokens,
        "completion_tokens": count,
        "first_ms": _ms(record.first_token),
        "per_token_ms": _ms(per_token),
        "total_ms": _ms(seconds),
        "finish_reason": record.finish_reason,
        "error": record.error,
        "mock": _mock(tap),
        "over": tap.over,
    }


def _mock(tap: Tap) -> Sequence[str]:
    """What the mock says that it did on purpose, such as `fault cut@120`."""
    return [
        f"{name.removeprefix(_MOCK)} {value}"
        for call in tap.recording.calls
        for name, value in call.headers
        if name.startswith(_MOCK)
    ]


def _ms(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds * 1000, 3)


def _policy(html: str) -> str:
    """The page's Content-Security-Policy: its own script and style, and calls to where it is from."""

    def hashes(element: str) -> Sequence[str]:
        contents = re.findall(rf"<{element}>(.*?)</{element}>", html, re.DOTALL)
        digests = [hashlib.sha256(content.encode()).digest() for content in contents]
        return [f"'sha256-{base64.b64encode(digest).decode()}'" for digest in digests]

    return "; ".join(
        (
            "default-src 'none'",
            f"script-src {' '.join(hashes('script'))}",
            f"style-src {' '.join(hashes('style'))}",
            "connect-src 'self'",
            "img-src data:",
            "base-uri 'none'",
            "form-action 'none'",
            "frame-ancestors 'none'",
        )
    )
