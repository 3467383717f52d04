"""A plan carried out on real sockets: streams, failures, slow clients, and silences."""

import asyncio
import json
import socket
from collections.abc import Sequence
from typing import Any

import pytest

from tests.proxy.running import (
    NOW,
    Proxy,
    Reply,
    chat,
    cut,
    ended,
    failed,
    final,
    generation,
    lorax,
    request,
    running,
    token,
    tokens,
)
from tests.proxy.servers import (
    LAST_CHUNK,
    Fin,
    Hold,
    Request,
    Reset,
    ScriptedServer,
    Send,
    Stall,
    Step,
    answer,
    chunk,
    event,
    event_stream,
    in_order,
    json_answer,
)

CHAT = "/v1/chat/completions"
TEXT = "/v1/completions"
COLD = "someone/adapter"


def text(prompt: str | list[str] = "Once", **parameters: object) -> dict[str, Any]:
    """A legacy completion of the base model."""
    return {"model": "", "prompt": prompt, **parameters}


def deltas(reply: Reply) -> list[Any]:
    """Each chunk's delta or text, with its choice's index."""
    return [
        (choice["index"], choice.get("delta", choice.get("text")))
        for each in reply.chunks
        for choice in each.get("choices", [])
    ]


def per_seed(first: Sequence[Step], second: Sequence[Step], base: int = 0) -> Any:
    """A script that answers the request with seed `base` by one stream, the other by another."""
    return lambda request: first if request.json()["parameters"]["seed"] == base else second


# the connection to LoRAX


async def test_a_stream_that_ended_leaves_its_connection_to_the_next() -> None:
    """The mark of the body's end may come after the final event: it is waited for, for a moment."""

    def apart(_request: Request) -> list[Step]:
        hold = Hold()
        asyncio.get_running_loop().call_later(0.02, hold.gate.set)
        data = tokens("Hel", "lo") + final("</s>", "eos_token", count=3)
        return [Send(event_stream() + chunk(data)), hold, Send(LAST_CHUNK)]

    async with ScriptedServer(lorax(stream=apart)) as server, running(server) as proxy:
        for _ in range(4):
            assert (await proxy.post(CHAT, chat(stream=True))).complete
        assert len({each.connection for each in server.asked("/generate_stream")}) == 1


# the shape of a stream


async def test_a_chat_stream_has_openais_shape() -> None:
    """One identity, the role first, deltas, a finish chunk, the usage asked for, [DONE], the end."""
    async with ScriptedServer(lorax(stream=ended("Hel", "lo"))) as server, running(server) as proxy:
        reply = await proxy.post(CHAT, chat(stream=True, stream_options={"include_usage": True}))
    assert reply.status == 200
    assert reply.complete
    assert reply.headers["content-type"] == "text/event-stream; charset=utf-8"
    assert reply.headers["cache-control"] == "no-cache"
    assert reply.events[-1] == "[DONE]"
    assert reply.events.count("[DONE]") == 1
    shared = {
        "id": "chatcmpl-000000000000000000000000",
        "object": "chat.completion.chunk",
        "created": int(NOW.timestamp()),
        "model": "mistralai/Mistral-7B-Instruct-v0.2",
        "system_fingerprint": "lorax-0.1.0-native",
    }

    def one(delta: object, finish_reason: str | None = None) -> dict[str, Any]:
        choice = {
            "index": 0,
            "delta": delta,
            "logprobs": None,
            "finish_reason": finish_reason,
        }
        return {**shared, "choices": [choice], "usage": None}

    assert reply.chunks == [
        one({"role": "assistant", "content": "", "refusal": None}),
        one({"content": "Hel"}),
        one({"content": "lo"}),
        one({}, "stop"),
        {
            **shared,
            "choices": [],
            "usage": {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10},
        },
    ]


async def test_usage_comes_only_when_it_is_asked_for() -> None:
    """Without include_usage no chunk has the key, and nothing asks LoRAX to count."""
    async with ScriptedServer(lorax(stream=ended("a"))) as server, running(server) as proxy:
        reply = await proxy.post(CHAT, chat(stream=True))
    assert [set(each) & {"usage"} for each in reply.chunks] == [set()] * 3
    assert reply.events[-1] == "[DONE]"


async def test_a_completion_stream_has_its_shape() -> None:
    """Legacy chunks carry text, an empty one the finish reason; no role opens them."""
    script = lorax(stream=ended("a", "b", reason="length"))
    async with ScriptedServer(script) as server, running(server) as proxy:
        reply = await proxy.post(TEXT, text(stream=True))
    assert [each["object"] for each in reply.chunks] == ["text_completion"] * 3
    assert {each["id"] for each in reply.chunks} == {"cmpl-000000000000000000000000"}
    assert [each["choices"][0]["text"] for each in reply.chunks[:2]] == ["a", "b"]
    assert [each["choices"][0]["finish_reason"] for each in reply.chunks] == [None, None, "length"]
    assert reply.events[-1] == "[DONE]"


