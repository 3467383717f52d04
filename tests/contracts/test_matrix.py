"""The matrix: every law has its question, gateways are told from what is behind them, claims are counted."""

import dataclasses
import gzip
import json
import re
from pathlib import Path

import pytest

from lorax_contracts.baseline import identity
from lorax_contracts.check import Options, Verdict, check_server
from lorax_contracts.exchange import Finding, to_json
from lorax_contracts.laws import all_laws
from lorax_contracts.probes.refusals import BAD_BODIES
from lorax_contracts.session import Skipped
from tests.contracts.inprocess import InProcess
from tests.contracts.matrix import results
from tests.contracts.matrix.keep import keep
from tests.contracts.matrix.results import Row, Shown, agreed
from tests.contracts.matrix.servers import SERVERS, Kind, Server
from tests.contracts.matrix.table import ASKED, QUESTIONS, as_html, as_markdown, question_of
from tests.contracts.reference import Asked, Said, openai

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
    assert {identity("OAI-ERR-004", one) for one in told} < ASKED
    row = Row(NAMED["aimock"], "1", broken=tuple(Shown("OAI-ERR-004", one) for one in told))
    assert f"| takes 3 of {len(ASKED)} |" in as_markdown([row])
    assert "23 kinds of requests" in as_markdown([row])
    assert "(25 requests; two that differ in a value are one kind)" in as_markdown([row])


def test_what_a_gateway_takes_is_taken_whoever_is_behind_it() -> None:
    """It might have refused: strictness is that of both together."""
    told = [Shown("OAI-ERR-004", f"{what} is answered with a completion") for what, _ in BAD_BODIES]
    rows = [
        Row(NAMED["llama.cpp"], "1", broken=tuple(told[:2])),
        Row(NAMED["litellm"], "2", broken=tuple(told[:3])),
    ]
    page = as_markdown(rows)
    (line,) = [one for one in page.splitlines() if one.startswith("| litellm ")]
    assert line.endswith(f"| takes 3 of {len(ASKED)} |")
    assert "It shares 2 verdicts with llama.cpp" in page
    assert f"takes 3 of {len(ASKED)}" in as_html(rows)


def test_what_was_left_out_is_told_with_its_reason() -> None:
    """What we told it to say, or what the check did not keep though it is the server's own."""
    told = Row(NAMED["aimock"], "1", left_out=NAMED["aimock"].ours)
    own = Row(NAMED["llm-mock-api"], "1", left_out=("OAI-JSON",))
    page = as_markdown([told, own])
    lines = {one.split(" | ")[0]: one for one in page.splitlines() if one.startswith("| ")}
    assert " | left out | " in lines["| aimock"]
    assert " | not recorded | " in lines["| llm-mock-api"]
    assert "Left out, since we told it what to say: OAI-JSON, OAI-TOOL-003." in page
    assert "Not recorded in this check, though what it says is its own: OAI-JSON." in page


@pytest.mark.parametrize("server", [one for one in SERVERS if one.ours], ids=lambda one: one.name)
def test_only_where_we_wrote_what_is_said_it_is_left_out(server: Server) -> None:
    """A server that runs as it comes answers for itself."""
    assert server.files


def test_our_own_servers_are_not_counted_as_others() -> None:
    """The page says whose they are."""
    rows = [Row(NAMED["lorax-v1"], "1", broken=(BYTES,)), Row(NAMED["aimock"], "2")]
    assert (
        "1 of the 2 servers were written by others. Ours are lorax-v1 (1 verdicts)."
        in as_markdown(rows)
    )


def _run(*findings: Finding, requests: int = 9, left: str = "") -> Verdict:
    skipped = (Skipped("x", "y", frozenset({left})),) if left else ()
    return Verdict("u", "h", "openai", "m", 0, findings, skipped, requests, 1.0)


