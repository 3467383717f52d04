"""What is known to be broken, and what a run finds beside it.

A baseline is a file of findings that somebody decided to live with for now. A finding is known when the
baseline has one of the same law in the same words, numbers and quoted texts aside: that is what makes
a finding one (`Session.found`). The request that shows it does not matter: one finding stands for every
route on which the law is broken in this way, and which of them is shown may change from run to run.

    {"known": [{"law": "OAI-CHAT-010", "message": "refusal is missing"}]}
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass

from lorax_contracts.check import Verdict
from lorax_contracts.errors import CannotRead
from lorax_contracts.exchange import Finding
from lorax_contracts.judge.report import kind_of
from lorax_contracts.laws import all_laws
from lorax_contracts.listing import worst_first

__all__ = ["Known", "Outcome", "identity", "outcome_of", "read_baseline", "write_baseline"]


def identity(law: str, message: str) -> str:
    """What two findings are told alike by: the law, and the words without numbers and quotations."""
    return " ".join(f"{law} {kind_of(message)}".split())


@dataclass(frozen=True, slots=True)
class Known:
    """One finding of a baseline."""

    law: str
    message: str

    @property
    def identity(self) -> str:
        """As `identity`."""
        return identity(self.law, self.message)


@dataclass(frozen=True, slots=True)
class Outcome:
    """A verdict beside a baseline.

    Attributes:
        verdict: of the run.
        new: what the baseline does not know, the worst first; all there is without a baseline.
        known: what it knows, the worst first.
        fixed: what it knows and is not broken any more.
        unjudged: what it knows of laws that this run did not judge: nothing follows for them.
        kept: what it knows of both that are left, for the file that is written.
        compared: whether there is a baseline.
    """

    verdict: Verdict
    new: tuple[Finding, ...]
    known: tuple[Finding, ...] = ()
    fixed: tuple[Known, ...] = ()
    unjudged: tuple[Known, ...] = ()
    kept: tuple[Known, ...] = ()
    compared: bool = False

    @property
    def result(self) -> str:
        """The whole in a few words, as `2 broken laws` or `0 new, 3 known, 1 fixed`."""
        verdict = self.verdict
        if self.compared:
            parts = [
                f"{len(self.new)} new",
                f"{len(self.known)} known",
                f"{len(self.fixed)} fixed",
                *([f"{len(self.unjudged)} not judged"] if self.unjudged else ()),
            ]
            return ", ".join(parts)
        if verdict.laws and all(map(verdict.why_not, verdict.laws)):
            # All of them only where one law was asked for; else the run could not have begun.
            return f"{', '.join(verdict.laws)} could not be judged"
        broken = len({one.law for one in verdict.findings})
        return f"{broken or 'no'} broken law{'' if broken == 1 else 's'}"


def _judged(verdict: Verdict, law_id: str) -> bool:
    """Whether the run would have shown the law broken in whatever way."""
    if law_id not in all_laws():
        return True  # a law that is no more is not broken any more
    left_out = any(law_id in skipped.laws for skipped in verdict.skipped)
    return law_id in verdict.laws and not left_out and not verdict.unfinished


def outcome_of(verdict: Verdict, baseline: Iterable[Known] | None = None) -> Outcome:
    """The verdict beside a baseline; beside none, everything is new."""
    ranked = worst_first(verdict.findings)
    if baseline is None:
        return Outcome(verdict, tuple(ranked))
    listed = {one.identity: one for one in baseline}
    seen = {identity(one.law, one.message) for one in ranked}
    gone = [one for key, one in listed.items() if key not in seen]
    return Outcome(
        verdict,
        new=tuple(one for one in ranked if identity(one.law, one.message) not in listed),
        known=tuple(one for one in ranked if identity(one.law, one.message) in listed),
        fixed=tuple(one for one in gone if _judged(verdict, one.law)),
        unjudged=tuple(one for one in gone if not _judged(verdict, one.law)),
        kept=tuple(one for key, one in listed.items() if key in seen),
        compared=True,
    )


def read_baseline(text: str | bytes) -> tuple[Known, ...]:
    """The findings of a baseline's file.

    Raises:
        CannotRead: it is none; the message says what is missing.
    """
    try:
        document = json.loads(text)
        return tuple(
            Known(str(one["law"]).strip().upper(), str(one["message"])) for one in document["known"]
        )
    except (ValueError, RecursionError) as error:
        raise CannotRead(f"the baseline is not JSON: {error}") from error
    except (TypeError, KeyError) as error:
        raise CannotRead(
            "a baseline is a JSON object with a list `known` of objects with law and message,"
            " as --update-baseline writes it"
        ) from error


def write_baseline(outcome: Outcome) -> str:
    """The file that knows all that is broken now.

    What is fixed is left out; what was not judged stays; what was known keeps its words, so that the
    file changes only where the server did.
    """
    new = [Known(one.law, one.message) for one in outcome.new]
    known = sorted([*outcome.kept, *outcome.unjudged, *new], key=lambda one: one.identity)
    rows = [{"law": one.law, "message": one.message} for one in known]
    return json.dumps({"known": rows}, indent=2, ensure_ascii=False) + "\n"
