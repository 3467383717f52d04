"""The openai SDK, unchanged, through the proxy to the mock: what an application developer does."""

import json
from typing import Any

import openai
import pytest
from openai import AsyncOpenAI, OpenAI
from openai.types.chat import ChatCompletionMessageParam, ChatCompletionToolParam
from pydantic import BaseModel

BASE = "meta-llama/Meta-Llama-3.1-8B-Instruct"
ADAPTER = "acme/support"
HELLO: list[ChatCompletionMessageParam] = [{"role": "user", "content": "Hello there!"}]
WEATHER: ChatCompletionToolParam = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "The weather in a city.",
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string"}, "unit": {"enum": ["celsius", "kelvin"]}},
            "required": ["city", "unit"],
            "additionalProperties": False,
        },
        "strict": True,
    },
}


def test_a_chat_is_answered_by_the_adapter_that_model_names(client: OpenAI) -> None:
    """The model's name reaches LoRAX as the adapter id: each adapter speaks as itself."""
    for model in (ADAPTER, "acme/pirate"):
        answer = client.chat.completions.create(model=model, messages=HELLO)
        choice = answer.choices[0]
        assert answer.model == model
        assert answer.object == "chat.completion"
        assert model in (choice.message.content or "")
        assert choice.message.role == "assistant"
        assert choice.finish_reason == "stop"
        assert "<|" not in (choice.message.content or "")


def test_usage_adds_up_and_a_budget_ends_in_length(client: OpenAI) -> None:
    """`max_tokens` is LoRAX's budget, and what it counted is what the client is told."""
    answer = client.chat.completions.create(model=ADAPTER, messages=HELLO, max_tokens=5)
    assert answer.choices[0].finish_reason == "length"
    assert answer.usage is not None
    assert answer.usage.completion_tokens == 5
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + 5
    assert answer.usage.prompt_tokens > len(HELLO)


def test_a_stream_adds_up_to_the_whole_answer(client: OpenAI) -> None:
    """With the same seed, the joined deltas are the content of the answer that is not streamed."""
    whole = client.chat.completions.create(model=ADAPTER, messages=HELLO, seed=7)
    chunks = list(
        client.chat.completions.create(
            model=ADAPTER,
            messages=HELLO,
            seed=7,
            stream=True,
            stream_options={"include_usage": True},
        )
    )
    text = "".join(c.choices[0].delta.content or "" for c in chunks if c.choices)
    assert text == whole.choices[0].message.content
    assert chunks[0].choices[0].delta.role == "assistant"
    assert len({(chunk.id, chunk.created, chunk.model) for chunk in chunks}) == 1
    assert chunks[-2].choices[0].finish_reason == "stop"
    assert chunks[-1].choices == []
    assert chunks[-1].usage == whole.usage
    assert all(chunk.usage is None for chunk in chunks[:-1])


def test_a_stop_string_is_cut_from_the_text(client: OpenAI) -> None:
    """LoRAX keeps stop strings in its text; OpenAI's answers end before them."""
    whole = client.chat.completions.create(model=ADAPTER, messages=HELLO, seed=3)
    text = whole.choices[0].message.content or ""
    stop = text[10:13]
    for stream in (False, True):
        kept = _content(client, stream=stream, stop=[stop], seed=3)
        assert kept == text[: text.index(stop)]


def _content(client: OpenAI, *, stream: bool, **extra: Any) -> str:
    if not stream:
        answer = client.chat.completions.create(model=ADAPTER, messages=HELLO, **extra)
        assert answer.choices[0].finish_reason == "stop"
        return answer.choices[0].message.content or ""
    chunks = client.chat.completions.create(model=ADAPTER, messages=HELLO, stream=True, **extra)
    return "".join(chunk.choices[0].delta.content or "" for chunk in chunks)


def test_the_base_model_answers_to_its_own_id(client: OpenAI) -> None:
    """The base model's id is a model name; on LoRAX's wire it must not become an adapter."""
    answer = client.chat.completions.create(model=BASE, messages=HELLO, max_tokens=8)
    assert answer.model == BASE
    assert answer.choices[0].message.content


def test_models_lists_what_can_be_asked(client: OpenAI) -> None:
    """Every listed model is found by its id, slashes included."""
    listed = [model.id for model in client.models.list()]
    assert listed[0] == BASE
    assert ADAPTER in listed
    assert client.models.retrieve(ADAPTER).id == ADAPTER


