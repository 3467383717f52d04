"""The openai package, second line, against proxy and mock: what its users do, and see."""

import json
from typing import Any, Literal

import openai
import pytest
from openai import AsyncOpenAI, OpenAI
from openai.types.chat import ChatCompletionToolParam
from pydantic import BaseModel

from tests.compat.demo import ADAPTER, BASE_MODEL

HELLO: Any = [{"role": "user", "content": "Where is the harbour?"}]

WEATHER: ChatCompletionToolParam = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "The weather in a city",
        "parameters": {
            "type": "object",
            "properties": {
                "city": {"type": "string"},
                "unit": {"type": "string", "enum": ["C", "F"]},
            },
            "required": ["city", "unit"],
            "additionalProperties": False,
        },
        "strict": True,
    },
}


class Ticket(BaseModel):
    """A shape with the usual parts."""

    topic: str
    urgency: Literal["low", "high"]
    tags: list[str]
    count: int


@pytest.fixture
def client(base_url: str) -> OpenAI:
    """A client as users make it; without retries, so that each error is seen at once."""
    return OpenAI(base_url=base_url, api_key="unused", max_retries=0)


@pytest.fixture
def async_client(base_url: str) -> AsyncOpenAI:
    """The same, asynchronous."""
    return AsyncOpenAI(base_url=base_url, api_key="unused", max_retries=0)


def test_it_is_the_second_line() -> None:
    """Otherwise this suite tests nothing that `make test` does not."""
    assert openai.VERSION.startswith("2.")


def test_chat(client: OpenAI) -> None:
    """Text in the adapter's voice, the name that was asked for, a reason and usage that adds up."""
    answer = client.chat.completions.create(model=ADAPTER, messages=HELLO, temperature=0)
    choice = answer.choices[0]
    assert ADAPTER in (choice.message.content or "")
    assert choice.message.role == "assistant"
    assert choice.finish_reason == "stop"
    assert answer.model == ADAPTER
    assert answer.usage is not None
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens


def test_stream_tells_the_same(client: OpenAI) -> None:
    """The streamed pieces join to the whole answer; usage comes last, once, when asked for."""
    whole = client.chat.completions.create(model=ADAPTER, messages=HELLO, temperature=0)
    chunks = list(
        client.chat.completions.create(
            model=ADAPTER,
            messages=HELLO,
            temperature=0,
            stream=True,
            stream_options={"include_usage": True},
        )
    )
    text = "".join(c.choices[0].delta.content or "" for c in chunks if c.choices)
    assert text == whole.choices[0].message.content
    assert len({chunk.id for chunk in chunks}) == 1
    assert [chunk.usage for chunk in chunks[:-1]] == [None] * (len(chunks) - 1)
    assert chunks[-1].usage == whole.usage
    assert [c.choices[0].finish_reason for c in chunks if c.choices][-1] == "stop"


@pytest.mark.anyio
async def test_async_chat_and_stream(async_client: AsyncOpenAI) -> None:
    """The asynchronous client sees the same, and a stream can be left early."""
    whole = await async_client.chat.completions.create(model=ADAPTER, messages=HELLO, temperature=0)
    stream = await async_client.chat.completions.create(
        model=ADAPTER, messages=HELLO, temperature=0, stream=True
    )
    parts = [c.choices[0].delta.content or "" async for c in stream]
    assert "".join(parts) == whole.choices[0].message.content
    left = await async_client.chat.completions.create(
        model=ADAPTER, messages=HELLO, temperature=0, stream=True
    )
    async for _ in left:
        break
    await left.close()
    again = await async_client.chat.completions.create(model=ADAPTER, messages=HELLO, temperature=0)
    assert again.choices == whole.choices
    await async_client.close()


def test_limits_and_stop_strings(client: OpenAI) -> None:
    """`length` when the budget ended it, `stop` when a stop string did, which is not in the text."""
    short = client.chat.completions.create(
        model=ADAPTER, messages=HELLO, temperature=0, max_completion_tokens=3
    )
    assert short.choices[0].finish_reason == "length"
    assert short.usage is not None
    assert short.usage.completion_tokens == 3
    full = client.chat.completions.create(model=ADAPTER, messages=HELLO, temperature=0)
    text = full.choices[0].message.content or ""
    word = text[10:14]
    cut = client.chat.completions.create(model=ADAPTER, messages=HELLO, temperature=0, stop=word)
    assert cut.choices[0].message.content == text[: text.index(word)]
    assert cut.choices[0].finish_reason == "stop"


