"""`lorax-contracts check`: a plan of probes against one server, then exploration, within bounds."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from lorax_contracts.client import Bounds, Client, Spent
from lorax_contracts.errors import CannotRun
from lorax_contracts.exchange import Finding
from lorax_contracts.laws import Law, all_laws, law
from lorax_contracts.opening import Server, find, first_model, open_lorax, open_openai
from lorax_contracts.plan import EXPLORED, steps_for
from lorax_contracts.session import Session, Skipped

__all__ = ["Options", "Verdict", "check", "check_server", "until_turn"]


@dataclass(frozen=True, slots=True)
class Options:
    """What to check and how much it may take.

    Attributes:
        kind: `openai` or `lorax`; told from the server when None.
        model: the model, or LoRAX's adapter; the first listed one when None.
        only: judge this law alone, and ask only what can show it.
        without: ids of laws that are not judged; what follows from them is not told either.
        strict: judge our own, stricter promises too.
        key: sent as a bearer token.
        headers: names and values sent with every request.
        context: how many tokens the model's context has; a longer prompt is then tried.
        seed, examples: of the exploration.
    """

    kind: str | None = None
    model: str | None = None
    only: str | None = None
    without: tuple[str, ...] = ()
    strict: bool = False
    key: str | None = None
    headers: tuple[tuple[str, str], ...] = ()
    context: int | None = None
    verify: bool = True
    seed: int = 0
    examples: int = 40
    bounds: Bounds = field(default_factory=Bounds)


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a run found.

    Attributes:
        host: scheme and host, for commands that repeat a request.
        laws: ids of the laws that were to be judged, in order.
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
    laws: tuple[str, ...] = ()
    unfinished: str = ""

    def why_not(self, law_id: str) -> str:
        """Why a law was not judged; "" when it was, or was found broken all the same."""
        if any(one.law == law_id for one in self.findings):
            return ""
        return next(
            (f"{one.group}: {one.why}" for one in self.skipped if law_id in one.laws),
            self.unfinished,
        )


_Tell = Callable[[str, float], None]


# Streams that are shorter than this are over before or after a second turns, however one aims.
_SHORTEST = 0.05


def until_turn(now: float, took: float) -> float:
    """Seconds to wait, so that a reply is half there when the next second begins.

    Args:
        now: in seconds; whole ones begin where the server's do.
        took: how long the latest reply took. One that is too short to be met, or longer than a
            second, is not waited for.
    """
    return (1 - now % 1 - took / 2) % 1 if _SHORTEST <= took < 1 else 0


class _Way:
    """How far a run is: by the requests that its steps are known to make."""

    def __init__(self, client: Server, total: int, tell: _Tell) -> None:
        self._client = client
        self._replied, self._took = client.seconds, 0.0
        self._total = max(total, 1)
        self._tell = tell
        self._name, self._most, self._done = "", 0, 0
        self._begun = client.requests

    def begin(self, name: str, most: int) -> None:
        """Goes on to a step that makes `most` requests of a right server."""
        self._done += self._most
        self._name, self._most, self._begun = name, most, self._client.requests
        self.report()

    def turn(self) -> None:
        """Waits until a reply that takes as long as the latest is half there when the second turns."""
        wait = until_turn(time.time(), self._took)
        if wait:
            time.sleep(wait)
            self._replied = self._client.seconds

    def reply(self) -> None:
        """Takes a reply into account."""
        now = self._client.seconds
        self._replied, self._took = now, now - self._replied
        self.report()

    def report(self) -> None:
        """Tells what is being looked at, and what part of all is done."""
        made = min(self._client.requests - self._begun, self._most)
        self._tell(self._name, (self._done + made) / self._total)


def _run(session: Session, client: Server, options: Options, tell: _Tell) -> None:
    """The steps of the plan, then drawn requests."""
    steps = steps_for(session.wire, session.wants)
    exploring = any(map(session.wants, EXPLORED[session.wire]))
    examples = options.examples if exploring else 0
    way = _Way(client, sum(step.requests for step in steps) + examples, tell)
    session.progress, session.turn = way.reply, way.turn
    for step in steps:
        way.begin(step.name, step.requests)
        step.run(session)
    left_out = {skipped.group for skipped in session.skipped}
    if "generation" in left_out:
        return
    way.begin("exploring", examples)
    if not examples:
        return
    from lorax_contracts.explore import explore  # noqa: PLC0415 - not every run needs Hypothesis

    explore(
        session,
        session.forward,
        number=options.seed,
        examples=examples,
        completions="completions" in {step.name for step in steps} - left_out,
    )


def check(url: str, options: Options | None = None, tell: _Tell | None = None) -> Verdict:
    """Judges the server at `url`.

    Args:
        url: its address, with or without /v1.
        options: what to check.
        tell: told what is being looked at, and what part of the run is done, from 0 to 1.

    Raises:
        CannotRun: nothing there can be judged.
        UnknownName: `only` or one of `without` is no law.
    """
    options = options or Options()
    with Client(
        url,
        key=options.key,
        bounds=options.bounds,
        verify=options.verify,
        headers=dict(options.headers),
    ) as client:
        return check_server(client, options, tell)


def _begins(session: Session, client: Server, options: Options, only: Law | None) -> bool:
    """Finds out what the server is; says whether there is more to judge than its first answer."""
    session.wire, info = find(client, options.kind, options.model)
    if only is not None and only.wire != session.wire:
        raise CannotRun(
            f"{only.id} is a law of {only.wire}'s wire, and {client.base} is judged as"
            f" {session.wire} (--kind {only.wire} judges the other)"
        )
    if session.wire == "lorax":
        session.model = options.model or ""
        return open_lorax(session, client.host)
    session.model = options.model or first_model(client, info)
    return open_openai(session, client.host)


def check_server(client: Server, options: Options, tell: _Tell | None = None) -> Verdict:
    """The same for anything that answers like a client: another transport, an application in process."""
    only = law(options.only) if options.only else None
    told = tell or (lambda _what, _part: None)
    session = Session(
        client,
        wire="openai",
        strict=options.strict,
        only=only.id if only else None,
        without=[law(one).id for one in options.without],
    )
    if only is not None and not session.wants(only.id):
        raise CannotRun(f"{only.id} is asked for alone, and left out: nothing is left to judge")
    session.keyed, session.context = options.key is not None, options.context
    unfinished = ""
    try:
        told("looking", 0)
        if _begins(session, client, options, only):
            _run(session, client, options, told)
    except (Spent, CannotRun) as error:
        # A server that goes away in the middle has shown something already.
        if not (session.begun and session.findings):
            raise CannotRun(
                f"{client.base}: {error}" if isinstance(error, Spent) else str(error)
            ) from error
        unfinished = str(error)
    return Verdict(
        url=client.base,
        host=client.host,
        kind=session.wire,
        model=session.model,
        seed=options.seed,
        findings=tuple(session.findings),
        skipped=tuple(session.skipped),
        requests=client.requests,
        seconds=client.seconds,
        laws=tuple(
            one.id
            for one in all_laws().values()
            if one.wire == session.wire and session.wants(one.id)
        ),
        unfinished=unfinished,
    )
