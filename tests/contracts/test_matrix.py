"""The matrix's tables: every law has its question, gateways are told from what is behind them."""

import pytest

from lorax_contracts.laws import all_laws
from tests.contracts.matrix.servers import SERVERS, Kind
from tests.contracts.matrix.table import QUESTIONS, Broken, Row, as_html, as_markdown, question_of

VLLM, LITELLM = (next(one for one in SERVERS if one.name == name) for name in ("vllm", "litellm"))


@pytest.mark.parametrize("law_id", [one for one in all_laws() if one.startswith("OAI-")])
def test_every_law_answers_one_of_ten_questions(law_id: str) -> None:
    """Forgetting one would hide what it finds."""
    assert question_of(law_id) in QUESTIONS
    assert len(QUESTIONS) == 10


@pytest.mark.parametrize(
    ("law_id", "question"),
    [("OAI-STREAM-013", "usage"), ("OAI-STREAM-012", "stream"), ("OAI-ACCEPT-001", "stop")],
)
def test_a_law_of_another_family_may_belong_to_a_question(law_id: str, question: str) -> None:
    """Ids go before families."""
    assert question_of(law_id) == question


def test_a_gateway_is_told_by_what_it_adds() -> None:
    """What the server behind it breaks already is not its fault."""
    behind = Row(VLLM, "1", (Broken("OAI-LOGP-002", "bytes", ""),))
    before = Row(
        LITELLM,
        "2",
        (Broken("OAI-LOGP-002", "bytes", ""), Broken("OAI-STREAM-009", "no <role>", "")),
    )
    gone = Row(next(one for one in SERVERS if one.missing), missing="no wheel")
    rows = [behind, before, gone]
    page = as_markdown(rows, date="2026-01-02", seed=5, note="Read.")
    line = next(one for one in page.splitlines() if one.startswith("| litellm [vllm]"))
    assert "STREAM-009" in line
    assert "LOGP-002" not in line
    assert "LOGP-002" in next(one for one in page.splitlines() if one.startswith("| vllm |"))
    assert f"- {gone.server.name}: no wheel" in page
    assert "2026-01-02, seed 5" in page
    html = as_html(rows, date="2026-01-02", seed=5, note="Read.")
    assert "OAI-STREAM-009" not in html.split("<h2>Mocks")[1]
    assert "no &lt;role&gt;" in html


def test_a_gateway_stands_behind_its_upstream_in_the_list() -> None:
    """So that what is behind it was checked before it."""
    names = [one.name for one in SERVERS]
    for one in SERVERS:
        assert bool(one.command) != bool(one.missing)
        if one.upstream:
            assert one.kind is Kind.GATEWAY
            assert names.index(one.upstream) < names.index(one.name)
