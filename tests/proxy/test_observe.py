"""One line a request, metrics that move, and never a word of what was said."""

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
from urllib.error import HTTPError
from urllib.request import urlopen

import pytest

from lorax_proxy.observe import INSPECTOR, Observer, Record
from tests.proxy.running import chat, ended, failed, lorax, running
from tests.proxy.servers import (
    LAST_CHUNK,
    ScriptedServer,
    Send,
    chunk,
    event_stream,
    in_order,
)

CHAT = "/v1/chat/completions"


def record(**facts: object) -> Record:
    """A request's record."""
    done = Record("req_1", "POST", "/v1/chat/completions", 0.0)
    for name, value in facts.items():
        setattr(done, name, value)
    return done


def test_a_record_is_one_line_of_json_without_empty_facts(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """What is not known is not in it."""
    observer = Observer()
    observer.done(record(status=200, seconds=0.0123, model="m", completion_tokens=0))
    (line,) = capsys.readouterr().err.splitlines()
    told = json.loads(line)
    assert told.pop("timestamp")
    assert told == {
        "event": "request",
        "level": "info",
        "method": "POST",
        "path": "/v1/chat/completions",
        "status": 200,
        "ms": 12.3,
        "request_id": "req_1",
        "model": "m",
        "completion_tokens": 0,
    }


def test_a_line_cannot_be_forged(capsys: pytest.CaptureFixture[str]) -> None:
    """Line ends in what a client chose stay inside the line."""
    Observer().done(record(model='x\n{"event":"request"}'))
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_less_than_the_level_is_not_logged(capsys: pytest.CaptureFixture[str]) -> None:
    """`warning` leaves requests and notes out; metrics count all the same."""
    observer = Observer("warning")
    observer.done(record(status=200))
    observer.note("upstream_ready")
    observer.warn("chat_template_missing", model="m")
    (line,) = capsys.readouterr().err.splitlines()
    assert json.loads(line)["event"] == "chat_template_missing"
    assert (
        b'lorax_proxy_requests_total{error="",path="other",status="200"} 1.0' in observer.metrics()
    )


def test_metrics_move() -> None:
    """Requests, seconds, first tokens and tokens by direction."""
    observer = Observer("error")
    observer.done(
        record(
            route="/chat/completions",
            status=200,
            seconds=0.3,
            stream=True,
            first_token=0.02,
            prompt_tokens=7,
            completion_tokens=3,
        )
    )
    observer.done(record(route="/chat/completions", status=429, error="rate_limit_exceeded"))
    lines = observer.metrics().decode().splitlines()
    for line in (
        'lorax_proxy_requests_total{error="",path="/chat/completions",status="200"} 1.0',
        'lorax_proxy_requests_total{error="rate_limit_exceeded",path="/chat/completions",status="429"} 1.0',
        'lorax_proxy_request_seconds_bucket{le="0.5",path="/chat/completions",stream="true"} 1.0',
        'lorax_proxy_request_seconds_bucket{le="0.25",path="/chat/completions",stream="true"} 0.0',
        'lorax_proxy_first_token_seconds_bucket{le="0.025"} 1.0',
        'lorax_proxy_first_token_seconds_count 1.0',
        'lorax_proxy_tokens_total{direction="prompt"} 7.0',
        'lorax_proxy_tokens_total{direction="completion"} 3.0',
    ):  # fmt: skip
        assert line in lines, line


def test_observers_do_not_share_their_metrics() -> None:
    """Two proxies in one process count for themselves."""
    first, second = Observer("error"), Observer("error")
    first.done(record(status=200))
    assert b"lorax_proxy_requests_total{" in first.metrics()
    assert b"lorax_proxy_requests_total{" not in second.metrics()


@pytest.mark.parametrize(
    ("facts", "level"),
    [
        ({"status": 200}, "info"),
        ({"status": 404, "error": "unknown_url"}, "info"),
        ({"status": 502, "error": "upstream_error", "reason": "LoRAX failed: x"}, "warning"),
        # a stream that broke, and an adapter that could not be loaded
        ({"status": 200, "error": "upstream_incomplete", "reason": "LoRAX ended"}, "warning"),
        ({"status": 404, "error": "model_not_found", "reason": "could not be loaded"}, "warning"),
        ({"status": 200, "route": "/health"}, "debug"),
        ({"status": 503, "route": "/ready"}, "debug"),
        ({"status": 200, "route": "/metrics"}, "debug"),
        ({"status": 200, "route": INSPECTOR}, "debug"),
        ({"status": 401, "route": "other", "path": "/metrics", "error": "invalid_api_key"}, "info"),
    ],
)
def test_the_level_says_who_should_read_it(
    facts: dict[str, object], level: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Failures that are not the client's are warnings; probes and scrapes are for who debugs."""
    levels = ["debug", "info", "warning", "error"]
    for least in levels:
        Observer(least, log_format="json").done(record(**facts))
        lines = capsys.readouterr().err.splitlines()
        assert [json.loads(line)["level"] for line in lines] == (
            [level] if levels.index(least) <= levels.index(level) else []
        )


def test_lines_for_people(capsys: pytest.CaptureFixture[str]) -> None:
    """Asked for by name; what is no terminal gets JSON otherwise."""
    facts = {"status": 200, "seconds": 0.0371, "model": "acme/support", "finish_reason": "stop"}
    Observer(log_format="text").done(record(**facts, prompt_tokens=49, completion_tokens=34))
    line = capsys.readouterr().err
    told = "200 POST /v1/chat/completions acme/support 49>34 tok 37 ms stop"
    assert re.fullmatch(rf"[0-9]{{2}}:[0-9]{{2}}:[0-9]{{2}} {told}\n", line), line
    Observer(log_format="auto").done(record(**facts))
    assert json.loads(capsys.readouterr().err)["model"] == "acme/support"


@pytest.mark.slow
def test_a_terminal_gets_lines_for_people() -> None:
    """The running program, its standard error on a terminal, asked by a client that writes into its log."""
    ours, theirs = os.openpty()
    command = [sys.executable, "-m", "lorax_proxy", "serve", "--upstream=http://127.0.0.1:1"]
    with subprocess.Popen(
        [*command, "--port=0"], stdout=subprocess.PIPE, stderr=theirs, text=True
    ) as process:
        os.close(theirs)
        assert process.stdout is not None
        found = re.search(r"http://\S+:[0-9]+", process.stdout.readline())
        assert found
        for path in ("/health", "/v1/models/%1b%5b2J%0a22:07:13"):
            with contextlib.suppress(HTTPError), urlopen(found[0] + path, timeout=10):
                pass
        shown = b""
        while b"/v1/models/" not in shown:
            shown += os.read(ours, 4096)
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 0
    os.close(ours)
    lines = shown.decode().splitlines()
    assert not any("/health" in line for line in lines)
    told = r"404 GET /v1/models/\\x1b\[2J\\n22:07:13 \d+ ms unknown_url"
    assert any(re.fullmatch(rf"\d\d:\d\d:\d\d {told}", line) for line in lines), lines


async def test_one_request_is_one_line_without_what_was_said(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Through the whole proxy: answers, refusals and failures; prompts and texts stay out.

    Why LoRAX failed is said in its own words.
    """
    failure = failed("generation", "Request failed during generation: Server error: no memory")
    script = lorax(
        stream=in_order(
            ended("SECRET", "SECRET"), [Send(event_stream() + chunk(failure) + LAST_CHUNK)]
        )
    )
    async with ScriptedServer(script) as server, running(server, log_level="info") as proxy:
        capsys.readouterr()
        await proxy.post(CHAT, chat("SECRET", stream=True, stop="never"))
        await proxy.post(CHAT, chat("SECRET", stream=True))
        await proxy.post(CHAT, chat("SECRET", temperature="SECRET"))
        await proxy.get("/SECRETLESS")
    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    requests = [line for line in lines if line["event"] == "request"]
    assert [line["status"] for line in requests] == [200, 502, 400, 404]
    assert [line.get("error") for line in requests] == [
        None,
        "upstream_error",
        "invalid_type",
        "unknown_url",
    ]
    assert [line.get("reason") for line in requests] == [
        None,
        "LoRAX failed: no memory",
        None,
        None,
    ]
    assert requests[0]["finish_reason"] == "stop"
    assert requests[0]["completion_tokens"] == 3
    assert requests[0]["model"] == "mistralai/Mistral-7B-Instruct-v0.2"
    for line in requests[:3]:
        assert "SECRET" not in json.dumps(line)


async def test_an_adapter_that_cannot_be_loaded_is_a_warning(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """With LoRAX's reason, though the client's status is a 404; an unknown name is the client's own."""
    why = "No valid adapter config file found: tried None and None"
    failure = failed("generation", f"Request failed during generation: Server error: {why}")
    script = lorax(stream=[Send(event_stream() + chunk(failure) + LAST_CHUNK)])
    async with ScriptedServer(script) as server, running(server, log_level="info") as proxy:
        capsys.readouterr()
        await proxy.post(CHAT, chat(model="org/a"))
        await proxy.post(CHAT, chat(model="unknown"))
    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    told, plain = [line for line in lines if line["event"] == "request"]
    assert (told["status"], told["level"]) == (404, "warning")
    assert told["reason"].endswith(why)
    assert (plain["status"], plain["level"], plain.get("reason")) == (404, "info", None)