async def test_equal_requests_get_equal_bytes() -> None:
    """With the same clock and identities the same request gives the same bytes, twice over."""
    body = chat(stream=True, seed=1, temperature=0.5, stream_options={"include_usage": True})
    bodies: list[bytes] = []
    for _ in range(2):
        script = lorax(stream=ended("a", "b\u2028"))
        async with ScriptedServer(script) as server, running(server) as proxy:
            bodies.append((await proxy.post(CHAT, body)).body)
    assert bodies[0] == bodies[1]
    assert b'"content":"b\\u2028"' in bodies[0]


async def test_everything_of_one_read_leaves_in_one_write() -> None:
    """Tokens that came together are sent together, in one chunk of the transfer encoding."""
    async with ScriptedServer(lorax(stream=ended("a", "b"))) as server, running(server) as proxy:
        connection = await proxy.open("POST", CHAT, chat(stream=True))
        await connection.head()
        size = int(await connection.until(b"\r\n"), 16)
        first = (await connection.until(b"\r\n"))[:-2]
        assert len(first) == size
        assert first.count(b"data: ") == 4


@pytest.mark.parametrize(
    ("path", "body"), [(CHAT, chat(n=2)), (TEXT, text(n=2))], ids=["chat", "completions"]
)
async def test_choices_are_first_seen_in_order(path: str, body: dict[str, Any]) -> None:
    """Choice 1 answers first, and a client still meets choice 0 before it."""
    late = Send(chunk(tokens("late") + final("</s>", count=2)) + LAST_CHUNK)
    first: list[Step] = [Send(event_stream()), hold := Hold(), late]
    script = lorax(stream=per_seed(first, ended("early"), base=5))
    async with ScriptedServer(script) as server, running(server) as proxy:
        body = {**body, "stream": True, "seed": 5, "temperature": 0.9}
        connection = await proxy.open("POST", path, body)
        await connection.head()
        begun = await connection.until(b"early")
        hold.gate.set()
        rest = await connection.until(b"[DONE]")
    assert begun.index(b'"index":0') < begun.index(b'"index":1')
    assert b"late" in rest
    seeds = {each.json()["parameters"]["seed"] for each in server.asked("/generate_stream")}
    assert seeds == {5, 6}


async def test_usage_counts_the_prompt_once_and_every_choice() -> None:
    """Two choices: their tokens add up, the prompt counts once."""
    script = lorax(stream=ended("a", "b"), generate=[Send(json_answer(generation("a", "b")))])
    async with ScriptedServer(script) as server, running(server) as proxy:
        whole = await proxy.post(CHAT, chat(n=2))
        stream = await proxy.post(
            CHAT, chat(n=2, stream=True, stream_options={"include_usage": True})
        )
    expected = {"prompt_tokens": 7, "completion_tokens": 6, "total_tokens": 13}
    assert whole.json()["usage"] == expected
    assert stream.chunks[-1]["usage"] == expected
    assert [choice["index"] for choice in whole.json()["choices"]] == [0, 1]


async def test_a_zero_budget_is_answered_without_asking() -> None:
    """LoRAX refuses zero: an empty text with `length`, streamed or not, and no request."""
    async with ScriptedServer(lorax()) as server, running(server) as proxy:
        whole = await proxy.post(TEXT, text(max_tokens=0))
        stream = await proxy.post(TEXT, text(max_tokens=0, stream=True))
    assert whole.json()["choices"] == [
        {"index": 0, "text": "", "logprobs": None, "finish_reason": "length"}
    ]
    assert whole.json()["usage"]["completion_tokens"] == 0
    assert [each["choices"][0]["finish_reason"] for each in stream.chunks] == ["length"]
    assert stream.events[-1] == "[DONE]"
    assert {each.path for each in server.requests} == {"/info", "/tokenize"}


async def test_a_zero_budget_calls_nothing() -> None:
    """With tools too: an empty content, never null, since no call stands for it."""
    tools = [{"type": "function", "function": {"name": "f"}}]
    legacy = {"functions": [{"name": "f"}], "function_call": {"name": "f"}}
    asked: list[dict[str, Any]] = [{"tools": tools}, legacy]
    for more in asked:
        async with ScriptedServer(lorax()) as server, running(server) as proxy:
            whole = await proxy.post(CHAT, chat(max_tokens=0, n=2, **more))
            stream = await proxy.post(CHAT, chat(max_tokens=0, stream=True, **more))
        contents = [choice["message"]["content"] for choice in whole.json()["choices"]]
        assert contents == ["", ""]
        deltas = [chunk["choices"][0]["delta"] for chunk in stream.chunks]
        assert deltas == [{"role": "assistant", "content": "", "refusal": None}, {}]


