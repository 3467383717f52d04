"""The judge's front door: which wire, how strict."""

from dataclasses import replace
from typing import Any

import pytest

from lorax_contracts.exchange import Exchange
from lorax_contracts.judge import judge, wire_of
from lorax_contracts.laws import all_laws, law
from tests.contracts import samples
from tests.contracts.judge import (
    test_chat,
    test_chunks,
    test_completions,
    test_content,
    test_framing,
    test_listings,
    test_logprobs,
    test_openai,
    test_tools,
)
from tests.contracts.judge.cases import Case
from tests.contracts.samples import INVALID


@pytest.mark.parametrize(
    ("path", "wire"),
    [
        ("/v1/chat/completions", "openai"),
        ("/v1/models/a/b", "openai"),
        ("/v1/embeddings", "openai"),
        ("/generate", "lorax"),
        ("/tokenize", "lorax"),
        ("/", "lorax"),
        ("/info", "lorax"),
    ],
)
def test_the_path_says_which_wire_is_spoken(path: str, wire: str) -> None:
    """Unless the caller knows better."""
    assert wire_of(Exchange("POST", path, 200, (), b"")) == wire


def test_our_own_promises_are_judged_when_asked_for() -> None:
    """x-request-id is ours alone."""
    exchange = samples.golden("chat_plain")
    assert samples.found(exchange) == set()
    assert samples.found(exchange, strict=True) == {"OAI-HTTP-003"}


def test_the_kind_wins_over_the_path() -> None:
    """LoRAX's /v1/embeddings has a shape of its own."""
    exchange = samples.replace_body(samples.embeddings(), b'{"embeddings":[]}')
    assert "OAI-EMB-001" in samples.found(exchange)
    assert "LORAX-EMB-001" not in samples.found(exchange, kind="lorax")


def test_a_finding_carries_its_exchange() -> None:
    """So that it can be repeated."""
    broken = samples.edit(samples.golden("chat_plain"), lambda d: d.update(created=0))
    assert [one.exchange for one in judge(broken)] == [broken]


MODULES = (
    *(test_chat, test_chunks, test_completions, test_content, test_framing),
    *(test_listings, test_logprobs, test_openai, test_tools),
)
CASES: tuple[Case, ...] = tuple(case for module in MODULES for case in module.CASES)


@pytest.mark.parametrize("changes", INVALID, ids=[next(iter(one)) for one in INVALID])
def test_no_law_speaks_of_what_an_invalid_request_asked(changes: dict[str, Any]) -> None:
    """Whatever a case breaks: with a request that no schema admits, no other law is named for it."""
    judged = set()
    for law_id, what, broken in CASES:
        exchange = broken()
        if exchange.method != "POST" or not isinstance(exchange.request, dict):
            continue
        found = samples.found(samples.asking(exchange, **changes)) - {law_id}
        # What is not whole breaks the law of what is left of it, and that needs no request.
        assert found <= samples.found(replace(exchange, request=None)), (law_id, what)
        judged.add(law_id)
    assert len(judged) >= 50


def test_right_answers_to_invalid_requests_break_no_law() -> None:
    """The refusal that should have come is a law of its own, and takes a probe."""
    rights = [samples.golden("chat_plain"), samples.golden("chat_stream"), samples.tool_chat()]
    rights += [samples.logprobs_chat(), samples.completion(), samples.embeddings()]
    for right in rights:
        for changes in INVALID:
            assert samples.found(samples.asking(right, **changes)) == set()


def test_what_a_law_takes_for_granted_is_a_law_and_never_itself() -> None:
    """No two laws silence each other."""

    def walk(law_id: str, above: tuple[str, ...]) -> None:
        assert law_id not in above
        for one in law(law_id).given:
            walk(one, (*above, law_id))

    for law_id in all_laws():
        walk(law_id, ())
