"""The checker: silent on what is right, right about what is wrong, and bounded by what is hostile."""

import json
import os
import re
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from lorax_contracts.baseline import outcome_of
from lorax_contracts.check import Options, Verdict, check, check_server, until_turn
from lorax_contracts.client import Bounds
from lorax_contracts.errors import CannotRun, UnknownName
from lorax_contracts.exchange import Exchange
from lorax_contracts.formats import Format, written
from lorax_contracts.judge.openai import request_misfits
from lorax_contracts.laws import Evidence, law
from lorax_contracts.listing import finding_lines
from lorax_contracts.plan import PLANS
from lorax_contracts.recording import lint
from tests.contracts import samples
from tests.contracts.detection import PAGE, SEEDS, judged, row
from tests.contracts.http_server import over_http
from tests.contracts.inprocess import InProcess
from tests.contracts.planted import DEVIATIONS, Deviation
from tests.contracts.planted.native import PLANTED
from tests.contracts.processes import ProxyProcess, mock_process
from tests.contracts.raw_server import says, serving
from tests.contracts.reference import CONTEXT, KEY, Asked, Said, openai
from tests.contracts.samples import INVALID
from tests.contracts.unusual import VARIATIONS, drawn
from tests.contracts.variation import Variation, unusual

QUICK = Bounds(requests=60, seconds=8, patience=0.4, reply_seconds=1.0, body_bytes=200_000)


def broken(verdict: Verdict) -> set[str]:
    """Ids of the laws that were found broken."""
    return {one.law for one in verdict.findings}


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(SEEDS))
def test_nothing_is_found_on_a_correct_server(seed: int) -> None:
    """No false alarm, our stricter promises included, whatever the exploration draws."""
    options = Options(strict=True, seed=seed, examples=20, key=KEY, context=CONTEXT)
    verdict = check_server(InProcess(openai, KEY), options)
    assert broken(verdict) == set()
    assert verdict.skipped == ()
    assert verdict.unfinished == ""
    assert verdict.requests < 200


@pytest.mark.slow
@pytest.mark.parametrize("variation", VARIATIONS, ids=[one.name for one in VARIATIONS])
def test_a_right_server_that_looks_unusual_breaks_no_law(variation: Variation) -> None:
    """Each keeps what is published, and is really different from the reference."""
    server = InProcess(unusual([variation]), KEY)
    options = Options(model="acme/poet", examples=0, key=KEY, context=CONTEXT)
    verdict = check_server(server, options)
    assert broken(verdict) == set()
    assert verdict.skipped == ()
    assert [said(one) for one in server.asked] != usual()


@cache
def usual() -> list[tuple[int, object, bytes]]:
    """What the reference says to the same."""
    server = InProcess(openai, KEY)
    check_server(server, Options(model="acme/poet", examples=0, key=KEY, context=CONTEXT))
    return [said(one) for one in server.asked]


def said(exchange: Exchange) -> tuple[int, object, bytes]:
    """What can differ of a reply: all but the time."""
    return exchange.status, exchange.headers, re.sub(rb"1[0-9]{9}", b"now", exchange.body)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(12))
def test_several_of_them_together_break_no_law(seed: int) -> None:
    """Servers differ in many ways at once."""
    options = Options(model="acme/poet", examples=5, seed=seed)
    verdict = check_server(InProcess(unusual(drawn(seed))), options)
    assert broken(verdict) == set(), [one.name for one in drawn(seed)]


def test_the_page_lists_each_unusual_server() -> None:
    """docs/evidence/detection.md says what is let pass."""
    page = PAGE.read_text("utf-8")
    assert all(f"| {one.name} | {one.source} |" in page for one in VARIATIONS)
    assert len({one.name for one in VARIATIONS}) == len(VARIATIONS)


OF_REFUSALS = {f"OAI-ERR-{number:03}" for number in (*range(1, 10), 12, 13)} | {
    "OAI-HTTP-005",
    "OAI-STREAM-017",
}
"""Laws about the answer to what is to be refused, and which may be shown by nothing else."""


def unlike_an_example(law_id: str, exchange: Exchange | None) -> str:
    """Why a finding's request is not what a reader would paste; "" when it is."""
    assert exchange is not None
    if law_id in OF_REFUSALS:
        return ""
    misfits = request_misfits(exchange)
    if misfits or exchange.request_text is not None:
        return f"{law_id} is shown by what is no request: {misfits}"
    unseeded = exchange.path.endswith("/completions") and "seed" not in exchange.asked
    return f"{law_id} is shown by a request without a seed: {exchange.asked}" if unseeded else ""


