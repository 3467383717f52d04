"""What a run asks, in order, and which laws each step can show broken.

A step is one probe. It lists the laws that it is made to judge, so that one law alone can be judged
by the steps that matter to it (`--only`), and the requests that it makes of a server that keeps every
law, so that a progress bar can say how far a run is. Both are held against runs by tests: a law that
any step shows broken on any planted server is shown by the steps chosen for it alone.
"""

from collections.abc import Callable
from dataclasses import dataclass

from lorax_contracts.laws import laws_of
from lorax_contracts.probes import beyond, chat, extras, listings, lorax, refusals, streams
from lorax_contracts.session import Session

__all__ = ["EXPLORED", "PLANS", "Step", "steps_for"]


@dataclass(frozen=True, slots=True)
class Step:
    """One probe of a plan.

    Attributes:
        name: what is being looked at, for people.
        run: the probe.
        requests: how many it makes of a server that keeps every law.
        judges: ids of the laws that it can show broken.
    """

    name: str
    run: Callable[[Session], object]
    requests: int
    judges: frozenset[str]


# What any reply shows; a law of these needs the whole plan.
_ANY = laws_of("OAI-HTTP", "OAI-ERR-001", "OAI-ERR-002", "OAI-ERR-006", "OAI-ERR-008") - {
    "OAI-HTTP-002"
}
# What plain chat replies and chat streams show by themselves, whatever was asked for.
_SAID = laws_of("OAI-USAGE-002", "OAI-USAGE-003", "OAI-TEXT", "OAI-FINISH-002", "OAI-FINISH-003")
_REPLY = _ANY | _SAID | laws_of("OAI-CHAT", "OAI-USAGE-001", "OAI-LOGP-005") - {"OAI-CHAT-011"}
_STREAM = (
    _ANY
    | _SAID
    | laws_of("OAI-HTTP-002", "OAI-STREAM") - laws_of("OAI-STREAM-025", "OAI-STREAM-026")
)
_STREAMED = laws_of("OAI-STREAM-025", "OAI-STREAM-026")
_COMPLETION = _ANY | _SAID | laws_of("OAI-COMP", "OAI-USAGE-001", "OAI-STOP-001", "OAI-LOGP-003")

EXPLORED = {
    "openai": _REPLY
    | _STREAM
    | _COMPLETION
    | laws_of("OAI-STOP-001", "OAI-LOGP", "OAI-ERR-010", "OAI-FINISH-006", "OAI-TOOL-003"),
    "lorax": laws_of("LORAX-HTTP", "LORAX-HEAD", "LORAX-ERR", "LORAX-GEN", "LORAX-STREAM"),
}
"""What drawn requests can show, by wire."""

_ROUTER = laws_of("LORAX-HTTP", "LORAX-ERR-001", "LORAX-ERR-002")

PLANS: dict[str, tuple[Step, ...]] = {
    "openai": (
        Step(
            "chat",
            chat.probe_chat,
            13,
            _REPLY
            | laws_of("OAI-CHAT-011", "OAI-FINISH-001", "OAI-USAGE-004")
            | laws_of("OAI-ACCEPT-003", "OAI-ACCEPT-007", "OAI-STREAM-018"),
        ),
        Step(
            "streams",
            streams.probe_streams,
            7,
            _STREAM | _STREAMED | laws_of("OAI-CHAT-011", "OAI-FINISH-001", "OAI-ACCEPT-010"),
        ),
        Step(
            "stop strings",
            chat.probe_stops,
            9,
            _REPLY | _STREAM | laws_of("OAI-STOP", "OAI-FINISH-004", "OAI-ACCEPT-001"),
        ),
        Step(
            "accepted requests",
            chat.probe_accepted,
            9,
            _REPLY
            | _STREAM
            | _STREAMED
            | laws_of("OAI-ACCEPT-001", "OAI-ACCEPT-002", "OAI-ACCEPT-009", "OAI-ACCEPT-011"),
        ),
        Step(
            "log probabilities",
            extras.probe_logprobs,
            5,
            _REPLY | _STREAM | laws_of("OAI-LOGP"),
        ),
        Step(
            "tools",
            extras.probe_tools,
            11,
            _REPLY
            | _STREAM
            | _STREAMED
            | laws_of("OAI-TOOL", "OAI-FINISH-005", "OAI-FINISH-006")
            | laws_of("OAI-ACCEPT-004", "OAI-ACCEPT-005", "OAI-ACCEPT-006", "OAI-ACCEPT-008"),
        ),
        Step(
            "structured output",
            extras.probe_json,
            4,
            _REPLY | _STREAM | _STREAMED | laws_of("OAI-JSON"),
        ),
        Step(
            "refusals",
            refusals.probe_refusals,
            28,
            _ANY
            | laws_of("OAI-ERR-003", "OAI-ERR-004", "OAI-ERR-005", "OAI-ERR-007", "OAI-ERR-009")
            | laws_of("OAI-STREAM-016", "OAI-STREAM-017"),
        ),
        Step(
            "beyond",
            beyond.probe_beyond,
            9,
            _REPLY | laws_of("OAI-ERR-010", "OAI-ERR-011", "OAI-ERR-012", "OAI-ERR-013"),
        ),
        Step("models", listings.probe_models, 6, _ANY | laws_of("OAI-MODELS")),
        Step(
            "completions",
            listings.probe_completions,
            18,
            _COMPLETION
            | _STREAMED
            | laws_of("OAI-FINISH-001", "OAI-FINISH-004", "OAI-STOP", "OAI-HTTP-002")
            | laws_of("OAI-ERR-003", "OAI-ERR-004"),
        ),
        Step("embeddings", listings.probe_embeddings, 5, _ANY | laws_of("OAI-EMB")),
    ),
    "lorax": (
        Step(
            "info and health",
            lorax.probe_info,
            4,
            _ROUTER | laws_of("LORAX-INFO-001"),
        ),
        Step(
            "generate",
            lorax.probe_generate,
            39,
            _ROUTER | laws_of("LORAX-GEN", "LORAX-STREAM", "LORAX-HEAD"),
        ),
        Step(
            "validation",
            lorax.probe_rules,
            42,
            _ROUTER | laws_of("LORAX-ERR", "LORAX-HEAD-005", "LORAX-STREAM-010"),
        ),
        Step(
            "frame",
            lorax.probe_frame,
            19,
            _ROUTER | laws_of("LORAX-ERR-006"),
        ),
        Step(
            "tokens and limits",
            lorax.probe_tokens,
            10,
            _ROUTER | laws_of("LORAX-TOK", "LORAX-INFO-002"),
        ),
        Step(
            "embeddings and classes",
            lorax.probe_vectors,
            0,
            _ROUTER | laws_of("LORAX-EMB", "LORAX-CLS"),
        ),
    ),
}
"""The steps of a run by wire, in order."""


def steps_for(wire: str, only: str | None = None) -> tuple[Step, ...]:
    """The steps that can judge the law `only`, or all of them."""
    return tuple(step for step in PLANS[wire] if only is None or only in step.judges)
