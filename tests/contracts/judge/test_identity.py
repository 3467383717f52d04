"""What names a completion."""

import re
from dataclasses import replace

import pytest

from lorax_contracts.judge.identity import bad_created, bad_id, bad_model, fit
from lorax_contracts.judge.report import Report
from tests.contracts import samples


@pytest.mark.parametrize("value", ["", "null", "None", " NULL ", None, 7, "0"])
def test_these_identify_nothing(value: object) -> None:
    """A name that every reply shares is none."""
    assert bad_id(value)


def test_a_time_is_in_seconds_and_near_the_reply() -> None:
    """0, milliseconds, text, and another day are wrong."""
    unknown = samples.golden("chat_plain")
    known = replace(unknown, at=1_700_000_000)
    assert not bad_created(1_700_000_000, unknown)
    assert not bad_created(1_700_000_600, known)
    for wrong in (0, 1_700_000_000_000, "1700000000", None):
        assert bad_created(wrong, unknown)
    assert bad_created(1_700_100_000, known)
    assert not bad_created(1_700_100_000, unknown)


@pytest.mark.parametrize(
    ("asked", "said", "bad"),
    [
        ("m", "m", False),
        ("m", "m-2024-08-06", False),
        ("m", "m-large", True),
        ("m", "null", True),
        ("", "whatever", False),
        ("m", None, True),
    ],
)
def test_a_model_is_the_one_asked_for(asked: str, said: object, bad: bool) -> None:
    """A dated snapshot is the same model."""
    assert bad_model(said, samples.asking(samples.golden("chat_plain"), model=asked)) is bad


def test_a_misfit_is_reported_under_the_law_of_its_place() -> None:
    """The first pattern that matches, or the default."""
    report = Report(samples.golden("chat_plain"))
    places = ((re.compile("^/error/code"), "OAI-ERR-002"),)
    fit(
        "openai/error",
        {"error": {"message": 1, "type": "t", "param": None}},
        places,
        "OAI-ERR-001",
        report,
    )
    assert [(one.law, one.at) for one in report.findings] == [
        ("OAI-ERR-002", "/error/code"),
        ("OAI-ERR-001", "/error/message"),
    ]