async def test_the_best_of_several_is_returned_and_all_are_counted() -> None:
    """best_of: the likeliest by mean logprob, usage over every try."""
    documents = [generation("meh"), generation("good"), generation("bad")]
    for document, logprob in zip(documents, (-1.0, -0.1, -2.0), strict=True):
        for each in document["details"]["tokens"]:
            each["logprob"] = logprob
    script = lorax(generate=in_order(*([Send(json_answer(each))] for each in documents)))
    async with ScriptedServer(script) as server, running(server) as proxy:
        reply = await proxy.post(TEXT, text(best_of=3, temperature=0.7))
    assert [choice["text"] for choice in reply.json()["choices"]] == ["good"]
    assert reply.json()["usage"] == {
        "prompt_tokens": 7,
        "completion_tokens": 6,
        "total_tokens": 13,
    }


async def test_loraxs_timings_pass_and_its_names_do_not() -> None:
    """x-total-time and its like reach the client; the adapter's id and values that lie do not."""
    document = json.dumps(generation("a")).encode()
    told = {
        "x-total-time": "12",
        "x-model-id": "secret",
        "x-adapter-id": "secret",
        "x-queue-time": "zwölf",
    }
    script = lorax(
        generate=[Send(answer(200, document, "application/json", **told))],
        stream=ended("a", x_compute_type="gpu+optimized"),
    )
    async with ScriptedServer(script) as server, running(server) as proxy:
        whole = await proxy.post(CHAT, chat())
        stream = await proxy.post(CHAT, chat(stream=True))
    assert whole.headers["x-total-time"] == "12"
    assert not {"x-model-id", "x-adapter-id", "x-queue-time"} & set(whole.headers)
    assert stream.headers["x-compute-type"] == "gpu+optimized"


# failures before and after the first token

REFUSALS = [
    ("validation", "Input validation error: `top_p` must be > 0.0", 400, "invalid_value", None),
    (
        "validation",
        "Input validation error: `inputs` must have less than 1023 tokens. Given: 2000",
        400,
        "context_length_exceeded",
        None,
    ),
    ("overloaded", "Model is overloaded", 429, "rate_limit_exceeded", None),
    ("generation", "Request failed during generation: Server error: x", 502, "upstream_error", "f"),
    ("incomplete_generation", "Incomplete generation", 502, "upstream_incomplete", "f"),
    ("something else", "who knows", 502, "upstream_error", "f"),
    (
        "generation",
        (
            "Request failed during generation: Server error: "
            "No valid adapter config file found: tried None and None"
        ),
        404,
        "model_not_found",
        "f",
    ),
]


@pytest.mark.parametrize("stream", [True, False], ids=["stream", "whole"])
@pytest.mark.parametrize(
    ("error_type", "error", "status", "code", "retry"),
    REFUSALS,
    ids=[f"{r[0]}-{r[3]}" for r in REFUSALS],
)
async def test_an_error_as_first_event_becomes_a_status(
    error_type: str, error: str, status: int, code: str, retry: str | None, *, stream: bool
) -> None:
    """LoRAX says 200 and then an error; the client gets the real status, streamed or not."""
    events = [Send(event_stream() + chunk(failed(error_type, error)) + LAST_CHUNK)]
    async with ScriptedServer(lorax(stream=events)) as server, running(server) as proxy:
        # a cold adapter is asked through the stream in either case
        reply = await proxy.post(CHAT, chat(model=COLD, stream=stream))
    assert reply.status == status
    assert reply.error["code"] == code
    assert reply.headers["content-type"] == "application/json"
    assert reply.headers.get("x-should-retry") == ("false" if retry else None)
    assert ("retry-after" in reply.headers) == (status == 429)


