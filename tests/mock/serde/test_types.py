"""Bodies against the texts that serde_json and serde_path_to_error give."""

import json
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from lorax_mock.serde.types import SerdeError, read
from lorax_mock.wire.native import (
    CLASSIFY_BATCH_REQUEST,
    CLASSIFY_REQUEST,
    COMPAT_EMBED_REQUEST,
    COMPAT_GENERATE_REQUEST,
    DEFAULT_SCHEMA,
    EMBED_REQUEST,
    GENERATE_REQUEST,
    TOKENIZE_REQUEST,
    GenerateParameters,
    GenerateRequest,
)
from lorax_mock.wire.openai import CHAT_REQUEST, COMPLETION_REQUEST

_REFUSED = [
    ("{}", False, "missing field `inputs` at line 1 column 2"),
    ("", True, "EOF while parsing a value at line 1 column 0"),
    ("   ", True, "EOF while parsing a value at line 1 column 3"),
    (
        '{"inputs":1}',
        False,
        "inputs: invalid type: integer `1`, expected a string at line 1 column 11",
    ),
    (
        '{"inputs":1.50}',
        False,
        "inputs: invalid type: floating point `1.5`, expected a string at line 1 column 14",
    ),
    ('{"inputs":"a",}', True, "trailing comma at line 1 column 15"),
    (
        '{"inputs":"a","parameters":{"max_new_tokens":-1}}',
        False,
        ("parameters.max_new_tokens: invalid value: integer `-1`, expected u32 "
        "at line 1 column 47"),
    ),
    (
        '{"inputs":"a","parameters":{"max_new_tokens":1.5}}',
        False,
        ("parameters.max_new_tokens: invalid type: floating point `1.5`, expected u32 "
        "at line 1 column 48"),
    ),
    (
        '{"inputs":"a","parameters":{"stop":"x"}}',
        False,
        'parameters.stop: invalid type: string "x", expected a sequence at line 1 column 38',
    ),
    (
        '{"inputs":"a","parameters":{"stop":["x",1]}}',
        False,
        "parameters.stop[1]: invalid type: integer `1`, expected a string at line 1 column 41",
    ),
    (
        '{"inputs":"a","parameters":null}',
        False,
        "parameters: invalid type: null, expected struct GenerateParameters at line 1 column 31",
    ),
    (
        '{"inputs":"a","parameters":{"details":null}}',
        False,
        "parameters.details: invalid type: null, expected a boolean at line 1 column 42",
    ),
    (
        '{"inputs":"a","parameters":{"response_format":{"type":"regex"}}}',
        False,
        ("parameters.response_format.type: unknown variant `regex`, expected one of `Text`, "
        "`text`, `JsonObject`, `json_object`, `JsonSchema`, `json_schema` at line 1 column 61"),
    ),
    ('{"parameters":{"response_format":{"type":{"text":null', True,
     "parameters.response_format.type: EOF while parsing an object at line 1 column 53"),
    ('{"inputs":"a","inputs":"b"}', False, "duplicate field `inputs` at line 1 column 22"),
    ("[]", False, "invalid length 0, expected struct GenerateRequest with 2 elements at line 1 column 2"),
    ('["a",{},1]', True, "trailing characters at line 1 column 9"),
    ("3", False, "invalid type: integer `3`, expected struct GenerateRequest at line 1 column 1"),
    ('{"inputs":"a\nb"}', True, "inputs: control character (\\u0000-\\u001F) found while parsing a string at line 2 column 0"),
    ('{"inputs":"\\ud800"}', True, "inputs: unexpected end of hex escape at line 1 column 18"),
    ('{"inputs":"\\udc00x"}', True, "inputs: lone leading surrogate in hex escape at line 1 column 17"),
    ('{"inputs":"\\q"}', True, "inputs: invalid escape at line 1 column 13"),
    ('{"inputs":"abc', True, "inputs: EOF while parsing a string at line 1 column 14"),
    ('{"inputs" "a"}', True, "expected `:` at line 1 column 11"),
    ('{"inputs":"a" "b"}', True, "expected `,` or `}` at line 1 column 15"),
    ('{"inputs":"a","x":[1,2}', True, "x: expected `,` or `]` at line 1 column 23"),
    ('{"inputs":"a","x":tru}', True, "x: expected ident at line 1 column 22"),
    ("{1:2}", True, "key must be a string at line 1 column 2"),
    ('{"parameters":{1:2}}', True, "parameters.?: key must be a string at line 1 column 16"),
    ('{"parameters":{"stop"', True, "parameters: EOF while parsing an object at line 1 column 21"),
    ('{"inputs":"a","parameters":{"seed":18446744073709551616}}', False,
     "parameters.seed: invalid type: floating point `1.8446744073709552e19`, expected u64 at line 1 column 55"),
    ('{"inputs":"a","parameters":{"temperature":1e999}}', True,
     "parameters.temperature: number out of range at line 1 column 47"),
    ('{"inputs":"a","parameters":{"temperature":01}}', True,
     "parameters.temperature: invalid number at line 1 column 44"),
]  # fmt: skip


