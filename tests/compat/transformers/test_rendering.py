"""The renderer against `transformers`: the same prompt, or the same refusal.

`transformers` renders with `PreTrainedTokenizerFast.apply_chat_template(tokenize=False)`; ours with
`ChatTemplate.render`. Templates are the built-ins, hand-written ones with every construct that
published templates use, and ones that Hypothesis puts together; conversations are invented.
"""

from collections.abc import Mapping
from datetime import datetime
from functools import lru_cache
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from lorax_proxy.core.template.chat_template import (
    ChatTemplate,
    SpecialTokens,
    TemplateFailed,
    TemplateInvalid,
    TemplateRefused,
)
from lorax_proxy.core.template.families import BUILTIN_TOKENS
from lorax_proxy.template_files import load_template
from tests.compat.transformers.constructs import CONSTRUCTS, REFUSING
from tests.compat.transformers.conversations import (
    CONVERSATIONS,
    DOCUMENTS,
    KWARGS,
    TEMPLATES,
    TOOLS,
)

transformers = pytest.importorskip("transformers")
tokenizers = pytest.importorskip("tokenizers")

pytestmark = pytest.mark.compat

TOKENS = SpecialTokens("<s>", "</s>", {"pad_token": "<pad>", "unk_token": "<unk>"})

REFUSED = object()


@lru_cache(maxsize=256)
def oracle(
    source: str, tool_use: str | None, bos: str, eos: str, others: tuple[tuple[str, str], ...]
) -> Any:
    """A tokenizer of transformers with this template; what it would tokenise does not matter."""
    model = tokenizers.Tokenizer(tokenizers.models.WordLevel({"x": 0}, unk_token="x"))
    tokenizer = transformers.PreTrainedTokenizerFast(
        tokenizer_object=model,
        bos_token=bos or None,
        eos_token=eos or None,
        **dict(others),
    )
    tokenizer.chat_template = (
        source if tool_use is None else {"default": source, "tool_use": tool_use}
    )
    return tokenizer


@lru_cache(maxsize=256)
def ours(source: str, tool_use: str | None) -> ChatTemplate | None:
    """Our template, or None where it does not compile."""
    try:
        return ChatTemplate.compile(source, "judged", TOKENS, tool_use)
    except TemplateInvalid:
        return None


def theirs(tokenizer: Any, request: Mapping[str, Any]) -> Any:
    """What transformers answers."""
    kwargs = dict(request)
    try:
        return tokenizer.apply_chat_template(
            kwargs.pop("messages"), tokenize=False, **kwargs.pop("kwargs"), **kwargs
        )
    except Exception:  # noqa: BLE001 - transformers and Jinja refuse in many ways
        return REFUSED


def answered(template: ChatTemplate | None, request: Mapping[str, Any], now: datetime) -> Any:
    """What we answer."""
    if template is None:
        return REFUSED
    try:
        return template.render(now=now, **request)
    except (TemplateRefused, TemplateFailed):
        return REFUSED


def compare(source: str, request: Mapping[str, Any], tool_use: str | None = None) -> None:
    """Render with both and compare."""
    others = tuple(TOKENS.others.items())
    before = datetime.now()  # noqa: DTZ005 - templates print the local date, as transformers does
    expected = theirs(oracle(source, tool_use, TOKENS.bos_token, TOKENS.eos_token, others), request)
    got = answered(ours(source, tool_use), request, before)
    assume(before.date() == datetime.now().date())  # noqa: DTZ005 - a test at midnight proves nothing
    assert got == expected if expected is not REFUSED else got is REFUSED


REQUESTS = st.fixed_dictionaries(
    {
        "messages": CONVERSATIONS,
        "tools": st.none() | TOOLS,
        "documents": st.none() | DOCUMENTS,
        "add_generation_prompt": st.booleans(),
        "kwargs": KWARGS,
    }
)
CONTINUED = st.fixed_dictionaries(
    {
        "messages": CONVERSATIONS,
        "tools": st.none(),
        "documents": st.none(),
        "add_generation_prompt": st.sampled_from([False, False, False, True]),
        "continue_final_message": st.just(value=True),
        "kwargs": st.just({}),
    }
)


@pytest.mark.property
@pytest.mark.parametrize("name", CONSTRUCTS)
@settings(max_examples=30, suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(request=REQUESTS)
def test_every_construct_renders_as_transformers_renders_it(
    name: str, request: Mapping[str, Any]
) -> None:
    """Each hand-written template gives the same prompt, or both refuse."""
    compare(CONSTRUCTS[name], request)


@pytest.mark.parametrize("name", REFUSING)
def test_what_transformers_refuses_is_refused(name: str) -> None:
    """Sandbox escapes, mutations and mistakes are refused by both."""
    request = {"messages": [{"role": "user", "content": "x"}], "kwargs": {}}
    tokenizer = oracle(REFUSING[name], None, "<s>", "</s>", ())
    assert theirs(tokenizer, request) is REFUSED
    assert answered(ours(REFUSING[name], None), request, datetime.now()) is REFUSED  # noqa: DTZ005


@pytest.mark.property
@pytest.mark.parametrize(
    "name",
    [
        "trimmed contents",
        "untrimmed contents",
        "last content dropped",
        "contents without the word",
        "content parts",
        "macros",
        "generation tags",
        "text filters",
        "tojson",
    ],
)
@settings(max_examples=50, suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(request=CONTINUED)
def test_a_continued_final_message_is_cut_where_transformers_cuts_it(
    name: str, request: Mapping[str, Any]
) -> None:
    """`continue_final_message` leaves the same prompt open, or both refuse."""
    compare(CONSTRUCTS[name], request)


@pytest.mark.property
@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(request=REQUESTS)
def test_the_tool_use_template_is_chosen_as_transformers_chooses(
    request: Mapping[str, Any],
) -> None:
    """Of two named templates, `tool_use` renders whenever tools are given, even none of them."""
    compare("default{{ messages | length }}", request, "tool_use{{ tools | length }}")


@pytest.mark.property
@settings(max_examples=300, suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(source=TEMPLATES, request=REQUESTS)
def test_invented_templates_render_as_transformers_renders_them(
    source: str, request: Mapping[str, Any]
) -> None:
    """Templates that Hypothesis puts together give the same prompt, or both refuse."""
    compare(source, request)


@pytest.mark.property
@pytest.mark.parametrize("name", sorted(BUILTIN_TOKENS))
@settings(max_examples=50, suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(request=REQUESTS)
def test_the_built_ins_render_in_transformers_too(name: str, request: Mapping[str, Any]) -> None:
    """A built-in is an ordinary template: copied into a model's folder, it gives the same prompt."""
    template = load_template(name)
    import lorax_proxy

    folder = Path(lorax_proxy.__file__).parent / "builtin_templates"
    source = (folder / f"{name}.jinja").read_text("utf-8")
    tokens = template.special_tokens
    tokenizer = oracle(
        source, None, tokens.bos_token, tokens.eos_token, tuple(tokens.others.items())
    )
    now = datetime.now()  # noqa: DTZ005 - as transformers
    expected = theirs(tokenizer, request)
    got = answered(template, request, now)
    assume(now.date() == datetime.now().date())  # noqa: DTZ005
    assert got == expected if expected is not REFUSED else got is REFUSED