def test_choices_and_logprobs(client: OpenAI) -> None:
    """Several choices in order; the bytes of the logprobs join to the content."""
    answer = client.chat.completions.create(
        model=ADAPTER, messages=HELLO, n=2, seed=4, logprobs=True, top_logprobs=2, temperature=0.8
    )
    assert [choice.index for choice in answer.choices] == [0, 1]
    for choice in answer.choices:
        assert choice.logprobs is not None
        assert choice.logprobs.content is not None
        joined = b"".join(bytes(token.bytes or ()) for token in choice.logprobs.content)
        assert joined.decode() == choice.message.content
        assert all(len(token.top_logprobs) == 2 for token in choice.logprobs.content)


@pytest.mark.parametrize(
    "choice", ["required", {"type": "function", "function": {"name": "get_weather"}}]
)
def test_tool_calls(client: OpenAI, choice: Any) -> None:
    """A forced call has a name, an id of its own and arguments that fit its schema."""
    answer = client.chat.completions.create(
        model=ADAPTER, messages=HELLO, temperature=0, tools=[WEATHER], tool_choice=choice
    )
    (got,) = answer.choices
    assert got.message.tool_calls
    call = got.message.tool_calls[0]
    assert call.type == "function"
    assert call.function.name == "get_weather"
    assert set(json.loads(call.function.arguments)) == {"city", "unit"}
    if choice == "required":
        assert got.finish_reason == "tool_calls"


def test_a_tool_conversation(client: OpenAI) -> None:
    """The call and its result go back into the conversation."""
    first = client.chat.completions.create(
        model=ADAPTER, messages=HELLO, temperature=0, tools=[WEATHER], tool_choice="required"
    )
    message = first.choices[0].message
    assert message.tool_calls
    second = client.chat.completions.create(
        model=ADAPTER,
        messages=[
            *HELLO,
            message.to_dict(),
            *(
                {"role": "tool", "tool_call_id": call.id, "content": '{"degrees": 21}'}
                for call in message.tool_calls
            ),
        ],
        tools=[WEATHER],
        tool_choice="none",
    )
    assert second.choices[0].message.content
    assert not second.choices[0].message.tool_calls


def test_streamed_tool_calls(client: OpenAI) -> None:
    """The SDK's own stream helper puts the fragments together to what the whole answer has."""
    whole = client.chat.completions.create(
        model=ADAPTER, messages=HELLO, temperature=0, tools=[WEATHER], tool_choice="required"
    )
    with client.chat.completions.stream(
        model=ADAPTER, messages=HELLO, temperature=0, tools=[WEATHER], tool_choice="required"
    ) as stream:
        kinds = [event.type for event in stream]
        final = stream.get_final_completion()
    assert kinds.count("tool_calls.function.arguments.done") == len(
        whole.choices[0].message.tool_calls or ()
    )
    calls = final.choices[0].message.tool_calls or []
    expected = whole.choices[0].message.tool_calls or []
    assert [(c.function.name, c.function.arguments) for c in calls] == [
        (c.function.name, c.function.arguments) for c in expected if c.type == "function"
    ]
    assert final.choices[0].finish_reason == "tool_calls"


def test_parse(client: OpenAI) -> None:
    """`.parse()` gives an object of the caller's class."""
    answer = client.chat.completions.parse(
        model=ADAPTER, messages=HELLO, temperature=0, response_format=Ticket
    )
    parsed = answer.choices[0].message.parsed
    assert isinstance(parsed, Ticket)
    assert Ticket.model_validate_json(answer.choices[0].message.content or "") == parsed