def test_only_what_both_runs_found_is_kept() -> None:
    """With what the first run saw; the rest is counted, and what either left out was not judged."""
    first = _run(
        Finding("OAI-TEXT-002", "3 of 4", "/a", "seen first"),
        Finding("OAI-CHAT-004", "once"),
        Finding("OAI-JSON-001", "ours"),
        left="OAI-EMB-001",
    )
    second = _run(
        Finding("OAI-TEXT-002", "5 of 6", "/b", "seen second"),
        Finding("OAI-TEXT-002", "another way"),
        Finding("OAI-JSON-001", "ours"),
        requests=12,
        left="OAI-LOGP-001",
    )
    row = agreed(Row(NAMED["aimock"], "1", date="2026-01-02"), first, second)
    assert row == Row(
        NAMED["aimock"],
        "1",
        date="2026-01-02",
        broken=(Shown("OAI-TEXT-002", "3 of 4", "/a", "seen first"),),
        left_out=NAMED["aimock"].ours,
        skipped=frozenset({"OAI-EMB-001", "OAI-LOGP-001"}),
        requests=9,
        varied=2,
    )
    early = dataclasses.replace(second, unfinished="time")
    assert agreed(row, first, early).unfinished == "time"


def test_small_exchanges_that_show_each_finding_are_kept(tmp_path: Path) -> None:
    """And one without any of each kind of request; what is long or lists much stays out."""

    def broken(asked: Asked) -> Said:
        said = openai(asked)
        if said.status == 200 and said.chunks is None and "choices" in (said.document or {}):
            said.document["object"] = "x"
        return said if said.status < 400 else Said(said.status, said.headers, {"detail": "no"})

    server = InProcess(broken)
    check_server(server, Options(model="acme/poet", examples=0))
    recorded = tmp_path / "recorded.gz"
    with gzip.open(recorded, "wt") as lines:
        lines.writelines(json.dumps(to_json(one)) + "\n" for one in server.asked)
    # What is kept is asked of the model that the server is known by.
    named = dataclasses.replace(NAMED["aimock"], model="acme/poet")
    keep(Row(named, "1", "flags", "2026-01-02"), recorded, tmp_path)
    text = (tmp_path / "aimock.json").read_text("utf-8")
    kept = json.loads(text)
    assert (kept["server"], kept["started"], kept["date"]) == ("aimock 1", "flags", "2026-01-02")
    assert len(text) < 20_000
    found = [one["findings"] for one in kept["singles"]]
    assert any("OAI-CHAT-002" in str(one) for one in found)
    assert any("OAI-COMP-002" in str(one) for one in found)
    known: set[str] = set()
    for one in filter(None, found):
        assert set(one) - known, "it shows nothing that another does not"
        known |= set(one)
    kinds = [
        (one["exchange"]["path"], one["exchange"]["status"], one["right"])
        for one in kept["singles"]
        if not one["findings"]
    ]
    assert ("/v1/models", 200, True) in kinds
    assert ("/v1/chat/completions", 200, True) in kinds
    (pair,) = kept["pairs"]
    assert [one.get("stream", False) for one in (x["request"] for x in pair["exchanges"])] == [
        False,
        True,
    ]


def test_only_what_was_read_on_that_version_counts_as_read() -> None:
    """A claim holds for the version of the server that was looked at, and for what it said."""
    shown = Shown("OAI-TEXT-002", "3 bytes of 4", "/a", '{"id":"chatcmpl-8f2a","status":500}')
    row = Row(NAMED["aimock"], "1.0", broken=(BYTES, shown))
    marks = {"aimock": {"version": "1.0", "true": {shown.key: shown.digest}}}
    assert results.read_of(row, marks) == 1
    for seen, read in (
        (("chatcmpl-8f2a", "chatcmpl-77aa"), 1),
        (("500", "422"), 0),
        (("id", "x"), 0),
    ):
        changed = dataclasses.replace(shown, seen=shown.seen.replace(*seen))
        assert changed.key == shown.key
        again = dataclasses.replace(row, broken=(BYTES, changed))
        assert results.read_of(again, marks) == read, seen
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
        left_out=("OAI-JSON",),
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
