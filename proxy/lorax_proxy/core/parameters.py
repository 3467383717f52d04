"""What becomes of each parameter: one table, and nothing is dropped in silence.

A parameter is *translated* (it changes what we ask of LoRAX or how we answer), *accepted* without
effect (it does not change what a correct answer is; its type is judged all the same), *refused* by
name (silence would be a wrong answer), or an *extension*: not OpenAI's, but LoRAX's or the
template's own, under the name that `extra_body` users know. What is in none of these is unknown and
refused with the nearest name.

A null, and a value that asks for nothing (OpenAI's default), is never refused: clients send them
unasked. The table of docs/parameters.md is printed from here, and a test holds the names against
OpenAI's published schemas.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any

import msgspec

from lorax_proxy.core.refusals import nearest
from lorax_proxy.errors import RequestRefused

__all__ = [
    "NEVER_FROM_A_CLIENT",
    "TABLE",
    "Endpoint",
    "Parameter",
    "Sorted",
    "Treatment",
    "row_of",
    "sort_parameters",
]


class Endpoint(Enum):
    """The endpoints that take parameters."""

    CHAT = "chat completions"
    COMPLETIONS = "completions"
    EMBEDDINGS = "embeddings"


class Treatment(Enum):
    """What the proxy does with a parameter."""

    TRANSLATED = "translated"
    ACCEPTED = "accepted without effect"
    REFUSED = "refused"
    EXTENSION = "extension"


def _never(_value: object) -> bool:
    return False


@dataclass(frozen=True, slots=True)
class Parameter:
    """One row: a name on some endpoints, its treatment, and one line that says how or why.

    `asks_nothing` tells whether a value of a refused parameter equals OpenAI's default.
    """

    name: str
    endpoints: frozenset[Endpoint]
    treatment: Treatment
    note: str
    asks_nothing: Callable[[Any], bool] = _never


class Sorted(msgspec.Struct, frozen=True):
    """A request's parameters after the table: what to type, and what was ignored by name."""

    document: Mapping[str, Any]
    ignored: tuple[str, ...]


_CHAT = frozenset({Endpoint.CHAT})
_COMPLETIONS = frozenset({Endpoint.COMPLETIONS})
_EMBEDDINGS = frozenset({Endpoint.EMBEDDINGS})
_TEXT = _CHAT | _COMPLETIONS
_ALL = _TEXT | _EMBEDDINGS

_T, _A, _R, _X = Treatment.TRANSLATED, Treatment.ACCEPTED, Treatment.REFUSED, Treatment.EXTENSION


def _all_zero(value: object) -> bool:
    return isinstance(value, Mapping) and not any(value.values())


def _text_only(value: object) -> bool:
    return isinstance(value, list) and value == ["text"]


def _empty(value: object) -> bool:
    return value in ("", [], {}, False)


def _off(value: object) -> bool:
    return value is False


def _on(value: object) -> bool:
    return value is True