def test_an_unknown_model_is_a_not_found_error(client: OpenAI) -> None:
    """The SDK raises what it raises for OpenAI, and the message names the nearest model."""
    with pytest.raises(openai.NotFoundError) as caught:
        client.chat.completions.create(model="acme/suport", messages=HELLO)
    assert caught.value.code == "model_not_found"
    assert "`acme/support`" in caught.value.message


@pytest.mark.parametrize("stream", [False, True])
def test_lorax_refusing_a_budget_is_a_bad_request(client: OpenAI, *, stream: bool) -> None:
    """LoRAX refuses a stream with status 200 and an event; the client gets a real status."""
    with pytest.raises(openai.BadRequestError) as caught:
        client.chat.completions.create(
            model=ADAPTER, messages=HELLO, max_tokens=100_000, stream=stream
        )
    assert caught.value.code == "context_length_exceeded"
    assert caught.value.param == "messages"


def test_a_forced_tool_call_has_arguments_that_fit_its_schema(client: OpenAI) -> None:
    """The answer is a call of the tool that was named, whole and streamed."""
    answer = client.chat.completions.create(
        model=ADAPTER,
        messages=HELLO,
        tools=[WEATHER],
        tool_choice={"type": "function", "function": {"name": "get_weather"}},
        parallel_tool_calls=False,
    )
    choice = answer.choices[0]
    assert choice.finish_reason == "tool_calls"
    assert choice.message.content is None
    assert choice.message.tool_calls is not None
    (call,) = choice.message.tool_calls
    assert call.type == "function"
    arguments = json.loads(call.function.arguments)
    assert set(arguments) == {"city", "unit"}
    assert arguments["unit"] in ("celsius", "kelvin")


def test_a_streamed_tool_call_concatenates_to_valid_json(client: OpenAI) -> None:
    """The SDK's own accumulator puts the fragments together."""
    with client.chat.completions.stream(
        model=ADAPTER, messages=HELLO, tools=[WEATHER], tool_choice="required"
    ) as stream:
        completion = stream.get_final_completion()
    calls = completion.choices[0].message.tool_calls
    assert calls
    for call in calls:
        assert call.function.name == "get_weather"
        assert set(json.loads(call.function.arguments)) == {"city", "unit"}


class Ticket(BaseModel):
    """What the structured-output test asks for."""

    subject: str
    urgency: int
    tags: list[str]


def test_parse_returns_the_model_that_was_asked_for(client: OpenAI) -> None:
    """`.parse()` sends a strict JSON schema, and LoRAX's constrained decoding keeps to it."""
    answer = client.chat.completions.parse(model=ADAPTER, messages=HELLO, response_format=Ticket)
    assert isinstance(answer.choices[0].message.parsed, Ticket)


async def test_async_chat_and_stream(async_client: AsyncOpenAI) -> None:
    """The async SDK gets the same answers."""
    whole = await async_client.chat.completions.create(model=ADAPTER, messages=HELLO, seed=1)
    stream = await async_client.chat.completions.create(
        model=ADAPTER, messages=HELLO, seed=1, stream=True
    )
    text = "".join([chunk.choices[0].delta.content or "" async for chunk in stream])
    assert text == whole.choices[0].message.content


def test_completions_echo_and_score_a_prompt(client: OpenAI) -> None:
    """`echo` with `logprobs` and no budget scores the prompt, as evaluation harnesses do."""
    answer = client.completions.create(
        model=ADAPTER, prompt="The sea is wide", echo=True, logprobs=1, max_tokens=0
    )
    choice = answer.choices[0]
    assert choice.text == "The sea is wide"
    assert choice.logprobs is not None
    assert "".join(choice.logprobs.tokens or []) == "The sea is wide"
    assert answer.usage is not None
    assert answer.usage.completion_tokens == 0


def test_every_reply_is_marked_as_invented(base_url: str) -> None:
    """A demo's answers cannot be mistaken for a model's."""
    with OpenAI(base_url=base_url, api_key="unused") as client:
        raw = client.chat.completions.with_raw_response.create(model=ADAPTER, messages=HELLO)
    assert raw.headers["x-lorax-mock"] == "1"
    assert raw.headers["x-request-id"]
