"""A verdict that every form is tried with."""

from lorax_contracts.baseline import Known, Outcome, outcome_of
from lorax_contracts.check import Verdict
from lorax_contracts.judge import judge
from lorax_contracts.laws import all_laws
from lorax_contracts.session import Skipped
from tests.contracts import samples

__all__ = ["BASELINE", "family", "outcome", "verdict"]

BASELINE = (
    Known("OAI-CHAT-002", '"\\u0000other" is none of "chat.completion"'),
    Known("OAI-CHAT-010", "refusal is missing"),
    Known("OAI-EMB-001", "3 vectors for 2 texts"),
)
"""One finding that is there, one that is not, and one of a law that was not judged."""


def family(*names: str) -> frozenset[str]:
    """Ids of the laws of these families."""
    return frozenset(one for one in all_laws() if one.rpartition("-")[0] in names)


def verdict() -> Verdict:
    """Two laws broken, one of them only a matter of shape; what was seen is hard to write down."""
    broken = samples.edit(
        samples.golden("chat_plain"), lambda d: d.update(id="null", object="\x00<b>|`odd`::")
    )
    return Verdict(
        url="http://h/v1",
        host="http://h",
        kind="openai",
        model="m",
        seed=3,
        findings=tuple(judge(broken)),
        skipped=(Skipped("embeddings", "POST /embeddings is 404", family("OAI-EMB")),),
        requests=9,
        seconds=1.25,
        laws=tuple(sorted(family("OAI-CHAT", "OAI-EMB"))),
    )


def outcome(*, compared: bool = False) -> Outcome:
    """The same beside the baseline, or beside none."""
    return outcome_of(verdict(), BASELINE if compared else None)
