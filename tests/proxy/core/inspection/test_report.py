"""What a page is told of a request: moments, parameters, the prompt, and where the text was cut."""

import ast
import gzip
import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lorax_mock.scripting.script import read_script
from lorax_proxy.core.inspection.recording import HIDDEN, Call, Moment, Outline, Recording, Way
from lorax_proxy.core.inspection.report import inspect, inspect_copies, named_model
from lorax_proxy.wire.openai_replies import encode_json
from tests.proxy.core.inspection.recorded import (
    LORAX_STREAM,
    chunk,
    event,
    kept_back,
    last,
    recorded,
    stream,
)

LIMIT = 100_000

ASKED: dict[str, Any] = {
    "model": "acme/x",
    "messages": [{"role": "user", "content": "hi"}],
    "stop": ["STOP"],
    "max_tokens": 9,
    "stream": True,
    "user": "me",
    "logit_bias": {},
    "top_k": 3,
}
SENT: dict[str, Any] = {
    "inputs": "<s>hi</s>\n<s>",
    "parameters": {"adapter_id": "acme/x", "max_new_tokens": 9, "stop": ["STOP"], "top_k": 3},
}
CAME = [event("A"), event(" ST"), event("OP and"), event(" on"), last()]
ANSWERED = [chunk("A"), b"", chunk(" ")]


def report(**more: Any) -> dict[str, Any]:
    """A stream that a stop string cut."""
    given: dict[str, Any] = {"asked": ASKED, "sent": SENT, "came": CAME, "answered": ANSWERED}
    given |= {"stops": ("STOP",), "end": Way.CLOSED, **more}
    return inspect(recorded(**given), LIMIT)


def test_each_parameter_says_what_became_of_it() -> None:
    """By the proxy's own table, and LoRAX's request."""
    rows = {row["name"]: (row["decision"], row["became"]) for row in report()["parameters"]}
    assert rows == {
        "model": ("translated", 'adapter_id = "acme/x"'),
        "messages": ("translated", "inputs"),
        "stop": ("translated", 'stop = ["STOP"]'),
        "max_tokens": ("translated", "max_new_tokens = 9"),
        "stream": ("translated", "/generate_stream"),
        "user": ("accepted", ""),
        "logit_bias": ("left out", ""),
        "top_k": ("extension", "top_k = 3"),
    }


def test_parameters_that_were_not_honoured_say_so() -> None:
    """What asks for nothing, what nobody knows, and what the server ignores by its settings."""
    recording = recorded(
        asked={"suffix": "", "seeds": 1, "logit_bias": {"1": 2}},
        sent=SENT,
        came=[],
        answered=[],
        answer_headers=[("x-ignored-parameters", "logit_bias")],
    )
    decisions = [row["decision"] for row in inspect(recording, LIMIT)["parameters"]]
    assert decisions == ["unknown", "unknown", "ignored"]
    completions = replace(recording, path="/v1/completions")
    decisions = [row["decision"] for row in inspect(completions, LIMIT)["parameters"]]
    assert decisions == ["left out", "unknown", "ignored"]
    assert inspect(replace(recording, path="/v1/models"), LIMIT)["parameters"] == []


def test_the_prompt_shows_its_special_tokens() -> None:
    """The longest spelling first, and what LoRAX puts before them."""
    (prompt,) = report(specials=("<s>", "</s>", "<s>hi"), bos="<bos>")["prompts"]
    assert [(part["kind"], part["text"]) for part in prompt] == [
        ("added", "<bos>"),
        ("special", "<s>hi"),
        ("special", "</s>"),
        ("text", "\n"),
        ("special", "<s>"),
    ]


def test_the_cut_is_shown_with_its_stop_string() -> None:
    """And what LoRAX said behind it."""
    (choice,) = report()["choices"]
    assert choice["given"] == "A "
    assert choice["kept"] == "STOP and on"
    assert (choice["stop"], choice["same"]) == ("STOP", True)


def test_a_request_that_was_kept_back_is_no_choice() -> None:
    """It broke with the connection before it was sent; the one behind it is the first choice."""
    recording = recorded(asked={**ASKED, "n": 1}, sent=SENT, came=CAME, answered=ANSWERED)
    recording.outline = Outline(("STOP",))
    plain = inspect(recording, LIMIT)
    before = kept_back(recording)
    shown = inspect(before, LIMIT)
    assert shown["choices"] == plain["choices"]
    assert shown["parameters"] == plain["parameters"]
    held = [[(each["held"], each["cut"]) for each in seen["moments"]] for seen in (plain, shown)]
    assert held[0] == held[1][: len(held[0])]
    ended = recorded(asked=ASKED, sent=SENT, came=CAME, answered=[*ANSWERED, stream()])
    cut = [each["cut"] for each in inspect(kept_back(ended), LIMIT)["moments"]]
    assert 11 in cut


