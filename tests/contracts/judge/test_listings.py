"""Model lists and embeddings, broken in one place at a time."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from lorax_contracts.exchange import Exchange
from lorax_contracts.judge.listings import vector
from tests.contracts import samples
from tests.contracts.judge.cases import Case, each_case

CASES: tuple[Case, ...] = (
    (
        "OAI-MODELS-006",
        "owned_by missing",
        lambda: samples.edit(samples.models(), lambda d: d["data"][0].pop("owned_by") and None),
    ),
    (
        "OAI-MODELS-002",
        "an id twice",
        lambda: samples.edit(samples.models(), lambda d: d["data"].append(d["data"][0])),
    ),
    (
        "OAI-MODELS-003",
        "a model of another shape",
        lambda: replace(
            samples.edit(samples.models(), lambda _: {"id": 1}), path="/v1/models/acme/poet"
        ),
    ),
    (
        "OAI-EMB-001",
        "LoRAX's shape",
        lambda: samples.edit(samples.embeddings(), lambda d: {"embeddings": d["data"]}),
    ),
    (
        "OAI-EMB-005",
        "usage missing",
        lambda: samples.edit(samples.embeddings(), lambda d: d.pop("usage") and None),
    ),
    (
        "OAI-EMB-002",
        "one missing",
        lambda: samples.edit(samples.embeddings(), lambda d: d["data"].pop() and None),
    ),
    (
        "OAI-EMB-002",
        "in another order",
        lambda: samples.edit(samples.embeddings(), lambda d: d["data"].reverse()),
    ),
    (
        "OAI-EMB-003",
        "numbers for base64",
        lambda: samples.asking(samples.embeddings(), encoding_format="base64"),
    ),
    (
        "OAI-EMB-003",
        "text for numbers",
        lambda: samples.edit(
            samples.embeddings(), lambda d: d["data"][0].update(embedding="AAAAPw==")
        ),
    ),
    (
        "OAI-EMB-004",
        "no numbers",
        lambda: samples.edit(
            samples.embeddings(), lambda d: [one.update(embedding=[]) for one in d["data"]] and None
        ),
    ),
    (
        "OAI-EMB-004",
        "lengths differ",
        lambda: samples.edit(
            samples.embeddings(), lambda d: d["data"][0]["embedding"].pop() and None
        ),
    ),
)


@each_case(CASES)
def test_one_broken_promise_is_found_under_its_law(
    law: str, what: str, broken: Callable[[], Exchange]
) -> None:
    """The law is named when, and only because, its promise is broken."""
    assert samples.found(broken(), strict=True) - {"OAI-HTTP-003"} == {law}, what


@pytest.mark.parametrize("right", [samples.models, samples.embeddings])
def test_a_right_answer_breaks_no_law(right: Callable[[], Exchange]) -> None:
    """No false alarm where every promise is kept."""
    assert samples.found(right(), strict=True) <= {"OAI-HTTP-003"}


def test_base64_is_read_as_little_endian_floats() -> None:
    """What the SDK decodes blindly is decoded here the same way."""
    exchange = samples.asking(samples.embeddings(), encoding_format="base64", input="a")

    def pack(document: Any) -> None:
        document["data"] = [{**document["data"][0], "embedding": "AAAAPwAAgL4="}]

    assert vector("AAAAPwAAgL4=", "base64") == [0.5, -0.25]
    assert samples.found(samples.edit(exchange, pack)) == set()
