"""The page of `/_mock/`, and the two routes that only it needs: what happens, and one request as a whole."""

from collections.abc import AsyncGenerator
from typing import Any, Final
from urllib.parse import parse_qs

import msgspec

from lorax_mock.errors import LoraxRefusal
from lorax_mock.http.axum import JSON, Exchange, Header, Routes
from lorax_mock.server.clock import clock, rest
from lorax_mock.server.page import document
from lorax_mock.server.state import State
from lorax_mock.server.watching import done_event, row, span_event

__all__ = ["page_routes", "send_page"]

_TOGETHER_SECONDS: Final = 0.05
"""How long events are gathered before they are sent: a page is drawn that often at most."""

_REQUESTS: Final = 200
_SPANS: Final = 500
_JOBS: Final = 200
"""What a page that has just been opened is told of what was before."""

_HEADERS: Final[tuple[Header, ...]] = (
    (b"content-type", b"text/html; charset=utf-8"),
    (b"vary", b"accept"),
    (b"cache-control", b"no-store"),
    (b"referrer-policy", b"no-referrer"),
    (b"x-content-type-options", b"nosniff"),
)


async def send_page(exchange: Exchange) -> None:
    """Send the page."""
    shown = document()
    await exchange.reply(200, shown.html, [*_HEADERS, (b"content-security-policy", shown.policy)])


class _Routes:
    """The handlers."""

    def __init__(self, state: State) -> None:
        self._state = state

    async def watch(self, exchange: Exchange) -> None:
        """Tell what was, then what happens, as server-sent events, until the page is closed."""
        # imported here: nobody who does not watch should wait for it at start-up
        from sse_starlette import EventSourceResponse  # noqa: PLC0415 - see above

        await exchange.hand_over(EventSourceResponse(self._told()))

    async def _told(self) -> AsyncGenerator[dict[str, str]]:
        watching = self._state.watching
        page = watching.enter()
        try:
            yield _event("hello", self._before())
            while True:
                await page.news.wait()
                await rest(_TOGETHER_SECONDS)
                yield _event("news", page.take())
        finally:
            watching.leave(page)

    def _before(self) -> dict[str, Any]:
        """What a page is told first: the mock, and the last of what it has done."""
        state, batcher = self._state, self._state.batcher
        settings = state.settings
        return {
            "model_id": settings.model_id,
            "model_kind": settings.kind,
            "seed": settings.seed,
            "adapters": settings.loadable if settings.has_adapters else [],
            "costs": settings.costs,
            "clock": clock(),
            "now": batcher.now,
            "requests": [row(entry) for entry in list(state.journal.entries)[-_REQUESTS:]],
            "spans": [span_event(span) for span in list(batcher.shard.spans)[-_SPANS:]],
            "jobs": [done_event(done) for done in list(batcher.done)[-_JOBS:]],
        }

    async def request(self, exchange: Exchange) -> None:
        """One request of the journal, with its answer's tokens if a page was open when it was answered."""
        asked = parse_qs(exchange.scope["query_string"].decode("latin-1"))
        text = asked.get("serial", [""])[-1]
        serial = int(text) if text.isascii() and text.isdigit() else 0
        entry = next((one for one in self._state.journal.entries if one.serial == serial), None)
        if entry is None:
            raise LoraxRefusal(404, "mock_request", f"the journal has no request {text!r}", "")
        shown = entry.shown()
        told = {
            **shown,
            "serial": serial,
            # a browser's numbers are doubles: a seed above 2^53 is another one once it has parsed it
            "parameters_json": {
                name: msgspec.json.encode(value).decode()
                for name, value in shown["parameters"].items()
            },
            "answers": self._state.watching.answer(serial),
        }
        await exchange.reply(200, msgspec.json.encode(told), [JSON])


def _event(name: str, told: object) -> dict[str, str]:
    return {"event": name, "data": msgspec.json.encode(told).decode()}


def page_routes(state: State) -> Routes:
    """Their handlers."""
    routes = _Routes(state)
    return {"/_mock/watch": {"GET": routes.watch}, "/_mock/request": {"GET": routes.request}}
