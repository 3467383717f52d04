"""What the journal remembers."""

import contextlib
import json

import httpx
import pytest

from lorax_mock.errors import FatalRequest, validation
from lorax_mock.scripting.journal import Entry, Journal, doubts, manners
from lorax_mock.testing.inprocess import LocalMock
from lorax_mock.wire.native import GenerateParameters, GenerateRequest, ResponseFormat


def test_an_entry_tells_request_and_fate() -> None:
    """An entry is open until its request is answered, left or refused, and then tells which."""
    journal = Journal()
    first = journal.begin("/generate", GenerateRequest("a"))
    before = journal.settled
    first.refused(validation("x"))
    second = journal.begin("/generate_stream", GenerateRequest("b"))
    second.left(3)
    third = journal.begin("/generate", GenerateRequest("c"))
    third.refused(FatalRequest("why", "where.rs:1"))
    journal.note("by the way")
    assert (before, journal.settled) == (False, True)
    told = json.loads(journal.as_json())
    assert [entry["outcome"] for entry in told["entries"]] == ["refused", "client_left", "refused"]
    assert [entry["status"] for entry in told["entries"]] == [422, 200, 500]
    assert told["entries"][0]["error_type"] == "validation"
    assert told["entries"][1]["tokens"] == 3
    assert told["entries"][2]["notes"] == ["would end a real LoRAX: why (where.rs:1)"]
    assert told["notes"] == ["by the way"]
    assert told["entries"][1]["inputs"] == "b"


def test_an_entry_shows_what_was_given_as_lorax_takes_it() -> None:
    """By LoRAX's names and no others, and whether it is a stream; two that differ in their tokens are no repetition."""
    journal = Journal()
    form = ResponseFormat("json_object", {"type": "integer"})
    for token in ("hf_one", "hf_two"):
        asked = GenerateParameters(api_token=token, seed=2**64 - 1, response_format=form)
        entry = journal.begin("/", GenerateRequest("a", asked), stream=True)
        entry.refused(validation("x"))
    told = journal.as_json()
    assert b"hf_" not in told
    shown = json.loads(told)["entries"][0]
    assert shown["parameters"] == {
        "api_token": "(not shown)",
        "seed": 18446744073709551615,
        "response_format": {"type": "json_object", "schema": {"type": "integer"}},
    }
    assert shown["stream"] is True
    assert manners(journal.entries) == []


_SAID = "Arr, the reef be deep"


def _turns(*turns: tuple[str, str, str | None]) -> list[Entry]:
    """Session, prompt, and the text that was sent of a cut answer."""
    return [
        Entry(number, "/generate_stream", GenerateRequest(prompt), session=session, cut=cut)
        for number, (session, prompt, cut) in enumerate(turns, 1)
    ]


@pytest.mark.parametrize(
    ("following", "session", "accepted"),
    [
        (f"Q1\n{_SAID}\nQ2", "s", True),
        (f"Q1\n{_SAID}<|eot_id|>\nQ2", "s", True),
        (f"Q1\n{_SAID}", "s", False),  # it lets the model go on from there
        ("Q1", "s", False),
        ("Q2", "s", False),
        (f"Q1\n{_SAID}\nQ2", "other", False),
    ],
)
def test_a_cut_answer_that_comes_back_was_taken_for_whole(
    following: str, session: str, *, accepted: bool
) -> None:
    """A cut text that returns as a finished turn is bad manners; continuing it or asking again is not."""
    entries = _turns(("s", "Q1", _SAID), (session, following, None))
    expected = ["2 goes on from the text of 1, which was cut off"] if accepted else []
    assert manners(entries) == expected


def test_a_few_letters_prove_nothing() -> None:
    """A cut text of a few letters, or one from the question, proves nothing when it returns."""
    assert manners(_turns(("s", "Q1", "Arr"), ("s", "Q1 Arr Q2", None))) == []
    assert manners(_turns(("s", f"say {_SAID}!", _SAID), ("s", f"{_SAID} Q2", None))) == []


def test_going_on_without_asking_again_is_a_doubt() -> None:
    """A session that goes on after a cut stream is doubtful until it asks again."""
    cut, other = ("s", "Q1", "Arr"), ("s", "Q2", None)
    assert doubts(_turns(cut)) == []
    assert doubts(_turns(cut, ("s", "Q1", None), other)) == []
    assert doubts(_turns(cut, other, ("s", "Q1", None))) == []
    assert doubts(_turns(cut, ("t", "Q2", None))) == []
    told = doubts(_turns(cut, other, ("s", "Q1", "Arr"), ("s", "Q3", None), ("s", "Q4", None)))
    assert told == [
        "3 was cut off and 4 went on without asking again: the client gave it up, or took it for whole"
    ]


@pytest.mark.parametrize(
    ("fault", "cut"),
    [
        ("cut@400", 3),
        ("reset@400", 3),
        ("nofinal", -1),
        ("error@2", 2),
        ("incomplete@0", 0),
        ("cut@1000000", None),
        ("error@1000", None),
        ("drip:9", None),
        ("crlf", None),
        ("garbage@1", None),
    ],
)
def test_a_cut_stream_remembers_what_it_told(fault: str, cut: int | None) -> None:
    """The entry of a cut stream has the texts of the events that were whole."""
    with LocalMock() as mock, mock.client() as http:
        plain = http.post("/generate", json={"inputs": "hi", "parameters": {"details": True}})
        texts = [token["text"] for token in plain.json()["details"]["tokens"]]
        mock.faults(fault)
        body = {"inputs": "hi"}
        with (
            contextlib.suppress(httpx.TransportError),
            http.stream("POST", "/generate_stream", json=body) as reply,
        ):
            reply.read()
        expected = None if cut is None else "".join(texts[:cut])
        assert mock.journal[-1]["cut"] == expected
        assert mock.manners == []
        http.post("/generate", json={"inputs": "something else"})
        assert len(mock.doubts) == (0 if cut is None else 1)