def spoken_of_the_invalid(exchange: Exchange | None) -> set[str]:
    """Laws about what was asked that are named though no schema admits the request any more."""
    assert exchange is not None
    if exchange.method != "POST" or not isinstance(exchange.request, dict):
        return set()
    unasked = samples.found(replace(exchange, request=None), strict=True)
    wrong = [samples.asking(exchange, **changes) for changes in INVALID]
    return {
        law_id
        for one in wrong
        if request_misfits(one)
        for law_id in samples.found(one, strict=True) - unasked
    }


@pytest.mark.slow
@pytest.mark.parametrize("deviation", DEVIATIONS, ids=[one.name for one in DEVIATIONS])
def test_a_planted_deviation_is_found_under_its_law(deviation: Deviation) -> None:
    """The law is named, by a step that claims it, and the page says so.

    The request that shows it is valid, and repeats when pasted; where it is made invalid, in whatever,
    no law speaks of what was asked. So no law of all can be broken by what another one speaks of.
    """
    found = judged(deviation)
    named, wanted = sorted(found.findings), sorted({deviation.law} | deviation.also.keys())
    assert named == wanted, f"the server breaks {wanted} and the checker names {named}"
    assert found.findings[deviation.law].exchange is not None
    assert "\n".join(found.unclaimed) == ""
    for law_id, finding in found.findings.items():
        assert unlike_an_example(law_id, finding.exchange) == ""
        assert spoken_of_the_invalid(finding.exchange) == set()
    line = row(deviation, found)
    there = line in PAGE.read_text("utf-8").splitlines()
    assert there, f"docs/evidence/detection.md lacks this line, run make docs: {line}"


def test_the_page_lists_each_planted_server_once() -> None:
    """docs/evidence/detection.md has a line for each and none besides; at least sixty."""
    page = PAGE.read_text("utf-8")
    lines = [one for one in page.splitlines() if one.startswith("| ")]
    assert len(lines) == len(DEVIATIONS) + len(PLANTED) + len(VARIATIONS) + 3
    assert all(f"| {one.name} | {one.law} |" in page for one in PLANTED)
    assert len({one.name for one in DEVIATIONS}) == len(DEVIATIONS) >= 60
    assert sum("LoRAX" in one.source for one in DEVIATIONS) >= 25


def test_one_law_alone_can_be_asked_for() -> None:
    """--only judges that law and no other, one of our own too."""
    two = Deviation("two", "OAI-CHAT-003", "", say=lambda _, said: _worse(said))
    both = check_server(InProcess(two), Options(examples=0))
    one = check_server(InProcess(two), Options(examples=0, only="oai-chat-002"))
    assert {"OAI-CHAT-002", "OAI-CHAT-003"} <= broken(both)
    assert broken(one) == {"OAI-CHAT-002"}
    assert one.laws == ("OAI-CHAT-002",)
    assert one.requests < both.requests
    with pytest.raises(UnknownName, match="OAI-CHAT-002"):
        check_server(InProcess(two), Options(only="OAI-CHAT-02"))
    ours = check_server(InProcess(openai), Options(only="OAI-HTTP-003", examples=0))
    assert ours.laws == ("OAI-HTTP-003",)


def test_a_run_tells_how_far_it_is() -> None:
    """By parts that only grow, from nothing to all, whatever is being looked at."""
    told: list[tuple[str, float]] = []
    check_server(InProcess(openai), Options(examples=5), lambda *one: told.append(one))
    parts = [part for _, part in told]
    assert parts == sorted(parts)
    assert parts[0] == 0
    assert 0.95 < parts[-1] <= 1
    names = list(dict.fromkeys(name for name, _ in told))
    assert names == ["looking", *(step.name for step in PLANS["openai"]), "exploring"]


def _worse(said: Said) -> None:
    if said.status == 200 and said.chunks is None and "choices" in (said.document or {}):
        said.document.update(id="null", object="text_completion")


