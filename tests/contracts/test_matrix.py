"""The matrix: every law has its question, gateways are told from what is behind them, claims are counted."""

import dataclasses
import re
from pathlib import Path

import pytest

from lorax_contracts.laws import all_laws
from lorax_contracts.probes.refusals import BAD_BODIES
from tests.contracts.matrix import results
from tests.contracts.matrix.results import Row, Shown, key_of
from tests.contracts.matrix.servers import SERVERS, Kind, Server
from tests.contracts.matrix.table import ASKED, QUESTIONS, as_html, as_markdown, question_of

NAMED = {one.name: one for one in SERVERS}
BYTES = Shown("OAI-LOGP-002", "bytes", "/choices/0", "[1, 2]")
LOCKS = Path(results.__file__).with_name("locks")


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
    """What the server behind it breaks in the same way is not its fault; another way is."""
    behind = Row(NAMED["llama.cpp"], "1", broken=(BYTES, Shown("OAI-TEXT-002", "surrogate")))
    added = Shown("OAI-STREAM-009", "no <role>", "chunk 0")
    before = Row(NAMED["litellm"], "2", broken=(BYTES, added))
    otherwise = Row(NAMED["vllm-router"], "3", broken=(Shown("OAI-LOGP-002", "count"),))
    gone = Row(next(one for one in SERVERS if one.missing), missing="no wheel")
    rows = [behind, before, otherwise, gone]
    page = as_markdown(rows)
    cells = {line.split(" | ")[0]: line for line in page.splitlines() if line.startswith("| ")}
    assert "STREAM-009" in cells["| litellm [llama.cpp]"]
    assert "LOGP-002" not in cells["| litellm [llama.cpp]"]
    assert "LOGP-002" in cells["| vllm-router [llama.cpp]"]
    assert "LOGP-002" in cells["| llama.cpp"]
    assert (
        "It shares 1 verdicts with llama.cpp, and keeps these laws that llama.cpp breaks: OAI-TEXT-002."
        in page
    )
    assert f"- {gone.server.name}: no wheel" in page
    html = as_html(rows)
    assert "STREAM-009" not in html.split("<h2>Mocks")[1]
    assert "no &lt;role&gt; at chunk 0" in html


def test_strictness_counts_the_requests_that_were_answered() -> None:
    """By the words of their verdicts; two requests of the same words are one."""
    told = [f"{what} is answered with a completion" for what, _ in BAD_BODIES[:2]]
    told.append('max_tokens "many" is answered with a completion')
    assert {key_of("OAI-ERR-004", one) for one in told} < ASKED
    row = Row(NAMED["aimock"], "1", broken=tuple(Shown("OAI-ERR-004", one) for one in told))
    assert f"| takes 3 of {len(ASKED)} |" in as_markdown([row])


def test_only_what_was_read_on_that_version_counts_as_read() -> None:
    """A claim holds for the version of the server that was looked at."""
    row = Row(NAMED["aimock"], "1.0", broken=(BYTES, Shown("OAI-TEXT-002", "3 bytes of 4")))
    marks = {"aimock": {"version": "1.0", "true": [key_of("OAI-TEXT-002", "8 bytes of 9")]}}
    assert results.read_of(row, marks) == 1
    assert results.read_of(dataclasses.replace(row, version="1.1"), marks) == 0
    assert results.read_of(dataclasses.replace(row, server=NAMED["litellm"]), marks) == 0


def test_a_result_keeps_what_it_was_made_with(tmp_path: Path) -> None:
    """Flags and date are those of the check, not of the day on which the page is written."""
    row = Row(
        NAMED["aimock"],
        version="1",
        flags="of old",
        date="2026-01-02",
        seed=5,
        broken=(BYTES,),
        skipped=frozenset({"OAI-EMB-001"}),
        requests=3,
    )
    results.save(row, tmp_path)
    assert results.load(tmp_path) == [row]
    assert "Checked on 2026-01-02, seed 5; started: of old; 3 requests." in as_markdown([row])


def test_a_gateway_stands_behind_its_upstream_in_the_list() -> None:
    """So that what is behind it was checked before it."""
    names = [one.name for one in SERVERS]
    for one in SERVERS:
        assert bool(one.command) != bool(one.missing)
        if one.upstream:
            assert one.kind is Kind.GATEWAY
            assert names.index(one.upstream) < names.index(one.name)


def _locked(server: Server) -> bool:
    """Whether every version in the server's lock is exact."""
    if server.npm:
        return '"lockfileVersion"' in (LOCKS / f"{server.name}.json").read_text("utf-8")
    lines = (LOCKS / f"{server.name}.txt").read_text("utf-8").splitlines()
    return bool(lines) and all(re.fullmatch(r"[\w.-]+==[\w.+!-]+", line) for line in lines)


def test_the_page_is_what_the_results_say() -> None:
    """A page that was edited, or a result that was not written out, is found; versions are locked."""
    rows = results.load()
    docs = Path(__file__).parents[2] / "docs" / "evidence"
    assert (docs / "matrix.md").read_text("utf-8") == as_markdown(rows)
    assert (docs / "matrix.html").read_text("utf-8") == as_html(rows)
    for row in rows:
        if not row.missing and row.server.install:
            assert _locked(row.server)
