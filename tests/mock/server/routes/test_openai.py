"""LoRAX's `/v1` text routes over a socket."""

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from lorax_mock.server.app import create_app
from lorax_mock.settings import Limits, Settings
from tests.mock.conftest import Running


def _chat(**rest: Any) -> dict[str, Any]:
    return {
        "model": "acme/pirate",
        "messages": [{"role": "user", "content": "What is a reef?"}],
        "temperature": 0,
        **rest,
    }


_TOOLS = [
    {
        "type": "function",
        "function": {
            "name": "weather",
            "parameters": {
                "type": "object",
                "properties": {"city": {"type": "string"}},
                "required": ["city"],
            },
        },
    }
]


def _chunks(text: str) -> list[Any]:
    assert text.endswith("data: [DONE]\n\n")
    blocks = text.removesuffix("data: [DONE]\n\n").split("\n\n")
    return [json.loads(block.removeprefix("data: ")) for block in blocks if block]


def test_a_chat_answers_in_the_adapters_voice(mock: Running) -> None:
    """A chat is rendered by the template without a second BOS, and its reply names the base model."""
    reply = mock.http.post("/v1/chat/completions", json=_chat())
    told = reply.json()
    assert "acme/pirate" in told["choices"][0]["message"]["content"]
    assert "What is a reef" in told["choices"][0]["message"]["content"]
    assert told["model"] == mock.announced["model_id"]
    prompt = (
        "<|start_header_id|>user<|end_header_id|>\n\nWhat is a reef?<|eot_id|>"
        "<|start_header_id|>assistant<|end_header_id|>\n\n"
    )
    counted = len(mock.http.post("/tokenize", json={"inputs": prompt}).json())
    assert told["usage"]["prompt_tokens"] == counted


@pytest.mark.parametrize("limit", [None, 5])
def test_chat_chunks_join_to_the_chat(mock: Running, limit: int | None) -> None:
    """A chat's chunks join to its whole content but for special tokens, which a stream shows."""
    asked = _chat(max_tokens=limit)
    plain = mock.http.post("/v1/chat/completions", json=asked).json()
    chunks = _chunks(mock.http.post("/v1/chat/completions", json={**asked, "stream": True}).text)
    texts = [chunk["choices"][0]["delta"].get("content", "") for chunk in chunks]
    assert "".join(texts) == plain["choices"][0]["message"]["content"]
    assert chunks[-1]["usage"] == plain["usage"]
    assert chunks[-1]["choices"][0]["finish_reason"] == plain["choices"][0]["finish_reason"]
    assert ["usage" in chunk for chunk in chunks].count(True) == 1


def test_completions_add_the_bos_and_fold(mock: Running) -> None:
    """A completion's prompt is counted as the native route counts it, and its stream folds to the whole."""
    asked = {"model": "", "prompt": "What is a reef?", "echo": True}
    plain = mock.http.post("/v1/completions", json=asked).json()
    native = {"inputs": "What is a reef?", "parameters": {"details": True}}
    expected = mock.http.post("/generate", json=native).json()
    assert plain["choices"][0]["text"] == "What is a reef?" + expected["generated_text"]
    assert plain["usage"]["prompt_tokens"] == expected["details"]["prompt_tokens"]
    chunks = _chunks(mock.http.post("/v1/completions", json={**asked, "stream": True}).text)
    joined = "".join(chunk["choices"][0]["text"] for chunk in chunks)
    assert joined == expected["generated_text"]


def test_an_error_event_is_not_followed_by_done(mock: Running) -> None:
    """A stream that ends with an error event has no `[DONE]`."""
    asked = _chat(stream=True, model="nobody/nothing")
    reply = mock.http.post("/v1/chat/completions", json=asked)
    assert reply.status_code == 200
    assert reply.text.count("data:") == 1
    assert '"error_type":"generation"' in reply.text


def test_template_and_tool_errors_escape_the_stream(mock: Running) -> None:
    """Template and tool errors of a streamed chat keep their own status."""
    asked = _chat(stream=True, tools=_TOOLS, tool_choice="required")
    reply = mock.http.post("/v1/chat/completions", json=asked)
    assert (reply.status_code, reply.json()["error_type"]) == (422, "tool_error")


def test_a_named_tool_is_called(mock: Running) -> None:
    """A named tool is a call in a whole answer and raw JSON content in a stream."""
    asked = _chat(tools=_TOOLS, tool_choice="weather", messages=[{"role": "user", "content": "x"}])
    for _ in range(3):
        reply = mock.http.post("/v1/chat/completions", json=asked)
        if reply.status_code == 200:
            choice = reply.json()["choices"][0]
            call = choice["message"]["tool_calls"][0]
            assert (call["id"], call["function"]["name"]) == ("0", "weather")
            assert choice["finish_reason"] == "stop"
            assert json.loads(call["function"]["arguments"])["city"]
        else:
            # The grammar lets the only property be absent; LoRAX then has nothing to call.
            assert reply.json()["error"] == "Tool error: No function found in generated text"
    chunks = _chunks(mock.http.post("/v1/chat/completions", json={**asked, "stream": True}).text)
    joined = "".join(chunk["choices"][0]["delta"].get("content", "") for chunk in chunks)
    assert isinstance(json.loads(joined), dict)