@pytest.mark.parametrize(
    ("status", "body", "expected", "code"),
    [
        (422, b'{"error":"Input validation error: x","error_type":"validation"}', 400, "invalid_value"),
        (429, b'{"error":"Model is overloaded","error_type":"overloaded"}', 429, "rate_limit_exceeded"),
        (424, b'{"error":"Request failed","error_type":"generation"}', 502, "upstream_error"),
        (500, b'{"error":"Incomplete generation","error_type":"incomplete_generation"}', 502, "upstream_incomplete"),
        (413, b"Failed to buffer the request body: length limit exceeded", 400, "context_length_exceeded"),
        (422, b"Failed to deserialize the JSON body", 502, "upstream_error"),
        (404, b"", 502, "upstream_error"),
        (502, b"\xff\xfe not text", 502, "upstream_error"),
        # what only a gateway before LoRAX says
        (503, b"", 503, "upstream_unavailable"),
        (429, b"<html>", 429, "rate_limit_exceeded"),
        (504, b"Gateway Time-out", 504, "upstream_timeout"),
        (302, b"", 502, "upstream_error"),
        (401, b"{}", 502, "upstream_error"),
        (204, b"", 502, "upstream_error"),
    ],
)  # fmt: skip
async def test_a_status_other_than_200_is_translated(
    status: int, body: bytes, expected: int, code: str
) -> None:
    """/generate's own statuses, a gateway's, envelopes and plain texts become OpenAI's."""
    refusal = [Send(answer(status, body, retry_after="7"))]
    script = lorax(generate=refusal, stream=refusal)
    for transport in ("direct", "httpx"):
        async with ScriptedServer(script) as server, running(server, transport=transport) as proxy:
            for reply in (
                await proxy.post(CHAT, chat()),
                await proxy.post(CHAT, chat(stream=True)),
            ):
                assert reply.status == expected
                assert reply.error["code"] == code
                typed = b"error_type" in body
                assert (str(status) in reply.error["message"]) is not typed
                waits = "7" if status in (429, 503) else None
                assert reply.headers.get("retry-after") == waits
                if status in (429, 503):
                    assert "x-should-retry" not in reply.headers


async def test_one_failing_choice_fails_all_and_the_other_is_left() -> None:
    """n=2: an error of one becomes the status, and the other LoRAX request is ended."""
    overloaded = Send(chunk(failed("overloaded", "Model is overloaded")))
    events: list[Step] = [Send(event_stream()), hold := Hold(), overloaded]
    script = lorax(stream=per_seed(events, [Send(event_stream()), Stall()]))
    async with ScriptedServer(script) as server, running(server) as proxy:
        body = chat(stream=True, n=2, seed=0, temperature=0.9)
        connection = await proxy.open("POST", CHAT, body)
        await server.until_asked("/generate_stream", 2)
        hold.gate.set()
        assert (await connection.reply()).status == 429
        (other,) = [r for r in server.asked("/generate_stream") if r.json()["parameters"]["seed"]]
        await server.client_left(other.connection)


async def test_one_refused_choice_closes_the_one_that_is_open() -> None:
    """n=2: LoRAX refuses one outright while the other is already open: that one is ended too."""
    stalled: list[Step] = [Send(event_stream()), Stall()]
    hold = Hold()
    refused: list[Step] = [hold, Send(answer(503, b"no")), Stall()]
    script = lorax(stream=per_seed(refused, stalled))
    async with ScriptedServer(script) as server, running(server) as proxy:
        connection = await proxy.open("POST", CHAT, chat(stream=True, n=2, seed=0, temperature=0.9))
        await server.next_request(5)
        requests = server.asked("/generate_stream")
        (other,) = [each for each in requests if each.json()["parameters"]["seed"]]
        # its headers were read by the time that another request was answered behind it
        assert (await proxy.get("/ready")).status == 200
        hold.gate.set()
        assert (await connection.reply()).status == 503
        await server.client_left(other.connection)


async def test_a_failing_try_of_a_whole_answer_cancels_the_others() -> None:
    """Non-stream n=2 through /generate: one 429 answers at once and ends the other request."""
    overloaded = json_answer({"error": "Model is overloaded", "error_type": "overloaded"}, 429)
    refused: list[Step] = [hold := Hold(), Send(overloaded)]
    async with (
        ScriptedServer(lorax(generate=per_seed(refused, [Stall()]))) as server,
        running(server) as proxy,
    ):
        connection = await proxy.open("POST", CHAT, chat(n=2, seed=0, temperature=0.9))
        await server.until_asked("/generate", 2)
        hold.gate.set()
        assert (await connection.reply()).status == 429
        (other,) = [r for r in server.asked("/generate") if r.json()["parameters"]["seed"]]
        await server.client_left(other.connection)


async def test_an_error_behind_tokens_travels_in_band() -> None:
    """Status and text are out: an error event, and the body ends without [DONE]."""
    data = tokens("par") + failed("generation", "Request failed during generation: Server error: x")
    events = [Send(event_stream() + chunk(data) + LAST_CHUNK)]
    async with ScriptedServer(lorax(stream=events)) as server, running(server) as proxy:
        reply = await proxy.post(CHAT, chat(stream=True))
        whole = await proxy.post(CHAT, chat(stop="never"))
    assert reply.status == 200
    assert reply.complete
    assert [delta for _, delta in deltas(reply)][1:] == [{"content": "par"}]
    assert set(reply.chunks[-1]) == {"error"}
    assert set(reply.chunks[-1]["error"]) == {"message", "type", "param", "code"}
    assert "[DONE]" not in reply.events
    assert whole.status == 502


