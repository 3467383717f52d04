"""The mock's own routes, all under `/_mock/`, a prefix that LoRAX does not use.

A session is named by the `x-lorax-mock-session` header; without it a script is for all, and journals
are shown whole.

`GET /_mock` tells the routes (`ROUTES`), and shows a browser the page (`page`). Another site's page is refused here.
"""

from collections.abc import AsyncGenerator, Mapping
from dataclasses import replace
from typing import Any, Final, Literal, TypeVar

import msgspec

from lorax_mock.errors import LoraxRefusal
from lorax_mock.http.axum import JSON, Exchange, Handler, Routes
from lorax_mock.http.origin import foreign
from lorax_mock.profiles import PROFILES, ProfileName, with_profile
from lorax_mock.router.health import Unwell
from lorax_mock.scripting.faults import FaultError, FaultKind, parse_fault
from lorax_mock.scripting.journal import Entry
from lorax_mock.scripting.script import Script, ScriptError, read_script
from lorax_mock.server.clock import until
from lorax_mock.server.routes.page import page_routes, send_page
from lorax_mock.server.state import State
from lorax_mock.settings import SettingsError
from lorax_mock.shard.schedule import as_json, as_svg

__all__ = ["ROUTES", "admin_routes"]

_SETTLE_SECONDS: Final = 5.0
"""How long `?wait` waits for open requests to end."""

_FOLLOW_SECONDS: Final = 60.0
"""How long one wait for the next entry lasts before it is begun anew."""

_SCRIPT_BYTES: Final = 4_000_000


ROUTES: Final[Mapping[str, str]] = {
    "GET /_mock": "these routes; in a browser the page",
    "GET /_mock/adapters": "what is known, what loads, what is loaded",
    "GET /_mock/journal": "what came and what left; ?wait until open requests have ended",
    "DELETE /_mock/journal": "forget it",
    "GET /_mock/journal/follow": "each request as server-sent events, once it has ended",
    "GET /_mock/request": "one request of the journal, ?serial=N, with the tokens and times that a page has seen",
    "GET /_mock/watch": "what requests and shard do, as server-sent events: the page reads it",
    "GET /_mock/script": "the script that is in force",
    "PUT /_mock/script": "a script, YAML or JSON; it replaces the session's",
    "DELETE /_mock/script": "no script",
    "GET /_mock/schedule": "what the shard did and when, in virtual time",
    "GET /_mock/schedule.svg": "the same, drawn",
    "GET /_mock/faults": "every kind of fault, and those that the next requests get",
    "PUT /_mock/faults": '{"next": ["overload", "cut@120"]}: the next requests get these, one each',
    "GET /_mock/pace": "the pace and what things take, in milliseconds",
    "PUT /_mock/pace": '{"pace": "real", "step_ms": 20}, or a "profile": other ones, on a new shard; 409 while requests are open',
    "GET /_mock/health": "the router's flag, and the shard behind it",
    "PUT /_mock/health": '{"shard": "failing"}: every forward pass fails; `gone`, `well`',
    "POST /_mock/reset": "scripts, calls and journal, and without a session the shard: as new",
}
"""What each route does."""


class _Wanted(msgspec.Struct, forbid_unknown_fields=True):
    """The body of `PUT /_mock/health`."""

    shard: str


class _Faults(msgspec.Struct, forbid_unknown_fields=True):
    """The body of `PUT /_mock/faults`."""

    next: list[str]


class _Pace(msgspec.Struct, forbid_unknown_fields=True):
    """The body of `PUT /_mock/pace`: what is not named stays."""

    pace: Literal["off", "real"] | None = None
    profile: ProfileName | None = None
    first_ms: float | None = None
    step_ms: float | None = None
    prefill_token_ms: float | None = None
    adapter_download_ms: float | None = None
    adapter_load_ms: float | None = None
    schema_compile_ms: float | None = None


_COSTS: Final = (
    "first",
    "step",
    "prefill_token",
    "adapter_download",
    "adapter_load",
    "schema_compile",
)
_Body = TypeVar("_Body")


def _session(exchange: Exchange) -> str:
    return (exchange.header(b"x-lorax-mock-session") or b"").decode("latin-1")


