"""Validation says where and what, in words that can be acted on."""

import pytest

from lorax_contracts import schemas
from tests.contracts import samples


def test_a_missing_key_is_pointed_at_itself() -> None:
    """The place of a missing key is where it would stand: laws are chosen by place."""
    misfits = schemas.validate("openai/error", {"error": {"message": "m", "type": "t"}})
    assert {(one.at, one.message) for one in misfits} == {
        ("/error/param", "param is missing"),
        ("/error/code", "code is missing"),
    }


def test_a_union_reports_the_branch_that_was_meant() -> None:
    """Not "is not valid under any of the given schemas" but what is wrong inside."""
    misfits = schemas.validate(
        "lorax/stream_response",
        {
            "token": {"id": 1, "text": "a", "logprob": None, "special": False, "skipped": False},
            "generated_text": "a",
            "details": {
                "finish_reason": "stop",
                "prompt_tokens": 1,
                "generated_tokens": 1,
                "seed": None,
            },
        },
    )
    assert [one.at for one in misfits] == ["/details/finish_reason"]


def test_key_order_is_judged_through_unions_and_lists() -> None:
    """JSON Schema has no order; LoRAX's structs have."""
    right = samples.events(samples.lorax("chat_stream"))[-1]
    assert schemas.misordered("lorax/stream_response", right) == []
    right["details"] = dict(reversed(list(right["details"].items())))
    assert schemas.misordered("lorax/stream_response", right) == ["/details"]


def test_pointers_escape_their_own_characters() -> None:
    """RFC 6901."""
    assert schemas.pointer(["a/b", "c~d", 0]) == "/a~1b/c~0d/0"


@pytest.mark.parametrize("value", [None, [], 1, "x", {"error": []}])
def test_any_json_can_be_validated(value: object) -> None:
    """A misfit, never an exception."""
    assert schemas.validate("openai/error", value) != []