def test_without_a_cut_nothing_is_kept() -> None:
    """And an answer that is no beginning of what was said is called so."""
    (whole,) = report(came=[event("A"), last()], answered=[stream("A")])["choices"]
    assert (whole["kept"], whole["stop"], whole["same"]) == ("", None, True)
    (other,) = report(came=[event("A"), last()], answered=[stream("B")])["choices"]
    assert (other["kept"], other["same"]) == ("", False)


def test_what_is_held_back_is_counted_moment_by_moment() -> None:
    """What LoRAX has said, less what the client has."""
    held = [
        (moment["way"], moment["held"], moment["cut"])
        for moment in report(answered=[*ANSWERED, stream()])["moments"]
        if (moment["held"], moment["cut"]) != (None, None)
    ]
    assert held == [
        ("answered", 0, None),
        ("came", 3, None),
        ("answered", 8, None),
        ("answered", None, 11),
        ("came", None, 11),
    ]


def test_a_whole_answer_holds_nothing_back() -> None:
    """All of it waits for its end; what LoRAX streamed is shown all the same."""
    shown = report(answer_headers=[("content-type", "application/json")])
    assert all(moment["held"] is None for moment in shown["moments"])
    assert sum(len(moment["events"]) for moment in shown["moments"]) == len(CAME)


def test_events_stand_with_the_bytes_that_completed_them() -> None:
    """With their data and a line."""
    shown = next(moment for moment in report()["moments"] if moment["way"] == "came")
    assert [each["gist"] for each in shown["events"]] == ['"A"']
    assert json.loads(shown["events"][0]["data"])["token"]["text"] == "A"
    assert shown["at"] == 2.0


@pytest.mark.parametrize("packed", [True, False])
def test_a_clients_download_token_is_hidden(*, packed: bool) -> None:
    """It is refused, and nobody is to see it in what is shown or copied."""
    body = json.dumps({**ASKED, "api_token": "hf_secret"}).encode()
    recording = recorded(asked={}, sent=SENT, came=CAME, answered=ANSWERED)
    headers = [("content-encoding", "gzip")] if packed else []
    body = gzip.compress(body) if packed else body
    half = len(body) - 6
    parts = [Moment(0.0, Way.ASKED, 0, len(part), part) for part in (body[:half], body[half:])]
    recording = replace(recording, headers=headers, moments=[*parts, *recording.moments[1:]])
    shown = inspect(recording, LIMIT)
    assert json.loads(shown["request"]["body"]) == {**ASKED, "api_token": HIDDEN}
    assert [m["text"] for m in shown["moments"] if m["way"] == "asked"] == [HIDDEN, HIDDEN]
    assert shown["moments"][2]["text"] == json.dumps(SENT)
    copies = inspect_copies(recording, "", LIMIT)
    assert {"curl", "python", "javascript", "transcript"} <= copies.keys()
    assert "hf_s" not in json.dumps([shown, copies])


def test_a_compressed_request_is_shown_plain() -> None:
    """And one that cannot be is shown as it came."""
    body = gzip.compress(json.dumps(ASKED).encode())
    recording = Recording(
        "POST", "/v1/chat/completions", [("content-encoding", "gzip")], texts=True
    )
    recording.moments = [Moment(0.0, Way.ASKED, 0, len(body), body)]
    shown = inspect(recording, LIMIT)
    assert json.loads(shown["request"]["body"]) == ASKED
    assert shown["request"]["bytes"] == len(body)
    recording.moments = [Moment(0.0, Way.ASKED, 0, 4, b"rubb")]
    assert inspect(recording, LIMIT)["request"]["body"] == "rubb"


def test_a_request_that_becomes_too_long_is_shown_as_it_came() -> None:
    """The proxy has refused it for the same limit, and looking at it is no way around that."""
    body = gzip.compress(b'{"model":"m"}' + b" " * LIMIT)
    recording = Recording("POST", "/v1/completions", [("content-encoding", "gzip")], texts=True)
    recording.moments = [Moment(0.0, Way.ASKED, 0, len(body), body)]
    assert inspect(recording, LIMIT)["request"]["body"] == body.decode("utf-8", "replace")


def test_a_compressed_request_is_not_unpacked_for_its_model() -> None:
    """A list names it for each request, on the event loop."""
    body = gzip.compress(b'{"model":"m"}')
    recording = Recording("POST", "/v1/completions", [("content-encoding", "gzip")], texts=True)
    recording.moments = [Moment(0.0, Way.ASKED, 0, len(body), body)]
    assert named_model(recording) is None


def test_a_refused_request_still_names_its_model() -> None:
    """Unless it is rubbish."""
    recording = Recording("POST", "/v1/chat/completions", (), texts=True)
    for body, name in ((b'{"model":"m"}', "m"), (b'{"model":7}', None), (b"{", None), (b"", None)):
        recording.moments = [Moment(0.0, Way.ASKED, 0, len(body), body)]
        assert named_model(recording) == name


