"""The judge's front door: which wire, how strict."""

import pytest

from lorax_contracts.exchange import Exchange
from lorax_contracts.judge import judge, wire_of
from tests.contracts import samples


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