async def test_a_status_that_cannot_wait_is_200_and_the_error_in_band() -> None:
    """Past status_wait: 200, a comment, and what goes wrong then is an error event."""
    hold = Hold()
    script = lorax(
        stream=[
            Send(event_stream()),
            hold,
            Send(chunk(failed("overloaded", "Model is overloaded")) + LAST_CHUNK),
        ]
    )
    async with ScriptedServer(script) as server, running(server, status_wait=0.02) as proxy:
        connection = await proxy.open("POST", CHAT, chat(stream=True))
        status, _ = await connection.head()
        assert status == 200
        seen = await connection.until(b":\n\n")
        assert b'"role":"assistant"' in seen
        hold.gate.set()
        rest = await connection.until(b"0\r\n\r\n")
    assert b'data: {"error":' in rest
    assert b"[DONE]" not in seen + rest


@pytest.mark.parametrize(
    "steps",
    [
        pytest.param(cut("par"), id="well-ended"),
        pytest.param([Send(event_stream() + chunk(tokens("par"))), Fin()], id="fin"),
        pytest.param([Send(event_stream() + chunk(tokens("par"))), Hold(), Reset()], id="reset"),
        pytest.param(
            [Send(event_stream() + chunk(tokens("par") + final("</s>")[:-2])), Fin()],
            id="in-the-final-event",
        ),
    ],
)
async def test_a_cut_stream_is_never_a_short_answer(steps: Sequence[Step]) -> None:
    """Ended before its final event: an error event or a 502, no [DONE], no finish_reason."""
    holds = [step for step in steps if isinstance(step, Hold)]
    async with ScriptedServer(lorax(stream=steps)) as server, running(server) as proxy:
        connection = await proxy.open("POST", CHAT, chat(stream=True))
        if holds:
            await connection.until(b'"par"')
            holds[0].gate.set()
            rest = await connection.until(b"0\r\n\r\n")
        else:
            rest = (await connection.reply()).body
            assert b'"par"' in rest
        whole = await proxy.post(CHAT, chat(stop="never"))
    assert b'"code":"upstream_incomplete"' in rest
    assert b"[DONE]" not in rest
    assert b'"finish_reason":"' not in rest
    assert whole.status == 502
    assert whole.error["code"] == "upstream_incomplete"
    assert whole.headers["x-should-retry"] == "false"


@pytest.mark.parametrize("stream", [False, True])
async def test_the_chosen_token_is_among_the_likeliest_with_its_own_text(*, stream: bool) -> None:
    """Whole and streamed: LoRAX's text for it there is what it would be after itself."""
    others = [
        {"id": 5, "text": "", "logprob": -0.5},
        {"id": 8, "text": "a", "logprob": -2.0},
    ]
    said = token("世", alternative_tokens=others) | {"id": 5}
    document = generation("x")
    document["details"]["tokens"][0] = said
    first = event({"token": said, "generated_text": None, "details": None})
    script = lorax(
        stream=[Send(event_stream() + chunk(first + final("</s>", count=2)) + LAST_CHUNK)],
        generate=[Send(json_answer(document))],
    )
    async with ScriptedServer(script) as server, running(server) as proxy:
        reply = await proxy.post(CHAT, chat(logprobs=True, top_logprobs=2, stream=stream))
    choices = [each["choices"][0] for each in (reply.chunks if stream else [reply.json()])]
    (told,) = [each for c in choices if c["logprobs"] for each in c["logprobs"]["content"]]
    assert [each["token"] for each in told["top_logprobs"]] == ["世", "a"]
    assert told["top_logprobs"][0]["bytes"] == told["bytes"] == list("世".encode())


async def test_text_that_lorax_lost_is_in_a_whole_answer_and_fails_a_stream() -> None:
    """After a prompt of few tokens its events may lack what its whole text has."""
    details = {"finish_reason": "length", "prompt_tokens": 4, "generated_tokens": 4}
    texts = ("", "", "a", "b")
    document = {
        "generated_text": "世ab",
        "details": {**details, "tokens": [token(each) for each in texts]},
    }
    last = {"token": token("b"), "generated_text": "世ab", "details": details}
    events = tokens(*texts[:-1]) + event(last)
    script = lorax(
        stream=[Send(event_stream() + chunk(events) + LAST_CHUNK)],
        generate=[Send(json_answer(document))],
    )
    async with ScriptedServer(script) as server, running(server) as proxy:
        whole = await proxy.post(TEXT, text("Hi"))
        folded = await proxy.post(TEXT, text("Hi", stop="STOP"))
        stream = await proxy.post(TEXT, text("Hi", stream=True))
    for reply in (whole, folded):
        assert reply.json()["choices"][0]["text"] == "世ab"
    assert [each["choices"][0]["text"] for each in stream.chunks[:-1]] == ["a"]
    assert stream.chunks[-1]["error"]["code"] == "upstream_incomplete"
    assert "without a stream" in stream.chunks[-1]["error"]["message"]
    assert "[DONE]" not in stream.events


