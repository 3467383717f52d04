"""The parameter table: everything that OpenAI publishes is in it, and nothing is dropped unsaid."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lorax_proxy.core.parameters import (
    NEVER_FROM_A_CLIENT,
    TABLE,
    Endpoint,
    Treatment,
    sort_parameters,
)
from lorax_proxy.errors import RequestRefused
from tests.proxy.wire.test_openai_requests import TYPES, published
from tests.strategies import json_documents

EXTENSIONS = {
    "top_k",
    "typical_p",
    "repetition_penalty",
    "truncate",
    "watermark",
    "ignore_eos_token",
    "ignore_eos",
    "adapter_source",
    "merged_adapters",
    "return_k_alternatives",
    "guideline",
    "chat_template_kwargs",
    "add_generation_prompt",
    "continue_final_message",
    "documents",
}


ROUTERS = {
    "no_stop_trim": False,
    "skip_special_tokens": True,
    "return_hidden_states": False,
    "separate_reasoning": True,
    "stream_reasoning": True,
    "include_reasoning": True,
}
"""What vLLM's router (0.1.17) adds to every chat request; to completions the first three."""


def names(endpoint: Endpoint, *treatments: Treatment) -> set[str]:
    """The table's names of an endpoint."""
    return {
        row.name
        for row in TABLE
        if endpoint in row.endpoints and (not treatments or row.treatment in treatments)
    }


@pytest.mark.parametrize("endpoint", Endpoint)
def test_the_table_is_openai_s_schema_and_our_extensions(endpoint: Endpoint) -> None:
    """Each published parameter has a row, and each other row is a known extension."""
    ours = names(endpoint, Treatment.TRANSLATED, Treatment.ACCEPTED, Treatment.REFUSED)
    assert ours - ROUTERS.keys() == set(published(endpoint))
    assert names(endpoint, Treatment.EXTENSION) <= EXTENSIONS


@pytest.mark.parametrize("endpoint", [Endpoint.CHAT, Endpoint.COMPLETIONS])
def test_what_routers_add_to_every_request_is_accepted(endpoint: Endpoint) -> None:
    """They can stand before the proxy; what asks for something else is refused by its name."""
    added = {name: value for name, value in ROUTERS.items() if name in names(endpoint)}
    assert len(added) == (6 if endpoint is Endpoint.CHAT else 3)
    kept = sort_parameters(added, endpoint, ignore_unsupported=False).document
    assert kept.keys() <= names(endpoint, Treatment.ACCEPTED)
    for name in ("no_stop_trim", "skip_special_tokens", "return_hidden_states"):
        with pytest.raises(RequestRefused, match=f"'{name}' is not supported here"):
            sort_parameters({name: not added[name]}, endpoint, ignore_unsupported=False)


def test_every_extension_is_offered() -> None:
    """The closed list of names that `extra_body` users know, no more and no less."""
    rows = {row.name for row in TABLE if row.treatment is Treatment.EXTENSION}
    assert rows == EXTENSIONS
    assert not rows & set(NEVER_FROM_A_CLIENT)


@pytest.mark.parametrize("endpoint", Endpoint)
def test_what_is_translated_is_what_the_request_type_reads(endpoint: Endpoint) -> None:
    """A row that is not refused has a field, and a field has such a row: nothing is lost between."""
    read = names(endpoint, Treatment.TRANSLATED, Treatment.EXTENSION, Treatment.ACCEPTED)
    assert read == set(TYPES[endpoint].model_fields)


def test_a_name_has_one_row_an_endpoint() -> None:
    """Two rows for one name would hide one another."""
    for endpoint in Endpoint:
        rows = [row.name for row in TABLE if endpoint in row.endpoints]
        assert len(rows) == len(set(rows))


def test_every_row_says_how_or_why() -> None:
    """The support table is printed from the notes."""
    assert all(row.note and not row.note.endswith(".") for row in TABLE)


@pytest.mark.parametrize(
    ("name", "value", "endpoint"),
    [
        ("logit_bias", {}, Endpoint.CHAT),
        ("logit_bias", {"50256": 0, "1": 0.0}, Endpoint.COMPLETIONS),
        ("modalities", ["text"], Endpoint.CHAT),
        ("suffix", "", Endpoint.COMPLETIONS),
    ],
)
def test_a_value_that_asks_for_nothing_is_dropped(
    name: str, value: Any, endpoint: Endpoint
) -> None:
    """A refused parameter with a value that changes nothing is no request for it."""
    result = sort_parameters({name: value}, endpoint, ignore_unsupported=False)
    assert (result.document, result.ignored) == ({}, ())