@pytest.mark.parametrize(("body", "syntax", "text"), _REFUSED, ids=[row[0] for row in _REFUSED])
def test_a_bad_body_is_refused_in_serdes_words(body: str, *, syntax: bool, text: str) -> None:
    """A bad body's first error has serde's kind, path, message, line and column."""
    with pytest.raises(SerdeError) as caught:
        read(body.encode(), GENERATE_REQUEST)
    assert (caught.value.syntax, str(caught.value)) == (syntax, text)


def _answered_by_serde() -> dict[str, list[tuple[str, int, str]]]:
    rows = json.loads(Path(__file__).with_name("serde_refusals.json").read_text("utf-8"))
    found: dict[str, list[tuple[str, int, str]]] = {}
    for struct, body, status, text in rows:
        found.setdefault(struct, []).append((body, status, text))
    return found


_ANSWERED = _answered_by_serde()
_STRUCTS = {
    "GenerateRequest": GENERATE_REQUEST,
    "CompatGenerateRequest": COMPAT_GENERATE_REQUEST,
    "TokenizeRequest": TOKENIZE_REQUEST,
    "EmbedRequest": EMBED_REQUEST,
    "CompatEmbedRequest": COMPAT_EMBED_REQUEST,
    "ClassifyRequest": CLASSIFY_REQUEST,
    "BatchClassifyRequest": CLASSIFY_BATCH_REQUEST,
    "ChatCompletionRequest": CHAT_REQUEST,
    "CompletionRequest": COMPLETION_REQUEST,
}


@pytest.mark.parametrize("struct", _STRUCTS)
def test_serde_itself_answered_so(struct: str) -> None:
    """Each recorded body gets the answer of serde 1.0.215, serde_json 1.0.132 and serde_path_to_error 0.1.16."""
    differs: list[tuple[str, str, str]] = []
    for body, status, text in _ANSWERED[struct]:
        with pytest.raises(SerdeError) as caught:
            read(body.encode(), _STRUCTS[struct])
        said = f"{400 if caught.value.syntax else 422} {caught.value}"
        if said != f"{status} {text}":
            differs.append((body, f"{status} {text}", said))
    assert differs == []


def test_every_struct_was_asked() -> None:
    """The recordings have every request struct of LoRAX's."""
    assert set(_ANSWERED) == set(_STRUCTS)


def test_invalid_utf8_is_a_syntax_fault() -> None:
    """Invalid UTF-8 in a string is a syntax error at the string's end."""
    with pytest.raises(SerdeError, match="inputs: invalid unicode code point at line 1 column 13"):
        read(b'{"inputs":"\xff"}', GENERATE_REQUEST)


