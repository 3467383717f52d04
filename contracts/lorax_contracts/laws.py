"""The laws in words: what each wire promises, how much it matters, and who said so.

`data/laws/openai.toml` and `data/laws/lorax.toml` are the list; this module gives it a type.
A law's id never changes its meaning: a law that falls leaves its number unused.
"""

import re
from dataclasses import dataclass
from enum import Enum
from functools import cache
from types import MappingProxyType
from typing import TYPE_CHECKING

from lorax_contracts import loader
from lorax_contracts.errors import UnknownName

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Evidence", "Law", "Promise", "Severity", "all_laws", "law"]


class Severity(Enum):
    """How much a broken law costs the client, the worst first: this is the order of every report."""

    WRONG = "wrong"
    BREAKS = "breaks"
    SHAPE = "shape"

    @property
    def means(self) -> str:
        """What it says, for whoever reads it beside a finding."""
        return _MEANS[self]


_MEANS = {
    Severity.WRONG: "the client is told something untrue, or loses something",
    Severity.BREAKS: "usual clients fail",
    Severity.SHAPE: "the published shape is not kept, and many clients survive",
}


class Promise(Enum):
    """Whose promise a law is."""

    OPENAI = "openai"
    LORAX = "lorax"
    OURS = "ours"  # stricter than what is published: judged when asked for


class Evidence(Enum):
    """What it takes to see the law broken."""

    ONE = "one"  # one recorded exchange
    SEVERAL = "several"  # two or more
    PROBE = "probe"  # a request made for it


@dataclass(frozen=True, slots=True)
class Law:
    """One promise.

    Attributes:
        id: as `OAI-STREAM-007`; stable.
        text: the promise in one sentence.
        why: what a client loses when it is broken, in one sentence.
        source: who promised it: document and schema, RFC, or file and line.
        given: ids of the laws that this one takes for granted: where one of them is broken, it says
            nothing.
    """

    id: str
    severity: Severity
    promise: Promise
    evidence: Evidence
    text: str
    why: str
    source: str
    given: frozenset[str] = frozenset()

    @property
    def wire(self) -> str:
        """`openai` or `lorax`: which wire the law is about."""
        return "openai" if self.id.startswith("OAI-") else "lorax"


@cache
def all_laws() -> "Mapping[str, Law]":
    """Every law by id, in the order of the files."""
    return MappingProxyType(
        {
            row["id"]: Law(
                id=row["id"],
                severity=Severity(row["severity"]),
                promise=Promise(row["promise"]),
                evidence=Evidence(row["evidence"]),
                text=row["law"],
                why=row["why"],
                source=row["source"],
                given=frozenset(row.get("given", ())),
            )
            for wire in ("openai", "lorax")
            for row in loader.table(f"laws/{wire}")["law"]
        }
    )


def law(law_id: str) -> Law:
    """The law with that id, whatever the case it was typed in.

    Raises:
        UnknownName: there is none; the message names the nearest.
    """
    laws = all_laws()
    found = laws.get(law_id.strip().upper())
    if found is None:
        # A number without its zeros looks more like three other laws than like the one meant.
        meant = re.sub(r"[0-9]+$", lambda number: number.group().zfill(3), law_id.strip())
        raise UnknownName("law", law_id, laws, meant=meant)
    return found
