"""`lorax_proxy.core.destination`: what a body says of its model, as the whole of it would."""

import json
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from lorax_proxy.core.destination import Destination, read_destination
from lorax_proxy.core.parsing import read_document
from lorax_proxy.errors import RequestRefused
from tests.strategies import json_documents

NAMES = st.sampled_from(["model", "adapter_source", "merged_adapters", "Model", "messages"])


def of_the_whole(body: bytes) -> Destination:
    """The same of the document, read in whole."""
    document = read_document(body)
    model, source = document.get("model"), document.get("adapter_source")
    if not isinstance(model, str):
        raise RequestRefused("no model", param="model")
    merges = document.get("merged_adapters") is not None
    return Destination(model, source if isinstance(source, str) and not merges else None)


@pytest.mark.property
@given(st.dictionaries(NAMES, json_documents | st.text()))
@example({"model": "a/b", "adapter_source": "s3", "merged_adapters": None})
def test_the_destination_is_the_documents(document: dict[str, Any]) -> None:
    """Whatever the members are, and in whatever spelling: read early, they are what they are later."""
    for body in (json.dumps(document).encode(), json.dumps(document, indent=1).encode()):
        try:
            expected: Destination | None = of_the_whole(body)
        except RequestRefused:
            expected = None
        if expected is None:
            with pytest.raises(RequestRefused):
                read_destination(body)
        else:
            assert read_destination(body) == expected


def test_the_last_of_two_equal_keys_counts() -> None:
    """As it does for the document."""
    assert read_destination(b'{"model":"a","model":"b"}').model == "b"


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"{}", "Missing required parameter: 'model'."),
        (b'{"model": null}', "Missing required parameter: 'model'."),
        (b'{"model": 5}', "Invalid type for 'model': expected a string."),
        (b'{"model": ["a"]}', "Invalid type for 'model': expected a string."),
        (b'{"model": "\\ud800"}', "We could not parse the JSON body"),
        (b'{"model": "a"', "We could not parse the JSON body"),
        (b'["model"]', "The JSON body must be an object"),
        (b"", "The request has no body"),
        (b'{"model":' + b"[" * 50_000, "nested too deeply"),
    ],
)
def test_what_names_no_model_is_refused(body: bytes, message: str) -> None:
    """In the words of OpenAI's API, and of the document's reader."""
    with pytest.raises(RequestRefused, match=message.replace("'", ".")):
        read_destination(body)
