"""Sampling, against the rule by which LoRAX decides (server/lorax_server/utils/tokens.py:313)."""

import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lorax_proxy.core.sampling import sampling, upstream_seed
from lorax_proxy.errors import RequestRefused
from lorax_proxy.wire.lorax import GenerateParameters, MergedAdapters, as_f32
from lorax_proxy.wire.openai_requests import SamplingRequest

ROOT = Path(__file__).parents[3]


def asked(vocabulary_size: int | None = None, /, **parameters: Any) -> GenerateParameters:
    """What these parameters become."""
    return sampling(SamplingRequest(model="m", **parameters), vocabulary_size)


def lorax_samples(sent: GenerateParameters) -> bool:
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
        ({}, GenerateParameters(do_sample=True)),
        ({"temperature": None, "top_p": None}, GenerateParameters(do_sample=True)),
        ({"temperature": 1}, GenerateParameters(do_sample=True)),
        ({"temperature": 0.9999999999}, GenerateParameters(do_sample=True)),
        ({"temperature": 0.5}, GenerateParameters(do_sample=True, temperature=0.5)),
        ({"temperature": 2}, GenerateParameters(do_sample=True, temperature=2.0)),
        ({"temperature": 0}, GenerateParameters()),
        ({"temperature": 1e-50}, GenerateParameters()),
        ({"temperature": 0.0099}, GenerateParameters()),
        ({"temperature": 0.01}, GenerateParameters()),  # a little less as a 32-bit float
        ({"temperature": 0.0101}, GenerateParameters(do_sample=True, temperature=as_f32(0.0101))),
        ({"temperature": 0, "top_p": 0.9, "top_k": 5}, GenerateParameters()),
        ({"temperature": 0, "typical_p": 0.5}, GenerateParameters()),
        ({"top_p": 1}, GenerateParameters(do_sample=True)),
        ({"top_p": 0.99999999999}, GenerateParameters(do_sample=True)),
        ({"top_p": 0.5}, GenerateParameters(do_sample=True, top_p=0.5)),
        ({"top_p": 0}, GenerateParameters()),
        ({"top_p": 1e-46}, GenerateParameters()),
        ({"top_k": 0}, GenerateParameters(do_sample=True)),
        ({"top_k": -1}, GenerateParameters(do_sample=True)),
        ({"top_k": 1}, GenerateParameters(do_sample=True, top_k=1)),
        ({"top_k": 1000}, GenerateParameters(do_sample=True, top_k=1000)),
        ({"typical_p": 1}, GenerateParameters(do_sample=True)),
        ({"typical_p": 0.99999999999}, GenerateParameters(do_sample=True)),
        ({"typical_p": 0.5}, GenerateParameters(do_sample=True, typical_p=0.5)),
        ({"typical_p": 0.95}, GenerateParameters(do_sample=True, typical_p=as_f32(0.95))),
        ({"frequency_penalty": 0, "presence_penalty": 0.0}, GenerateParameters(do_sample=True)),
        ({"frequency_penalty": -2}, GenerateParameters(do_sample=True, frequency_penalty=-2.0)),
        ({"presence_penalty": 1e-50}, GenerateParameters(do_sample=True)),
        ({"repetition_penalty": 1}, GenerateParameters(do_sample=True)),
        ({"repetition_penalty": 1.5}, GenerateParameters(do_sample=True, repetition_penalty=1.5)),
        ({"repetition_penalty": 100}, GenerateParameters(do_sample=True, repetition_penalty=100.0)),
        (
            {"temperature": 0, "repetition_penalty": 1.5, "frequency_penalty": 1},
            GenerateParameters(repetition_penalty=1.5, frequency_penalty=1.0),
        ),
        ({"watermark": True, "temperature": 0}, GenerateParameters(watermark=True)),
    ],
)
def test_each_parameter(parameters: dict[str, Any], expected: GenerateParameters) -> None:
    """What OpenAI's value means, said so that LoRAX means it too."""
    assert asked(**parameters) == expected


