"""Values read past."""

import pytest

from lorax_mock.serde.reader import Reader, SerdeError
from lorax_mock.serde.skipping import skip


@pytest.mark.parametrize(
    "body", [b"1", b"null", b'"\\ud800"', b'"\xff"', b"[]", b"{}", b'[1,{"a":[true,"x"]},[]]']
)
def test_any_value_is_passed_exactly(body: bytes) -> None:
    """Any value is skipped to its end, also one with a lone surrogate or invalid UTF-8."""
    reader = Reader(body + b" rest")
    skip(reader)
    assert reader.at == len(body)


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (b"", "EOF while parsing a value"),
        (b"[1", "EOF while parsing a list"),
        (b"[1 2]", "expected `,` or `]`"),
        (b'{"a":1', "EOF while parsing an object"),
        (b'{"a" 1}', "expected `:`"),
        (b'{"a":1 "b"}', "expected `,` or `}`"),
        (b"{1:2}", "key must be a string"),
        (b"[x]", "expected value"),
        (b"[1,]", "expected value"),
        (b'"\\x"', "invalid escape"),
        (b'"a\n"', "control character (\\u0000-\\u001F) found while parsing a string"),
        (b'"a', "EOF while parsing a string"),
        (b"nul", "EOF while parsing a value"),
    ],
)
def test_what_is_not_json_is_still_found(body: bytes, text: str) -> None:
    """A syntax error under an unknown key is found."""
    with pytest.raises(SerdeError) as caught:
        skip(Reader(body))
    assert caught.value.text == text


def test_a_control_character_in_a_skipped_text_is_not_counted() -> None:
    """The column of a control character in a skipped text does not count it, as it does in a wanted one."""
    with pytest.raises(SerdeError) as caught:
        skip(Reader(b'"a\n"'))
    assert caught.value.at == 2
