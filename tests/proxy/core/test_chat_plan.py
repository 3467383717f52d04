"""A chat request as a plan: what LoRAX is asked for, word by word, or why it is not asked."""

import json
import os
import subprocess
import sys
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lorax_proxy.core.chat_plan import PreparedTemplate, plan_chat
from lorax_proxy.core.parameters import Endpoint, sort_parameters
from lorax_proxy.core.parsing import read_request
from lorax_proxy.core.plan import Facts, Plan
from lorax_proxy.core.routing import Adapter, Base, Merge, Model, Route, Target
from lorax_proxy.core.stream import END_TOKENS
from lorax_proxy.core.template.chat_template import ChatTemplate, SpecialTokens
from lorax_proxy.errors import RequestRefused
from lorax_proxy.template_files import load_template
from lorax_proxy.wire.lorax import GenerateParameters, MergedAdapters
from lorax_proxy.wire.openai_requests import ChatRequest
from tests.proxy.core.planning import FACTS, NOW, TEMPLATE
from tests.strategies import chat_requests

MESSAGES = [{"role": "user", "content": "hi"}]
TOOL = {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}


def planned(
    facts: Facts = FACTS,
    target: Target | None = None,
    model: Model | None = None,
    prepared: PreparedTemplate = TEMPLATE,
    **given: Any,
) -> Plan:
    """The plan of a chat request with these parameters."""
    request = read_request(ChatRequest, {"model": "m", "messages": MESSAGES, **given})
    route = Route("m", "one", target or Base(), model)
    return plan_chat(request, route, facts, prepared, NOW)


def parameters(**given: Any) -> GenerateParameters:
    """What the one LoRAX request of such a plan asks for."""
    (request,) = planned(**given).requests
    return request.parameters


def refused(**given: Any) -> RequestRefused:
    """The refusal of such a request."""
    with pytest.raises(RequestRefused) as caught:
        planned(**given)
    return caught.value


def test_the_least_request() -> None:
    """Rendered, its BOS left to LoRAX, sampled as OpenAI does, and always with details."""
    plan = planned()
    assert plan.prompts == ("[user]hi[assistant]",)
    (request,) = plan.requests
    assert request.inputs == plan.prompts[0]
    assert request.parameters == GenerateParameters(do_sample=True, details=True)
    assert (plan.tries, plan.choices, plan.token_stream) == (1, 1, False)


@pytest.mark.parametrize(
    ("bos", "prompt"),
    [
        ("<s>", "[user]hi[assistant]"),
        (None, "[user]hi[assistant]"),
        ("", "<s>[user]hi[assistant]"),
        ("[BOS]", "<s>[user]hi[assistant]"),
    ],
)
def test_bos_is_not_doubled(bos: str | None, prompt: str) -> None:
    """One leading BOS goes where LoRAX adds that BOS itself, and only there."""
    assert planned(Facts("b", None, 2, bos=bos, text_only=True)).prompts == (prompt,)


@pytest.mark.parametrize(
    ("given", "facts", "expected"),
    [
        ({}, FACTS, None),
        ({}, Facts("b", None, 2, text_only=True, default_max_tokens=9), 9),
        ({"max_tokens": 5}, Facts("b", None, 2, text_only=True, default_max_tokens=9), 5),
        ({"max_tokens": 5, "max_completion_tokens": 7}, FACTS, 7),
        ({"max_tokens": 5, "max_completion_tokens": None}, FACTS, 5),
        ({"max_tokens": 0, "max_completion_tokens": 7}, FACTS, 7),
    ],
)
def test_budgets(given: dict[str, Any], facts: Facts, expected: int | None) -> None:
    """The newer name wins over the older, the client over the operator."""
    assert parameters(facts=facts, **given).max_new_tokens == expected


@pytest.mark.parametrize("given", [{"max_tokens": 0}, {"max_completion_tokens": 0, "n": 3}])
def test_a_zero_budget_asks_for_nothing(given: dict[str, Any]) -> None:
    """LoRAX refuses zero: the answer is known without it."""
    plan = planned(**given)
    assert plan.requests == ()
    assert plan.choices == given.get("n", 1)


