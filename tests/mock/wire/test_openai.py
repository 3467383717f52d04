"""OpenAI-style requests as LoRAX reads them."""

from typing import Any

import pytest

from lorax_mock.serde.types import SerdeError, read
from lorax_mock.wire.native import DEFAULT_SCHEMA, GenerateParameters
from lorax_mock.wire.openai import (
    CHAT_REQUEST,
    COMPLETION_REQUEST,
    ChatRequest,
    CompletionRequest,
    Message,
    Tool,
    chat_to_native,
    completion_to_native,
    response_format_of,
)

_CHAT = '{"model":"m","messages":[{"role":"user","content":"hi"}]%s}'


def _chat(rest: str = "") -> ChatRequest:
    asked: ChatRequest = read((_CHAT % rest).encode(), CHAT_REQUEST)
    return asked


def _parameters(asked: ChatRequest) -> GenerateParameters:
    return chat_to_native(asked, "base", "in", response_format_of(asked)).parameters


def test_a_chat_samples_unless_its_temperature_is_zero() -> None:
    """A chat samples unless its temperature is 0, also when it names none."""
    assert _parameters(_chat()).do_sample
    warm = _parameters(_chat(',"temperature":0.5'))
    assert (warm.do_sample, warm.temperature) == (True, 0.5)
    cold = _parameters(_chat(',"temperature":0'))
    assert (cold.do_sample, cold.temperature) == (False, None)


def test_a_chats_parameters_reach_the_native_request() -> None:
    """A chat's known parameters reach the native request, with details on and special tokens off."""
    body = (
        ',"top_p":0.5,"top_k":3,"repetition_penalty":1.5,"presence_penalty":1,'
        '"frequency_penalty":-1,"seed":7,"ignore_eos_token":true,"adapter_source":"s3",'
        '"api_token":"t","max_tokens":9,"n":2,"stop":["x"]'
    )
    assert _parameters(_chat(body)) == GenerateParameters(
        adapter_id="m",
        adapter_source="s3",
        api_token="t",
        best_of=2,
        repetition_penalty=1.5,
        frequency_penalty=-1.0,
        presence_penalty=1.0,
        top_k=3,
        top_p=0.5,
        do_sample=True,
        max_new_tokens=9,
        ignore_eos_token=True,
        stop=("x",),
        details=True,
        seed=7,
    )


def test_negative_integers_become_huge_ones() -> None:
    """Negative counts become huge ones by Rust's cast."""
    parameters = _parameters(_chat(',"max_tokens":-1,"n":-1'))
    assert (parameters.max_new_tokens, parameters.best_of) == (2**32 - 1, 2**64 - 1)


def test_the_base_models_id_is_the_base_model_here() -> None:
    """On `/v1` the base model's id is the base model, and any other name is an adapter."""
    for model, adapter in (("base", None), ("", None), ("a/b", "a/b")):
        native = chat_to_native(ChatRequest(model, ()), "base", "", None)
        assert native.parameters.adapter_id == adapter
        assert not native.add_special_tokens
        completion = completion_to_native(CompletionRequest(model, "p"), "base")
        assert (completion.parameters.adapter_id or None) == adapter
        assert completion.add_special_tokens


def test_completions_sample_by_the_presence_of_n() -> None:
    """A completion samples if it has `n`; logprobs ask for prefill details, and echo for the prompt."""
    plain = completion_to_native(CompletionRequest("m", "p"), "base").parameters
    assert (plain.do_sample, plain.decoder_input_details) == (False, False)
    assert completion_to_native(CompletionRequest("m", "p", n=0), "base").parameters.do_sample
    asked = CompletionRequest("m", "p", n=1, logprobs=0, echo=True, temperature=0.0)
    parameters = completion_to_native(asked, "base").parameters
    assert (parameters.do_sample, parameters.temperature) == (True, 0.0)
    assert (parameters.decoder_input_details, parameters.return_full_text) == (True, True)


