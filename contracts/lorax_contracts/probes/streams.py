"""Streams of chat chunks: against the plain answer, with and without usage."""

from lorax_contracts import relations
from lorax_contracts.probes.chat import (
    GREEDY,
    PROMPT,
    accepted,
    half_of,
    steady,
    steady_stream,
)
from lorax_contracts.rules import rule
from lorax_contracts.session import Session

__all__ = ["probe_streams"]


@rule("OAI-ACCEPT-010")
def probe_streams(session: Session) -> None:
    """Streams; of a server that repeats itself, against its plain answer."""
    plain = steady(session)
    streamed = session.chat(max_tokens=16, stream=True)
    accepted(session, "OAI-ACCEPT-010", "a plain streamed chat request", streamed)
    counted = steady_stream(session)
    if plain is not None and counted is not None:
        session.compare(relations.same_streamed, plain, counted)
    for budget in (1, half_of(plain)):
        cut = session.chat(PROMPT, **GREEDY, max_tokens=budget, stream=True)
        # After the two plain answers: ids made of the time differ where its second turned, and it
        # does not turn in both places.
        session.compare(relations.two_ids, streamed, cut)
        if counted is not None:
            session.compare(relations.cut_by_budget, cut, counted)
    session.chat(PROMPT, stream=True, seed=None)
    unpaid = session.chat(
        PROMPT, max_tokens=2, stream=True, stream_options={"include_usage": False}
    )
    accepted(session, "OAI-ACCEPT-010", "stream_options", unpaid)
    session.chat(PROMPT, n=2, max_tokens=2, stream=True, stream_options={"include_usage": True})
