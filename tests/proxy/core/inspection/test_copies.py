"""A request in other forms: each is read by who it is for."""

import ast
import inspect
import json
import shlex
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import replace
from typing import Any, TypeGuard

import msgspec
import pytest
from openai.resources import Completions, Embeddings
from openai.resources.chat import Completions as ChatCompletions

from lorax_contracts.exchange import End
from lorax_contracts.transcripts import parse
from lorax_mock.scripting.script import RequestFacts, read_script
from lorax_mock.wire.native import FinishReason, GenerateRequest
from lorax_proxy.core.inspection.copies import copies
from lorax_proxy.core.inspection.recording import Call, Moment, Recording, Way
from lorax_proxy.core.parameters import TABLE
from tests.proxy.core.inspection.recorded import LORAX_STREAM, event, last, recorded, stream

BASE = "http://127.0.0.1:8000"
NASTY = 'it\'s "q" $x `y` \\ \n\t\u2028\U0001f600\x7f\x00 </s>'
ASKED: dict[str, Any] = {
    "model": "acme/x",
    "messages": [{"role": "user", "content": NASTY}],
    "stream": True,
    "top_k": 3,
    "temperature": None,
    "logprobs": True,
}
SENT: dict[str, Any] = {"inputs": f"<s>{NASTY}", "parameters": {"adapter_id": "acme/x", "seed": 7}}


def forms(recording: Recording | None = None, **more: Any) -> dict[str, str]:
    """Every form of a stream."""
    recording = recording or recorded(
        asked=ASKED, sent=SENT, came=[event(NASTY), last()], answered=[stream(NASTY)], **more
    )
    return copies(recording, recording.body(Way.ASKED), BASE)


def test_curl_sends_the_same_bytes() -> None:
    """As a shell reads it."""
    words = shlex.split(forms()["curl"])
    assert words[:3] == ["curl", "-sSN", f"{BASE}/v1/chat/completions"]
    assert json.loads(words[words.index("--data-raw") + 1]) == ASKED
    listed = Recording("GET", "/v1/models", [("authorization", "(hidden)")], texts=True)
    assert copies(listed, b"", BASE) == {
        "curl": f'curl -sS {BASE}/v1/models -H "authorization: Bearer $OPENAI_API_KEY"'
    }


def test_curl_reads_no_file_of_whoever_runs_it() -> None:
    """Which it does for a body that begins with an at sign, unless it is told that this is the body."""
    recording = Recording("POST", "/v1/completions", (), texts=True)
    words = shlex.split(copies(recording, b"@/etc/passwd", BASE)["curl"])
    assert words[-2:] == ["--data-raw", "@/etc/passwd"]


def test_curl_asks_for_the_same_path_by_the_same_method() -> None:
    """A path is kept as it was read; of HEAD curl must not wait for a body."""
    recording = Recording("HEAD", "/v1/models/a b?c#d/é{1}", (), texts=True)
    url = f"{BASE}/v1/models/a%20b%3Fc%23d/%C3%A9%7B1%7D"
    assert shlex.split(copies(recording, b"", BASE)["curl"]) == ["curl", "-sS", "-I", url]
    other = Recording("DELETE", "/v1/x", (), texts=True)
    assert shlex.split(copies(other, b"", BASE)["curl"])[2:4] == ["-X", "DELETE"]


@pytest.mark.skipif(shutil.which("sh") is None, reason="needs a shell")
def test_curl_takes_a_body_that_is_too_long_for_an_argument() -> None:
    """By its standard input; nothing in it ends it early."""
    body = b'{"prompt":\nEND\nEND_\n"%b"}' % (b"$HOME 'x' " * 10_000)
    recording = Recording("POST", "/v1/completions", (), texts=True)
    command = copies(recording, body, BASE)["curl"]
    assert " --data-binary @- <<" in command
    script = "curl() { cat; }\n" + command
    # by its own standard input: as an argument the script would be too long as well
    said = subprocess.run(["sh"], input=script.encode(), stdout=subprocess.PIPE, check=True)
    assert said.stdout == body + b"\n"


def test_python_calls_the_sdk_with_the_same_parameters() -> None:
    """Those that it does not know as `extra_body`."""
    tree = ast.parse(forms()["python"])
    (call,) = [each for each in ast.walk(tree) if _is_create(each)]
    given = {keyword.arg: ast.literal_eval(keyword.value) for keyword in call.keywords}
    extra = given.pop("extra_body")
    assert {**given, **extra} == ASKED
    assert extra == {"top_k": 3}
    assert ast.unparse(call.func) == "client.chat.completions.create"