def _named_by_the_second(asked: Asked, turn: int) -> Said:
    """A reply whose ids are made of a time that goes on by a second after request number `turn`.

    No answer is given twice, so that nothing else can be compared.
    """
    said, now = openai(asked), 5 + (asked.number > turn)
    for document in said.chunks or [said.document]:
        for choice in document.get("choices", []) if said.status == 200 else ():
            document["id"] = f"chatcmpl-{now}"
            part = choice.get("message") or choice.get("delta") or {}
            if part.get("content"):
                part["content"] += str(asked.number)
            for call in part.get("tool_calls") or ():
                if "id" in call:
                    call["id"] = f"call-{now}-{call.get('index', 0)}"
    return said


@pytest.mark.parametrize("law_id", ["OAI-CHAT-011", "OAI-TOOL-004"])
def test_the_same_is_found_wherever_the_second_turns(law_id: str) -> None:
    """Ids made of the time are shared but where it goes on; a run must not depend on when it began."""

    def found(turn: int) -> Verdict:
        server = InProcess(lambda asked: _named_by_the_second(asked, turn))
        return check_server(server, Options(model="acme/poet", only=law_id, examples=0))

    for turn in range(found(0).requests):
        assert broken(found(turn)) == {law_id}, turn


def test_a_second_turns_in_the_middle_of_a_reply() -> None:
    """Where it is long enough to be met, and short enough to need it."""
    for now, took in ((100.0, 0.5), (100.9, 0.5), (100.4, 0.05), (100.99, 0.99)):
        wait = until_turn(now, took)
        assert 0 <= wait < 1
        assert (now + wait + took / 2) % 1 == pytest.approx(0, abs=1e-9) or (
            now + wait + took / 2
        ) % 1 == pytest.approx(1)
    assert until_turn(100.3, 0.049) == until_turn(100.3, 1.0) == until_turn(100.3, 0.0) == 0


def test_two_runs_of_one_seed_ask_the_same() -> None:
    """A finding can be repeated: the requests depend on the seed alone."""

    def asked(seed: int) -> list[tuple[str, str]]:
        server = InProcess(openai)
        check_server(server, Options(seed=seed, examples=15))
        return [(one.path, json.dumps(one.request)) for one in server.asked]

    assert asked(3) == asked(3)
    assert asked(3) != asked(4)


KEYS = (
    *("id", "object", "choices", "index", "message", "content", "delta", "usage", "data", "model"),
    *("created", "finish_reason", "logprobs", "tool_calls", "function", "arguments", "embedding"),
    *(
        "error",
        "name",
        "type",
        "role",
        "prompt_tokens",
        "top_logprobs",
        "token",
        "bytes",
        "text",
        "logprob",
    ),
)
ODD: tuple[Any, ...] = (
    *(None, True, 0, -1, 1e300, 10**400, float("nan"), "", "x", "é", "\ud83d", "\x1b[31m", "null"),
    *([], [None], [[]], [{}], [{"index": "x"}], {}, {"a": []}, {"content": 5}),
)


def _put(document: Any, key: str, value: Any) -> Any:
    if isinstance(document, dict):
        return {k: value if k == key else _put(v, key, value) for k, v in document.items()}
    return [_put(one, key, value) for one in document] if isinstance(document, list) else document


@pytest.mark.property
@settings(max_examples=25)
@example("embedding", "é").via("no base64, and no ASCII")
@example("embedding", [10**400]).via("no float holds it")
@example("prompt_tokens", 10**400).via("no float holds it")
@example("object", "\ud83d").via("a lone surrogate in what is told")
@example("id", "\ud83d").via("a model whose name no path can hold")
@given(st.sampled_from(KEYS), st.sampled_from(ODD))
def test_whatever_a_server_says_the_checker_answers(key: str, value: Any) -> None:
    """One member is odd wherever it stands: findings or one line, printable, and nothing raised."""

    def odd(asked: Asked) -> Said:
        said = openai(asked)
        said.document = _put(said.document, key, value)
        said.chunks = _put(said.chunks, key, value)
        return said

    try:
        verdict = check_server(InProcess(odd), Options(examples=0, strict=True))
    except CannotRun as error:
        told = str(error)
    else:
        said = {form: written(form, outcome_of(verdict)) for form in Format}
        told = "".join("".join(said.values()).splitlines())
        for form in (Format.JUNIT, Format.BADGE):
            ET.fromstring(said[form])  # noqa: S314 - our own
        json.loads(said[Format.JSON])
    assert told.isprintable()


# ------------------------------------------------------------------ our own programs


@pytest.fixture(scope="module")
def mock() -> Iterator[str]:
    """A mock LoRAX, started as a user starts it."""
    with mock_process() as url:
        yield url