TABLE: Sequence[Parameter] = (
    Parameter("model", _ALL, _T, "the public name picks base model, adapter or merge"),
    Parameter("messages", _CHAT, _T, "rendered by the model's chat template"),
    Parameter("prompt", _COMPLETIONS, _T, "a string or a list of strings; token arrays refused"),
    Parameter("input", _EMBEDDINGS, _T, "a string or a list of strings; token arrays refused"),
    Parameter("stream", _TEXT, _T, "server-sent events"),
    Parameter(
        "stream_options",
        _TEXT,
        _T,
        "`include_usage`; `include_obfuscation` is accepted without effect",
    ),
    Parameter("n", _TEXT, _T, "that many LoRAX requests, seeds counted up"),
    Parameter(
        "best_of", _COMPLETIONS, _T, "that many LoRAX requests, the likeliest `n` are returned"
    ),
    Parameter(
        "max_completion_tokens",
        _CHAT,
        _T,
        "`max_new_tokens`; wins over `max_tokens`; 0 is answered unasked",
    ),
    Parameter(
        "max_tokens", _TEXT, _T, "`max_new_tokens`; completions default to 16, as OpenAI's do"
    ),
    Parameter("temperature", _TEXT, _T, "0 is greedy; otherwise sampling is switched on"),
    Parameter("top_p", _TEXT, _T, "1 is left out, 0 is greedy"),
    Parameter("frequency_penalty", _TEXT, _T, "sent as it is"),
    Parameter("presence_penalty", _TEXT, _T, "sent as it is"),
    Parameter("seed", _TEXT, _T, "into 64 unsigned bits; negative numbers as two's complement"),
    Parameter("stop", _TEXT, _T, "matched here, anywhere in the text, and never in the answer"),
    Parameter("logprobs", _TEXT, _T, "chat: a boolean; completions: how many alternatives"),
    Parameter("top_logprobs", _CHAT, _T, "`return_k_alternatives`"),
    Parameter("echo", _COMPLETIONS, _T, "the prompt before the text, with its logprobs if asked"),
    Parameter(
        "response_format",
        _CHAT,
        _T,
        "constrained decoding; `text` is left out; LoRAX's own form is read too",
    ),
    Parameter("tools", _CHAT, _T, "functions; custom tools are refused by name"),
    Parameter("tool_choice", _CHAT, _T, "`none`, `auto`, `required`, a function, allowed tools"),
    Parameter(
        "parallel_tool_calls",
        _CHAT,
        _T,
        "false allows one call at most, true several of a forced one",
    ),
    Parameter("functions", _CHAT, _T, "the legacy form of `tools`"),
    Parameter("function_call", _CHAT, _T, "the legacy form of `tool_choice`"),
    Parameter("encoding_format", _EMBEDDINGS, _T, "`float` or `base64`"),
    Parameter("user", _ALL, _A, "says who asks, not what"),
    Parameter("safety_identifier", _CHAT, _A, "says who asks, not what"),
    Parameter("prompt_cache_key", _CHAT, _A, "a hint to a cache that LoRAX runs by itself"),
    Parameter("prompt_cache_retention", _CHAT, _A, "a hint to a cache that LoRAX runs by itself"),
    Parameter("prompt_cache_options", _CHAT, _A, "a hint to a cache that LoRAX runs by itself"),
    Parameter("metadata", _CHAT, _A, "kept with stored answers; nothing is stored"),
    Parameter("store", _CHAT, _A, "nothing is stored; the answer is the same"),
    Parameter("service_tier", _CHAT, _A, "there is one tier"),
    Parameter("prediction", _CHAT, _A, "speeds an answer up, does not change it"),
    Parameter("reasoning_effort", _CHAT, _A, "a wish that models without reasoning cannot read"),
    Parameter("verbosity", _CHAT, _A, "a wish that the model cannot read"),
    Parameter("separate_reasoning", _CHAT, _A, "there is no reasoning to separate"),
    Parameter("stream_reasoning", _CHAT, _A, "there is no reasoning to stream"),
    Parameter("include_reasoning", _CHAT, _A, "there is no reasoning to include"),
    Parameter("moderation", _CHAT, _R, "nothing here moderates"),
    Parameter("logit_bias", _TEXT, _R, "LoRAX cannot bias tokens", _all_zero),
    Parameter("modalities", _CHAT, _R, "text is the only modality", _text_only),
    Parameter("audio", _CHAT, _R, "no audio comes out"),
    Parameter("web_search_options", _CHAT, _R, "nothing here searches the web"),
    Parameter("suffix", _COMPLETIONS, _R, "LoRAX cannot insert before a suffix", _empty),
    # vLLM's and SGLang's routers write these into every request that they pass on.
    Parameter("no_stop_trim", _TEXT, _R, "a stop string is never in the answer", _off),
    Parameter("skip_special_tokens", _TEXT, _R, "special tokens are never in the answer", _on),
    Parameter("return_hidden_states", _TEXT, _R, "LoRAX returns no hidden states", _off),
    Parameter("dimensions", _EMBEDDINGS, _R, "LoRAX returns the model's own dimensions"),
    Parameter(
        "top_k", _TEXT, _X, "up to 1000 if the vocabulary is unknown; 0 and -1 switch it off"
    ),
    Parameter("typical_p", _TEXT, _X, "LoRAX's `typical_p`, up to 0.95; 1 is left out"),
    Parameter("repetition_penalty", _TEXT, _X, "LoRAX's `repetition_penalty`, 0.01 to 100"),
    Parameter("truncate", _TEXT, _X, "keep the last tokens of the prompt (LoRAX's `truncate`)"),
    Parameter("watermark", _TEXT, _X, "LoRAX's `watermark`"),
    Parameter("ignore_eos_token", _TEXT, _X, "generate on past the end token"),
    Parameter("ignore_eos", _TEXT, _X, "vLLM's name for `ignore_eos_token`"),
    Parameter("adapter_source", _ALL, _X, "where an unlisted adapter comes from, if allowed"),
    Parameter("merged_adapters", _TEXT, _X, "LoRAX's merge; each id passes the routing rules"),
    Parameter("return_k_alternatives", _TEXT, _X, "LoRAX's name for `top_logprobs`"),
    Parameter("guideline", _CHAT, _X, "a variable of guard models' templates"),
    Parameter("chat_template_kwargs", _CHAT, _X, "more variables for the template"),
    Parameter("add_generation_prompt", _CHAT, _X, "false: do not open the assistant's turn"),
    Parameter("continue_final_message", _CHAT, _X, "go on with the last message"),
    Parameter("documents", _CHAT, _X, "documents for templates that take them"),
)