def test_choices_are_requests_with_seeds_counted_up() -> None:
    """`n` LoRAX requests that differ in nothing else; greedy ones have no seed."""
    asked = planned(n=3, seed=-1).requests
    assert [each.parameters.seed for each in asked] == [2**64 - 1, 0, 1]
    assert len({each.inputs for each in asked}) == 1
    assert [each.parameters.seed for each in planned(n=2, seed=5, temperature=0).requests] == [
        None,
        None,
    ]


def test_stops() -> None:
    """All are ours to match, as many as LoRAX takes are sent, and tokens are seen as they come."""
    model = Model("m", Base(), "one", stop=("c", "a"))
    plan = planned(model=model, stop=["a", "b", "a"])
    assert plan.reading.stops == ("a", "b", "c")
    assert plan.requests[0].parameters.stop == ("a", "b")
    assert plan.token_stream
    assert planned(stop="x").reading.stops == ("x",)
    assert planned(stop=None).reading.stops == ()


@pytest.mark.parametrize(
    ("stop", "param", "code"),
    [
        ("", "stop", "invalid_value"),
        (["a", ""], "stop[1]", "invalid_value"),
        ("x" * 1001, "stop", "string_above_max_length"),
    ],
)
def test_stops_that_stop_nothing_or_hold_back_all(stop: Any, param: str, code: str) -> None:
    """An empty one would end LoRAX's answer after its first token."""
    error = refused(stop=stop)
    assert (error.param, error.code) == (param, code)


@pytest.mark.parametrize(
    ("given", "reading", "sent"),
    [
        ({}, None, None),
        ({"logprobs": False}, None, None),
        ({"logprobs": True}, 0, None),
        ({"logprobs": True, "top_logprobs": 0}, 0, None),
        ({"logprobs": True, "top_logprobs": 5}, 5, 5),
        ({"logprobs": True, "return_k_alternatives": 3}, 3, 3),
        ({"logprobs": False, "top_logprobs": 0}, None, None),
    ],
)
def test_logprobs(given: dict[str, Any], reading: int | None, sent: int | None) -> None:
    """LoRAX sends each token's own always, and alternatives when asked for some."""
    plan = planned(**given)
    assert plan.reading.logprobs == reading
    assert plan.requests[0].parameters.return_k_alternatives == sent


@pytest.mark.parametrize(
    ("given", "param"),
    [
        ({"top_logprobs": 2}, "top_logprobs"),
        ({"return_k_alternatives": 2}, "return_k_alternatives"),
        ({"logprobs": True, "tools": [TOOL]}, "logprobs"),
        ({"tools": [TOOL], "response_format": {"type": "json_object"}}, "response_format"),
        ({"tool_choice": "required"}, "tool_choice"),
        ({"tools": [{"type": "custom", "custom": {"name": "x"}}]}, "tools[0].type"),
        (
            {"tools": [TOOL], "tool_choice": {"type": "function", "function": {"name": "g"}}},
            "tool_choice.function.name",
        ),
        ({"tools": [TOOL], "ignore_eos": True}, "ignore_eos"),
        (
            {"response_format": {"type": "json_object"}, "ignore_eos_token": True},
            "ignore_eos_token",
        ),
        (
            {"messages": [{"role": "user", "content": [{"type": "image_url"}]}]},
            "messages[0].content[0]",
        ),
    ],
)
def test_what_cannot_be_asked_is_refused_by_name(given: dict[str, Any], param: str) -> None:
    """400, with the parameter that stands in the way."""
    error = refused(**given)
    assert (error.status, error.param) == (400, param)


def test_a_tokenizer_that_ends_prompts_makes_no_chat() -> None:
    """The operator's to mend, and said so."""
    error = refused(facts=Facts("b", None, 2, bos="<s>", appends_eos=True))
    assert (error.status, error.code) == (500, "tokenizer_appends_eos")


@pytest.mark.parametrize("text", ["![](http://x)", "a ![]() b", "![](\n)", "![](![](x)"])
def test_image_markdown_is_refused_unless_the_model_reads_text_only(text: str) -> None:
    """Vision models fetch the address from the GPU's host."""
    said = [{"role": "user", "content": text}]
    error = refused(facts=Facts("b", None, 2), messages=said)
    assert (error.param, error.code) == ("messages", "unsupported_content")
    assert text in planned(messages=said).prompts[0]


