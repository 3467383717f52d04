"""The command as a user runs it: a process, its output and its exit code."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.contracts import samples
from tests.contracts.http_server import over_http
from tests.contracts.reference import openai


def run(*words: str, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    """`lorax-contracts WORDS`."""
    return subprocess.run(
        [sys.executable, "-m", "lorax_contracts", *words],
        input=stdin,
        capture_output=True,
        check=False,
        timeout=60,
    )


@pytest.mark.slow
def test_explain_prints_a_law() -> None:
    """An id, in any case, is answered with its text."""
    done = run("explain", "oai-stream-003")
    assert done.returncode == 0
    assert b"[DONE]" in done.stdout


@pytest.mark.slow
def test_an_unknown_law_exits_2_and_names_the_nearest() -> None:
    """One line that helps."""
    done = run("explain", "OAI-STREAM-3")
    assert done.returncode == 2
    assert done.stderr.count(b"\n") == 1
    assert b"the nearest is OAI-STREAM-0" in done.stderr


@pytest.mark.slow
def test_lint_reads_standard_input_and_exits_1_on_a_broken_law() -> None:
    """The finding names the law; a right stream exits 0."""
    body = samples.golden("chat_stream").body
    right = run("lint", "-", stdin=body)
    broken = run("lint", "-", "--format", "json", stdin=body.replace(b"data: [DONE]\n\n", b""))
    assert (right.returncode, right.stdout) == (0, b"")
    assert broken.returncode == 1
    assert [one["law"] for one in json.loads(broken.stdout)] == ["OAI-STREAM-003"]
    assert broken.stderr == b"1 breaks: usual clients fail\n"


@pytest.mark.slow
def test_lint_judges_several_recordings(tmp_path: Path) -> None:
    """As a hook hands them over: what is broken stands under the name of its file."""
    right, broken = tmp_path / "right.sse", tmp_path / "broken.sse"
    right.write_bytes(samples.golden("chat_stream").body)
    broken.write_bytes(right.read_bytes().replace(b"data: [DONE]\n\n", b""))
    done = run("lint", str(right), str(broken))
    assert done.returncode == 1
    assert done.stdout.decode().splitlines()[0] == f"{broken}:"
    assert str(right).encode() not in done.stdout


@pytest.mark.slow
def test_several_servers_are_compared() -> None:
    """A column each, and 2 where one could not be judged."""
    with over_http(openai) as url:
        words = ("matrix", url, f"b={url}/v1", "--only", "OAI-EMB-001", "--format", "json")
        both = run(*words)
        gone = run(*words, "gone=http://127.0.0.1:9")
    assert (both.returncode, gone.returncode) == (0, 2)
    assert [(one["name"], one["laws"]) for one in json.loads(both.stdout)] == [
        (url, {"OAI-EMB-001": "kept"}),
        ("b", {"OAI-EMB-001": "kept"}),
    ]
    assert "no connection" in json.loads(gone.stdout)[2]["why_not"]


@pytest.mark.slow
def test_lint_takes_the_request_from_a_file(tmp_path: Path) -> None:
    """With the request known, what was asked is judged."""
    recorded, request = tmp_path / "reply.json", tmp_path / "request.json"
    recorded.write_bytes(samples.golden("chat_plain").body)
    request.write_text(
        '{"model": "acme/poet", "messages": [{"role": "user", "content": "Hi"}], "stop": ["there"]}'
    )
    done = run("lint", str(recorded), "--request", str(request))
    assert done.returncode == 1
    assert done.stdout.startswith(b"OAI-STOP-001")


@pytest.mark.slow
def test_lint_says_when_a_request_is_none(tmp_path: Path) -> None:
    """What an invalid request asked for binds nobody, and silence would look like praise."""
    request = tmp_path / "request.json"
    request.write_text('{"model": "acme/poet", "messages": [], "stop": ["there"]}')
    body = samples.golden("chat_plain").body
    done = run("lint", "-", "--request", str(request), stdin=body)
    assert done.returncode == 0
    assert b"the request is invalid ([] should be non-empty at /messages)" in done.stderr


@pytest.mark.slow
@pytest.mark.parametrize(
    ("words", "stdin", "said"),
    [
        (("lint", "/no/such/file"), b"", b"/no/such/file: No such file"),
        (("lint", "-"), b"", b"the recording is empty"),
        (("lint", "-", "--kind", "tgi"), b"{}", b"openai or lorax"),
        (("laws", "--format", "markdwn"), b"", b"the nearest is markdown"),
    ],
)
def test_what_cannot_be_judged_exits_2_with_one_line(
    words: tuple[str, ...], stdin: bytes, said: bytes
) -> None:
    """Never a traceback."""
    done = run(*words, stdin=stdin)
    assert done.returncode == 2
    assert said in done.stderr
    assert b"Traceback" not in done.stderr


@pytest.mark.slow
def test_laws_lists_them_for_people_and_programs() -> None:
    """A table, or JSON, of one wire or both."""
    assert b"OAI-STREAM-001" in run("laws").stdout
    listed = json.loads(run("laws", "--wire", "lorax", "--format", "json").stdout)
    assert {one["promise"] for one in listed} == {"lorax"}
