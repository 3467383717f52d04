"""The command as a user runs it: a process, its output and its exit code."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from lorax_contracts.baseline import read_baseline
from tests.contracts import samples
from tests.contracts.command import command
from tests.contracts.http_server import over_http
from tests.contracts.planted import DEVIATIONS
from tests.contracts.raw_server import says, serving
from tests.contracts.reference import CONTEXT, KEY, Asked, Said, openai

_BROKEN = next(one for one in DEVIATIONS if one.law == "OAI-CHAT-003")
_ALONE = ("--only", "OAI-CHAT-003", "--model", "acme/poet", "--examples", "0")


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


def test_lint_judges_the_files_that_can_be_read(tmp_path: Path) -> None:
    """Each that cannot has a line, the others are judged all the same, and the exit code is 2."""
    broken, right = tmp_path / "broken.sse", tmp_path / "right.sse"
    right.write_bytes(samples.golden("chat_stream").body)
    broken.write_bytes(right.read_bytes().replace(b"data: [DONE]\n\n", b""))
    done = command("lint", tmp_path / "gone", broken, tmp_path / "lost")
    assert done.code == 2
    assert done.out.startswith(f"{broken}:\nOAI-STREAM-003")
    lines = done.err.splitlines()
    assert lines[0] == "1 breaks: usual clients fail"
    assert [line.rpartition("/")[2][:4] for line in lines[1:]] == ["gone", "lost"]
    done = command("lint", tmp_path / "gone", right)
    assert (done.code, done.out, "no law is broken" in done.err) == (2, "", False)
    done = command("lint", right, right, "--request", tmp_path / "gone", "--format", "json")
    assert (done.code, done.out, done.err.count("\n")) == (2, "", 1)


def test_an_exchange_of_another_shape_is_told(tmp_path: Path) -> None:
    """As what cannot be read, not as a broken law."""
    file = tmp_path / "exchange.json"
    file.write_text('{"path": "/v1/models", "status": 200, "request_headers": null}')
    done = command("lint", file)
    assert (done.code, done.out) == (2, "")
    assert "request_headers must be" in done.err


def test_lint_judges_our_own_promises_with_strict(tmp_path: Path) -> None:
    """And not without."""
    file = tmp_path / "reply"
    headers = "content-type: application/json\r\nx-powered-by: us"
    file.write_bytes(
        f"HTTP/1.1 200 OK\r\n{headers}\r\n\r\n".encode() + samples.golden("chat_plain").body
    )
    strict = command("lint", file, "--strict")
    assert (command("lint", file).code, strict.code) == (0, 1)
    assert strict.out.startswith("OAI-HTTP-003")


def test_a_report_that_cannot_be_written_loses_nothing_else(tmp_path: Path) -> None:
    """The others are written, the summary is printed, and each failure is named."""
    known = tmp_path / "known.json"
    (tmp_path / "folder").mkdir()
    forms = ("--format", f"github:{tmp_path / 'folder'}", "--format", f"badge:{tmp_path / 'b'}")
    with over_http(_BROKEN) as url:
        done = command("check", url, *_ALONE, *forms, "--baseline", known, "--update-baseline")
    assert done.code == 2
    assert "folder: Is a directory" in done.err.splitlines()[-1]
    assert "1 new, 0 known, 0 fixed at " in done.err
    assert (tmp_path / "b").exists()
    assert known.exists()


def test_a_baseline_is_written_only_where_it_can_be() -> None:
    """Which is told before anything is asked: nothing listens there."""
    words = ("http://127.0.0.1:9", "--baseline", "no-folder/x", "--update-baseline")
    done = command("check", *words)
    assert (done.code, "--baseline no-folder/x: no-folder is no folder" in done.err) == (2, True)


def test_what_an_update_accepts_is_no_error(tmp_path: Path) -> None:
    """It is said that the file was written, and a job's annotations are notices."""
    known = tmp_path / "known.json"
    with over_http(_BROKEN) as url:
        words = ("check", url, *_ALONE, "--baseline", known, "--format", "github")
        done = command(*words, "--update-baseline")
        again = command(*words)
    assert (done.code, again.code) == (0, 0)
    assert {line.partition(" ")[0] for line in done.out.splitlines()} == {"::notice"}
    assert done.out == again.out
    assert f"{known}: written" in done.err
    assert done.err.splitlines()[-1].startswith("1 new, 0 known, 0 fixed at ")
    assert [one.law for one in read_baseline(known.read_bytes())] == ["OAI-CHAT-003"]


def _half() -> bytes:
    return json.dumps({"object": "list", "data": [{"id": "m"}], "choices": []}).encode()


def test_a_run_that_ends_early_exits_2(tmp_path: Path) -> None:
    """With an updated baseline, and in a matrix, where what is broken is no failure."""
    few = ("--kind", "openai", "--requests", "9")
    with serving(says("HTTP/1.1 200 OK\r\ncontent-type: application/json", _half())) as url:
        done = command("check", url, *few, "--baseline", tmp_path / "k", "--update-baseline")
        servers = command("matrix", url, *few)
    assert (done.code, "ended early: 9 requests" in done.err) == (2, True)
    assert (servers.code, "ended early: 9 requests" in servers.out) == (2, True)


def test_a_context_that_is_given_is_tried() -> None:
    """Without it that law cannot be judged."""
    with over_http(openai) as url:
        words = ("check", url, "--only", "OAI-ERR-013", "--model", "acme/poet")
        assert command(*words).code == 2
        assert command(*words, "--context", CONTEXT).code == 0
        done = command("matrix", url, "--only", "OAI-ERR-013", "--format", "json")
    assert done.code == 2
    (server,) = json.loads(done.out)
    assert server["why_not"] == "long prompts: no length was given with --context"


def _guarded(asked: Asked) -> Said:
    if asked.headers.get("authorization") == f"Bearer {KEY}":
        return openai(asked)
    return Said(401, document={"error": {"message": "who are you?"}})


def test_a_matrix_takes_the_options_of_a_check() -> None:
    """A key for each server, and laws that are left out."""
    alone = ("--only", "OAI-EMB-001", "--format", "json")
    with over_http(_guarded) as url:
        (server,) = json.loads(command("matrix", url, *alone, "--api-key", KEY).out)
    assert server["laws"] == {"OAI-EMB-001": "kept"}
    done = command("matrix", "http://127.0.0.1:9", *alone, "--without", "OAI-EMB-001")
    assert (done.code, "and left out" in json.loads(done.out)[0]["why_not"]) == (2, True)


def test_a_matrix_names_no_column_by_a_secret() -> None:
    """An address that is not named is the name of its column."""
    for url in ("http://user:secret@h", "http://h/v1?key=secret"):
        done = command("matrix", url)
        assert (done.code, done.out, "secret" in done.err) == (2, "", False)