@pytest.mark.parametrize(
    ("form", "schema"),
    [
        ('{"type":"text"}', "none"),
        ('{"type":"json_object"}', DEFAULT_SCHEMA),
        ('{"type":"json_object","schema":null}', DEFAULT_SCHEMA),
        ('{"type":"json_object","schema":{"a":1}}', {"a": 1}),
        ('{"type":"json_schema","json_schema":{"name":"x","schema":{"b":1}}}', {"b": 1}),
        ('{"type":"json_schema","json_schema":{"name":"x"}}', DEFAULT_SCHEMA),
        ('{"type":"json_schema"}', DEFAULT_SCHEMA),
    ],
)
def test_response_formats(form: str, schema: Any) -> None:
    """A text format constrains nothing, and a missing schema is the default one."""
    chosen = response_format_of(_chat(f',"response_format":{form}'))
    assert ("none" if chosen is None else chosen.schema) == schema


def test_messages_keep_role_and_content() -> None:
    """A message's content is a string, null or joined parts, an image among them a link."""
    body = (
        b'{"model":"m","messages":[{"role":"user","content":[{"type":"text","text":"a"},'
        b'{"type":"image_url","image_url":{"url":"u"}}]},{"role":"x"},{"role":"y","content":null}]}'
    )
    assert read(body, CHAT_REQUEST).messages == (
        Message("user", ("a", "![](u)")),
        Message("x"),
        Message("y"),
    )


@pytest.mark.parametrize(
    ("choice", "read_as"),
    [
        ("null", None),
        ('"auto"', None),
        ('"none"', "none"),
        ('"required"', "=required"),
        ('{"Function":{"name":"f"}}', "=f"),
        ('{"Function":["f"]}', "=f"),
        ('{"OneOf":null}', None),
        ('{"NoTool":null}', "none"),
    ],
)
def test_tool_choices_that_parse(choice: str, read_as: str | None) -> None:
    """A tool choice is one of the known words, or else a tool's name."""
    assert _chat(f',"tool_choice":{choice}').tool_choice == read_as


@pytest.mark.parametrize(
    ("rest", "text"),
    [
        (',"stop":"x"', 'stop: invalid type: string "x", expected a sequence'),
        (',"stop":null', "stop: invalid type: null, expected a sequence"),
        (
            ',"tool_choice":{"type":"function","function":{"name":"f"}}',
            "tool_choice: data did not match any variant of untagged enum ToolTypeDeserializer",
        ),
        (
            ',"tools":[{"type":"function","function":{"name":"f"}}]',
            "tools[0].function: missing field `parameters`",
        ),
        (
            ',"response_format":{"type":"json_schema","json_schema":{"schema":{}}}',
            "response_format.json_schema: missing field `name`",
        ),
        (',"logit_bias":{"1":"x"}', 'logit_bias.1: invalid type: string "x", expected f32'),
    ],
)
def test_what_openai_clients_send_and_lorax_does_not_read(rest: str, text: str) -> None:
    """Bodies of OpenAI clients that LoRAX does not read are refused with serde's words."""
    with pytest.raises(SerdeError) as caught:
        _chat(rest)
    assert not caught.value.syntax
    assert str(caught.value).startswith(text)


def test_unknown_content_parts_match_no_variant() -> None:
    """An unknown content part, such as audio, is refused at its message."""
    body = b'{"model":"m","messages":[{"role":"user","content":[{"type":"input_audio"}]}]}'
    with pytest.raises(SerdeError, match="untagged enum MessageContent"):
        read(body, CHAT_REQUEST)


def test_a_list_of_prompts_is_refused() -> None:
    """A completion's list of prompts or of tokens is refused."""
    with pytest.raises(SerdeError, match="prompt: invalid type: sequence, expected a string"):
        read(b'{"model":"m","prompt":["a"]}', COMPLETION_REQUEST)


def test_tools_are_kept_whole() -> None:
    """Tools keep their parameters as they came."""
    asked = _chat(',"tools":[{"type":"function","function":{"name":"f","parameters":null}}]')
    assert asked.tools == (Tool("function", None, "f", None),)
    assert asked.tools is not None
    assert asked.tools[0].as_json() == {
        "type": "function",
        "function": {"description": None, "name": "f", "parameters": None},
    }
