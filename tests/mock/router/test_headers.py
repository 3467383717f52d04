"""The x- headers, as text."""

import pytest

from lorax_mock.errors import FatalRequest
from lorax_mock.router.headers import of_stream, of_whole
from lorax_mock.settings import Settings
from lorax_mock.shard.timing import Timing
from lorax_mock.wire.native import (
    FinishReason,
    Generated,
    GenerateParameters,
    GenerateRequest,
    MergedAdapters,
    Token,
)


def test_the_adapter_headers_echo_the_request() -> None:
    """Adapter headers tell the ids and the source of the request, and are absent for the base model."""
    asked = GenerateParameters(
        merged_adapters=MergedAdapters(("a", "__base_model__", "b"), (1, 1, 1))
    )
    headers = dict(of_stream(GenerateRequest("é", asked), Settings()))
    assert headers[b"x-adapter-id"] == b"a,b"
    assert headers[b"x-adapter-source"] == b"hub"
    assert headers[b"x-compute-characters"] == b"1"
    local = GenerateParameters(adapter_id="a", adapter_source="local")
    assert dict(of_stream(GenerateRequest("a", local), Settings()))[b"x-adapter-source"] == b"local"
    assert b"x-adapter-id" not in dict(of_stream(GenerateRequest("a"), Settings()))


@pytest.mark.parametrize("name", ["a\nb", "a\rb", "a\0b", "a\x7f"])
def test_ids_that_no_header_can_hold_would_panic_the_router(name: str) -> None:
    """An id with a control character other than a tab is a FatalRequest."""
    with pytest.raises(FatalRequest):
        of_stream(GenerateRequest("a", GenerateParameters(adapter_id=name)), Settings())
    tab = GenerateParameters(adapter_id="é\t")
    headers = dict(of_stream(GenerateRequest("a", tab), Settings()))
    assert headers[b"x-adapter-id"] == "é\t".encode()


def test_times_are_whole_milliseconds_cut_off() -> None:
    """Times are whole milliseconds, rounded down, and token counts add up."""
    tokens = [Token(1, "a", -0.1, special=False), Token(2, "b", -0.1, special=False)]
    best = Generated("ab", FinishReason.LENGTH, 5, None, (), tokens)
    headers = of_whole(GenerateRequest("aé"), Settings(), best, Timing(0.9, 1.9, 10.5, 31.0))
    figures = {name.decode(): int(value) for name, value in headers if value.isdigit()}
    assert figures == {
        "x-compute-characters": 2,
        "x-compute-time": 33,
        "x-total-time": 33,
        "x-prompt-tokens": 5,
        "x-generated-tokens": 2,
        "x-skipped-tokens": 0,
        "x-total-tokens": 7,
        "x-validation-time": 0,
        "x-queue-time": 1,
        "x-inference-time": 31,
        "x-time-per-token": 15,
        "x-time-to-first-token": 10,
        "x-time-per-output-token": 20,
    }
