"""What any request may take: time and memory linear in its bytes, from the body to the plan.

Schemas are bounded by themselves (`core.schema.effort`); this is everything else, in families of
requests that ask for more than they say. What is looked at is how the work grows with the request, so
that a new parameter, template or refusal that is not linear shows, however fast it is when small.
"""

import asyncio
import itertools
import json
import tracemalloc
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime
from typing import Any

import pytest

from lorax_proxy.app import create_app
from lorax_proxy.config import Settings, UpstreamSettings
from lorax_proxy.core.chat_plan import PreparedTemplate, plan_chat
from lorax_proxy.core.parameters import Endpoint, sort_parameters
from lorax_proxy.core.parsing import read_document, read_request
from lorax_proxy.core.plan import Facts
from lorax_proxy.core.routing import Base, Route, UpstreamName
from lorax_proxy.core.text_completion import plan_completion
from lorax_proxy.errors import RequestRefused
from lorax_proxy.template_files import load_template
from lorax_proxy.wire.openai_requests import ChatRequest, CompletionRequest
from tests.proxy.measuring import calls_of, most_held
from tests.proxy.memory import MemoryResponse, MemoryTransport, call

NOW = datetime(2026, 1, 2)  # noqa: DTZ001 - templates print local time
FACTS = Facts("m", None, 4)
ROUTE = Route("m", UpstreamName("main"), Base())
TEMPLATES = {
    name: PreparedTemplate.of(load_template(name), "split") for name in ("llama-3.1", "phi-3")
}


def user(content: Any = "hi", **more: Any) -> dict[str, Any]:
    """What the user says."""
    return {"role": "user", "content": content, **more}


def chat(*messages: dict[str, Any], **more: Any) -> dict[str, Any]:
    """A chat request."""
    return {"model": "m", "messages": messages or [user()], **more}


def tool(**more: Any) -> dict[str, Any]:
    """A function."""
    return {"type": "function", "function": {"name": "f", **more}}


def called(count: int, arguments: str = '{"a": 1}') -> list[dict[str, Any]]:
    """A history of calls and their results."""
    return [
        message
        for number in range(count)
        for message in (
            {
                "role": "assistant",
                "tool_calls": [
                    {
                        "id": f"call{number:08}",
                        "type": "function",
                        "function": {"name": "f", "arguments": arguments},
                    }
                ],
            },
            {"role": "tool", "tool_call_id": f"call{number:08}", "content": "ok"},
        )
    ]


def deep(depth: int, inner: Any) -> Any:
    """Objects in one another."""
    for _ in range(depth):
        inner = {"a": inner}
    return inner


