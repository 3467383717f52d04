"""A run as a badge."""

from dataclasses import replace
from xml.etree import ElementTree as ET

import pytest

from lorax_contracts.baseline import Known, Outcome, outcome_of
from lorax_contracts.formats.badge import as_badge
from tests.contracts.formats.verdicts import family, outcome, verdict

_RIGHT = replace(verdict(), findings=())
_TWICE = replace(
    verdict(), findings=(*verdict().findings, replace(verdict().findings[0], message="other"))
)
"""One of the two laws is broken in two ways."""
_KNOWN = [Known(one.law, one.message) for one in verdict().findings]


@pytest.mark.parametrize(
    ("outcome", "said"),
    [
        (outcome(), "2 laws broken"),
        (outcome(compared=True), "1 new"),
        (outcome_of(verdict(), _KNOWN), "2 known"),
        (outcome_of(_TWICE, ()), "3 new"),
        (outcome_of(_TWICE), "2 laws broken"),
        (outcome_of(_TWICE, [Known(one.law, one.message) for one in _TWICE.findings]), "3 known"),
        (outcome_of(replace(_RIGHT, laws=("OAI-CHAT-001",))), "1 law kept"),
        (outcome_of(_RIGHT), f"{len(family('OAI-CHAT'))} laws kept"),
        (outcome_of(replace(_RIGHT, unfinished="time")), "ended early"),
        (outcome_of(replace(_RIGHT, laws=("OAI-EMB-001",))), "not judged"),
    ],
)
def test_it_counts_as_the_other_forms_do(outcome: Outcome, said: str) -> None:
    """In the picture, and to who does not see it."""
    badge = ET.fromstring(as_badge(outcome))  # noqa: S314 - our own
    texts = [one.text for one in badge.iter() if one.tag.endswith("}text")]
    assert texts == ["contracts", said]
    assert badge.get("aria-label") == f"contracts: {said}"


def test_no_law_is_kept_where_a_run_ended_early_or_nothing_was_judged() -> None:
    """Green means that everything that is counted was judged."""
    green = as_badge(outcome_of(_RIGHT)).split('fill="#')[2][:6]
    for other in (
        replace(_RIGHT, unfinished="time"),
        replace(_RIGHT, laws=("OAI-EMB-001",)),
        verdict(),
    ):
        assert green not in as_badge(outcome_of(other))
