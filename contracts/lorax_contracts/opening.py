"""Whether there is anything to judge at an address, and what: kind, prefix, model.

The first requests of a run decide it. No connection, a login page, a reply that never ends or never
begins is `CannotRun`, told in one line that says what to do. Later in the run the same is a finding:
a server that has answered once has promised something.
"""

import json
from collections.abc import Mapping
from typing import Any, Protocol

from lorax_contracts import schemas
from lorax_contracts.errors import CannotRun
from lorax_contracts.exchange import End, Exchange
from lorax_contracts.judge.answer import mapping
from lorax_contracts.judge.report import shown
from lorax_contracts.laws import all_laws
from lorax_contracts.probes import chat, listings
from lorax_contracts.rules import rule
from lorax_contracts.session import Asker, Session

__all__ = ["Server", "find", "first_model", "open_lorax", "open_openai"]


class Server(Asker, Protocol):
    """What a run needs of a client; `Client` is one."""

    base: str

    @property
    def requests(self) -> int:
        """How many were made."""
        ...

    @property
    def host(self) -> str:
        """Scheme and host."""
        ...

    @property
    def seconds(self) -> float:
        """How long the run has taken."""
        ...


def _said(exchange: Exchange) -> str:
    return shown(exchange.body[:200]) or "an empty body"


def _html(exchange: Exchange) -> bool:
    start = exchange.body.lstrip()[:64].lower()
    return exchange.media_type == "text/html" or start.startswith((b"<!doctype", b"<html"))


def _replies(exchange: Exchange, where: str) -> None:
    """Raises CannotRun for a first reply that does not come, or does not come to an end."""
    if exchange.status == 0 and exchange.end is End.CUT:
        why = f" ({exchange.trouble})" if exchange.trouble else ""
        hint = "; does it speak https?" if where.startswith("http:") and "illegal" in why else ""
        raise CannotRun(f"{where}: the server closed the connection without a reply{why}{hint}")
    if exchange.status == 0:
        raise CannotRun(
            f"{where}: the server sent no reply in time; raise --patience if it is slow"
        )
    if exchange.end is End.TOO_LONG:
        raise CannotRun(
            f"{where}: the reply does not end, or is far too large"
            f" ({len(exchange.body):,} bytes were read)"
        )
    if exchange.end is End.LEFT:
        raise CannotRun(
            f"{where}: the reply was still coming when its time was up; raise --patience"
        )
    if exchange.end is End.IDLE and b"[DONE]" not in exchange.body:
        raise CannotRun(f"{where}: the reply began and then nothing more came in time")


def _speaks(exchange: Exchange, where: str) -> None:
    """Raises CannotRun for a first reply that is not an API's, or not to us."""
    if 300 <= exchange.status < 400:
        raise CannotRun(
            f"{where} redirects to {shown(exchange.header('location') or 'nowhere')}:"
            " a login page? Give the address of the API itself"
        )
    if exchange.status == 429:
        raise CannotRun(
            f"{where} answers 429 each time: it is overloaded, or a quota is spent;"
            f" try again later: {_said(exchange)}"
        )
    if _html(exchange) and exchange.status != 404:
        raise CannotRun(
            f"{where} answers {exchange.status} with a web page: a login page or a proxy?"
            " Give the address of the API itself"
        )
    if exchange.status in {401, 403, 407}:
        raise CannotRun(
            f"{where} answers {exchange.status}: it wants a key;"
            " set OPENAI_API_KEY or give --api-key"
        )


def _usable(exchange: Exchange, host: str) -> None:
    """Raises CannotRun for a first reply that is not an API's."""
    where = f"{host}{exchange.path}"
    _replies(exchange, where)
    _speaks(exchange, where)


def _json(exchange: Exchange) -> Any:
    try:
        return json.loads(exchange.body)
    except (ValueError, RecursionError):
        return None


def find(client: Server, kind: str | None, model: str | None) -> tuple[str, Mapping[str, Any]]:
    """The kind, and /info if the server has one; the client is pointed at the right prefix.

    Args:
        client: asks /info, unless kind and model say all.
        kind: `openai`, `lorax`, or None to be told by the server.
        model: the model that is asked for, if one is.

    Raises:
        CannotRun: no reply comes, or it does not end.
    """
    given = client.base
    root = given.removesuffix("/v1")
    info: Mapping[str, Any] = {}
    if kind != "openai" or model is None:
        client.base = root
        first = client.ask("GET", "/info")
        # Beside an API there may be anything at this path: a web page, a login, another's refusal.
        _replies(first, f"{client.host}{first.path}")
        if first.status == 200 and not schemas.validate("lorax/info", _json(first)):
            info = mapping(_json(first))
    found = kind or ("lorax" if info and given == root else "openai")
    client.base = root if found == "lorax" else root + "/v1"
    return found, info


def first_model(client: Server, info: Mapping[str, Any]) -> str:
    """The first model that the server lists, or the one of its /info.

    Raises:
        CannotRun: it names none.
    """
    listed = client.ask("GET", "/models")
    _usable(listed, client.host)
    names = [model.get("id") for model in listings.listed_models(listed)]
    name = next((one for one in names if isinstance(one, str) and one), info.get("model_id"))
    if isinstance(name, str):
        return name
    where = f"{client.host}{listed.path} answers {listed.status}"
    if listed.status >= 500:
        raise CannotRun(f"{where}: it is not ready, or broken; see its log: {_said(listed)}")
    if listed.status == 200 and _json(listed) is None:
        raise CannotRun(f"{where} with what is not JSON: {_said(listed)}; is it an API?")
    raise CannotRun(f"{where} and lists no model; name one with --model, or give another address")


@rule("OAI-ACCEPT-010")
def open_openai(session: Session, host: str) -> bool:
    """Asks for one chat answer; says whether there is more to judge.

    Raises:
        CannotRun: nothing there answers chat requests for this model.
    """
    first = session.chat(max_tokens=1)
    _usable(first, host)
    if first.status == 404:
        raise CannotRun(
            f"{host}{first.path} answers 404 to a plain chat request for the model"
            f" {session.model!r}: {_said(first)}; name one with --model, or give another address"
        )
    session.begun = True
    if chat.accepted(session, "OAI-ACCEPT-010", "a plain chat request", first):
        return True
    why = f"a plain chat request is answered with {first.status}: {_said(first)}"
    if not session.wants("OAI-ACCEPT-010"):
        raise CannotRun(f"{host}{first.path}: {why}, and nothing else can be judged")
    session.skip(
        "everything else", why, *(one.id for one in all_laws().values() if one.wire == "openai")
    )
    return False


def open_lorax(session: Session, host: str) -> bool:
    """The same for a LoRAX; an encoder, which answers 424, is judged for what it does.

    Raises:
        CannotRun: it is no LoRAX, or its adapter does not load.
    """
    first = session.ask("POST", "/generate", {"inputs": "Hi", "parameters": {"max_new_tokens": 1}})
    _usable(first, host)
    where = f"{host}{first.path}"
    if first.status not in {200, 424}:
        hint = "; is it a LoRAX? (else: --kind openai)" if first.status in {404, 405} else ""
        raise CannotRun(f"{where} answers {first.status} to a plain request: {_said(first)}{hint}")
    session.begun = True
    if session.model and first.status == 200:
        parameters = {"max_new_tokens": 1, "adapter_id": session.model}
        adapted = session.ask("POST", "/generate", {"inputs": "Hi", "parameters": parameters})
        if adapted.status != 200:
            raise CannotRun(
                f"{where} answers {adapted.status} for the adapter {session.model!r}:"
                f" {_said(adapted)}; name another with --model"
            )
    return True