async def test_doubled_events_are_no_answer() -> None:
    """LoRAX counts its tokens: text that came twice is an error, whole and in a stream."""
    doubled = tokens("a", "b", "b") + final("</s>", count=3)
    document = generation("a", "b")
    document["details"]["tokens"].insert(1, document["details"]["tokens"][1])
    script = lorax(
        stream=[Send(event_stream() + chunk(doubled) + LAST_CHUNK)],
        generate=[Send(json_answer(document))],
    )
    async with ScriptedServer(script) as server, running(server) as proxy:
        whole = await proxy.post(CHAT, chat())
        # folded from a stream
        stopping = await proxy.post(CHAT, chat(stop="STOP"))
        stream = await proxy.post(CHAT, chat(stream=True))
    for reply in (whole, stopping):
        assert reply.status == 502
        assert "counted" in reply.error["message"]
    assert "counted" in stream.chunks[-1]["error"]["message"]
    assert "[DONE]" not in stream.events


async def test_a_stream_cut_before_any_event_is_a_502() -> None:
    """Nothing came and nothing will: the real status, since none was sent."""
    script = lorax(stream=[Send(event_stream() + LAST_CHUNK)])
    async with ScriptedServer(script) as server, running(server) as proxy:
        reply = await proxy.post(CHAT, chat(stream=True))
    assert reply.status == 502
    assert reply.error["code"] == "upstream_incomplete"


GARBAGE = [
    b"data: not json\n\n",
    b"data: {}\n\n",
    b'data: {"token":5}\n\n',
    b"data: \xff\xfe\n\n",
    event({"token": {"text": "a"}, "generated_text": "a", "details": None}),
]


@pytest.mark.parametrize("garbage", GARBAGE)
async def test_garbage_is_an_error_and_never_text(garbage: bytes) -> None:
    """What LoRAX does not send: 502 as the first event, an error event behind tokens."""
    first = [Send(event_stream() + chunk(garbage) + LAST_CHUNK)]
    later = [Send(event_stream() + chunk(tokens("ok") + garbage) + LAST_CHUNK)]
    script = lorax(stream=in_order(first, later), generate=[Send(answer(200, garbage))])
    async with ScriptedServer(script) as server, running(server) as proxy:
        early = await proxy.post(CHAT, chat(stream=True))
        late = await proxy.post(CHAT, chat(stream=True))
        whole = await proxy.post(CHAT, chat())
    assert early.status == whole.status == 502
    assert early.error["code"] == whole.error["code"] == "upstream_error"
    assert late.chunks[-1]["error"]["code"] == "upstream_error"
    assert "[DONE]" not in late.events


async def test_a_body_cut_short_is_a_502() -> None:
    """/generate's answer ends before its content-length: no half document is read."""
    whole = json_answer(generation("a"))
    script = lorax(generate=[Send(whole[:-5]), Fin()])
    async with ScriptedServer(script) as server, running(server) as proxy:
        reply = await proxy.post(CHAT, chat())
    assert reply.status == 502
    assert reply.error["code"] == "upstream_incomplete"


# our own stop match


async def test_a_stop_string_cuts_the_text_and_ends_the_upstream() -> None:
    """The text ends before it, LoRAX is left at once, and usage counts what came."""
    stream: list[Step] = [
        Send(event_stream() + chunk(tokens("one", " tw", "o th", "ree"))),
        Stall(),
    ]
    async with ScriptedServer(lorax(stream=stream)) as server, running(server) as proxy:
        body = chat(stream=True, stop=["two"], stream_options={"include_usage": True})
        reply = await proxy.post(CHAT, body)
        (request,) = server.asked("/generate_stream")
        await server.client_left(request.connection)
        counted = server.asked("/tokenize")[-1].json()["inputs"]
    assert "".join(delta.get("content", "") for _, delta in deltas(reply)) == "one "
    assert reply.chunks[-2]["choices"][0]["finish_reason"] == "stop"
    # three tokens until the match; the prompt's characters and a BOS, as the server counts
    prompt = request.json()["inputs"]
    assert counted == prompt
    assert reply.chunks[-1]["usage"]["completion_tokens"] == 3
    assert reply.chunks[-1]["usage"]["prompt_tokens"] == len(prompt) + 1
    assert reply.events[-1] == "[DONE]"


async def test_a_whole_answer_with_a_stop_string_is_folded_from_a_stream() -> None:
    """Not streamed, but seen token by token, so that LoRAX can be stopped."""
    stream: list[Step] = [Send(event_stream() + chunk(tokens("a", "b", "STOP", "c"))), Stall()]
    async with ScriptedServer(lorax(stream=stream)) as server, running(server) as proxy:
        reply = await proxy.post(CHAT, chat(stop="STOP"))
        (request,) = server.asked("/generate_stream")
        await server.client_left(request.connection)
    assert not server.asked("/generate")
    assert reply.json()["choices"][0]["message"]["content"] == "ab"
    assert reply.json()["choices"][0]["finish_reason"] == "stop"
    assert request.json()["parameters"]["stop"] == ["STOP"]


