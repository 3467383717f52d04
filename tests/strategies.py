"""What Hypothesis draws, shared by the laws of all three packages.

Texts are drawn from a small alphabet on purpose: stop strings then meet themselves, overlap and
repeat, and characters of two, three and four bytes are common. Everything shrinks towards short,
plain and whole.
"""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from hypothesis import strategies as st

__all__ = [
    "ALPHABET",
    "EventStream",
    "chat_requests",
    "chunkings",
    "event_documents",
    "event_streams",
    "json_documents",
    "messages",
    "small_texts",
    "stop_lists",
    "texts",
    "tokenisations",
]

ALPHABET = "ab\n <é☃😀\u2028\u0085"
"""One to four bytes in UTF-8, and what careless readers take for line ends."""

FINISH_REASONS = ("length", "eos_token", "stop_sequence")
SPECIALS = ("<s>", "</s>", "<|eot_id|>", "")

small_texts = st.text("ab", max_size=16) | st.text(ALPHABET, max_size=30)
"""Texts in which everything meets."""

texts = st.text(st.characters(codec="utf-8"), max_size=40)
"""Any text at all."""

stop_lists = st.lists(
    st.text("ab", min_size=1, max_size=6) | st.text("ab\n<é😀", min_size=1, max_size=5), max_size=4
)
"""Stop strings that have prefixes, suffixes and each other in common."""

_finite = st.floats(allow_nan=False, allow_infinity=False)

json_documents = st.recursive(
    st.none() | st.booleans() | st.integers() | _finite | texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=12,
)
"""Any JSON document."""


@st.composite
def chunkings(draw: st.DrawFn, data: bytes, most: int = 8) -> list[bytes]:
    """The bytes in pieces, some of them empty."""
    cuts = sorted(draw(st.lists(st.integers(0, len(data)), max_size=most)))
    edges = [0, *cuts, len(data)]
    return [data[start:end] for start, end in itertools.pairwise(edges)]


@st.composite
def tokenisations(draw: st.DrawFn, text: str) -> list[str]:
    """The text as LoRAX's token texts: one that only begins a character is empty."""
    cuts = sorted(draw(st.lists(st.integers(0, len(text)), max_size=10)))
    edges = [0, *cuts, len(text)]
    return [text[start:end] for start, end in itertools.pairwise(edges)]


@dataclass(frozen=True, slots=True)
class EventStream:
    """One whole stream of LoRAX's.

    Attributes:
        events: Its events as documents, the final one last.
        text: The text that a client may see, stop strings apart.
        finish_reason: LoRAX's.
        prompt_tokens: What the final event says of the prompt.
    """

    events: Sequence[dict[str, Any]]
    text: str
    finish_reason: str
    prompt_tokens: int


def _token(
    text: str, logprob: float | None, *, special: bool, alternatives: list[tuple[str, float | None]]
) -> dict[str, Any]:
    token: dict[str, Any] = {"id": 7, "text": text, "logprob": logprob, "special": special}
    if alternatives:
        token["alternative_tokens"] = [
            {"id": 8, "text": other, "logprob": value} for other, value in alternatives
        ]
    return token | {"skipped": False}


_LOGPROBS = (None, 0.0, -0.0, -1.1920928955078125e-07, -0.5, -1.5, -19.9, -float(2**100))
"""What 32-bit floats and NaN (null) come to; drawn from few, as a stream draws one for each token."""

_ALTERNATIVES: Sequence[list[tuple[str, float | None]]] = [
    list(zip(texts_, (-0.5, None, -7.25), strict=False))
    for count in range(4)
    for texts_ in itertools.product(("", "a", "é"), repeat=count)
]


@st.composite
def event_streams(
    draw: st.DrawFn, *, visible: st.SearchStrategy[str] = small_texts, alternatives: int = 0
) -> EventStream:
    """A stream that LoRAX could send: visible tokens, special ones among them, and an end."""
    text = draw(visible)
    pieces: list[tuple[str, bool]] = [(each, False) for each in draw(tokenisations(text))]
    for _ in range(draw(st.integers(0, 2))):
        pieces.insert(draw(st.integers(0, len(pieces))), (draw(st.sampled_from(SPECIALS)), True))
    reason = draw(st.sampled_from(FINISH_REASONS))
    if reason == "eos_token":
        # not every tokenizer says of its end token that it is special
        pieces.append((draw(st.sampled_from(SPECIALS)), draw(st.booleans())))
    logprobs = st.sampled_from(_LOGPROBS)
    others = st.sampled_from([each for each in _ALTERNATIVES if len(each) <= alternatives])
    prompt_tokens = draw(st.integers(0, 9))
    events: list[dict[str, Any]] = [
        {
            "token": _token(piece, draw(logprobs), special=special, alternatives=draw(others)),
            "generated_text": None,
            "details": None,
        }
        for piece, special in pieces
    ]
    events[-1] |= {
        # empty when generation ends inside a character
        "generated_text": draw(st.sampled_from([text, ""])),
        "details": {
            "finish_reason": reason,
            "prompt_tokens": prompt_tokens,
            "generated_tokens": len(events),
            "seed": None,
        },
    }
    return EventStream(events, text, reason, prompt_tokens)


