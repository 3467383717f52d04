"""The mock's own routes, all under `/_mock/`, a prefix that LoRAX does not use.

A session is named by the `x-lorax-mock-session` header; without it a script is for all, and journals
are shown whole.

`GET /_mock` tells the routes (`ROUTES`).
"""

from collections.abc import AsyncGenerator, Mapping
from typing import Final

import msgspec

from lorax_mock.errors import LoraxRefusal
from lorax_mock.http.axum import JSON, Exchange, Routes
from lorax_mock.router.health import Unwell
from lorax_mock.scripting.faults import FaultKind
from lorax_mock.scripting.journal import Entry
from lorax_mock.scripting.script import ScriptError, read_script
from lorax_mock.server.clock import until
from lorax_mock.server.state import State
from lorax_mock.shard.schedule import as_json, as_svg

__all__ = ["ROUTES", "admin_routes"]

_SETTLE_SECONDS: Final = 5.0
"""How long `?wait` waits for open requests to end."""

_FOLLOW_SECONDS: Final = 60.0
"""How long one wait for the next entry lasts before it is begun anew."""

_SCRIPT_BYTES: Final = 4_000_000


ROUTES: Final[Mapping[str, str]] = {
    "GET /_mock": "these routes",
    "GET /_mock/adapters": "what is known, what loads, what is loaded",
    "GET /_mock/journal": "what came and what left; ?wait until open requests have ended",
    "DELETE /_mock/journal": "forget it",
    "GET /_mock/journal/follow": "each request as server-sent events, once it has ended",
    "PUT /_mock/script": "a script, YAML or JSON; it replaces the session's",
    "DELETE /_mock/script": "no script",
    "GET /_mock/schedule": "what the shard did and when, in virtual time",
    "GET /_mock/schedule.svg": "the same, drawn",
    "GET /_mock/faults": "every kind of fault",
    "GET /_mock/health": "the router's flag, and the shard behind it",
    "PUT /_mock/health": '{"shard": "failing"}: every forward pass fails; `gone`, `well`',
    "POST /_mock/reset": "scripts, calls and journal, and without a session the shard: as new",
}
"""What each route does."""


class _Wanted(msgspec.Struct, forbid_unknown_fields=True):
    """The body of `PUT /_mock/health`."""

    shard: str


def _session(exchange: Exchange) -> str:
    return (exchange.header(b"x-lorax-mock-session") or b"").decode("latin-1")


class _Admin:
    """The handlers."""

    def __init__(self, state: State) -> None:
        self._state = state

    async def routes(self, exchange: Exchange) -> None:
        await exchange.reply(200, msgspec.json.format(msgspec.json.encode(ROUTES)), [JSON])

    async def adapters(self, exchange: Exchange) -> None:
        await exchange.reply(200, self._state.catalogue.as_json(), [JSON])

    async def journal(self, exchange: Exchange) -> None:
        if b"wait" in exchange.scope["query_string"]:
            await until(lambda: self._state.journal.settled, _SETTLE_SECONDS)
        await exchange.reply(200, self._state.journal.as_json(_session(exchange)), [JSON])

    async def follow(self, exchange: Exchange) -> None:
        """Send the entries that are there, then each as it ends, as server-sent events."""
        # imported here: nobody who does not watch should wait for it at start-up
        from sse_starlette import EventSourceResponse  # noqa: PLC0415 - see above

        await exchange.hand_over(EventSourceResponse(self._ended(_session(exchange))))

    async def _ended(self, session: str) -> AsyncGenerator[dict[str, str]]:
        journal = self._state.journal
        told: set[int] = set()

        def new() -> list[Entry]:
            return [
                entry
                for entry in journal.entries
                if entry.outcome != "open"
                and entry.serial not in told
                and (not session or entry.session == session)
            ]

        while True:
            for entry in new():
                told.add(entry.serial)
                shown = msgspec.json.encode(entry.shown()).decode()
                yield {"event": "request", "id": str(entry.number), "data": shown}
            # serials only grow: what the journal has dropped cannot come again
            oldest = journal.entries[0].serial if journal.entries else 0
            told = {serial for serial in told if serial >= oldest}
            await until(lambda: bool(new()), _FOLLOW_SECONDS)

    async def forget_journal(self, exchange: Exchange) -> None:
        self._state.journal.clear(_session(exchange))
        await exchange.reply(204)

    async def script(self, exchange: Exchange) -> None:
        body = await exchange.raw_body(_SCRIPT_BYTES)
        try:
            script = read_script(body.decode())
        except UnicodeDecodeError:
            raise LoraxRefusal(400, "mock_script", "the script is not UTF-8 text", "") from None
        except ScriptError as error:
            raise LoraxRefusal(400, "mock_script", f"{error}", "") from None
        self._state.rulebook.load(script, _session(exchange))
        told = {"rules": [rule.name for rule in script.rules], "strict": script.strict}
        await exchange.reply(200, msgspec.json.encode(told), [JSON])

    async def forget_script(self, exchange: Exchange) -> None:
        self._state.rulebook.reset(_session(exchange))
        await exchange.reply(204)

    async def schedule(self, exchange: Exchange) -> None:
        told = as_json(self._state.batcher.shard.spans, self._state.batcher.done)
        await exchange.reply(200, msgspec.json.encode(told), [JSON])

    async def picture(self, exchange: Exchange) -> None:
        drawn = as_svg(self._state.batcher.shard.spans, self._state.batcher.done)
        await exchange.reply(200, drawn.encode(), [(b"content-type", b"image/svg+xml")])

    async def faults(self, exchange: Exchange) -> None:
        await exchange.reply(
            200, msgspec.json.encode({"faults": [str(kind) for kind in FaultKind]}), [JSON]
        )

    async def health(self, exchange: Exchange) -> None:
        health = self._state.health
        told = {"shard": health.shard, "inference_health": health.inference}
        await exchange.reply(200, msgspec.json.encode(told), [JSON])

    async def set_health(self, exchange: Exchange) -> None:
        try:
            wanted = msgspec.json.decode(await exchange.raw_body(_SCRIPT_BYTES), type=_Wanted)
            self._state.health.become(wanted.shard)
        except (msgspec.DecodeError, UnicodeDecodeError, Unwell) as error:
            text = f'{{"shard": "failing"}} is what is wanted: {error}'
            raise LoraxRefusal(400, "mock_health", text, "") from None
        await self.health(exchange)

    async def reset(self, exchange: Exchange) -> None:
        self._state.renew(_session(exchange))
        await exchange.reply(204)


def admin_routes(state: State) -> Routes:
    """Their handlers."""
    admin = _Admin(state)
    return {
        "/_mock": {"GET": admin.routes},
        "/_mock/": {"GET": admin.routes},
        "/_mock/adapters": {"GET": admin.adapters},
        "/_mock/journal": {"GET": admin.journal, "DELETE": admin.forget_journal},
        "/_mock/journal/follow": {"GET": admin.follow},
        "/_mock/script": {"PUT": admin.script, "DELETE": admin.forget_script},
        "/_mock/schedule": {"GET": admin.schedule},
        "/_mock/schedule.svg": {"GET": admin.picture},
        "/_mock/faults": {"GET": admin.faults},
        "/_mock/health": {"GET": admin.health, "PUT": admin.set_health},
        "/_mock/reset": {"POST": admin.reset},
    }