@pytest.mark.slow
def test_the_mock_keeps_every_law_of_loraxs_wire(mock: str) -> None:
    """Found by its /info to be a LoRAX, and judged as one."""
    verdict = check(mock, Options(strict=True))
    assert verdict.kind == "lorax"
    assert broken(verdict) == set()


@pytest.mark.slow
def test_the_proxy_keeps_every_law_of_openais_wire(mock: str) -> None:
    """In front of the mock, our stricter promises included."""
    with ProxyProcess(mock) as proxy:
        verdict = check(proxy.url, Options(strict=True, model="acme/poet"))
    assert verdict.kind == "openai"
    assert broken(verdict) == set()
    assert verdict.requests > 100


@pytest.mark.slow
def test_a_server_that_hangs_later_ends_the_run_in_time() -> None:
    """The first replies were right; then nothing: the run says so and stays within its bounds."""
    models = {"object": "list", "data": [{"id": "m"}]}
    answers = iter([json.dumps(models).encode()] * 3)

    def handle(connection: socket.socket, over: threading.Event) -> None:
        body = next(answers, None)
        if body is None:
            over.wait(30)
            return
        says("HTTP/1.1 200 OK\r\ncontent-type: application/json", body)(connection, over)

    began = time.monotonic()
    bounds = Bounds(requests=60, seconds=3, patience=0.4, reply_seconds=1.0)
    with serving(handle) as url:
        verdict = check(url, Options(bounds=bounds))
    assert "OAI-HTTP-004" in broken(verdict)
    assert "3 seconds are used up" in verdict.unfinished
    assert time.monotonic() - began < 5


@pytest.mark.slow
def test_the_command_exits_as_it_says(tmp_path: Path) -> None:
    """2 for what cannot run, 1 for a broken law (JSON and JUnit alike), with one line of reason."""

    def run(*words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "lorax_contracts", "check", *words],
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )

    with serving(says("HTTP/1.1 200 OK", b"<html>Sign in</html>")) as url:
        refused = run(url)
    assert (refused.returncode, refused.stdout) == (2, "")
    assert refused.stderr.count("\n") == 1
    model = json.dumps({"object": "list", "data": [{"id": "m"}], "choices": []}).encode()
    head = "HTTP/1.1 200 OK\r\ncontent-type: application/json"
    with serving(says(head, model)) as url:
        as_json = run(url, "--format", "json", "--requests", "9")
        file = f"junit:{tmp_path / 'contracts.xml'}"
        junit = run(url, "--format", file, "--requests", "9", "--only", "OAI-CHAT-003")
    assert as_json.returncode == junit.returncode == 1
    laws = {one["law"] for one in json.loads(as_json.stdout)["broken"]}
    assert {"OAI-CHAT-001", "OAI-CHAT-003", "OAI-MODELS-001"} & laws
    assert 'failures="1"' in (tmp_path / "contracts.xml").read_text("utf-8")
    assert "OAI-CHAT-003  (breaks)" in junit.stdout
    assert "repeat    curl" in junit.stdout
    both = run(url, "--format", "json", "--format", "junit")
    assert (both.returncode, both.stdout) == (2, "")
    assert "standard output holds one document" in both.stderr


@pytest.mark.slow
def test_what_is_known_fails_no_build(tmp_path: Path) -> None:
    """Written once, then 0 until something new breaks; what is left out does not count as fixed."""
    file = tmp_path / "known.json"

    def run(*words: str) -> tuple[int, str]:
        command = [sys.executable, "-m", "lorax_contracts", "check", url, "--examples", "0"]
        done = subprocess.run(
            [*command, *words], capture_output=True, text=True, check=False, timeout=60
        )
        return done.returncode, done.stderr.splitlines()[-1].partition(" at ")[0]

    with over_http(Deviation("two", "", "", say=_twice)) as url:
        beside = ("--baseline", str(file))
        code, told = run(*beside)
        assert (code, "--update-baseline writes it" in told) == (2, True)
        assert run("--update-baseline")[0] == 2
        assert run(*beside, "--update-baseline", "--without", "oai-chat-002,") == (
            0,
            "1 new, 0 known, 0 fixed",
        )
        assert run(*beside) == (1, "1 new, 1 known, 0 fixed")
        assert run("--without", "OAI-CHAT-0022")[0] == 2
    with over_http(openai) as url:
        assert run(*beside) == (0, "0 new, 0 known, 1 fixed")


