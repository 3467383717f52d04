"""langchain-openai: chat, streams, tools, structured output, embeddings' refusal."""

import openai
import pytest
from langchain_core.messages import AIMessage, HumanMessage, ToolMessage
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI, OpenAI
from pydantic import BaseModel, SecretStr

from tests.compat.demo import ADAPTER


class Ticket(BaseModel):
    """A support ticket."""

    topic: str
    urgent: bool


@tool
def get_weather(city: str) -> str:
    """Tell the weather in a city."""
    return f"It rains in {city}."


@pytest.fixture
def model(base_url: str) -> ChatOpenAI:
    """A chat model as its documentation makes it."""
    return ChatOpenAI(
        model=ADAPTER, base_url=base_url, api_key=SecretStr("unused"), temperature=0, max_retries=0
    )


def test_invoke(model: ChatOpenAI) -> None:
    """Text, the reason and usage where langchain looks for them."""
    answer = model.invoke("Where is the harbour?")
    assert ADAPTER in answer.text
    assert answer.response_metadata["finish_reason"] == "stop"
    assert answer.usage_metadata is not None
    assert answer.usage_metadata["output_tokens"] > 0


def test_stream_adds_up(model: ChatOpenAI) -> None:
    """Chunks add up to the whole answer, usage included."""
    whole = model.invoke("Where is the harbour?")
    chunks = list(model.stream("Where is the harbour?", stream_usage=True))
    joined = chunks[0]
    for chunk in chunks[1:]:
        joined += chunk
    assert joined.text == whole.text
    assert joined.usage_metadata is not None
    assert whole.usage_metadata is not None
    assert joined.usage_metadata["total_tokens"] == whole.usage_metadata["total_tokens"]


@pytest.mark.anyio
async def test_async(model: ChatOpenAI) -> None:
    """The asynchronous calls say the same."""
    answer = await model.ainvoke("Where is the harbour?")
    parts = [chunk.text async for chunk in model.astream("Where is the harbour?")]
    assert "".join(parts) == answer.text


@pytest.mark.parametrize("streamed", [False, True])
def test_tools(model: ChatOpenAI, *, streamed: bool) -> None:
    """A bound tool is called, and its result goes back."""
    bound = model.bind_tools([get_weather], tool_choice="any")
    question = HumanMessage("Weather in Oslo?")
    if streamed:
        chunks = list(bound.stream([question]))
        first = chunks[0]
        for chunk in chunks[1:]:
            first += chunk
        asked = AIMessage(content=first.content, tool_calls=first.tool_calls)
    else:
        answer = bound.invoke([question])
        assert isinstance(answer, AIMessage)
        asked = answer
    assert asked.tool_calls
    assert {call["name"] for call in asked.tool_calls} == {"get_weather"}
    results: list[ToolMessage] = [get_weather.invoke(call) for call in asked.tool_calls]
    last = model.invoke([question, asked, *results])
    assert last.text


@pytest.mark.parametrize("method", ["json_schema", "function_calling", "json_mode"])
def test_structured_output(model: ChatOpenAI, method: str) -> None:
    """Each of langchain's methods gives the caller's class; free JSON gives JSON."""
    if method == "json_mode":
        runnable = model.with_structured_output(None, method="json_mode")
        assert isinstance(runnable.invoke("A ticket as JSON, please"), dict)
        return
    typed = model.with_structured_output(Ticket, method=method)
    assert isinstance(typed.invoke("My printer is on fire"), Ticket)


def test_completions(base_url: str) -> None:
    """The older model class."""
    llm = OpenAI(
        model=ADAPTER, base_url=base_url, api_key=SecretStr("unused"), temperature=0, max_tokens=20
    )
    assert llm.invoke("One, two,")
    assert "".join(llm.stream("One, two,")) == llm.invoke("One, two,")


def test_errors(model: ChatOpenAI) -> None:
    """The SDK's exceptions arrive unwrapped."""
    with pytest.raises(openai.NotFoundError):
        model.invoke("x", model="no/such")