FAMILIES: dict[str, Callable[[int], dict[str, Any]]] = {
    "one long message": lambda n: chat(user("word " * n)),
    "special tokens": lambda n: chat(user("<|eot_id|>" * n)),
    "overlapping special tokens": lambda n: chat(user("<|<|eot_id|>eot_id|>" * n)),
    "a text of brackets": lambda n: chat(user("[INST]<<SYS>>" * n)),
    "many messages": lambda n: chat(
        *(user() if i % 2 == 0 else {"role": "assistant", "content": "a"} for i in range(2 * n + 1))
    ),
    "many calls": lambda n: chat(user(), *called(n)),
    "many calls and a tool": lambda n: chat(user(), *called(n), tools=[tool()]),
    "many results of one round": lambda n: chat(
        user(), *called(1), *[{"role": "tool", "tool_call_id": "call00000000", "content": "x"}] * n
    ),
    "long results of one round": lambda n: chat(
        user(), *[{"role": "tool", "tool_call_id": "c", "content": "x" * 40}] * n
    ),
    "long arguments": lambda n: chat(user(), *called(1, json.dumps({"a": [0] * n}))),
    "deep arguments": lambda n: chat(user(), *called(max(1, n // 50), json.dumps(deep(50, 0)))),
    "huge numbers in arguments": lambda n: chat(
        user(), *called(1, json.dumps({"a": [10**400] * (n // 400 + 1)}))
    ),
    "many calls in one message": lambda n: chat(
        user(), {"role": "assistant", "tool_calls": [called(1)[0]["tool_calls"][0]] * n}
    ),
    "many parts": lambda n: chat(user([{"type": "text", "text": "a"}] * n)),
    "unknown keys": lambda n: chat(user(**{f"k{number}": 1 for number in range(n)})),
    "unknown keys of an option": lambda n: chat(
        stream_options={f"k{number}": 1 for number in range(n)}
    ),
    "unknown keys of a tool": lambda n: chat(tools=[tool(**{f"k{i}": 1 for i in range(n)})]),
    "unknown parameters": lambda n: chat(**{f"k{number}": 1 for number in range(n)}),
    "a long unknown parameter": lambda n: chat(**{"temperature" * n: 1}),
    "wrong messages": lambda n: chat(*[{"role": "user", "content": 5}] * n),
    "a long description": lambda n: chat(tools=[tool(description="a" * n)]),
    "many tools": lambda n: chat(
        tools=[tool() | {"function": {"name": f"f{i}"}} for i in range(min(n, 128))]
    ),
    "too many tools": lambda n: chat(tools=[tool()] * n),
    "many allowed tools": lambda n: chat(
        tools=[tool() | {"function": {"name": f"f{i}"}} for i in range(20)],
        tool_choice={
            "type": "allowed_tools",
            "allowed_tools": {"mode": "auto", "tools": [tool()] * n},
        },
    ),
    "template arguments": lambda n: chat(chat_template_kwargs={"a": [0] * n}),
    "deep template arguments": lambda n: chat(
        chat_template_kwargs={"a": [deep(50, 0)] * (n // 50 + 1)}
    ),
    "documents": lambda n: chat(documents=[{"text": "a"}] * n),
    "metadata": lambda n: chat(metadata={f"k{number}": 1 for number in range(n)}),
    "stops": lambda n: chat(stop=["a"] * n),
    "a long stop": lambda n: chat(stop="a" * n),
    "a bias": lambda n: chat(logit_bias={str(number): 0 for number in range(n)}),
    "a prediction": lambda n: chat(
        prediction={"type": "content", "content": [{"type": "text", "text": "a"}] * n}
    ),
    "many merged adapters": lambda n: chat(merged_adapters={"ids": ["a/b"] * n}),
    "prompts": lambda n: {"model": "m", "prompt": ["a"] * n},
    "token arrays": lambda n: {"model": "m", "prompt": [[1, 2]] * n},
    "tokens": lambda n: {"model": "m", "prompt": [1] * n},
    "an echoed prompt": lambda n: {"model": "m", "prompt": "a" * n, "echo": True},
    "images in a prompt": lambda n: {"model": "m", "prompt": "![](" * n},
}


def plan(body: bytes, template: PreparedTemplate) -> None:
    """Read and plan a request, or refuse it."""
    with suppress(RequestRefused):
        document = read_document(body)
        if "prompt" in document:
            kept = sort_parameters(document, Endpoint.COMPLETIONS, ignore_unsupported=False)
            plan_completion(read_request(CompletionRequest, kept.document), ROUTE, FACTS)
        else:
            kept = sort_parameters(document, Endpoint.CHAT, ignore_unsupported=False)
            plan_chat(read_request(ChatRequest, kept.document), ROUTE, FACTS, template, NOW)


@pytest.mark.slow
@pytest.mark.parametrize("name", FAMILIES)
@pytest.mark.parametrize("template", [TEMPLATES["llama-3.1"], TEMPLATES["phi-3"]], ids=TEMPLATES)
def test_calls_and_memory_are_linear_in_the_bytes(template: PreparedTemplate, name: str) -> None:
    """Twice the request takes twice the work, in every family, and with tools put into words too."""
    measured: list[tuple[int, int, int]] = []
    for size in (150, 300, 600):
        body = json.dumps(FAMILIES[name](size)).encode()
        plan(body, template)  # what is made once, is made

        def work(body: bytes = body) -> None:
            plan(body, template)

        measured.append((len(body), calls_of(work), most_held(work)))
    for before, after in itertools.pairwise(measured):
        growth = after[0] / before[0]
        assert after[1] <= 1.25 * growth * before[1] + 500, measured
        assert after[2] <= 1.25 * growth * before[2] + 20_000, measured
    characters, calls, held = measured[-1]
    assert calls <= 2_000 + 10 * characters, measured
    assert held <= 1_000_000 + 60 * characters, measured


@pytest.mark.slow
@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/completions"])
async def test_large_documents_are_there_one_at_a_time(path: str) -> None:
    """Five large requests at once take the memory of one, and for each more only its texts."""
    chats = {"model": "", "messages": [user()] * 9_999}
    texts = {"model": "", "prompt": ["a"] * 200_000}
    body = chats if "chat" in path else texts
    size = len(json.dumps(body))

    async def most_held_by(count: int) -> int:
        transport = MemoryTransport(lambda _path: MemoryResponse([b"{}"]))
        settings = Settings(
            upstream=[UpstreamSettings(url="http://lorax")], log_level="error", max_choices=2
        )
        app = create_app(settings, open_transport=lambda _upstream: transport)
        await call(app, path, {"model": "", "messages": [user()], "prompt": "a"})
        tracemalloc.start()
        try:
            await asyncio.gather(*(call(app, path, body) for _ in range(count)))
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    one, five = await most_held_by(1), await most_held_by(5)
    assert five < one + 4 * 4 * size