async def test_a_whole_answer_without_one_is_asked_for_whole() -> None:
    """The plain case goes to /generate, and asks for the details."""
    script = lorax(generate=[Send(json_answer(generation("Hi")))])
    async with ScriptedServer(script) as server, running(server) as proxy:
        reply = await proxy.post(CHAT, chat())
    (request,) = server.asked("/generate")
    assert request.json()["parameters"]["details"] is True
    assert reply.json()["choices"][0]["message"]["content"] == "Hi"


async def test_prompt_tokens_that_cannot_be_counted_are_no_bug_of_ours() -> None:
    """/tokenize answers nonsense after our stop match: 502, no traceback, no made-up count."""
    answers = iter([b'[{"id":1,"text":"a"}]', b'[{"id":1,"text":"a"}]', b"nonsense"])

    def tokenize(_request: Request) -> Sequence[Step]:
        return [Send(answer(200, next(answers), "application/json"))]

    stream: list[Step] = [Send(event_stream() + chunk(tokens("a", "STOP"))), Stall()]
    script = lorax(stream=stream, more={"/tokenize": tokenize})
    async with ScriptedServer(script) as server, running(server) as proxy:
        reply = await proxy.post(CHAT, chat(stop="STOP"))
    assert reply.status == 502


# slow clients and silent upstreams


async def standstill(server: ScriptedServer, proxy: Proxy) -> int:
    """How much of an answer was taken once nothing more is, through 50 requests to the proxy.

    Each of them takes the event loop, which all parties share, through several rounds.
    """
    await server.until_asked("/generate_stream")
    still, taken = 0, -1
    while still < 50:
        assert (await proxy.get("/health")).status == 200
        still = still + 1 if server.sent == taken else 0
        taken = server.sent
    return taken


