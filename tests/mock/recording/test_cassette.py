"""Recordings as text."""

import json

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from lorax_mock.recording.cassette import (
    Cassette,
    CassetteError,
    Exchanged,
    clean_body,
    clean_headers,
    read_cassette,
)


def _one(body: bytes = b"{}", answer: bytes = b"x") -> Exchanged:
    return Exchanged("POST", "/generate", body, 200, (("a", "b"),), ((1.5, answer),))


@pytest.mark.property
@example(b"\xc2\x85\xe2\x80\xa8", [])
@given(st.binary(max_size=20), st.lists(st.tuples(st.integers(0, 99), st.binary(max_size=9))))
def test_an_exchange_reads_back_as_it_was(body: bytes, chunks: list[tuple[int, bytes]]) -> None:
    """An exchange of any bytes, text or not, reads back as it was."""
    timed = tuple((float(at), data) for at, data in chunks)
    exchanged = Exchanged("POST", "/x", body, 200, (("a", "é"),), timed, broken=True)
    assert read_cassette(exchanged.as_line()) == [exchanged]


def test_secrets_are_left_out() -> None:
    """Secrets are left out of headers and, at any depth, of bodies, and all else stays byte for byte."""
    assert clean_headers([("Authorization", "Bearer s"), ("X-Model-Id", "m"), ("Date", "d")]) == (
        ("x-model-id", "m"),
    )
    cleaned = clean_body(b'{"inputs":"a","parameters":{"api_token":"s3cret","seed":1}}')
    assert b"s3cret" not in cleaned
    assert b'"seed": 1' in cleaned
    assert clean_body(b'{"inputs":  "token"}') == b'{"inputs":  "token"}'
    assert clean_body(b"not json") == b"not json"


def test_equal_json_finds_the_next_recording() -> None:
    """A request finds its next recording whatever its spaces, key order and secrets, and repeats the last."""
    first = _one(b'{"a":1,"api_token":"(removed)"}', b"1")
    second = _one(b'{"a":1,"api_token":"(removed)"}', b"2")
    cassette = Cassette([first, second])
    bodies = (b'{ "api_token":"x", "a": 1 }', b'{"a":1,"api_token":"y"}', b'{"a":1,"api_token":""}')
    found = [cassette.find("POST", "/generate", body) for body in bodies]
    assert found == [first, second, second]
    assert cassette.find("POST", "/generate", b'{"a":2}') is None
    assert "with other bodies" in cassette.nearest("POST", "/generate")
    assert cassette.nearest("GET", "/x") == "recorded were POST /generate"


@pytest.mark.parametrize(
    ("text", "told"),
    [("", "nothing was recorded"), ("{}", "line 1: "), ("\nx", "line 2: ")],
)
def test_what_is_no_cassette_is_told_the_line(text: str, told: str) -> None:
    """A file that is no cassette is refused with the line, and an empty one as empty."""
    with pytest.raises(CassetteError) as caught:
        read_cassette(text)
    assert str(caught.value).startswith(told)


def test_bodies_that_no_encoding_has_are_cleaned_all_the_same() -> None:
    """Secrets go from bodies with half a surrogate pair, and a body too deep to look into is left out."""
    cleaned = clean_body(b'{"inputs":"\\ud83c","api_token":"secret"}')
    assert json.loads(cleaned) == {"inputs": "\ud83c", "api_token": "(removed)"}
    deep = b'{"api_token":"secret","a":' + b"[" * 100_000 + b"]" * 100_000 + b"}"
    assert b"secret" not in clean_body(deep)
    assert Cassette([]).find("POST", "/", b"[" * 100_000) is None
