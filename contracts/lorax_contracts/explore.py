"""Looking for broken laws with requests that nobody thought of.

Hypothesis draws valid requests from `strategies`, seeded, so that a run can be repeated; a reply that
breaks a law which no probe has shown yet is a failure, and Hypothesis shrinks the request to the
smallest that still breaks it. Each law found is set aside and the search goes on for others. Equal
requests are asked once: shrinking asks again and again.
"""

import json
from collections.abc import Callable
from typing import Any

from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from hypothesis.errors import Flaky, HypothesisException

from lorax_contracts.exchange import Exchange, Finding
from lorax_contracts.judge import judge
from lorax_contracts.judge.identity import timed
from lorax_contracts.probes.limits import failed
from lorax_contracts.session import SEED, Session
from lorax_contracts.strategies import chat_requests, completion_requests, generate_requests

__all__ = ["explore", "routes"]

_ROUNDS = 12
_MOST = 4
# Without a budget a model may go on for long.
_NEEDED = frozenset({"model", "messages", "prompt", "max_tokens", "max_completion_tokens", "seed"})


class _BrokenError(Exception):
    """One law, broken; Hypothesis tells failures apart by type and place."""


def routes(session: Session, *, completions: bool) -> st.SearchStrategy[tuple[str, Any]]:
    """Paths and requests worth drawing for the session's wire."""
    if session.wire == "lorax":
        adapters = [session.model] if session.model else []
        return st.tuples(
            st.sampled_from(["/generate", "/generate_stream"]),
            generate_requests(adapters=adapters),
        )
    # What is sampled repeats with its seed alone, and a proof is to be repeated.
    seed_of = {"seed": SEED}
    chat = chat_requests(models=[session.model]).map(lambda r: ("/chat/completions", seed_of | r))
    if not completions:
        return chat
    text = completion_requests(models=[session.model]).map(lambda r: ("/completions", seed_of | r))
    return st.one_of(chat, chat, text)


def _shown(exchange: Exchange, session: Session) -> list[Finding]:
    """What the exchange shows, refusals of unusual requests left out."""
    if exchange.status in {400, 404, 422, 429} and session.wire == "openai":
        # Servers may refuse what they do not support; how they refuse was judged by the probes.
        return []
    found = judge(exchange, kind=session.wire, strict=True)
    if session.wire == "openai":
        found += failed("a valid request", exchange)
    return [one for one in found if session.wants(one.law) and not timed(one)]


def _without_needless(finding: Finding, tell: Callable[[str, Any], list[Finding]]) -> Finding:
    """The finding with every member left out of its request that does not matter to it.

    Hypothesis shrinks values well, and stops short where leaving out one member changes how the
    following ones are drawn.
    """
    exchange = finding.exchange
    if exchange is None or not isinstance(exchange.request, dict):
        return finding
    path = "/" + exchange.route.value
    for name in [key for key in exchange.request if key not in _NEEDED]:
        request = {key: value for key, value in finding.exchange.request.items() if key != name}  # type: ignore[union-attr]  # every finding of tell has one
        again = next((one for one in tell(path, request) if one.law == finding.law), None)
        finding = again or finding
    return finding


def explore(
    session: Session,
    ask: Callable[[str, str, Any], Exchange],
    *,
    number: int,
    examples: int,
    completions: bool = True,
) -> None:
    """Draws `examples` requests, and asks up to a few times as many when it finds something.

    Args:
        session: takes what is found.
        ask: sends method, path, request; what it raises ends the exploration.
        number: the seed.
        examples: how many different requests are drawn.
        completions: whether text completions exist there.
    """
    if examples <= 0:
        return
    answered: dict[str, list[Finding]] = {}
    smallest: list[Finding] = []
    known: set[str] = set()

    def attempt(drawn: tuple[str, Any]) -> None:
        path, request = drawn
        key = path + json.dumps(request, sort_keys=True)
        if key not in answered:
            answered[key] = _shown(ask("POST", path, request), session)
        # One law a round: otherwise a smaller proof of another would take the place of this one.
        wanted = smallest[0].law if smallest else None
        new = [f for f in answered[key] if f.law not in known and wanted in {None, f.law}]
        if new:
            smallest[:] = new[:1]
            raise _BrokenError(new[0].law)

    def tell(path: str, request: Any) -> list[Finding]:
        return _shown(ask("POST", path, request), session)

    for turn in range(_ROUNDS):
        known = {finding.law for finding in session.findings}
        smallest.clear()
        run = settings(
            max_examples=examples,
            database=None,
            deadline=None,
            report_multiple_bugs=False,
            phases=(Phase.generate, Phase.shrink),
            suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
            print_blob=False,
        )(seed(number + turn)(given(routes(session, completions=completions))(attempt)))
        try:
            run()
        except (_BrokenError, Flaky):
            # A server that answers the same request differently is shown by its last failure.
            session.add(_without_needless(finding, tell) for finding in smallest)
        except HypothesisException:
            break
        else:
            break
        # Shrinking asks too; a server with many faults must not be asked for ever.
        if len(answered) >= _MOST * examples:
            break
