"""Recorded exchanges: what a path means, and the file form."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lorax_contracts.curl import curl
from lorax_contracts.errors import CannotRead
from lorax_contracts.exchange import End, Exchange, Route, count_of, from_json, to_json
from lorax_contracts.messages import request_text


@pytest.mark.parametrize(
    ("method", "path", "route"),
    [
        ("POST", "/v1/chat/completions", Route.CHAT),
        ("POST", "/openai/v1/completions?x=1", Route.COMPLETIONS),
        ("GET", "/v1/models", Route.MODELS),
        ("GET", "/v1/models/org/name", Route.MODEL),
        ("POST", "/", Route.COMPAT_GENERATE),
        ("GET", "/", Route.HEALTH),
        ("POST", "/invocations", Route.COMPAT_GENERATE),
        ("POST", "/generate_stream", Route.GENERATE_STREAM),
        ("GET", "/what", Route.OTHER),
    ],
)
def test_a_path_says_what_it_is_for(method: str, path: str, route: Route) -> None:
    """Prefixes and queries do not matter."""
    assert Exchange(method, path, 200, (), b"").route is route


@pytest.mark.parametrize(
    ("text", "number"),
    [("0", 0), ("12", 12), ("9" * 20, 10**20 - 1), ("9" * 21, None), ("9" * 5_000, None)]
    + [(text, None) for text in ("", "-1", "1.0", " 1", "\u00b2", "?")],
)
def test_a_number_in_a_header_is_short_and_decimal(text: str, number: int | None) -> None:
    """What is none is not stated, however long it is."""
    assert count_of(text) == number
    assert Exchange("GET", "/info", 200, (("x-a", text),), b"").count("x-a") == number


@pytest.mark.property
@given(
    st.builds(
        Exchange,
        method=st.sampled_from(["GET", "POST"]),
        path=st.just("/v1/models"),
        status=st.integers(100, 599),
        headers=st.just((("content-type", "x"),)),
        body=st.binary(),
        request=st.none() | st.dictionaries(st.text(max_size=3), st.integers()),
        end=st.sampled_from(End),
        at=st.none() | st.integers(0, 9),
    )
)
def test_the_file_form_loses_nothing(exchange: Exchange) -> None:
    """What was recorded is what is judged."""
    assert from_json(to_json(exchange)) == exchange


@pytest.mark.parametrize(
    ("document", "said"),
    [
        ([], "is a JSON object"),
        ({"status": 200}, "path must be a str"),
        ({"path": "/", "status": "200"}, "status must be a int"),
        ({"path": "/", "status": 200, "end": "lost"}, "end must be one of complete, cut"),
        ({"path": "/", "status": 200, "body_base64": "&"}, "is not base64"),
        *(
            ({"path": "/", "status": 200, key: value}, f"exchange: {key} must")
            for key in ("headers", "request_headers")
            for value in (None, ["a"], [1], "ab", [["a"]], [[1, "b"]])
        ),
        ({"path": "/\x1b[1m", "status": 200}, "path holds control characters"),
        ({"path": "/", "status": 200, "method": "GET\n"}, "is no method"),
        ({"path": "/", "status": 200, "at": "now"}, "at must be"),
        (
            {"path": "/", "status": 200, "request_headers": {"x-key$(a)": "b"}},
            "is no header's name",
        ),
        ({"path": "/", "status": 200, "request_headers": {"x-a": "b\n"}}, "x-a holds control"),
    ],
)
def test_what_is_no_exchange_is_refused_with_its_key(document: object, said: str) -> None:
    """The key that is wrong is named."""
    with pytest.raises(CannotRead, match=said):
        from_json(document)


@pytest.mark.parametrize("name", ["Authorization", "X-API-Key"])
def test_a_recorded_key_is_a_key_however_its_header_is_spelled(name: str) -> None:
    """Neither the command nor the page of a report prints it."""
    document = {"path": "/v1/models", "status": 200, "request_headers": {name: "sk-secret"}}
    exchange = from_json(document)
    assert list(exchange.request_headers) == [name.lower()]
    assert "sk-secret" not in curl(exchange) + request_text(exchange)