@pytest.mark.parametrize(
    ("path", "create"),
    [
        ("/v1/chat/completions", ChatCompletions.create),
        ("/v1/completions", Completions.create),
        ("/v1/embeddings", Embeddings.create),
    ],
)
def test_python_gives_the_sdk_only_arguments_that_it_has(
    path: str, create: Callable[..., Any]
) -> None:
    """Each parameter of the table stands as an argument or in `extra_body`."""
    asked = {row.name: 1 for row in TABLE}
    recording = Recording("POST", path, (), texts=True)
    text = copies(recording, json.dumps(asked).encode(), BASE)["python"]
    (call,) = [each for each in ast.walk(ast.parse(text)) if _is_create(each)]
    given = {keyword.arg: ast.literal_eval(keyword.value) for keyword in call.keywords}
    assert set(given) <= set(inspect.signature(create).parameters)
    assert {*given, *given.pop("extra_body")} - {"extra_body"} == set(asked)


def _is_create(node: ast.AST) -> TypeGuard[ast.Call]:
    return isinstance(node, ast.Call) and ast.unparse(node.func).endswith(".create")


def test_javascript_has_the_same_document() -> None:
    """As JSON, without the line ends that older engines take for their own."""
    text = forms()["javascript"]
    document = text.partition(".create(")[2].rpartition(");\nfor await")[0]
    assert json.loads(document) == ASKED
    assert "\u2028" not in text
    assert "new OpenAI({" in text


@pytest.mark.parametrize(
    ("path", "method"), [("/v1/completions", "completions"), ("/v1/embeddings", "embeddings")]
)
def test_other_endpoints_have_their_own_methods(path: str, method: str) -> None:
    """And a whole answer is printed whole."""
    recording = Recording("POST", path, (), texts=True)
    both = copies(recording, b'{"model":"m"}', BASE)
    assert f"client.{method}.create(" in both["python"]
    assert f"client.{method}.create(" in both["javascript"]
    assert "model_dump_json" in both["python"]


def _facts(prompt: str) -> RequestFacts:
    asked = msgspec.json.decode(
        json.dumps({"inputs": prompt, "parameters": {"seed": 7}}).encode(), type=GenerateRequest
    )
    return RequestFacts("/generate_stream", "acme/x", stream=True, request=asked)


def test_the_mock_reads_its_rule_and_says_the_same() -> None:
    """For that prompt of that adapter."""
    (rule,) = read_script(forms()["mock_rule"]).rules
    (action,) = rule.actions
    assert action.reply is not None
    assert action.reply.tokens == (NASTY,)
    assert action.reply.finish is None
    assert rule.misses(_facts(SENT["inputs"])) == []
    assert rule.misses(_facts("another")) != []
    # a cold proxy asks for a whole answer where a warm one streams
    whole = replace(_facts(SENT["inputs"]), path="/generate", stream=False)
    assert rule.misses(whole) == []


FAULTS = [
    (Call("POST", "/generate_stream", 429), b"", "overload"),
    (Call("POST", "/generate_stream", 502), b"<html>", "status:502"),
    (Call("POST", "/generate_stream", 0, lost="could not be reached"), b"", "status:503"),
    (
        Call("POST", "/generate_stream", 200, LORAX_STREAM),
        b'data:{"error":"x","error_type":"overloaded"}\n\n',
        "error@0:overloaded",
    ),
    (
        Call("POST", "/generate_stream", 200, LORAX_STREAM),
        b'data:{"error":"x","error_type":"of another server"}\n\n',
        "error@0",
    ),
    (Call("POST", "/generate", 424), b'{"error":"x","error_type":"generation"}', "error@0"),
    (
        Call("POST", "/generate", 500),
        b'{"error":"x","error_type":"incomplete_generation"}',
        "incomplete@0",
    ),
    (Call("POST", "/generate", 503), b'{"error":"x","error_type":"generation"}', "status:503"),
    (Call("POST", "/generate", 500), b'{"error":"x","error_type":"other"}', "status:500"),
    (
        Call("POST", "/generate_stream", 200, LORAX_STREAM, "ended its answer before"),
        event("a"),
        f"cut@{len(event('a'))}",
    ),
]


@pytest.mark.parametrize(("call", "body", "fault"), FAULTS, ids=lambda each: str(each)[:20])
def test_a_failure_becomes_the_mocks_fault(call: Call, body: bytes, fault: str) -> None:
    """The one that fails the same way."""
    recording = recorded(asked=ASKED, sent=SENT, came=[body] if body else [], answered=[])
    recording.calls[0] = call
    (rule,) = read_script(forms(recording)["mock_rule"]).rules
    (action,) = rule.actions
    assert action.reply is None
    assert str(action.fault) == fault


