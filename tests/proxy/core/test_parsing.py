"""Bodies that are no requests: each is refused in OpenAI's words, and none breaks the proxy."""

import contextlib
import json
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lorax_proxy.core.parsing import is_small, is_too_deep, read_document
from lorax_proxy.errors import RequestRefused

NOT_JSON = "We could not parse the JSON body of your request: "
TOO_DEEP = "The JSON body is nested too deeply"


def refused(body: bytes) -> RequestRefused:
    """The refusal of a body."""
    with pytest.raises(RequestRefused) as caught:
        read_document(body)
    assert caught.value.status == 400
    assert caught.value.type == "invalid_request_error"
    return caught.value


@pytest.mark.parametrize(
    ("body", "message"),
    [
        pytest.param(b"", "The request has no body; send a JSON object.", id="empty"),
        pytest.param(b" \r\n\t", "The request has no body; send a JSON object.", id="blank"),
        pytest.param(b"[]", "The JSON body must be an object, but it is an array.", id="array"),
        pytest.param(b"null", "The JSON body must be an object, but it is null.", id="null"),
        pytest.param(b'"x"', "The JSON body must be an object, but it is a string.", id="string"),
        pytest.param(b"true", "The JSON body must be an object, but it is a boolean.", id="true"),
        pytest.param(b"1", "The JSON body must be an object, but it is an integer.", id="integer"),
        pytest.param(b"{", NOT_JSON, id="cut"),
        pytest.param(b"{}x", NOT_JSON, id="trailing"),
        pytest.param(b"{'a':1}", NOT_JSON, id="single quotes"),
        pytest.param(b'{"a":1,}', NOT_JSON, id="trailing comma"),
        pytest.param(b'{"a":NaN}', NOT_JSON, id="NaN"),
        pytest.param(b'{"a":Infinity}', NOT_JSON, id="Infinity"),
        pytest.param(b'{"a":1e999}', NOT_JSON, id="1e999"),
        pytest.param(b'{"a":' + b"9" * 5000 + b"}", NOT_JSON, id="5000 digits"),
        pytest.param(b'{"a":01}', NOT_JSON, id="leading zero"),
        pytest.param(b"\xef\xbb\xbf{}", NOT_JSON, id="byte order mark"),
        pytest.param(b'{"a":"\x01"}', NOT_JSON, id="control character"),
        pytest.param(b'{"a":"\\ud800"}', NOT_JSON, id="lone high surrogate"),
        pytest.param(b'{"a":"\\udc00"}', NOT_JSON, id="lone low surrogate"),
        pytest.param(b'{"a":"\\ud800\\ud800"}', NOT_JSON, id="two high surrogates"),
        pytest.param(b'{"\\ud800":1}', NOT_JSON, id="lone surrogate in a key"),
        pytest.param(b'{"a":"\xff"}', "The body is not valid UTF-8", id="no UTF-8"),
        pytest.param(b'{"a":"\xed\xa0\x80"}', "The body is not valid UTF-8", id="raw surrogate"),
        pytest.param('{"a":1}'.encode("utf-16"), NOT_JSON, id="UTF-16"),
        pytest.param(b"[" * 50_000, TOO_DEEP, id="50,000 brackets"),
        pytest.param(b'{"a":' * 30_000, TOO_DEEP, id="30,000 objects"),
        pytest.param(b'{"a":' * 65 + b"1" + b"}" * 65, TOO_DEEP, id="65 levels"),
    ],
)
def test_a_body_that_is_no_json_object(body: bytes, message: str) -> None:
    """Each says what is wrong with it, and names no parameter."""
    error = refused(body)
    assert error.message.startswith(message)
    assert error.param is None


def test_what_is_json_is_read() -> None:
    """Pairs of surrogates, large integers, white space and the last of two equal keys."""
    body = b' {"a":"\\ud83d\\ude00","b":123456789012345678901234567890,"c":1,"c":2} '
    assert read_document(body) == {"a": "😀", "b": 123456789012345678901234567890, "c": 2}


def test_sixty_four_levels_are_read() -> None:
    """The deepest document that is no refusal."""
    assert read_document(b'{"a":' * 64 + b"1" + b"}" * 64)
    assert not is_too_deep("[[")


@pytest.mark.parametrize("part", ["[]", "{}", '{"a":1}', '{"{[:":"]}:"}'])
def test_sixty_thousand_objects_arrays_and_members_are_read(part: str) -> None:
    """Wherever they stand, and however many more are in strings; one more is refused."""
    count = 1 if part in ("[]", "{}") else 2
    # the object itself, its three members and the array are five
    document = '{"{[:\\"":"%s","\\\\":[%s],"c":%s}'
    inner = ",".join([part] * ((60_000 - 5) // count))
    rest = "1" if count == 1 else "[]"
    assert read_document((document % ("{:[" * 60_000, inner, rest)).encode())
    more = rest.replace("1", "[]") if count == 1 else '{"a":1}'
    with pytest.raises(RequestRefused, match="60000 objects, arrays and members"):
        read_document((document % ("", inner, more)).encode())


def test_a_string_that_never_ends_is_looked_at_once() -> None:
    """Each of its quotes could be a string's first: a million steps, or their square."""
    before = time.process_time()
    assert refused(b'{"' + b'\\":' * 300_000).message.startswith(NOT_JSON)
    assert time.process_time() - before < 5


@pytest.mark.property
@given(st.binary(max_size=100))
def test_any_bytes_are_a_document_or_refused(body: bytes) -> None:
    """Whatever is sent: an object that can be written as JSON again, or a refusal."""
    with contextlib.suppress(RequestRefused):
        document = read_document(body)
        assert read_document(json.dumps(document).encode()) == document


@pytest.mark.parametrize(
    ("body", "small"),
    [
        (b"{}", True),
        (b'"' + b"x" * 16_382 + b'"', True),
        (b'"' + b"x" * 16_383 + b'"', False),
        (b"[" + b"[]," * 126 + b"{}]", True),
        (b"[" + b"[]," * 127 + b"{}]", False),
    ],
)
def test_a_document_is_small_by_its_bytes_and_containers(body: bytes, small: bool) -> None:
    """Sixteen kibibytes and 128 objects and arrays are."""
    assert is_small(body) is small
