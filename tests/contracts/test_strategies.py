"""The public strategies draw what their wire admits."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lorax_contracts import schemas, sse, strategies
from lorax_contracts.exchange import Exchange
from lorax_contracts.judge import judge
from lorax_contracts.strategies import Fault, FaultPlan
from tests.contracts import samples


@pytest.mark.property
@given(strategies.chat_requests(models=["m"], tools=True))
def test_chat_requests_are_openais(request: dict[str, Any]) -> None:
    """Valid by the published schema, bounded, and writable."""
    assert schemas.validate("openai/chat_completion_request", request) == []
    assert {"max_tokens", "max_completion_tokens"} & set(request)
    json.dumps(request, ensure_ascii=False).encode("utf-8")


@pytest.mark.property
@given(strategies.completion_requests(models=["m"]))
def test_completion_requests_are_openais(request: dict[str, Any]) -> None:
    """Valid by the published schema."""
    assert schemas.validate("openai/completion_request", request) == []


@pytest.mark.property
@given(strategies.message_lists(tools=True))
def test_every_tool_result_answers_a_call(messages: list[dict[str, Any]]) -> None:
    """A conversation is one that a client could have had."""
    called: set[str] = set()
    for message in messages:
        called |= {call["id"] for call in message.get("tool_calls", [])}
        if message["role"] == "tool":
            assert message["tool_call_id"] in called
    assert messages[-1]["role"] == "user"


@pytest.mark.property
@given(strategies.tool_sets())
def test_tool_names_are_unique(tools: list[dict[str, Any]]) -> None:
    """A call names one function."""
    names = [one["function"]["name"] for one in tools]
    assert len(set(names)) == len(names)


@pytest.mark.property
@given(strategies.generate_requests(adapters=["a/b"]))
def test_generate_requests_are_loraxs(request: dict[str, Any]) -> None:
    """Valid by the router's types."""
    assert schemas.validate("lorax/generate_request", request) == []


@pytest.mark.property
@given(strategies.lorax_streams())
def test_streams_keep_every_law(body: bytes) -> None:
    """What LoRAX could have sent, keep-alives included."""
    template = samples.lorax("chat_stream")
    request = {"inputs": "x", "parameters": {"details": True, "adapter_id": "acme/poet"}}
    exchange = Exchange(
        method="POST",
        path="/generate_stream",
        request=request,
        status=200,
        headers=template.headers,
        body=body,
    )
    broken = {one.law for one in judge(exchange)}
    # The seed depends on the request's sampling, which the stream does not know.
    assert broken <= {"LORAX-GEN-008"}


@pytest.mark.property
@given(strategies.fault_plans(), st.data())
def test_a_fault_shows_where_it_should(plan: FaultPlan, data: st.DataObject) -> None:
    """Only a stream without a fault, or merely cut into other pieces, has its final event."""
    body = plan.body()
    events = [one.value for one in sse.read(body).data if one.value is not sse.NOT_JSON]
    whole = any(isinstance(one, dict) and one.get("generated_text") is not None for one in events)
    assert whole == (plan.fault in {Fault.NONE, Fault.RECHUNKED, Fault.GARBAGE})
    if plan.fault in {Fault.STATUS, Fault.ERROR_EVENT}:
        assert plan.error is not None
        assert plan.error["error_type"].encode() in body
    del data