def test_a_stream_that_fails_says_what_it_said_and_fails() -> None:
    """After the same tokens."""
    error = b'data:{"error":"x","error_type":"overloaded"}\n\n'
    recording = recorded(asked=ASKED, sent=SENT, came=[event("a"), event("b"), error], answered=[])
    (rule,) = read_script(forms(recording)["mock_rule"]).rules
    (action,) = rule.actions
    assert action.reply is not None
    assert action.reply.tokens == ("a", "b")
    assert str(action.fault) == "error@2:overloaded"


def test_a_budget_and_a_whole_answer_keep_their_finish() -> None:
    """And the base model and a merge their names."""
    short = forms(
        recorded(
            asked=ASKED,
            sent={"inputs": "x", "parameters": {}},
            came=[event("a") + last("b", "length")],
            answered=[],
        )
    )
    (rule,) = read_script(short["mock_rule"]).rules
    assert rule.actions[0].reply is not None
    assert rule.actions[0].reply.tokens == ("a", "b")
    assert rule.actions[0].reply.finish is FinishReason.LENGTH
    assert dict(rule.when)["adapter"] == "base"
    whole = {
        "generated_text": "a",
        "details": {
            "finish_reason": "eos_token",
            "tokens": [{"text": "a"}, {"text": "</s>", "special": True}],
        },
    }
    recording = recorded(
        asked=ASKED,
        sent={"inputs": "x", "parameters": {"merged_adapters": {"ids": ["p", "q"]}}},
        came=[json.dumps(whole).encode()],
        answered=[],
    )
    recording.calls[0] = Call("POST", "/generate", 200, (("content-type", "application/json"),))
    (rule,) = read_script(forms(recording)["mock_rule"]).rules
    assert rule.actions[0].reply is not None
    assert rule.actions[0].reply.tokens == ("a",)
    assert dict(rule.when) == {"adapter": "p,q", "prompt": "x"}


def test_choices_are_told_apart_by_their_seeds() -> None:
    """Nothing else differs in what LoRAX is asked."""
    recording = recorded(asked=ASKED, sent=SENT, came=[event("a"), last()], answered=[])
    recording.calls.append(Call("POST", "/generate_stream", 200, LORAX_STREAM))
    other = {**SENT, "parameters": {**SENT["parameters"], "seed": 8}}
    for way, data in ((Way.SENT, json.dumps(other).encode()), (Way.CAME, event("b") + last())):
        recording.moments.append(Moment(1.0, way, 1, len(data), data))
    one, two = read_script(forms(recording)["mock_rule"]).rules
    assert one.misses(_facts(SENT["inputs"])) == []
    assert two.misses(_facts(SENT["inputs"])) != []


def test_the_contracts_read_their_transcript() -> None:
    """All four sides, the bodies byte for byte, and an end that was none."""
    recording = recorded(
        asked=ASKED, sent=SENT, came=[event(NASTY), last()], answered=[stream(NASTY)]
    )
    read = parse("x", forms(recording)["transcript"])
    assert (read.request.method, read.request.path) == ("POST", "/v1/chat/completions")
    assert read.request.json == ASKED
    (call,) = read.calls
    assert call.request.json == SENT
    assert call.reply.body == recording.body(Way.CAME)
    assert (call.reply.status, call.reply.end) == (200, End.COMPLETE)
    assert read.reply.body == recording.body(Way.ANSWERED)
    assert read.reply.headers["content-type"].startswith("text/event-stream")
    moments = [each for each in recording.moments if each.way is not Way.ENDED]
    closed = replace(recording, moments=[*moments, Moment(1.0, Way.CLOSED)])
    assert parse("x", forms(closed)["transcript"]).calls[0].reply.end is End.CUT


@pytest.mark.parametrize("way", [Way.CAME, Way.ANSWERED])
@pytest.mark.parametrize("body", [b"=== lorax reply\n200", b"x\n=== openai request\n"])
def test_what_a_transcript_would_read_as_its_own_lines_has_none(way: Way, body: bytes) -> None:
    """It would be read as another conversation."""
    plain, bodies = {Way.CAME: b"a", Way.ANSWERED: b"b"}, {Way.CAME: b"a", Way.ANSWERED: b"b"}
    bodies[way] = body
    for of, offered in ((plain, True), (bodies, False)):
        recording = recorded(
            asked=ASKED, sent=SENT, came=[of[Way.CAME]], answered=[of[Way.ANSWERED]]
        )
        assert ("transcript" in forms(recording)) is offered


def test_what_is_no_document_has_no_form_but_curl() -> None:
    """Nothing is invented."""
    recording = Recording("POST", "/v1/chat/completions", (), texts=True)
    assert list(copies(recording, b"{", BASE)) == ["curl"]