@pytest.mark.parametrize(
    ("name", "value", "endpoint"),
    [
        ("logit_bias", {"1": -100}, Endpoint.CHAT),
        ("logit_bias", [], Endpoint.COMPLETIONS),
        ("modalities", ["text", "audio"], Endpoint.CHAT),
        ("modalities", [], Endpoint.CHAT),
        ("audio", {"voice": "alloy", "format": "wav"}, Endpoint.CHAT),
        ("web_search_options", {}, Endpoint.CHAT),
        ("moderation", {"model": "omni-moderation-latest"}, Endpoint.CHAT),
        ("suffix", "after", Endpoint.COMPLETIONS),
        ("dimensions", 256, Endpoint.EMBEDDINGS),
    ],
)
def test_what_cannot_be_honoured_is_refused_by_name(
    name: str, value: Any, endpoint: Endpoint
) -> None:
    """Silence would be a wrong answer; `ignore_unsupported` names what was left out instead."""
    with pytest.raises(RequestRefused) as caught:
        sort_parameters({name: value}, endpoint, ignore_unsupported=False)
    error = caught.value
    assert (error.status, error.param, error.code) == (400, name, "unsupported_parameter")
    assert error.message.startswith(f"Unsupported parameter: '{name}'")
    result = sort_parameters({"model": "m", name: value}, endpoint, ignore_unsupported=True)
    assert result.document == {"model": "m"}
    assert result.ignored == (name,)


@pytest.mark.parametrize("endpoint", Endpoint)
@pytest.mark.parametrize("name", NEVER_FROM_A_CLIENT)
def test_lorax_s_own_switches_are_not_a_client_s(name: str, endpoint: Endpoint) -> None:
    """Refused even where other parameters are ignored: they decide about keys and adapters."""
    with pytest.raises(RequestRefused) as caught:
        sort_parameters({name: None}, endpoint, ignore_unsupported=True)
    assert (caught.value.param, caught.value.code) == (name, "unsupported_parameter")
    assert NEVER_FROM_A_CLIENT[name] in caught.value.message


@pytest.mark.parametrize(
    ("name", "endpoint", "hint"),
    [
        ("temprature", Endpoint.CHAT, " Did you mean 'temperature'?"),
        ("max_token", Endpoint.COMPLETIONS, " Did you mean 'max_tokens'?"),
        ("encoding_fromat", Endpoint.EMBEDDINGS, " Did you mean 'encoding_format'?"),
        ("messages", Endpoint.EMBEDDINGS, ""),
        ("system", Endpoint.CHAT, ""),
        ("max_output_tokens", Endpoint.CHAT, " Did you mean 'max_tokens'?"),
        ("temperature" * 1000, Endpoint.CHAT, ""),
        ("zzz", Endpoint.CHAT, ""),
        ("", Endpoint.CHAT, ""),
    ],
)
def test_an_unknown_name_is_refused_with_the_nearest(
    name: str, endpoint: Endpoint, hint: str
) -> None:
    """LoRAX would lose a misspelt parameter in silence."""
    with pytest.raises(RequestRefused) as caught:
        sort_parameters({name: 1}, endpoint, ignore_unsupported=True)
    error = caught.value
    assert (error.status, error.param, error.code) == (400, name, "unknown_parameter")
    assert error.message == f"Unknown parameter: '{name}' on {endpoint.value}.{hint}"


@pytest.mark.property
@given(
    st.sampled_from(Endpoint),
    st.dictionaries(
        st.sampled_from(sorted({row.name for row in TABLE})) | st.text(max_size=4), json_documents
    ),
    st.booleans(),
)
def test_nothing_is_dropped_in_silence(
    endpoint: Endpoint,
    document: dict[str, Any],
    ignore: bool,
) -> None:
    """Each name is kept, accepted by its row, asks for nothing, or is named."""
    try:
        result = sort_parameters(document, endpoint, ignore_unsupported=ignore)
    except RequestRefused as error:
        assert error.param in document  # noqa: PT017 - either outcome may be right
        return
    rows = {row.name: row for row in TABLE if endpoint in row.endpoints}
    for name, value in document.items():
        row = rows[name]
        match row.treatment:
            case Treatment.TRANSLATED | Treatment.EXTENSION | Treatment.ACCEPTED:
                assert result.document[name] is value
            case Treatment.REFUSED:
                quiet = value is None or row.asks_nothing(value)
                assert quiet or (ignore and name in result.ignored)
