"""instructor: typed answers in its modes, over the second line of the openai package."""

from typing import Literal

import instructor
import pytest
from openai import OpenAI
from pydantic import BaseModel

from tests.compat.demo import ADAPTER


class Ticket(BaseModel):
    """A support ticket."""

    topic: str
    urgency: Literal["low", "high"]
    tags: list[str]


@pytest.mark.parametrize(
    "mode",
    # Mode.JSON puts the schema into words, which a mock does not read
    [instructor.Mode.TOOLS, instructor.Mode.TOOLS_STRICT, instructor.Mode.JSON_SCHEMA],
)
def test_typed_answers(base_url: str, mode: instructor.Mode) -> None:
    """An object of the caller's class comes back, at the first try."""
    client = instructor.from_openai(OpenAI(base_url=base_url, api_key="unused"), mode=mode)
    ticket = client.chat.completions.create(
        model=ADAPTER,
        response_model=Ticket,
        max_retries=0,
        messages=[{"role": "user", "content": "My printer is on fire"}],
    )
    assert isinstance(ticket, Ticket)


def test_streamed_partial_answers(base_url: str) -> None:
    """A partial object grows to the whole one."""
    client = instructor.from_openai(OpenAI(base_url=base_url, api_key="unused"))
    parts = list(
        client.chat.completions.create_partial(
            model=ADAPTER,
            response_model=Ticket,
            messages=[{"role": "user", "content": "My printer is on fire"}],
        )
    )
    assert len(parts) > 1
    assert parts[-1].urgency in {"low", "high"}