@pytest.mark.parametrize(
    ("parameters", "code", "said"),
    [
        ({"typical_p": 1e-50}, "below_min_value", "32-bit float"),
        ({"typical_p": 0.951}, "above_max_value", "up to 0.95"),
        ({"typical_p": 0.99}, "above_max_value", "up to 0.95"),
        ({"repetition_penalty": 1e-50}, "below_min_value", "0.01 to 100"),
        ({"repetition_penalty": 0.0099}, "below_min_value", "0.01 to 100"),
        ({"repetition_penalty": 100.1}, "above_max_value", "0.01 to 100"),
        ({"repetition_penalty": 1e39}, "above_max_value", "0.01 to 100"),
        ({"top_k": 1001}, "above_max_value", "'vocabulary_size'"),
        ({"top_k": 2**31 - 1}, "above_max_value", "'vocabulary_size'"),
    ],
)
def test_what_lorax_cannot_compute_with(parameters: dict[str, Any], code: str, said: str) -> None:
    """It would raise in the shard, which fails the neighbours too, or give NaN: refused by name."""
    with pytest.raises(RequestRefused) as caught:
        asked(**parameters)
    (param,) = parameters
    assert (caught.value.status, caught.value.param, caught.value.code) == (400, param, code)
    assert said in caught.value.message


@pytest.mark.parametrize(
    ("top_k", "vocabulary_size", "sent"),
    [(31_999, 32_000, 31_999), (32_000, 32_000, None), (2**31 - 1, 32_000, None), (5, 3, None)],
)
def test_a_known_vocabulary_is_the_limit(
    top_k: int, vocabulary_size: int, sent: int | None
) -> None:
    """As many as there are, or more, is no restriction: what the number means, said safely."""
    assert asked(vocabulary_size, top_k=top_k) == GenerateParameters(do_sample=True, top_k=sent)


@pytest.mark.property
@given(
    vocabulary_size=st.none() | st.integers(1, 2**31 - 1),
    temperature=st.none() | st.floats(0, 2),
    top_p=st.none() | st.floats(0, 1),
    typical_p=st.none() | st.floats(0, 1, exclude_min=True),
    top_k=st.none() | st.integers(-1, 2**31 - 1) | st.integers(1, 1100),
    frequency_penalty=st.none() | st.floats(-2, 2),
    presence_penalty=st.none() | st.floats(-2, 2),
    repetition_penalty=st.none()
    | st.floats(0.001, 1000)
    | st.floats(0, exclude_min=True, allow_infinity=False),
)
def test_whatever_a_client_sends_the_shard_computes_with(
    vocabulary_size: int | None, **parameters: Any
) -> None:
    """LoRAX's own rule agrees with ours on who samples, and each number is in docs/evidence/shield.md's range."""
    try:
        sent = asked(vocabulary_size, **parameters)
    except RequestRefused as error:
        assert error.param in ("typical_p", "repetition_penalty", "top_k")  # noqa: PT017 - either is right
        assert error.param != "top_k" or vocabulary_size is None  # noqa: PT017
        return
    assert lorax_samples(sent) is sent.do_sample
    temperature, top_p = parameters["temperature"], parameters["top_p"]
    if temperature == 0 or top_p == 0:
        assert not sent.do_sample
    if (temperature is None or temperature > 0.01) and (top_p is None or top_p >= 0.01):
        assert sent.do_sample
    assert sent.temperature is None or 0.01 <= sent.temperature <= 2
    assert sent.top_p is None or 0 < sent.top_p < 1
    assert sent.typical_p is None or 0 < sent.typical_p <= as_f32(0.95)
    assert sent.top_k is None or 0 < sent.top_k <= (vocabulary_size or 1000)
    for penalty in (sent.frequency_penalty, sent.presence_penalty):
        assert penalty is None or -2 <= penalty <= 2
    repetition = sent.repetition_penalty
    assert repetition is None or 0.01 <= repetition <= 100
    for value in (sent.temperature, sent.top_p, sent.typical_p, repetition):
        assert value is None or as_f32(value) == value


def test_everything_that_can_be_sent_is_in_the_list() -> None:
    """A parameter that is added must be thought about in docs/evidence/shield.md first."""
    rows = re.findall(
        r"^\| (`.+?`) \|", (ROOT / "docs" / "evidence" / "shield.md").read_text(), re.MULTILINE
    )
    listed = {name for row in rows for name in re.findall(r"`(\w+)`", row)}
    sent = {*GenerateParameters.__struct_fields__, *MergedAdapters.__struct_fields__}
    assert listed == sent


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
