"""pydantic-ai: agents with tools and typed results."""

import pytest
from pydantic import BaseModel
from pydantic_ai import Agent, ModelHTTPError, NativeOutput, ToolOutput
from pydantic_ai.models.openai import OpenAIChatModel
from pydantic_ai.providers.openai import OpenAIProvider

from tests.compat.demo import ADAPTER

pytestmark = pytest.mark.anyio


class Ticket(BaseModel):
    """A support ticket."""

    topic: str
    urgent: bool


@pytest.fixture
def model(base_url: str) -> OpenAIChatModel:
    """A chat model as its documentation makes it."""
    provider = OpenAIProvider(base_url=base_url, api_key="unused")
    return OpenAIChatModel(ADAPTER, provider=provider, settings={"temperature": 0})


async def test_text(model: OpenAIChatModel) -> None:
    """Text and usage."""
    result = await Agent(model, instructions="Be brief.").run("Where is the harbour?")
    assert ADAPTER in result.output
    assert result.usage.output_tokens > 0


async def test_stream(model: OpenAIChatModel) -> None:
    """Deltas join to the text of the whole answer."""
    agent = Agent(model)
    whole = await agent.run("Where is the harbour?")
    async with agent.run_stream("Where is the harbour?") as stream:
        text = "".join([part async for part in stream.stream_text(delta=True, debounce_by=None)])
    assert text == whole.output


async def test_native_output(model: OpenAIChatModel) -> None:
    """A typed result by `response_format`."""
    result = await Agent(model, output_type=NativeOutput(Ticket)).run("My printer is on fire")
    assert isinstance(result.output, Ticket)


async def test_tool_output(model: OpenAIChatModel) -> None:
    """A typed result by a forced tool call."""
    result = await Agent(model, output_type=ToolOutput(Ticket)).run("My printer is on fire")
    assert isinstance(result.output, Ticket)


async def test_streamed_tool_output(model: OpenAIChatModel) -> None:
    """The same, streamed."""
    async with Agent(model, output_type=ToolOutput(Ticket)).run_stream("Printer on fire") as stream:
        output = await stream.get_output()
    assert isinstance(output, Ticket)


async def test_a_tool_may_be_called(model: OpenAIChatModel) -> None:
    """An agent with a tool comes to an end, whether the model called it or not."""
    agent = Agent(model)
    called: list[str] = []

    @agent.tool_plain
    def get_weather(city: str) -> str:
        """Tell the weather in a city."""
        called.append(city)
        return f"It rains in {city}."

    result = await agent.run("Weather in Oslo?")
    assert result.output


async def test_errors(base_url: str) -> None:
    """The status and the body reach the caller."""
    provider = OpenAIProvider(base_url=base_url, api_key="unused")
    with pytest.raises(ModelHTTPError) as caught:
        await Agent(OpenAIChatModel("no/such", provider=provider)).run("x")
    assert caught.value.status_code == 404