def test_parse_of_tools(client: OpenAI) -> None:
    """`pydantic_function_tool` arguments come back as objects."""
    answer = client.chat.completions.parse(
        model=ADAPTER,
        messages=HELLO,
        tools=[openai.pydantic_function_tool(Ticket)],
        tool_choice="required",
    )
    calls = answer.choices[0].message.tool_calls
    assert calls
    assert isinstance(calls[0].function.parsed_arguments, Ticket)


def test_streamed_parse(client: OpenAI) -> None:
    """The same from a stream."""
    with client.chat.completions.stream(
        model=ADAPTER, messages=HELLO, temperature=0, response_format=Ticket
    ) as stream:
        for _ in stream:
            pass
        final = stream.get_final_completion()
    assert isinstance(final.choices[0].message.parsed, Ticket)


def test_json_mode(client: OpenAI) -> None:
    """`json_object` answers are JSON objects."""
    answer = client.chat.completions.create(
        model=ADAPTER, messages=HELLO, temperature=0, response_format={"type": "json_object"}
    )
    assert isinstance(json.loads(answer.choices[0].message.content or ""), dict)


def test_completions(client: OpenAI) -> None:
    """The older endpoint: several prompts, 16 tokens unless told otherwise, streamed and not."""
    answer = client.completions.create(model=ADAPTER, prompt=["One", "Two"], max_tokens=40)
    assert [choice.index for choice in answer.choices] == [0, 1]
    short = client.completions.create(model=ADAPTER, prompt="One", temperature=0)
    assert short.usage is not None
    assert short.usage.completion_tokens == 16
    assert short.choices[0].finish_reason == "length"
    stream = client.completions.create(model=ADAPTER, prompt="One", temperature=0, stream=True)
    assert "".join(chunk.choices[0].text for chunk in stream) == short.choices[0].text


def test_models(client: OpenAI) -> None:
    """The list, and one of it, whose id has a slash."""
    ids = [model.id for model in client.models.list()]
    assert {BASE_MODEL, ADAPTER} <= {*ids}
    assert client.models.retrieve(ADAPTER).id == ADAPTER


def test_extensions(client: OpenAI) -> None:
    """LoRAX's own parameters go through `extra_body`."""
    answer = client.chat.completions.create(
        model=ADAPTER,
        messages=HELLO,
        temperature=0,
        extra_body={"top_k": 5, "repetition_penalty": 1.1},
        seed=1,
    )
    assert answer.choices[0].message.content


def test_unknown_model(client: OpenAI) -> None:
    """404, with the code that clients look for."""
    with pytest.raises(openai.NotFoundError) as caught:
        client.chat.completions.create(model="no/such", messages=HELLO)
    assert caught.value.code == "model_not_found"
    assert caught.value.request_id


def test_unsupported_parameter(client: OpenAI) -> None:
    """400, naming the parameter."""
    with pytest.raises(openai.BadRequestError) as caught:
        client.chat.completions.create(
            model=ADAPTER, messages=HELLO, temperature=0, logit_bias={"50256": -100}
        )
    assert (caught.value.param, caught.value.code) == ("logit_bias", "unsupported_parameter")


def test_too_long(client: OpenAI) -> None:
    """More than the context is 400 `context_length_exceeded`, streamed or not."""
    messages: Any = [{"role": "user", "content": "sea " * 6000}]
    for stream in (False, True):
        with pytest.raises(openai.BadRequestError) as caught:
            client.chat.completions.create(model=ADAPTER, messages=messages, stream=stream)
        assert caught.value.code == "context_length_exceeded"


def test_authentication(locked_url: str) -> None:
    """A wrong key is 401; the right one is let in."""
    with pytest.raises(openai.AuthenticationError) as caught:
        OpenAI(base_url=locked_url, api_key="wrong").models.list()
    assert caught.value.code == "invalid_api_key"
    assert list(OpenAI(base_url=locked_url, api_key="open-sesame").models.list())


def test_raw_response(client: OpenAI) -> None:
    """The headers that tools read are there."""
    raw = client.chat.completions.with_raw_response.create(
        model=ADAPTER, messages=HELLO, temperature=0
    )
    assert raw.headers["x-request-id"] == raw.request_id
    assert int(raw.headers["openai-processing-ms"]) >= 0
    assert raw.headers["x-lorax-mock"] == "1"