def _twice(_: Asked, said: Said) -> None:
    if said.status == 200 and said.chunks is None and "choices" in (said.document or {}):
        said.document |= {"object": "text", "created": 0} if "message" in str(said.document) else {}


@pytest.mark.slow
def test_a_law_that_cannot_be_judged_alone_exits_2() -> None:
    """No embeddings there: not kept, not broken, and not a success."""

    def textual(asked: Asked) -> Said:
        if asked.path.endswith("/embeddings"):
            asked = replace(asked, path="/v1/none")
        return openai(asked)

    with over_http(textual) as url:
        words = [sys.executable, "-m", "lorax_contracts", "check", url, "--only", "OAI-EMB-001"]
        done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 2
    assert "not judged: embeddings: POST /embeddings is 404" in done.stderr


@pytest.mark.slow
def test_output_that_cannot_be_written_is_told() -> None:
    """A full disk is not a broken law."""
    words = [sys.executable, "-m", "lorax_contracts", "laws"]
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(words, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr == "lorax-contracts: the output cannot be written: No space left on device\n"


@pytest.mark.slow
@pytest.mark.parametrize("terminal", ["ascii", "utf-8"])
def test_a_server_that_says_the_unspeakable_is_shown_all_the_same(terminal: str) -> None:
    """Lone surrogates, colours, letters that the terminal lacks: escapes, and no traceback."""
    model = {"id": "m\ud800\x1b[31m☃", "object": "model", "created": 1, "owned_by": "x"}
    body = json.dumps({"object": "list", "data": [model], "choices": []}).encode()
    head = "HTTP/1.1 200 OK\r\ncontent-type: application/json"
    words = [sys.executable, "-m", "lorax_contracts", "check", "--requests", "20"]
    with serving(says(head, body)) as url:
        done = subprocess.run(
            [*words, url],
            capture_output=True,
            check=False,
            timeout=60,
            env={**os.environ, "PYTHONIOENCODING": terminal},
        )
    assert done.returncode == 1
    assert b"Traceback" not in done.stderr
    assert b"\x1b" not in done.stdout + done.stderr
    assert rb"m\ud800\u001b[31m" in done.stdout


@pytest.mark.slow
def test_loraxs_own_openai_routes_break_what_they_are_known_to_break(mock: str) -> None:
    """The mock's imitation of LoRAX's /v1: two dozen promises and one more, each by name."""
    verdict = check(mock + "/v1", Options(kind="openai", examples=0))
    assert len(broken(verdict)) >= 25
    assert {
        "OAI-ACCEPT-001",  # stop as a string
        "OAI-CHAT-002",  # object
        "OAI-CHAT-003",  # id
        "OAI-COMP-006",  # prompts as a list
        "OAI-ERR-001",  # flat errors
        "OAI-FINISH-002",  # max_completion_tokens
        "OAI-FINISH-004",  # content_filter
        "OAI-FINISH-005",  # tool calls under stop
        "OAI-LOGP-001",  # logprobs
        "OAI-MODELS-001",  # no list
        "OAI-STOP-001",  # stop strings kept
        "OAI-STREAM-010",  # role repeated
        "OAI-STREAM-013",  # usage unasked
        "OAI-STREAM-017",  # errors as 200
    } <= broken(verdict)


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("curl") is None, reason="findings are repeated with curl")
def test_every_finding_is_shown_again_by_its_command(mock: str) -> None:
    """Pasted into a shell as it is printed, and its output linted: the same law is broken."""
    verdict = check(mock + "/v1", Options(kind="openai", examples=0))
    pasted = 0
    for finding in verdict.findings:
        if law(finding.law).evidence is not Evidence.ONE:
            continue
        (repeat,) = [one for one in finding_lines(finding, verdict.host) if "  repeat  " in one]
        command = repeat.split(maxsplit=1)[1]
        done = subprocess.run(["sh", "-c", command], capture_output=True, check=True, timeout=30)
        assert finding.exchange is not None
        found = lint(done.stdout, request=finding.exchange.request, kind="openai")
        # A wrong envelope counts under the law of its place, which the bytes do not tell; a status
        # that a probe did not expect is told by its number.
        again = {one.law for one in found} | {one.message for one in found}
        if f" {finding.exchange.status} ".encode() in done.stdout.splitlines()[0] + b" ":
            again |= {finding.message} if str(finding.exchange.status) in finding.message else set()
        assert again & {finding.law, finding.message}, command
        pasted += 1
    assert pasted >= 15