def test_n_is_best_of_and_shows_the_losers(mock: Running) -> None:
    """A chat's `n` is best_of with all sequences shown, up to two, without a seed or a stream."""
    both = mock.http.post("/v1/chat/completions", json=_chat(n=2, temperature=0.8))
    reply = both.json()
    assert [choice["index"] for choice in reply["choices"]] == [0, 1]
    assert reply["choices"][0]["message"] != reply["choices"][1]["message"]
    # The winner's tokens alone are counted.
    assert f"{reply['usage']['completion_tokens']}" == both.headers["x-generated-tokens"]
    refused = mock.http.post("/v1/chat/completions", json=_chat(n=3, temperature=0.8)).json()
    assert refused["error"].endswith("`best_of` must be > 0 and <= 2. Given: 3")
    for count in (0, 2):
        streamed = mock.http.post("/v1/chat/completions", json=_chat(n=count, stream=True)).text
        assert "`best_of` != 1 is not supported when streaming tokens" in streamed
    for wrong, words in (
        ({"seed": 1, "temperature": 0.8}, "`seed` must not be set when `best_of` > 1"),
        ({"temperature": 0}, "you must use sampling when `best_of` is > 1"),
    ):
        refused = mock.http.post("/v1/chat/completions", json=_chat(n=2, **wrong)).json()
        assert refused["error"].endswith(words)
    assert mock.http.post("/v1/chat/completions", json=_chat(n=2, top_p=0.9)).status_code == 200


def test_a_chat_is_dated_now_only_when_time_is_real(
    mock: Running, start_mock: Callable[..., Running]
) -> None:
    """A whole chat is dated now only with a real pace, and a stream's chunks are of 1970 in either case."""
    asked = _chat(max_tokens=1)
    assert mock.http.post("/v1/chat/completions", json=asked).json()["created"] == 1_700_000_000
    paced = start_mock("--pace", "real", "--step-ms", "0", "--prefill-token-ms", "0")
    before = int(time.time())
    created = paced.http.post("/v1/chat/completions", json={**asked, "model": ""}).json()["created"]
    assert before - 1 <= created <= time.time() + 1
    streamed = mock.http.post("/v1/chat/completions", json={**asked, "stream": True}).text
    assert {chunk["created"] for chunk in _chunks(streamed)} == {0}


def test_the_template_is_the_models_own(start_mock: Callable[..., Running], tmp_path: Path) -> None:
    """Chats use the configured template and tokens, and without a template every chat is refused."""
    config = tmp_path / "tokenizer_config.json"
    template = (
        "{{ bos_token }}{% if messages[0].role == 'x' %}\n{{ raise_exception('no') }}{% endif %}"
    )
    config.write_text(json.dumps({"chat_template": template, "bos_token": "<s>"}))
    own = start_mock("--tokenizer-config-path", str(config))
    told = own.http.post("/v1/chat/completions", json=_chat())
    assert told.headers["x-compute-characters"] == "3"
    odd = _chat(messages=[{"role": "x"}], stream=True)
    refused = own.http.post("/v1/chat/completions", json=odd)
    assert refused.status_code == 422
    assert refused.json() == {
        "error": "Failed applying chat template to inputs: syntax error: no (in <string>:2)",
        "error_type": "template_error",
    }
    config.write_text("{}")
    bare = start_mock("--tokenizer-config-path", str(config))
    refused = bare.http.post("/v1/chat/completions", json=_chat(stream=True))
    assert refused.json()["error"] == "Failed applying chat template to inputs: template not found"


def test_what_is_ignored_changes_nothing(mock: Running) -> None:
    """Parameters that LoRAX does not know change no byte of the answer."""
    plain = mock.http.post("/v1/chat/completions", json=_chat(max_tokens=9))
    extras = {
        "max_completion_tokens": 2,
        "logprobs": True,
        "top_logprobs": 3,
        "stream_options": {"include_usage": True},
        "parallel_tool_calls": False,
        "merged_adapters": {"ids": ["x"]},
        "logit_bias": {"5": -100},
        "user": "u",
    }
    messages = [{"role": "user", "content": "What is a reef?", "name": "n", "tool_call_id": "1"}]
    told = mock.http.post(
        "/v1/chat/completions", json=_chat(max_tokens=9, **extras) | {"messages": messages}
    )
    assert told.content == plain.content
    prompt = {"model": "", "prompt": "reef", "max_tokens": 3}
    plain = mock.http.post("/v1/completions", json=prompt)
    form = {"response_format": {"type": "json_object"}, "suffix": "s", "tools": _TOOLS}
    assert mock.http.post("/v1/completions", json={**prompt, **form}).content == plain.content