NEVER_FROM_A_CLIENT: Mapping[str, str] = {
    "adapter_id": "name the adapter in `model`",
    "api_token": "adapter tokens are configured with the model",
    "details": "usage, finish reasons and logprobs come from it already",
    "decoder_input_details": "ask for `echo` with `logprobs` on /v1/completions",
    "return_full_text": "ask for `echo` on /v1/completions",
}
"""LoRAX parameters that a client may not set, and what to do instead."""

_BY_ENDPOINT: Mapping[Endpoint, Mapping[str, Parameter]] = {
    endpoint: {row.name: row for row in TABLE if endpoint in row.endpoints} for endpoint in Endpoint
}


def row_of(name: str, endpoint: Endpoint) -> Parameter | None:
    """A parameter's row on an endpoint, if it has one."""
    return _BY_ENDPOINT[endpoint].get(name)


def sort_parameters(
    document: Mapping[str, Any], endpoint: Endpoint, *, ignore_unsupported: bool
) -> Sorted:
    """Take a request's parameters through the table.

    Args:
        document: The decoded request body.
        endpoint: Where it was sent.
        ignore_unsupported: Accept what would be refused, and name it.

    Raises:
        RequestRefused: `unknown_parameter` for a name in no table, `unsupported_parameter` for one
            that cannot be honoured.
    """
    rows = _BY_ENDPOINT[endpoint]
    kept: dict[str, Any] = {}
    ignored: list[str] = []
    for name, value in document.items():
        row = rows.get(name)
        if row is None:
            raise _unknown(name, endpoint)
        if row.treatment is Treatment.REFUSED:
            if value is None or row.asks_nothing(value):
                continue
            if not ignore_unsupported:
                raise RequestRefused(
                    f"Unsupported parameter: '{name}' is not supported here: {row.note}.",
                    param=name,
                    code="unsupported_parameter",
                )
            ignored.append(name)
        else:
            kept[name] = value
    return Sorted(kept, tuple(ignored))


def _unknown(name: str, endpoint: Endpoint) -> RequestRefused:
    if name in NEVER_FROM_A_CLIENT:
        return RequestRefused(
            f"Unsupported parameter: '{name}' is not a client's to set: "
            f"{NEVER_FROM_A_CLIENT[name]}.",
            param=name,
            code="unsupported_parameter",
        )
    near = nearest(name, _BY_ENDPOINT[endpoint])
    hint = f" Did you mean '{near}'?" if near else ""
    return RequestRefused(
        f"Unknown parameter: '{name}' on {endpoint.value}.{hint}",
        param=name,
        code="unknown_parameter",
    )
