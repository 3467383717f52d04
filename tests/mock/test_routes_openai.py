"""LoRAX's `/v1` text routes over a socket."""

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

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
    """The template is rendered, BOS is not added twice, the reply names the base model."""
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
    """Except for special tokens, which a stream shows."""
    asked = _chat(max_tokens=limit)
    plain = mock.http.post("/v1/chat/completions", json=asked).json()
    chunks = _chunks(mock.http.post("/v1/chat/completions", json={**asked, "stream": True}).text)
    texts = [chunk["choices"][0]["delta"].get("content", "") for chunk in chunks]
    assert "".join(texts) == plain["choices"][0]["message"]["content"]
    assert chunks[-1]["usage"] == plain["usage"]
    assert chunks[-1]["choices"][0]["finish_reason"] == plain["choices"][0]["finish_reason"]
    assert ["usage" in chunk for chunk in chunks].count(True) == 1


def test_completions_add_the_bos_and_fold(mock: Running) -> None:
    """Prompt counted as the native route counts it."""
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
    """DONE means that it ended well."""
    asked = _chat(stream=True, model="nobody/nothing")
    reply = mock.http.post("/v1/chat/completions", json=asked)
    assert reply.status_code == 200
    assert reply.text.count("data:") == 1
    assert '"error_type":"generation"' in reply.text


def test_template_and_tool_errors_escape_the_stream(mock: Running) -> None:
    """They come before it, with their own status."""
    asked = _chat(stream=True, tools=_TOOLS, tool_choice="required")
    reply = mock.http.post("/v1/chat/completions", json=asked)
    assert (reply.status_code, reply.json()["error_type"]) == (422, "tool_error")


def test_a_named_tool_is_called(mock: Running) -> None:
    """Non-stream as a call, in a stream as raw JSON content."""
    asked = _chat(tools=_TOOLS, tool_choice="weather", messages=[{"role": "user", "content": "x"}])
    for _ in range(3):
        reply = mock.http.post("/v1/chat/completions", json=asked)
        if reply.status_code == 200:
            call = reply.json()["choices"][0]["message"]["tool_calls"][0]
            assert (call["id"], call["function"]["name"]) == ("0", "weather")
            assert json.loads(call["function"]["arguments"])["city"]
        else:
            # The grammar lets the only property be absent; LoRAX then has nothing to call.
            assert reply.json()["error"] == "Tool error: No function found in generated text"
    chunks = _chunks(mock.http.post("/v1/chat/completions", json={**asked, "stream": True}).text)
    joined = "".join(chunk["choices"][0]["delta"].get("content", "") for chunk in chunks)
    assert isinstance(json.loads(joined), dict)


def test_n_is_best_of_and_shows_the_losers(mock: Running) -> None:
    """Up to two, not with a seed, not in a stream."""
    reply = mock.http.post("/v1/chat/completions", json=_chat(n=2, temperature=0.8)).json()
    assert [choice["index"] for choice in reply["choices"]] == [0, 1]
    refused = mock.http.post("/v1/chat/completions", json=_chat(n=3, temperature=0.8)).json()
    assert refused["error"].endswith("`best_of` must be > 0 and <= 2. Given: 3")
    streamed = mock.http.post("/v1/chat/completions", json=_chat(n=2, stream=True)).text
    assert "`best_of` != 1 is not supported when streaming tokens" in streamed


def test_a_chat_is_dated_now_only_when_time_is_real(
    mock: Running, start_mock: Callable[..., Running]
) -> None:
    """Otherwise equal requests give equal bytes; a stream's chunks are of 1970 either way."""
    asked = _chat(max_tokens=1)
    assert mock.http.post("/v1/chat/completions", json=asked).json()["created"] == 1_700_000_000
    paced = start_mock("--pace", "real", "--step-ms", "0", "--prefill-token-ms", "0")
    before = int(time.time())
    created = paced.http.post("/v1/chat/completions", json={**asked, "model": ""}).json()["created"]
    assert before - 1 <= created <= time.time() + 1
    streamed = mock.http.post("/v1/chat/completions", json={**asked, "stream": True}).text
    assert {chunk["created"] for chunk in _chunks(streamed)} == {0}


def test_the_template_is_the_models_own(start_mock: Callable[..., Running], tmp_path: Path) -> None:
    """With the tokens of its configuration; without one every chat is refused, streamed or not."""
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
