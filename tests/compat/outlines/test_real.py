"""What frameworks send, through LoRAX's compiler: admitted and refused as the schema says."""

import json
from typing import Any

import pytest

from lorax_proxy.core.schema.lowered import lower
from tests.compat.outlines.judging import Compiler, complaint, promised
from tests.compat.outlines.real import REAL

pytestmark = pytest.mark.compat


@pytest.mark.parametrize("name", REAL)
@pytest.mark.parametrize("strict", [True, False])
def test_real_schemas_admit_what_they_should(compiler: Compiler, name: str, strict: bool) -> None:
    """Valid instances can be written, invalid ones cannot, and samples are valid."""
    schema, admitted, refused = REAL[name]
    lowered = lower(schema, path="s", strict=strict)
    texts = [json.dumps(each, ensure_ascii=False) for each in (*admitted, *refused)]
    answer = compiler.ask(lowered.schema, texts=texts, seeds=list(range(40)))
    assert "error" not in answer, answer
    verdicts: dict[str, Any] = dict(zip(texts, answer["accepted"], strict=True))
    assert verdicts == {text: index < len(admitted) for index, text in enumerate(texts)}
    left = promised(schema, lowered.dropped, "s")
    for text in answer["samples"]:
        assert complaint(left, json.loads(text)) is None, text


def test_what_is_dropped_is_named() -> None:
    """Of the framework's schema only the open bound of an age has no form."""
    assert lower(REAL["pydantic"][0], path="s", strict=True).dropped == (
        "s.properties.age.minimum",
    )