@pytest.mark.parametrize("text", ["![a](http://x)", "[](x)", "!(x)", "![](x", "![](" * 250_000])
def test_what_is_no_image_passes(text: str) -> None:
    """Links, pictures with a name, and half of one: also half a million halves, at once."""
    said = [{"role": "user", "content": text}]
    assert planned(Facts("b", None, 2), messages=said).requests


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        (Base(), GenerateParameters()),
        (
            Adapter("org/a", "hub", "secret"),
            GenerateParameters(adapter_id="org/a", adapter_source="hub", api_token="secret"),
        ),
        (
            Merge(("a", "b"), (1.0, 0.5), "ties", 0.5, "total", "hub", "secret"),
            GenerateParameters(
                merged_adapters=MergedAdapters(("a", "b"), (1.0, 0.5), "ties", 0.5, "total"),
                adapter_source="hub",
                api_token="secret",
            ),
        ),
    ],
)
def test_targets(target: Target, expected: GenerateParameters) -> None:
    """The base model by silence, an adapter by id, a merge by its parts."""
    sent = parameters(target=target)
    assert sent.adapter_id == expected.adapter_id
    assert sent.merged_adapters == expected.merged_adapters
    assert (sent.adapter_source, sent.api_token) == (expected.adapter_source, expected.api_token)


def test_lorax_s_own_parameters_are_passed_on() -> None:
    """Under LoRAX's names, `ignore_eos` under its longer one."""
    sent = parameters(truncate=9, ignore_eos=True, watermark=True, top_k=3)
    assert (sent.truncate, sent.ignore_eos_token, sent.watermark, sent.top_k) == (9, True, True, 3)


def test_formats_and_tools_become_one_schema() -> None:
    """`text` asks for none, since LoRAX would apply one; under tools stops stay with us."""
    assert parameters(response_format={"type": "text"}).response_format is None
    assert parameters(tools=[TOOL], tool_choice="none").response_format is None
    assert parameters(response_format={"type": "json_object"}).response_format is not None
    plan = planned(tools=[TOOL], stop=["x"])
    assert plan.reading.grammar is not None
    assert plan.requests[0].parameters.response_format is not None
    assert plan.requests[0].parameters.stop == ()
    assert plan.reading.stops == ("x",)


def test_a_document_is_to_be_whole_where_no_tool_grammar_reads_it() -> None:
    """A format's text is judged at its end; tools have a reader, and other texts are no documents."""
    json_object = {"type": "json_object"}
    assert planned(response_format=json_object).reading.document
    assert not planned().reading.document
    tools = planned(tools=[TOOL], tool_choice="required").reading
    assert tools.grammar is not None
    assert not tools.document


def test_what_ends_a_turn_is_the_template_s_and_every_familys() -> None:
    """Unless the client has it ignored: then nothing but the budget ends it."""
    tokens = SpecialTokens(eos_token="<|own_end|>")
    own = ChatTemplate.compile("{{ messages[0].content }}", "own", tokens)
    request = read_request(ChatRequest, {"model": "m", "messages": MESSAGES})
    prepared = PreparedTemplate.of(own, "split")
    plan = plan_chat(request, Route("m", "one", Base(), None), FACTS, prepared, NOW)
    assert plan.reading.ends == END_TOKENS | {"<|own_end|>"}
    assert planned(ignore_eos_token=True).reading.ends == frozenset()
    assert planned(ignore_eos=True).reading.ends == frozenset()
    assert planned(ignore_eos=False).reading.ends >= END_TOKENS


def test_a_plan_names_what_a_schema_loses() -> None:
    """Who asked is told, by the place of each keyword."""
    schema = {"type": "array", "items": {"type": "number", "maximum": 1}}
    wanted = {"type": "json_schema", "json_schema": {"name": "n", "schema": schema}}
    path = "response_format.json_schema.schema.items.maximum"
    assert planned(response_format=wanted).dropped == (path,)
    assert planned(tools=[TOOL]).dropped == ()


