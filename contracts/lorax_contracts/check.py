"""`lorax-contracts check`: all probes against one server, then exploration, within bounds.

The first requests decide whether there is anything to judge: no connection, a login page, a reply
that never ends or never begins is `CannotRun`, told in one line.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from lorax_contracts import schemas
from lorax_contracts.client import Bounds, Client, Spent
from lorax_contracts.errors import CannotRun
from lorax_contracts.exchange import End, Exchange, Finding
from lorax_contracts.explore import explore
from lorax_contracts.judge.answer import mapping
from lorax_contracts.laws import law
from lorax_contracts.probes import chat, extras, listings, lorax, refusals, streams
from lorax_contracts.session import Asker, Session, Skipped

__all__ = ["Options", "Server", "Verdict", "check", "check_server"]


@dataclass(frozen=True, slots=True)
class Options:
    """What to check and how much it may take.

    Attributes:
        kind: `openai` or `lorax`; told from the server when None.
        model: the model, or LoRAX's adapter; the first listed one when None.
        only: judge this law alone.
        seed, examples: of the exploration.
    """

    kind: str | None = None
    model: str | None = None
    only: str | None = None
    strict: bool = False
    key: str | None = None
    verify: bool = True
    seed: int = 0
    examples: int = 40
    bounds: Bounds = field(default_factory=Bounds)


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a run found.

    Attributes:
        host: scheme and host, for commands that repeat a request.
        unfinished: why the run ended early; "" when it did not.
    """

    url: str
    host: str
    kind: str
    model: str
    seed: int
    findings: tuple[Finding, ...]
    skipped: tuple[Skipped, ...]
    requests: int
    seconds: float
    unfinished: str = ""


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


def _html(exchange: Exchange) -> bool:
    start = exchange.body.lstrip()[:64].lower()
    return exchange.media_type == "text/html" or start.startswith((b"<!doctype", b"<html"))


def _usable(exchange: Exchange, host: str) -> None:
    """Raises CannotRun for a first reply that is not an API's."""
    where = f"{host}{exchange.path}"
    if 300 <= exchange.status < 400:
        raise CannotRun(
            f"{where} redirects to {exchange.header('location') or 'nowhere'}: a login page?"
            " Give the address of the API itself"
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
    if exchange.status == 0:
        what = "closed the connection" if exchange.end is End.CUT else "sent no reply in time"
        raise CannotRun(f"{where}: the server {what}")
    if exchange.end is End.TOO_LONG:
        raise CannotRun(f"{where}: the reply does not end ({len(exchange.body):,} bytes were read)")
    if exchange.end is End.LEFT:
        raise CannotRun(
            f"{where}: the reply was still coming when its time was up; raise --patience"
        )
    if exchange.end is End.IDLE and b"[DONE]" not in exchange.body:
        raise CannotRun(f"{where}: the reply began and then nothing more came in time")


def _json(exchange: Exchange) -> Any:
    try:
        return json.loads(exchange.body)
    except (ValueError, RecursionError):
        return None


def _find(client: Server, options: Options) -> tuple[str, Mapping[str, Any]]:
    """The kind, and /info if the server has one; the client is pointed at the right prefix."""
    given = client.base
    root = given.removesuffix("/v1")
    info: Mapping[str, Any] = {}
    if options.kind != "openai" or options.model is None:
        client.base = root
        first = client.ask("GET", "/info")
        _usable(first, client.host)
        if first.status == 200 and not schemas.validate("lorax/info", _json(first)):
            info = mapping(_json(first))
    kind = options.kind or ("lorax" if info and given == root else "openai")
    client.base = root if kind == "lorax" else root + "/v1"
    return kind, info


def _model(client: Server, options: Options, info: Mapping[str, Any]) -> str:
    if options.model is not None:
        return options.model
    listed = client.ask("GET", "/models")
    _usable(listed, client.host)
    names = [str(model.get("id")) for model in listings.listed_models(listed)]
    if names:
        return names[0]
    if info:
        return str(info.get("model_id"))
    raise CannotRun(
        f"{client.host}{listed.path} answers {listed.status} and lists no model;"
        " name one with --model, or give another address"
    )


def _openai(session: Session, client: Server, options: Options) -> None:
    first = session.chat(max_tokens=1)
    _usable(first, client.host)
    if first.status == 404:
        raise CannotRun(
            f"{client.host}{first.path} answers 404 to a plain chat request for the model"
            f" {session.model!r}; name one with --model, or give another address"
        )
    session.begun = True
    if not chat.accepted(session, "OAI-ACCEPT-010", "a plain chat request", first):
        session.skip("everything else", f"a plain chat request is answered with {first.status}")
        return
    whole = chat.probe_chat(session)
    streams.probe_streams(session, whole)
    if whole is not None:
        chat.probe_stops(session, whole)
    chat.probe_accepted(session)
    extras.probe_logprobs(session)
    extras.probe_tools(session)
    extras.probe_json(session)
    refusals.probe_refusals(session)
    listings.probe_models(session)
    listings.probe_completions(session)
    listings.probe_embeddings(session)
    missing = any(skipped.group == "completions" for skipped in session.skipped)
    explore(
        session,
        client.ask,
        number=options.seed,
        examples=options.examples,
        completions=not missing,
    )


def _lorax(session: Session, client: Server, options: Options) -> None:
    first = session.ask("POST", "/generate", {"inputs": "Hi", "parameters": {"max_new_tokens": 1}})
    _usable(first, client.host)
    session.begun = True
    info = lorax.probe_info(session)
    lorax.probe_generate(session)
    lorax.probe_rules(session, info)
    lorax.probe_frame(session)
    lorax.probe_tokens(session, info)
    explore(session, client.ask, number=options.seed, examples=options.examples)


def check(
    url: str, options: Options | None = None, tell: Callable[[str, int], None] | None = None
) -> Verdict:
    """Judges the server at `url`.

    Args:
        url: its address, with or without /v1.
        options: what to check.
        tell: told what is being looked at and how many requests were made.

    Raises:
        CannotRun: nothing there can be judged.
        UnknownName: `only` is no law.
    """
    options = options or Options()
    with Client(url, key=options.key, bounds=options.bounds, verify=options.verify) as client:
        return check_server(client, options, tell)


def check_server(
    client: Server, options: Options, tell: Callable[[str, int], None] | None = None
) -> Verdict:
    """The same for anything that answers like a client: another transport, an application in process."""
    only = law(options.only).id if options.only else None
    told = tell or (lambda _what, _many: None)
    session = Session(
        client,
        wire="openai",
        strict=options.strict,
        tell=lambda what: told(what, client.requests),
    )
    unfinished = ""
    try:
        session.wire, info = _find(client, options)
        if session.wire == "lorax":
            session.model = options.model or ""
            _lorax(session, client, options)
        else:
            session.model = _model(client, options, info)
            _openai(session, client, options)
    except (Spent, CannotRun) as error:
        # A server that goes away in the middle has shown something already.
        if not (session.begun and session.findings):
            raise CannotRun(
                f"{client.base}: {error}" if isinstance(error, Spent) else str(error)
            ) from error
        unfinished = str(error)
    findings = [one for one in session.findings if only in {None, one.law}]
    return Verdict(
        url=client.base,
        host=client.host,
        kind=session.wire,
        model=session.model,
        seed=options.seed,
        findings=tuple(findings),
        skipped=tuple(session.skipped),
        requests=client.requests,
        seconds=client.seconds,
        unfinished=unfinished,
    )