def test_a_schema_nests_127_deep_and_no_deeper() -> None:
    """serde_json counts every bracket around a value; unknown keys are not counted."""
    frame = b'{"inputs":"a","parameters":{"response_format":{"type":"text","schema":%b}}}'
    read(frame % (b"[" * 124 + b"]" * 124), GENERATE_REQUEST)
    with pytest.raises(SerdeError, match="recursion limit exceeded"):
        read(frame % (b"[" * 125 + b"]" * 125), GENERATE_REQUEST)
    ignored = b'{"inputs":"a","x":' + b"[" * 100_000 + b"]" * 100_000 + b"}"
    assert read(ignored, GENERATE_REQUEST).inputs == "a"


def test_laxity_is_serdes_too() -> None:
    """Unknown keys, trailing bytes, arrays for structs, integers for floats and nulls for options are taken."""
    plain = GenerateRequest("a")
    assert read(b'{"inputs":"a","nonsense":{"b":[1,{}]}} trailing', GENERATE_REQUEST) == plain
    assert read(b'["a"]', GENERATE_REQUEST) == plain
    body = b'{"inputs":"a","parameters":{"temperature":1,"seed":null,"top_p":0.1}}'
    parameters = read(body, GENERATE_REQUEST).parameters
    assert parameters == GenerateParameters(temperature=1.0, top_p=0.10000000149011612)
    assert read(b'["a",[null,null,null],true]', COMPAT_GENERATE_REQUEST) == GenerateRequest(
        "a", stream=True
    )


def test_an_absent_schema_is_the_default_and_null_is_none() -> None:
    """An absent schema in a response format is LoRAX's default one, and null is none."""
    frame = '{"inputs":"a","parameters":{"response_format":%s}}'
    absent = read((frame % '{"type":"text"}').encode(), GENERATE_REQUEST)
    null = read((frame % '{"type":"json_object","schema":null}').encode(), GENERATE_REQUEST)
    assert absent.parameters.response_format.schema == DEFAULT_SCHEMA
    assert null.parameters.response_format.schema is None


_RIGHT = (
    b'{"inputs":"a\\u00e9\\ud83d\\ude00 \xc3\xa9","parameters":{"stop":["x\\n"],"temperature":0.5,'
    b'"best_of":null,"top_k":12,"details":true,"odd":[1e3,{"a":"\\\\"}]}}'
)


@st.composite
def _damaged(draw: st.DrawFn) -> bytes:
    """A right body with a stretch of it taken out, and anything put in its place."""
    start, end = sorted(draw(st.tuples(*[st.integers(0, len(_RIGHT))] * 2)))
    anything = st.binary(max_size=3) | st.sampled_from(
        [b'"', b"\\", b"\\u", b"{", b"]", b",", b"-0"]
    )
    kept = min(end, start + draw(st.integers(0, 4)))
    return _RIGHT[:start] + draw(anything) + _RIGHT[kept:]


@pytest.mark.property
@given(st.binary(max_size=60) | st.text(max_size=40).map(str.encode) | _damaged())
@example(b'{"inputs":"\\ud83d\\ude00"}')
def test_any_bytes_give_a_request_or_a_fault(body: bytes) -> None:
    """Any bytes are a request or raise SerdeError, and nothing else."""
    shown = " at line "
    try:
        read(body, GENERATE_REQUEST)
    except SerdeError as error:
        shown = str(error)
    assert " at line " in shown


@pytest.mark.property
@given(text=st.text(max_size=50), escaped=st.booleans())
def test_every_text_arrives_as_it_was_sent(*, text: str, escaped: bool) -> None:
    """A string of any characters reads back, escaped or raw."""
    body = json.dumps({"inputs": text}, ensure_ascii=escaped).encode()
    assert read(body, GENERATE_REQUEST).inputs == text


@pytest.mark.property
@given(
    st.recursive(
        st.none()
        | st.booleans()
        | st.integers()
        | st.floats(allow_nan=False)
        | st.text(max_size=5),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
        max_leaves=8,
    )
)
def test_unknown_values_are_skipped_whole(value: object) -> None:
    """Whatever stands under an unknown key, what follows it is read."""
    text = json.dumps({"unknown": value, "inputs": "a"})
    if "Infinity" not in text:
        assert read(text.encode(), GENERATE_REQUEST).inputs == "a"
