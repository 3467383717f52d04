"""Sampling, against the rule by which LoRAX decides (server/lorax_server/utils/tokens.py:313)."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lorax_proxy.core.sampling import Sampling, sampling, upstream_seed
from lorax_proxy.errors import RequestRefused
from lorax_proxy.wire.lorax import as_f32
from lorax_proxy.wire.openai_requests import SamplingRequest


def asked(**parameters: Any) -> Sampling:
    """What these parameters become."""
    return sampling(SamplingRequest(model="m", **parameters))


def lorax_samples(sent: Sampling) -> bool:
    """LoRAX's own rule: it samples when asked to, or when any of these is set to something."""
    return (
        sent.do_sample
        or sent.temperature not in (None, 0.0, 1.0)
        or sent.top_k not in (None, 0)
        or (sent.top_p is not None and sent.top_p < 1)
        or (sent.typical_p is not None and sent.typical_p < 1)
    )


@pytest.mark.parametrize(
    ("parameters", "expected"),
    [
        ({}, Sampling(do_sample=True)),
        ({"temperature": None, "top_p": None}, Sampling(do_sample=True)),
        ({"temperature": 1}, Sampling(do_sample=True)),
        ({"temperature": 0.9999999999}, Sampling(do_sample=True)),
        ({"temperature": 0.5}, Sampling(do_sample=True, temperature=0.5)),
        ({"temperature": 2}, Sampling(do_sample=True, temperature=2.0)),
        ({"temperature": 0}, Sampling(do_sample=False)),
        ({"temperature": 1e-50}, Sampling(do_sample=False)),
        ({"temperature": 0.0009}, Sampling(do_sample=False)),
        ({"temperature": 0.001}, Sampling(do_sample=True, temperature=as_f32(0.001))),
        ({"temperature": 0, "top_p": 0.9, "top_k": 5}, Sampling(do_sample=False)),
        ({"temperature": 0, "typical_p": 0.5}, Sampling(do_sample=False)),
        ({"top_p": 1}, Sampling(do_sample=True)),
        ({"top_p": 0.99999999999}, Sampling(do_sample=True)),
        ({"top_p": 0.5}, Sampling(do_sample=True, top_p=0.5)),
        ({"top_p": 0}, Sampling(do_sample=False)),
        ({"top_p": 1e-46}, Sampling(do_sample=False)),
        ({"top_k": 0}, Sampling(do_sample=True)),
        ({"top_k": -1}, Sampling(do_sample=True)),
        ({"top_k": 1}, Sampling(do_sample=True, top_k=1)),
        ({"typical_p": 1}, Sampling(do_sample=True)),
        ({"typical_p": 0.99999999999}, Sampling(do_sample=True)),
        ({"typical_p": 0.5}, Sampling(do_sample=True, typical_p=0.5)),
        ({"frequency_penalty": 0, "presence_penalty": 0.0}, Sampling(do_sample=True)),
        ({"frequency_penalty": -2}, Sampling(do_sample=True, frequency_penalty=-2.0)),
        ({"presence_penalty": 1e-50}, Sampling(do_sample=True)),
        ({"repetition_penalty": 1}, Sampling(do_sample=True)),
        ({"repetition_penalty": 1.5}, Sampling(do_sample=True, repetition_penalty=1.5)),
        (
            {"temperature": 0, "repetition_penalty": 1.5, "frequency_penalty": 1},
            Sampling(do_sample=False, repetition_penalty=1.5, frequency_penalty=1.0),
        ),
        ({"watermark": True, "temperature": 0}, Sampling(do_sample=False, watermark=True)),
    ],
)
def test_each_parameter(parameters: dict[str, Any], expected: Sampling) -> None:
    """What OpenAI's value means, said so that LoRAX means it too."""
    assert asked(**parameters) == expected


@pytest.mark.parametrize(
    ("parameters", "param"),
    [
        ({"typical_p": 1e-50}, "typical_p"),
        ({"repetition_penalty": 1e-50}, "repetition_penalty"),
        ({"repetition_penalty": 1e39}, "repetition_penalty"),
    ],
)
def test_what_becomes_zero_or_infinite_in_32_bits(parameters: dict[str, Any], param: str) -> None:
    """Allowed as it was written, and refused by LoRAX, or worse, as it arrives there."""
    with pytest.raises(RequestRefused) as caught:
        asked(**parameters)
    assert caught.value.param == param
    assert "32-bit float" in caught.value.message


@pytest.mark.law
@given(
    temperature=st.none() | st.floats(0, 2),
    top_p=st.none() | st.floats(0, 1),
    typical_p=st.none() | st.floats(0, 1, exclude_min=True),
    top_k=st.none() | st.integers(-1, 2**31 - 1),
    frequency_penalty=st.none() | st.floats(-2, 2),
    repetition_penalty=st.none() | st.floats(0, exclude_min=True, allow_infinity=False),
)
def test_lorax_samples_when_the_client_does(**parameters: Any) -> None:
    """LoRAX's own rule agrees with ours, and every number that is sent passes its validation."""
    try:
        sent = asked(**parameters)
    except RequestRefused as error:
        assert error.param in ("typical_p", "repetition_penalty")  # noqa: PT017 - either is right
        return
    assert lorax_samples(sent) is sent.do_sample
    temperature, top_p = parameters["temperature"], parameters["top_p"]
    if temperature == 0 or top_p == 0:
        assert not sent.do_sample
    if (temperature is None or temperature >= 0.01) and (top_p is None or top_p >= 0.01):
        assert sent.do_sample
    assert sent.temperature is None or 0 < sent.temperature <= 2
    assert sent.top_p is None or 0 < sent.top_p < 1
    assert sent.typical_p is None or 0 < sent.typical_p < 1
    assert sent.top_k is None or sent.top_k > 0
    penalty = sent.repetition_penalty
    assert penalty is None or 0 < penalty < float("inf")
    for value in (sent.temperature, sent.top_p, sent.typical_p, penalty):
        assert value is None or as_f32(value) == value


@pytest.mark.parametrize(
    ("seed", "choice", "expected"),
    [
        (None, 3, None),
        (0, 0, 0),
        (7, 2, 9),
        (-1, 0, 2**64 - 1),
        (-1, 1, 0),
        (-(2**63), 0, 2**63),
        (2**64 - 1, 1, 0),
        (-9223372036854776000, 0, 2**64 - 9223372036854776000),
    ],
)
def test_seeds_are_unsigned(seed: int | None, choice: int, expected: int | None) -> None:
    """Two's complement in 64 bits, counted up over the choices of one request."""
    assert upstream_seed(seed, choice) == expected