_event_keys = {
    "token": st.none()
    | st.fixed_dictionaries(
        {"id": st.integers(0, 9), "text": small_texts},
        optional={
            "logprob": st.none() | st.floats(-20, 0),
            "special": st.booleans(),
            "skipped": st.booleans(),
        },
    ),
    "generated_text": st.none() | small_texts,
    "details": st.none()
    | st.fixed_dictionaries(
        {
            "finish_reason": st.sampled_from(FINISH_REASONS),
            "generated_tokens": st.integers(0, 99),
        },
        optional={"prompt_tokens": st.integers(0, 99)},
    ),
    "error": st.none() | small_texts,
    "error_type": st.none() | st.sampled_from(["validation", "generation", "overloaded", "odd"]),
}

event_documents = st.fixed_dictionaries({}, optional=_event_keys) | json_documents
"""Documents that look like LoRAX's events, in any order and mixture, or like nothing at all."""

_text_part = st.fixed_dictionaries({"type": st.just("text"), "text": texts})
_content = texts | st.lists(_text_part, min_size=1, max_size=3)
_names = st.text("abcXYZ_-", min_size=1, max_size=12)
_call = st.fixed_dictionaries(
    {
        "id": st.text("call_123", min_size=1, max_size=8),
        "type": st.just("function"),
        "function": st.fixed_dictionaries(
            {
                "name": _names,
                "arguments": st.sampled_from(["{}", '{"a": 1}', "", "[", "[1]"]) | texts,
            }
        ),
    }
)
_named = {"name": _names}

messages = st.lists(
    st.one_of(
        st.fixed_dictionaries({"role": st.just("user"), "content": _content}, optional=_named),
        st.fixed_dictionaries({"role": st.just("system"), "content": _content}, optional=_named),
        st.fixed_dictionaries({"role": st.just("developer"), "content": _content}, optional=_named),
        st.fixed_dictionaries(
            {"role": st.just("assistant")},
            optional={
                "content": st.none() | _content,
                "refusal": st.none() | texts,
                "tool_calls": st.lists(_call, min_size=1, max_size=2),
                "function_call": st.none()
                | st.fixed_dictionaries({"name": _names, "arguments": texts}),
                **_named,
            },
        ),
        st.fixed_dictionaries(
            {"role": st.just("tool"), "content": _content, "tool_call_id": texts}
        ),
        st.fixed_dictionaries(
            {"role": st.just("function"), "content": st.none() | texts, "name": _names}
        ),
    ),
    min_size=1,
    max_size=4,
)
"""Messages in every form of text that OpenAI publishes."""

_function = st.fixed_dictionaries(
    {"name": _names},
    optional={
        "description": texts,
        "strict": st.none() | st.booleans(),
        "parameters": st.just({"type": "object", "properties": {"a": {"type": "string"}}}),
    },
)
_tools = st.lists(
    st.fixed_dictionaries({"type": st.just("function"), "function": _function}),
    min_size=1,
    max_size=2,
)
_format = st.one_of(
    st.just({"type": "text"}),
    st.just({"type": "json_object"}),
    st.fixed_dictionaries(
        {
            "type": st.just("json_schema"),
            "json_schema": st.fixed_dictionaries(
                {"name": _names}, optional={"schema": st.just({"type": "object"})}
            ),
        }
    ),
)


def _or_null(strategy: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.none() | strategy


chat_requests = st.fixed_dictionaries(
    {"model": st.sampled_from(["", "base/model", "org/adapter", "gpt-4o"]), "messages": messages},
    optional={
        "stream": _or_null(st.booleans()),
        "stream_options": _or_null(
            st.fixed_dictionaries(
                {}, optional={"include_usage": st.booleans(), "include_obfuscation": st.booleans()}
            )
        ),
        "n": _or_null(st.integers(1, 128)),
        "seed": _or_null(st.integers(-(2**63), 2**63 - 1)),
        "stop": _or_null(texts | st.lists(texts, min_size=1, max_size=4)),
        "temperature": _or_null(st.floats(0, 2) | st.integers(0, 2)),
        "top_p": _or_null(st.floats(0, 1) | st.integers(0, 1)),
        "frequency_penalty": _or_null(st.floats(-2, 2)),
        "presence_penalty": _or_null(st.floats(-2, 2)),
        "max_tokens": _or_null(st.integers(0, 2**31)),
        "max_completion_tokens": _or_null(st.integers(0, 2**31)),
        "logprobs": _or_null(st.booleans()),
        "top_logprobs": _or_null(st.integers(0, 20)),
        "response_format": _format,
        "tools": _tools,
        "tool_choice": st.sampled_from(["none", "auto", "required"]),
        "parallel_tool_calls": st.booleans(),
        "logit_bias": _or_null(
            st.dictionaries(
                st.from_regex(r"[0-9]{1,5}", fullmatch=True), st.integers(-100, 100), max_size=2
            )
        ),
        "modalities": _or_null(st.sampled_from([["text"], ["text", "audio"]])),
        "user": texts,
        "store": _or_null(st.booleans()),
        "metadata": _or_null(st.dictionaries(st.text("ab", max_size=4), texts, max_size=2)),
        "service_tier": _or_null(st.sampled_from(["auto", "default", "flex"])),
        "prediction": _or_null(st.just({"type": "content", "content": "x"})),
        "reasoning_effort": _or_null(st.sampled_from(["low", "medium", "high"])),
        "verbosity": _or_null(st.sampled_from(["low", "medium", "high"])),
    },
)
"""Chat requests as OpenAI's published schema allows them (CreateChatCompletionRequest)."""