def test_logprobs_are_refused_in_a_stream_and_never_come(mock: Running) -> None:
    """Logprobs of a chat are refused in a stream and null in a whole answer."""
    asked = {"model": "", "prompt": "reef", "max_tokens": 2, "logprobs": 0}
    reply = mock.http.post("/v1/completions", json=asked).json()
    assert reply["choices"][0]["logprobs"] is None
    streamed = mock.http.post("/v1/completions", json={**asked, "stream": True})
    assert streamed.status_code == 200
    assert "`decoder_input_details` == true is not supported when streaming" in streamed.text
    assert "[DONE]" not in streamed.text


def test_completions_have_one_choice(mock: Running) -> None:
    """A completion has one choice whatever `n` and `best_of` say."""
    asked = {"model": "", "prompt": "reef", "max_tokens": 2, "n": 7, "best_of": 2}
    reply = mock.http.post("/v1/completions", json=asked).json()
    assert len(reply["choices"]) == 1


def test_a_rendered_bos_is_doubled_on_the_native_route(mock: Running) -> None:
    """The native route adds a BOS to a prompt that begins with one."""
    body = {"parameters": {"decoder_input_details": True, "max_new_tokens": 1}}
    doubled = mock.http.post("/generate", json={**body, "inputs": "<|begin_of_text|>hi"}).json()
    texts = [token["text"] for token in doubled["details"]["prefill"]]
    assert texts[:2] == ["<|begin_of_text|>"] * 2
    single = mock.http.post("/generate", json={**body, "inputs": "hi"}).json()
    assert [token["text"] for token in single["details"]["prefill"]] == texts[1:]


def test_json_ends_by_itself_and_goes_on_when_eos_is_ignored(mock: Running) -> None:
    """Complete JSON ends with EOS, and goes on with anything where EOS is ignored."""
    form = {"type": "json_object", "schema": {"type": "integer"}}
    asked = _chat(response_format=form, max_tokens=30)
    told = mock.http.post("/v1/chat/completions", json=asked).json()["choices"][0]
    assert told["finish_reason"] == "stop"
    number = told["message"]["content"]
    assert json.loads(number) == int(number)
    on = mock.http.post("/v1/chat/completions", json={**asked, "ignore_eos_token": True}).json()
    assert on["choices"][0]["finish_reason"] == "length"
    assert on["usage"]["completion_tokens"] == 30
    assert on["choices"][0]["message"]["content"].startswith(number)
    assert len(on["choices"][0]["message"]["content"]) > len(number)


async def test_each_choice_takes_a_permit() -> None:
    """Each choice takes a permit, and two are refused where one is left."""
    app = create_app(Settings(limits=Limits(max_concurrent_requests=2)))
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://mock") as client:
        body = {"model": "", "prompt": "reef", "max_tokens": 1, "n": 1}
        for best_of, status in ((1, 200), (2, 429)):
            with app.state.permits.hold(1):
                reply = await client.post("/v1/completions", json={**body, "best_of": best_of})
            assert reply.status_code == status
        both = await client.post("/v1/completions", json={**body, "best_of": 2})
        assert both.status_code == 200


def test_the_first_use_of_a_schema_takes_its_time(start_mock: Callable[..., Running]) -> None:
    """The first use of a schema takes its compile time in the headers, and the second does not."""
    running = start_mock("--schema-compile-ms", "1234")
    form = {"type": "json_object", "schema": {"const": 7}}
    waits = [
        running.http.post(
            "/v1/chat/completions", json=_chat(model="", response_format=form)
        ).headers["x-time-to-first-token"]
        for _ in range(2)
    ]
    assert 1234 <= int(waits[0]) < 1300
    assert int(waits[1]) < 66


async def test_an_answer_that_is_no_call_was_a_success_to_the_counters() -> None:
    """An answer that is no tool call is counted as a success before it is refused."""
    transport = httpx.ASGITransport(create_app())
    async with httpx.AsyncClient(transport=transport, base_url="http://mock") as client:
        cut = _chat(tools=_TOOLS, tool_choice="weather", max_tokens=2)
        reply = await client.post("/v1/chat/completions", json=cut)
        assert reply.json()["error_type"] == "tool_error"
        told = (await client.get("/metrics")).text
        assert "lorax_request_success 1\n" in told
        assert "lorax_request_failure" not in told