class _Admin:
    """The handlers."""

    def __init__(self, state: State) -> None:
        self._state = state

    async def routes(self, exchange: Exchange) -> None:
        if b"text/html" in (exchange.header(b"accept") or b""):
            await send_page(exchange)
            return
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
        await self._tell_script(exchange, script)

    async def show_script(self, exchange: Exchange) -> None:
        script = self._state.rulebook.script(_session(exchange))
        await self._tell_script(exchange, script, source=script.source)

    async def _tell_script(self, exchange: Exchange, script: Script, **more: str) -> None:
        told = {"rules": [rule.name for rule in script.rules], "strict": script.strict, **more}
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
        planned = self._state.rulebook.planned_faults(_session(exchange))
        told = {
            "faults": [str(kind) for kind in FaultKind],
            "forms": [{"ids": kind.value.ids, "does": kind.value.told} for kind in FaultKind],
            "next": [str(fault) for fault in planned],
        }
        await exchange.reply(200, msgspec.json.encode(told), [JSON])

    async def plan_faults(self, exchange: Exchange) -> None:
        wanted = await _read(exchange, _Faults, "mock_faults", '{"next": ["overload"]}')
        try:
            faults = [parse_fault(text) for text in wanted.next]
        except FaultError as error:
            raise LoraxRefusal(400, "mock_faults", f"{error}", "") from None
        self._state.rulebook.plan_faults(faults, _session(exchange))
        await self.faults(exchange)

    async def pace(self, exchange: Exchange) -> None:
        costs = self._state.settings.costs
        told = {
            "pace": "real" if costs.paced else "off",
            **{f"{name}_ms": getattr(costs, name) for name in _COSTS},
            "profiles": list(PROFILES),
        }
        await exchange.reply(200, msgspec.json.encode(told), [JSON])

    async def set_pace(self, exchange: Exchange) -> None:
        wanted = await _read(exchange, _Pace, "mock_pace", '{"pace": "real", "step_ms": 20}')
        given = {name: getattr(wanted, f"{name}_ms") for name in _COSTS}
        changed: dict[str, Any] = {name: ms for name, ms in given.items() if ms is not None}
        if wanted.pace is not None:
            changed["paced"] = wanted.pace == "real"
        costs = self._state.settings.costs
        if wanted.profile is not None:
            costs = with_profile(costs, wanted.profile)
        try:
            done = self._state.change_costs(replace(costs, **changed))
        except SettingsError as error:
            raise LoraxRefusal(400, "mock_pace", f"{error}", "") from None
        if not done:
            text = "requests wait or run; change the pace when they have ended"
            raise LoraxRefusal(409, "mock_pace", text, "")
        await self.pace(exchange)

    async def health(self, exchange: Exchange) -> None:
        health = self._state.health
        told = {"shard": health.shard, "inference_health": health.inference}
        await exchange.reply(200, msgspec.json.encode(told), [JSON])

    async def set_health(self, exchange: Exchange) -> None:
        wanted = await _read(exchange, _Wanted, "mock_health", '{"shard": "failing"}')
        try:
            self._state.health.become(wanted.shard)
        except Unwell as error:
            text = f'{{"shard": "failing"}} is what is wanted: {error}'
            raise LoraxRefusal(400, "mock_health", text, "") from None
        await self.health(exchange)

    async def reset(self, exchange: Exchange) -> None:
        self._state.renew(_session(exchange))
        await exchange.reply(204)


async def _read(exchange: Exchange, kind: type[_Body], error_type: str, example: str) -> _Body:
    """The JSON body of a request as `kind`; raises LoraxRefusal (400) with an example of what is wanted."""
    try:
        return msgspec.json.decode(await exchange.raw_body(_SCRIPT_BYTES), type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise LoraxRefusal(400, error_type, f"{example} is what is wanted: {error}", "") from None


def _own(handler: Handler) -> Handler:
    """The handler, closed to pages of other sites: raises LoraxRefusal (403) for them."""

    async def guarded(exchange: Exchange) -> None:
        why = foreign(*(exchange.header(name) for name in (b"origin", b"host", b"sec-fetch-site")))
        # a link to the page is followed from anywhere; what it shows stays its own
        opened = exchange.header(b"sec-fetch-mode") == b"navigate" and exchange.method == "GET"
        if why is not None and not opened:
            text = f"lorax-mock answers {exchange.path} to its own page and to programs: {why}"
            raise LoraxRefusal(403, "mock_origin", text, "")
        await handler(exchange)

    return guarded


def admin_routes(state: State) -> Routes:
    """Their handlers."""
    admin = _Admin(state)
    routes: Routes = {
        "/_mock": {"GET": admin.routes},
        "/_mock/": {"GET": admin.routes},
        "/_mock/adapters": {"GET": admin.adapters},
        "/_mock/journal": {"GET": admin.journal, "DELETE": admin.forget_journal},
        "/_mock/journal/follow": {"GET": admin.follow},
        "/_mock/script": {
            "GET": admin.show_script,
            "PUT": admin.script,
            "DELETE": admin.forget_script,
        },
        "/_mock/schedule": {"GET": admin.schedule},
        "/_mock/schedule.svg": {"GET": admin.picture},
        "/_mock/faults": {"GET": admin.faults, "PUT": admin.plan_faults},
        "/_mock/pace": {"GET": admin.pace, "PUT": admin.set_pace},
        "/_mock/health": {"GET": admin.health, "PUT": admin.set_health},
        "/_mock/reset": {"POST": admin.reset},
        **page_routes(state),
    }
    return {
        path: {method: _own(handler) for method, handler in handlers.items()}
        for path, handlers in routes.items()
    }
