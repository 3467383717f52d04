"""A native reply that came whole, broken in one place at a time."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from lorax_contracts.exchange import Exchange
from tests.contracts import native_samples, samples
from tests.contracts.judge.cases import Case, each_case

CASES: tuple[Case, ...] = (
    (
        "LORAX-GEN-001",
        "a key too many",
        lambda: samples.edit(native_samples.generate(), lambda d: d.update(extra=1)),
    ),
    (
        "LORAX-GEN-001",
        "skipped missing",
        lambda: samples.edit(
            native_samples.generate(), lambda d: d["details"]["tokens"][0].pop("skipped")
        ),
    ),
    (
        "LORAX-GEN-002",
        "another order",
        lambda: samples.edit(
            native_samples.generate(),
            lambda d: {"details": d["details"], "generated_text": d["generated_text"]},
        ),
    ),
    (
        "LORAX-GEN-003",
        "details unasked",
        lambda: samples.asking(native_samples.generate(), parameters={"return_k_alternatives": 2}),
    ),
    (
        "LORAX-GEN-003",
        "prefill unasked",
        lambda: samples.edit(
            native_samples.generate(),
            lambda d: d["details"].update(prefill=[{"id": 1, "text": "<s>", "logprob": None}]),
        ),
    ),
    ("LORAX-GEN-011", "a list", lambda: samples.edit(native_samples.generate(), lambda d: [d])),
    ("LORAX-GEN-011", "no list", lambda: replace(native_samples.generate(), path="/")),
    (
        "LORAX-GEN-008",
        "no seed though sampled",
        lambda: samples.edit(native_samples.generate(), lambda d: d["details"].update(seed=None)),
    ),
    (
        "LORAX-GEN-008",
        "a seed though greedy",
        lambda: samples.asking(
            native_samples.generate(), parameters={"details": True, "return_k_alternatives": 2}
        ),
    ),
    (
        "LORAX-GEN-008",
        "another seed",
        lambda: samples.edit(native_samples.generate(), lambda d: d["details"].update(seed=8)),
    ),
    (
        "LORAX-HEAD-003",
        "another count",
        lambda: replace(
            native_samples.generate(),
            headers=tuple(
                (n, "9" if n == "x-generated-tokens" else x)
                for n, x in native_samples.generate().headers
            ),
        ),
    ),
    (
        "LORAX-HEAD-003",
        "another sum",
        lambda: replace(
            native_samples.generate(),
            headers=tuple(
                (n, "99" if n == "x-total-tokens" else x)
                for n, x in native_samples.generate().headers
            ),
        ),
    ),
    (
        "LORAX-HEAD-006",
        "bytes for characters",
        lambda: replace(
            native_samples.generate(),
            headers=tuple(
                (n, "99" if n == "x-compute-characters" else x)
                for n, x in native_samples.generate().headers
            ),
        ),
    ),
)


@each_case(CASES)
def test_one_broken_promise_is_found_under_its_law(
    law: str, what: str, broken: Callable[[], Exchange]
) -> None:
    """The law is named when, and only because, its promise is broken."""
    assert law in samples.found(broken(), strict=True), what


@pytest.mark.parametrize("right", [native_samples.generate])
def test_a_right_answer_breaks_no_law(right: Callable[[], Exchange]) -> None:
    """No false alarm where every promise is kept."""
    assert samples.found(right(), strict=True) == set()