@pytest.mark.property
@given(chat_requests)
def test_every_published_request_is_planned_or_refused(document: dict[str, Any]) -> None:
    """No request that OpenAI's schema allows is a failure of ours, and equal ones plan equally."""
    try:
        kept = sort_parameters(document, Endpoint.CHAT, ignore_unsupported=True).document
        request = read_request(ChatRequest, kept)
        route = Route("m", "one", Base())
        plan = plan_chat(request, route, FACTS, TEMPLATE, NOW)
        again = plan_chat(request, route, FACTS, TEMPLATE, NOW)
    except RequestRefused as error:
        assert 400 <= error.status < 500  # noqa: PT017 - either outcome may be right
        assert error.message  # noqa: PT017 - see above
        return
    assert plan == again
    budget = request.max_completion_tokens
    budget = request.max_tokens if budget is None else budget
    assert len(plan.requests) == (0 if budget == 0 else request.n or 1)
    for each in plan.requests:
        sent = each.parameters
        assert each.inputs
        assert sent.details
        assert sent.max_new_tokens == budget
        assert sent.max_new_tokens != 0
        assert len(sent.stop) <= FACTS.max_stop_sequences
        assert sent.temperature != 0


def _tool(name: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {
        "type": "function",
        "function": {"name": name, "parameters": {"type": "object", **schema}},
    }


_KEYWORDS = {
    "type": st.sampled_from(["object", "string", "integer", ["string", "null"]]),
    "enum": st.lists(st.text("abc", max_size=3), min_size=1, max_size=4, unique=True),
    "properties": st.dictionaries(
        st.text("abc", min_size=1, max_size=2),
        st.sampled_from([{"type": "string"}, {"$ref": "#/$defs/d"}, {"format": "email"}]),
        max_size=4,
    ),
    "required": st.lists(st.sampled_from("abc"), max_size=3, unique=True),
    "oddities": st.just(1),
    "$defs": st.just({"d": {"anyOf": [{"type": "number"}, {"type": "null"}]}}),
}
_many_tools = st.lists(
    st.builds(
        _tool,
        st.text("abcdefgh", min_size=1, max_size=4),
        st.fixed_dictionaries({}, optional=_KEYWORDS),
    ),
    min_size=1,
    max_size=6,
    unique_by=lambda tool: str(tool["function"]["name"]),
)


@pytest.mark.slow
def test_the_hash_seed_changes_no_byte() -> None:
    """Processes that order their sets differently send LoRAX the same bytes, refusals included."""
    documents: list[dict[str, Any]] = []

    @settings(max_examples=80)
    @given(chat_requests, _many_tools)
    def draw(document: dict[str, Any], tools: list[dict[str, Any]]) -> None:
        documents.extend((document, {"model": "", "messages": MESSAGES, "tools": tools}))

    draw()
    one, other = (
        subprocess.run(
            [sys.executable, "-m", "tests.proxy.core.planning"],
            input="\n".join(map(json.dumps, documents)),
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    )
    assert one == other
    assert len(one.splitlines()) == len(documents)


@pytest.mark.parametrize("name", ["bos_token", "eos_token", "messages", "tools", "raise_exception"])
def test_template_arguments_replace_nothing_of_ours(name: str) -> None:
    """A client's word for the token that opens a prompt, or its own messages past the guard."""
    error = refused(chat_template_kwargs={name: "<|eot_id|>"})
    assert (error.status, error.param) == (400, f"chat_template_kwargs.{name}")


def test_template_arguments_that_break_the_template_are_the_clients() -> None:
    """A number where the template joins texts: without it the template works."""
    source = "{{ 'a' + mood | default('b') }}{{ messages[0].content }}"
    broken = PreparedTemplate.of(ChatTemplate.compile(source, "t", SpecialTokens()), "split")
    assert planned(prepared=broken).prompts == ("abhi",)
    with pytest.raises(RequestRefused) as caught:
        planned(prepared=broken, chat_template_kwargs={"mood": 5})
    assert (caught.value.status, caught.value.param) == (400, "chat_template_kwargs")


def test_a_spent_budget_is_the_clients() -> None:
    """Members at the bottom of a deep schema, each on a line that is indented as deep.

    The template was tried when it was loaded, so that this is no fault of the operator's.
    """
    inner: Any = [1] * 20_000
    for _ in range(50):
        inner = [inner]
    deep = {"type": "function", "function": {"name": "f", "parameters": {"default": inner}}}
    llama = PreparedTemplate.of(load_template("llama-3.1"), "split")
    with pytest.raises(RequestRefused) as caught:
        planned(prepared=llama, tools=[deep])
    assert (caught.value.status, caught.value.param) == (400, "messages")
    assert "than its input's size allows" in caught.value.message