def test_a_long_text_is_shown_in_part() -> None:
    """A page is not to be given megabytes."""
    recording = Recording("POST", "/v1/completions", (), texts=True)
    recording.moments = [Moment(0.0, Way.ASKED, 0, 100_000, b"x" * 100_000)]
    body = inspect(recording, LIMIT)["request"]["body"]
    assert body.endswith("... and 34464 more")
    assert len(body) < 70_000


@pytest.mark.parametrize("body", [b"\xff\xfe", b"[1]", b"{", b"[" * 5000, b'{"choices":[{}]}'])
def test_rubbish_is_shown_as_it_is(body: bytes) -> None:
    """On either wire, as a stream or not."""
    for headers in ((), LORAX_STREAM):
        recording = Recording("POST", "/v1/chat/completions", (), texts=True)
        recording.calls.append(Call("POST", "/generate", 200, headers))
        recording.answer_headers = headers
        recording.moments = [
            Moment(0.0, way, 0, len(body), body)
            for way in (Way.ASKED, Way.SENT, Way.CAME, Way.ANSWERED)
        ]
        shown = inspect(recording, LIMIT)
        assert shown["moments"][-1]["text"] == body.decode("utf-8", "replace")
        assert inspect_copies(recording, "", LIMIT)["answer"] == body.decode("utf-8", "replace")


@pytest.mark.parametrize("depth", [100, 500, 900, 960, 980, 990, 995])
def test_whatever_is_nested_deep_is_shown_and_copied_in_what_forms_it_has(depth: int) -> None:
    """At least as the bytes that came."""
    body = b'{"model":"m","messages":%b1%b}' % (b"[" * depth, b"]" * depth)
    recording = recorded(asked={}, sent=SENT, came=CAME, answered=ANSWERED)
    recording.moments[0] = Moment(0.0, Way.ASKED, 0, len(body), body)
    assert inspect(recording, LIMIT)["request"]["body"] == body.decode()
    copies = inspect_copies(recording, "", LIMIT)
    assert {"curl", "mock_rule", "answer", "reply_1"} <= copies.keys()
    # what is too deep for Python's own recursion depends on its version
    assert "python" in copies or depth > 100


def test_what_is_cut_is_not_copied() -> None:
    """Half a request repeats nothing."""
    recording = recorded(asked=ASKED, sent=SENT, came=CAME, answered=ANSWERED)
    assert inspect_copies(recording, "", LIMIT)["curl"]
    assert inspect_copies(replace(recording, cut=True), "", LIMIT) == {}
    assert inspect_copies(replace(recording, texts=False), "", LIMIT) == {}


KEYS = st.sampled_from(
    [
        *("token", "text", "special", "details", "tokens", "finish_reason", "generated_text"),
        *("choices", "delta", "message", "content", "tool_calls", "function", "index", "usage"),
        *("inputs", "parameters", "adapter_id", "merged_adapters", "ids", "seed", "error"),
        *("model", "messages", "stream", "stop", "n", "logit_bias", "top_k", "class", "self"),
    ]
)
"""What both wires are made of."""

DOCUMENTS = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(KEYS | st.text(), inner, max_size=4)
    ),
    max_leaves=12,
)
BODIES = st.one_of(
    st.binary(max_size=60),
    DOCUMENTS.map(lambda each: json.dumps(each).encode()),
    st.lists(DOCUMENTS, max_size=3).map(
        lambda each: b"".join(b"data: " + json.dumps(one).encode() + b"\n\n" for one in each)
    ),
)


@pytest.mark.property
@given(
    bodies=st.tuples(BODIES, BODIES, BODIES, BODIES),
    streams=st.tuples(st.booleans(), st.booleans()),
    path=st.sampled_from(["/v1/chat/completions", "/v1/completions", "/v1/embeddings", "/x"]),
    called=st.sampled_from(["/generate", "/generate_stream", "/embed"]),
    status=st.sampled_from([0, 200, 429, 500]),
)
def test_whatever_passed_can_be_shown(
    bodies: tuple[bytes, bytes, bytes, bytes],
    streams: tuple[bool, bool],
    path: str,
    called: str,
    status: int,
) -> None:
    """What it is no matter: a page that fails on it would hide the very thing that somebody looks for."""
    recording = recorded(asked={}, sent={}, came=[], answered=[], path=path)
    stream, plain = (("content-type", "text/event-stream"),), ()
    recording.answer_headers = stream if streams[0] else plain
    recording.calls[0] = Call("POST", called, status, stream if streams[1] else plain)
    recording.moments = [
        Moment(0.0, way, 0, len(body), body)
        for way, body in zip((Way.ASKED, Way.SENT, Way.CAME, Way.ANSWERED), bodies, strict=True)
    ]
    encode_json(inspect(recording, LIMIT))
    copies = inspect_copies(recording, "http://x", LIMIT)
    ast.parse(copies.get("python", ""))
    read_script(copies.get("mock_rule", ""))