async def test_a_slow_client_holds_the_upstream_back() -> None:
    """64 MB are on offer and nobody reads: only what the buffers on the way hold is taken."""
    block = chunk(tokens(*["x" * 200] * 200))
    steps: list[Step] = [Send(event_stream()), *[Send(block)] * (64 * 2**20 // len(block)), Stall()]
    async with (
        ScriptedServer(lorax(stream=steps), send_buffer=2**16) as server,
        running(server) as proxy,
    ):
        connection = await proxy.connect(receive_buffer=2**16)
        connection.pause()
        await connection.send(request("POST", CHAT, chat(stream=True)))
        taken = await standstill(server, proxy)
        assert 2**16 < taken < 8 * 2**20
        connection.leave()
        await server.client_left(server.asked("/generate_stream")[0].connection)


async def test_a_slow_client_of_two_choices_holds_both_back() -> None:
    """The queue between several choices is bounded too."""
    block = chunk(tokens(*["x" * 200] * 200))
    steps: list[Step] = [Send(event_stream()), *[Send(block)] * (32 * 2**20 // len(block)), Stall()]
    async with (
        ScriptedServer(lorax(stream=steps), send_buffer=2**16) as server,
        running(server) as proxy,
    ):
        connection = await proxy.connect(receive_buffer=2**16)
        connection.pause()
        await connection.send(request("POST", CHAT, chat(stream=True, n=2)))
        taken = await standstill(server, proxy)
        assert 2**16 < taken < 8 * 2**20


SILENCES: list[tuple[str, dict[str, Any], list[Step], dict[str, Any]]] = [
    ("no headers", {"stream": True}, [Stall()], {"idle_timeout": 0.05}),
    ("no event", {"stream": True}, [Send(event_stream()), Stall()], {"first_event_timeout": 0.05}),
    ("no event, idle", {"stream": True}, [Send(event_stream()), Stall()], {"idle_timeout": 0.05}),
    ("folded", {"stop": "x"}, [Send(event_stream()), Stall()], {"first_event_timeout": 0.05}),
    ("whole", {}, [Stall()], {"first_event_timeout": 0.05}),
    ("total", {"stream": True}, [Send(event_stream()), Stall()], {"total_timeout": 0.5}),
    ("total, whole", {}, [Stall()], {"total_timeout": 0.5}),
]


@pytest.mark.parametrize(
    ("name", "extra", "steps", "settings"), SILENCES, ids=[each[0] for each in SILENCES]
)
async def test_silence_before_the_first_event_is_a_504(
    name: str, extra: dict[str, Any], steps: Sequence[Step], settings: dict[str, Any]
) -> None:
    """It may have cost a GPU minutes, so the SDK is told not to repeat it; LoRAX is left."""
    script = lorax(stream=steps, generate=steps)
    async with ScriptedServer(script) as server, running(server, **settings) as proxy:
        reply = await proxy.post(CHAT, chat(**extra))
        assert reply.status == 504
        assert reply.error["code"] == "upstream_timeout"
        assert reply.headers["x-should-retry"] == "false"
        assert ("too long" if "total" in name else "nothing in time") in (
            reply.error["message"].replace("longer than", "too long")
        )
        (request,) = [each for each in server.requests if each.path.startswith("/generate")]
        await server.client_left(request.connection)


@pytest.mark.parametrize("settings", [{"idle_timeout": 0.5}, {"total_timeout": 0.5}])
async def test_silence_behind_tokens_is_an_error_in_band(settings: dict[str, Any]) -> None:
    """A stream that falls silent, or takes too long: an error event, and no [DONE]."""
    steps: list[Step] = [Send(event_stream() + chunk(tokens("a"))), Stall()]
    async with ScriptedServer(lorax(stream=steps)) as server, running(server, **settings) as proxy:
        reply = await proxy.post(CHAT, chat(stream=True))
    assert reply.status == 200
    assert reply.chunks[-1]["error"]["code"] == "upstream_timeout"
    assert "[DONE]" not in reply.events


async def test_comments_keep_a_silent_stream_alive_on_both_sides() -> None:
    """LoRAX's comments restart the idle time-out, ours tell the client that we live."""
    hold = Hold()
    comments = [step for _ in range(8) for step in (Send(chunk(b":\n\n")), Hold())]
    steps: list[Step] = [
        Send(event_stream() + chunk(tokens("a"))),
        *comments,
        hold,
        Send(chunk(tokens("b") + final("</s>", count=3)) + LAST_CHUNK),
    ]
    settings: dict[str, Any] = {"idle_timeout": 5, "keepalive_interval": 0.02}
    async with ScriptedServer(lorax(stream=steps)) as server, running(server, **settings) as proxy:
        connection = await proxy.open("POST", CHAT, chat(stream=True))
        await connection.until(b'"a"')
        for step in comments:
            if isinstance(step, Hold):
                await connection.until(b":\n\n")
                step.gate.set()
        hold.gate.set()
        assert b'"b"' in await connection.until(b"[DONE]\n\n")


async def test_a_scored_prompt_keeps_its_stream_alive() -> None:
    """Echo with logprobs waits for the whole of /generate; its client hears that it lives."""
    hold = Hold()
    prefill = [
        {"id": 1, "text": "<s>", "logprob": None},
        {"id": 2, "text": "x", "logprob": -1.5},
    ]
    whole = json_answer(generation("a", prefill=prefill))
    script = lorax(generate=[hold, Send(whole)])
    async with (
        ScriptedServer(script) as server,
        running(server, status_wait=0.02, keepalive_interval=0.02) as proxy,
    ):
        body = text("x", echo=True, logprobs=1, stream=True)
        connection = await proxy.open("POST", TEXT, body)
        assert (await connection.head())[0] == 200
        await connection.until(b":\n\n")
        await connection.until(b":\n\n")
        hold.gate.set()
        rest = await connection.until(b"[DONE]\n\n")
    assert b'"text":"x"' in rest
    assert b'"token_logprobs":[null]' in rest


async def test_an_unreachable_upstream_is_a_503() -> None:
    """LoRAX went away behind its /info: nothing was sent, so a client may try again."""
    script = lorax(generate=[Send(json_answer(generation("a")))])
    server = ScriptedServer(script)
    await server.start()
    async with running(server, connect_retries=0) as proxy:
        assert (await proxy.post(CHAT, chat())).status == 200
        await server.aclose()
        reply = await proxy.post(CHAT, chat())
        assert reply.status == 503
        assert reply.error["code"] == "upstream_unavailable"
        assert reply.headers["retry-after"] == "2"
        assert "x-should-retry" not in reply.headers


async def test_a_connection_that_is_not_accepted_is_a_503() -> None:
    """A machine that does not answer is given up after connect_timeout."""
    async with ScriptedServer(lorax(generate=[Send(json_answer(generation("a")))])) as server:
        full = socket.create_server(("127.0.0.1", 0), backlog=0)
        waiting = [socket.socket() for _ in range(4)]
        for each in waiting:
            each.setblocking(False)
            each.connect_ex(full.getsockname())
        url = f"http://127.0.0.1:{full.getsockname()[1]}"
        settings: dict[str, Any] = {"connect_timeout": 0.05, "connect_retries": 1}
        async with running(server, upstream=url, **settings) as proxy:
            reply = await proxy.post(CHAT, chat())
        for each in (*waiting, full):
            each.close()
    assert reply.status == 503
    assert reply.headers["retry-after"] == "2"
