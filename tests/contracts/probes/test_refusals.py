"""Probes of what must be refused."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from lorax_contracts.probes import refusals
from lorax_contracts.session import Session
from tests.contracts.inprocess import InProcess
from tests.contracts.planted import Deviation
from tests.contracts.probes.family import broken, each_of, quiet
from tests.contracts.reference import Asked, Said, openai


def test_it_finds_nothing_on_a_correct_server() -> None:
    """No false alarm."""
    assert quiet(refusals.probe_refusals)


@each_of(
    "OAI-ERR-001",
    "OAI-ERR-002",
    "OAI-ERR-003",
    "OAI-ERR-004",
    "OAI-ERR-005",
    "OAI-ERR-006",
    "OAI-ERR-007",
)
def test_it_finds_its_own_family(deviation: Deviation) -> None:
    """Without the help of other probes."""
    assert deviation.law in broken(deviation, refusals.probe_refusals)


PLAIN: dict[str, Any] = {
    "model": "acme/poet",
    "messages": [{"role": "user", "content": "Hi."}],
    "max_tokens": 1,
}


def lenient(answer: Callable[[Any], dict[str, Any]]) -> Callable[[Asked], Said]:
    """A server that answers whatever it was asked: `answer` makes a right request of it."""

    def serve(asked: Asked) -> Said:
        said = openai(asked)
        if said.status < 400 or not asked.path.endswith("/chat/completions"):
            return said
        document = asked.document if isinstance(asked.document, dict) else {}
        served = openai(replace(asked, method="POST", document=answer(document)))
        # The name comes back as it was sent, whatever it was.
        for one in served.chunks or [served.document]:
            one["model"] = document.get("model")
        return served

    return serve


def _mended(document: dict[str, Any]) -> dict[str, Any]:
    return PLAIN


def _truthy(document: dict[str, Any]) -> dict[str, Any]:
    return {**PLAIN, **({"stream": True} if document.get("stream") else {})}


def _all_streamed(document: dict[str, Any]) -> dict[str, Any]:
    return {**PLAIN, "stream": True}


def _several(document: dict[str, Any]) -> dict[str, Any]:
    return {**PLAIN, "n": 3, "max_tokens": 40}


@pytest.mark.parametrize("answer", [_mended, _truthy, _all_streamed, _several])
def test_an_answer_to_what_cannot_be_right_breaks_that_law_alone(
    answer: Callable[[Any], dict[str, Any]],
) -> None:
    """Streamed or not, with whatever name and number of choices: nobody asked for another form."""
    found = broken(lenient(answer), refusals.probe_refusals)
    assert found <= {"OAI-ERR-004", "OAI-ERR-005", "OAI-ERR-007"}
    assert {"OAI-ERR-004", "OAI-ERR-005"} <= found


def failing(words: Callable[[bytes], str]) -> Callable[[Asked], Said]:
    """A server that answers 500 to what is no JSON object, with a text made of the body."""

    def serve(asked: Asked) -> Said:
        said = openai(asked)
        text = words(asked.body) if asked.path.endswith("/chat/completions") else ""
        if (
            said.status < 400
            or isinstance(asked.document, dict)
            or asked.method != "POST"
            or not text
        ):
            return said
        error = {
            "message": f"{text}, request-{asked.number}-{asked.number:04x}",
            "type": "server_error",
        }
        return Said(500, said.headers, {"error": {**error, "param": None, "code": None}})

    return serve


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (lambda _: "failed", ["a JSON array", "cut JSON"]),
        (lambda body: f"no value at {len(body)}", ["a JSON array", "cut JSON"]),
        (
            lambda body: "too deep" if len(body) > 999 else "no value",
            ["a JSON array", "cut JSON", " nested lists"],
        ),
        (lambda body: "failed" if body[:1] == b"[" else "", ["a JSON array", " nested lists"]),
    ],
    ids=["whatever it is", "with its place", "a third in other words", "lists alone"],
)
def test_a_failure_of_the_parser_is_told_once_and_hides_no_other(
    words: Callable[[bytes], str], told: list[str]
) -> None:
    """The same status may have other causes: JSON that is no object, what is said in other words."""
    server = InProcess(failing(words))
    server.base += "/v1"
    run = Session(server, wire="openai", model="acme/poet")
    refusals.probe_refusals(run)
    assert {one.law for one in run.findings} == {"OAI-ERR-003"}
    named = [one.message.removesuffix(" is answered with 500") for one in run.findings]
    assert sorted(one.removeprefix("20,000") for one in named) == sorted(told)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.sampled_from(["", "yes", "hot"]),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.just("a"), inner, max_size=1),
    max_leaves=3,
)
MEMBERS = ("model", "n", "stream", "stop", "tools", "logprobs", "max_tokens", "response_format")


@pytest.mark.property
@given(st.dictionaries(st.sampled_from(MEMBERS), JSON, min_size=1, max_size=2))
@example({"model": "yes"})
@example({"stream": True, "max_tokens": -1})
@example({"model": "yes", "n": 0})
def test_whatever_is_wrong_with_a_request_no_law_about_answers_speaks(odd: dict[str, Any]) -> None:
    """What has no right form is not judged by the answer, which is the right one to another request."""
    server = InProcess(lambda asked: openai(replace(asked, document=PLAIN)))
    server.base += "/v1"
    run = Session(server, wire="openai", model="acme/poet", strict=True)
    request = {**PLAIN, **odd}
    # Any text has a model's form. Which model it names is what OAI-CHAT-005 speaks of.
    form = {**request, "model": PLAIN["model"]} if isinstance(request["model"], str) else request
    reference = InProcess(openai)
    refused = reference.ask("POST", "/v1/chat/completions", form).status >= 400
    run.ask("POST", "/chat/completions", request)
    if refused:
        assert run.findings == []
