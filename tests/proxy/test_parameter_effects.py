"""Every row of the parameter table does what it says: who translates, changes something.

A parameter can be declared in the table, the request type and docs/parameters.md, and still be lost between
them and LoRAX. So each is sent, with a value that is not its default, through the whole application:
what LoRAX is asked for and what the client is answered, together, must differ from the same without
it, or be the same if the table says that it has no effect.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from lorax_proxy.app import create_app
from lorax_proxy.config import Settings, UpstreamSettings
from lorax_proxy.core.parameters import TABLE, Endpoint, Parameter, Treatment
from lorax_proxy.upstream.transport import Response
from tests.proxy.memory import MemoryResponse, MemoryTransport, call
from tests.proxy.running import NOW, final, generation, token
from tests.proxy.servers import event

TEMPLATE = (
    "{% for message in messages %}{{ message.role }}: {{ message.content }}\n{% endfor %}"
    "{{ guideline }}{{ documents }}{{ mood }}"
    "{% if add_generation_prompt %}assistant:{% endif %}"
)

PATHS = {
    Endpoint.CHAT: "/v1/chat/completions",
    Endpoint.COMPLETIONS: "/v1/completions",
    Endpoint.EMBEDDINGS: "/v1/embeddings",
}

HELLO = [{"role": "user", "content": "hello"}]
BASES: Mapping[Endpoint, Mapping[str, Any]] = {
    Endpoint.CHAT: {"model": "", "messages": HELLO},
    Endpoint.COMPLETIONS: {"model": "", "prompt": "hello"},
    Endpoint.EMBEDDINGS: {"model": "", "input": "hello"},
}

FUNCTION = {"name": "f", "parameters": {"type": "object", "properties": {}}}
TOOLS = {"tools": [{"type": "function", "function": FUNCTION}]}
UNLISTED = {"model": "acme/adapter"}


@dataclass(frozen=True)
class Example:
    """A value that is not the default, and what must stand beside it to mean something."""

    value: Any
    beside: Mapping[str, Any] = field(default_factory=dict[str, Any])


EXAMPLES: Mapping[str, Example] = {
    "model": Example("acme/adapter"),
    "messages": Example([{"role": "user", "content": "good bye"}]),
    "prompt": Example("good bye"),
    "input": Example("good bye"),
    "stream": Example(value=True),
    "stream_options": Example({"include_usage": True}, {"stream": True}),
    "n": Example(2),
    "best_of": Example(2),
    "max_completion_tokens": Example(7),
    "max_tokens": Example(7),
    "temperature": Example(0.5),
    "top_p": Example(0.5),
    "frequency_penalty": Example(0.5),
    "presence_penalty": Example(0.5),
    "seed": Example(7),
    "stop": Example("i"),
    "logprobs": Example(value=True),
    "top_logprobs": Example(2, {"logprobs": True}),
    "echo": Example(value=True),
    "response_format": Example({"type": "json_object"}),
    "tools": Example(TOOLS["tools"]),
    "tool_choice": Example("required", TOOLS),
    "parallel_tool_calls": Example(
        value=True,
        beside={**TOOLS, "tool_choice": {"type": "function", "function": {"name": "f"}}},
    ),
    "functions": Example([FUNCTION]),
    "function_call": Example({"name": "f"}, {"functions": [FUNCTION]}),
    "encoding_format": Example("base64"),
    "user": Example("somebody"),
    "safety_identifier": Example("somebody"),
    "prompt_cache_key": Example("key"),
    "prompt_cache_retention": Example("24h"),
    "prompt_cache_options": Example({"mode": "explicit"}),
    "metadata": Example({"a": "b"}),
    "store": Example(value=True),
    "service_tier": Example("flex"),
    "prediction": Example({"type": "content", "content": "hello"}),
    "reasoning_effort": Example("high"),
    "verbosity": Example("high"),
    "separate_reasoning": Example(value=True),
    "stream_reasoning": Example(value=True),
    "include_reasoning": Example(value=True),
    "top_k": Example(5),
    "typical_p": Example(0.5),
    "repetition_penalty": Example(1.5),
    "truncate": Example(5),
    "watermark": Example(value=True),
    "ignore_eos_token": Example(value=True),
    "ignore_eos": Example(value=True),
    "adapter_source": Example("s3", UNLISTED),
    "merged_adapters": Example({"ids": ["a/b", "c/d"], "weights": [0.5, 0.5]}),
    "return_k_alternatives": Example(2, {"logprobs": True}),
    "guideline": Example("be kind"),
    "chat_template_kwargs": Example({"mood": "cheerful"}),
    "add_generation_prompt": Example(value=False),
    "continue_final_message": Example(
        value=True,
        beside={
            "messages": [*HELLO, {"role": "assistant", "content": "He"}],
            "add_generation_prompt": False,
        },
    ),
    "documents": Example([{"text": "a"}]),
}

ON_COMPLETIONS: Mapping[str, Example] = {
    # how many alternatives, where chats say whether
    "logprobs": Example(2),
    "return_k_alternatives": Example(2),
}

ALTERNATIVE = {"id": 2, "text": "o", "logprob": -1.0}

SAID = [token(text, alternative_tokens=[ALTERNATIVE]) for text in ("H", "i")]


def answers(path: str) -> Response:
    """The same to everything: two tokens with an alternative each, or an embedding."""
    if path == "/embed":
        return MemoryResponse([b'{"embeddings":[1.0,2.0]}'])
    if path == "/generate":
        whole = generation("H", "i")
        whole["details"]["tokens"][:2] = SAID
        return MemoryResponse([json.dumps(whole).encode()])
    events = [event({"token": each, "generated_text": None, "details": None}) for each in SAID]
    return MemoryResponse([*events, final("</s>")])


class Application:
    """The whole proxy in front of a LoRAX in memory."""

    def __init__(self, folder: Path, endpoint: Endpoint) -> None:
        template = folder / "template.jinja"
        template.write_text(TEMPLATE)
        self._path = PATHS[endpoint]
        self._transport = MemoryTransport(answers)
        kind = "embed" if endpoint is Endpoint.EMBEDDINGS else "generate"
        settings = Settings(
            upstream=[UpstreamSettings(url="http://lorax", kind=kind)],
            chat_template=str(template),
            allow_unlisted="any",
            unlisted_sources=["hub", "s3"],
            log_level="error",
        )
        self._app = create_app(
            settings,
            now=lambda: NOW,
            new_id=lambda: "0",
            open_transport=lambda _upstream: self._transport,
        )

    async def effects(self, request: Mapping[str, Any]) -> object:
        """What LoRAX is asked for, in order, and what the client is answered."""
        self._transport.asked.clear()
        reply = await call(self._app, self._path, request)
        asked = [each for each in self._transport.asked if each[0] not in ("/info", "/tokenize")]
        refused = json.loads(reply.body).get("error", {}) if reply.status == 400 else {}
        assert refused.get("code") != "unknown_parameter", (
            f"'{refused['param']}' is in the table and in no request type:"
            " give it a field in wire.openai_requests"
        )
        # what is generated under a grammar is no document here, which is told behind the question
        assert reply.status == 200 or asked, reply.body
        return asked, reply.status, reply.body


async def unlike_its_row(
    application: Application, row: Parameter, endpoint: Endpoint
) -> str | None:
    """What is wrong with a parameter, if anything is."""
    own = ON_COMPLETIONS.get(row.name) if endpoint is Endpoint.COMPLETIONS else None
    example = own or EXAMPLES.get(row.name)
    if example is None:
        return f"'{row.name}' has no example: give it one in {__name__}.EXAMPLES"
    base = {**BASES[endpoint], **example.beside}
    without = await application.effects(base)
    changes = await application.effects({**base, row.name: example.value}) != without
    if row.treatment is Treatment.ACCEPTED:
        return f"'{row.name}' has an effect, and its row says that it has none" if changes else None
    return (
        None
        if changes
        else f"'{row.name}' changes neither what LoRAX is asked for nor the answer, and its row says "
        f"that it is {row.treatment.value}: core.sampling, core.plan or core.chat_plan must read it"
    )


@pytest.mark.parametrize("endpoint", Endpoint, ids=lambda endpoint: endpoint.value)
async def test_every_parameter_has_the_effect_that_its_row_says(
    endpoint: Endpoint, tmp_path: Path
) -> None:
    """Translated ones and extensions change what is asked or answered, accepted ones nothing."""
    application = Application(tmp_path, endpoint)
    rows = [
        row for row in TABLE if endpoint in row.endpoints and row.treatment is not Treatment.REFUSED
    ]
    found = [await unlike_its_row(application, row, endpoint) for row in rows]
    assert list(filter(None, found)) == []


def test_every_example_has_its_row() -> None:
    """An example of a parameter that is gone is gone with it."""
    rows = {row.name for row in TABLE if row.treatment is not Treatment.REFUSED}
    unlisted = sorted(EXAMPLES.keys() - rows)
    assert not unlisted, f"{unlisted} have an example and no row: core.parameters.TABLE needs one"
    untried = sorted(rows - EXAMPLES.keys())
    assert not untried, f"{untried} have a row and no example: EXAMPLES needs one"
