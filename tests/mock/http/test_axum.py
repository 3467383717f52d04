"""Content types and bodies at the framework's door."""

from collections.abc import MutableMapping
from typing import Any

import pytest

from lorax_mock.errors import FrameworkRefusal
from lorax_mock.http.axum import ClientLeft, Exchange, parse
from lorax_mock.wire.native import TOKENIZE_REQUEST


def _exchange(messages: list[dict[str, Any]], kind: str = "application/json") -> Exchange:
    waiting = list(messages)

    async def receive() -> MutableMapping[str, Any]:
        return waiting.pop(0)

    async def send(message: MutableMapping[str, Any]) -> None:
        raise AssertionError(message)

    headers = [(b"content-type", kind.encode())]
    return Exchange({"method": "POST", "path": "/", "headers": headers}, receive, send)


def _part(body: bytes, *, more: bool = False) -> dict[str, Any]:
    return {"type": "http.request", "body": body, "more_body": more}


@pytest.mark.parametrize(
    ("kind", "accepted"),
    [
        ("application/json", True),
        ("APPLICATION/JSON; charset=latin-1", True),
        ("application/problem+json", True),
        ("text/json", False),
        ("application/jsonx", False),
        ("text/plain+json", False),
        ("application/json+xml", True),
        ("application/+json", False),
        ("application/json; charset=utf-8;", True),
        ('application/json; a="b c" ; d=', True),
        ("application/json;", True),
        ("application/json;; a=b", False),
        ("application/json; charset", False),
        ("application/json ; charset=utf-8", False),
        ("application/json, text/html", False),
        ("", False),
    ],
)
async def test_content_types_that_axum_takes_for_json(kind: str, *, accepted: bool) -> None:
    """A content type is JSON if it parses, is `application`, and has `json` before or behind the last plus."""
    exchange = _exchange([_part(b"{}")], kind)
    if accepted:
        assert await exchange.body(10) == b"{}"
        return
    with pytest.raises(FrameworkRefusal) as caught:
        await exchange.body(10)
    assert caught.value.status == 415


def test_the_path_is_the_raw_one() -> None:
    """The path is the one that was sent, where the server tells it."""
    scope = {"method": "GET", "path": "/info", "raw_path": b"/%69nfo", "headers": []}
    assert Exchange(scope, _never, _never).path == "/%69nfo"
    assert Exchange({**scope, "raw_path": None}, _never, _never).path == "/info"


async def _never(*_: object) -> Any:
    raise AssertionError


@pytest.mark.parametrize(
    ("authorization", "asked", "token"),
    [
        (None, None, None),
        (b"Bearer secret", None, "secret"),
        (b"Bearer  two", None, " two"),
        (b"Bearer ", None, ""),
        (b"Bearer secret", "own", "own"),
        (b"Bearer secret", "", ""),
        (b"bearer secret", None, None),
        (b"Basic secret", None, None),
        (b"Bearer s\xc3\xa9cret", None, None),
    ],
)
def test_the_bearer_is_the_token_of_bodies_without_one(
    authorization: bytes | None, asked: str | None, token: str | None
) -> None:
    """A bearer counts as a token only after exactly `Bearer ` and in visible ASCII."""
    headers = [] if authorization is None else [(b"authorization", authorization)]
    exchange = Exchange({"method": "POST", "path": "/", "headers": headers}, _never, _never)
    assert exchange.download_token(asked) == token


async def test_a_body_may_come_in_parts_up_to_the_limit() -> None:
    """A body of the limit's size is taken, and one byte more is a 413."""
    assert await _exchange([_part(b"12", more=True), _part(b"345")]).body(5) == b"12345"
    with pytest.raises(FrameworkRefusal) as caught:
        await _exchange([_part(b"12", more=True), _part(b"3456")]).body(5)
    assert caught.value.status == 413


async def test_a_client_that_leaves_mid_body_is_no_request() -> None:
    """A client that leaves inside its body raises ClientLeft and gets no answer."""
    with pytest.raises(ClientLeft):
        await _exchange([_part(b"12", more=True), {"type": "http.disconnect"}]).body(5)


@pytest.mark.parametrize(
    ("body", "status", "start"),
    [
        (b"{", 400, "Failed to parse the request body as JSON: "),
        (b"{}", 422, "Failed to deserialize the JSON body into the target type: "),
    ],
)
def test_syntax_is_400_and_types_are_422(body: bytes, status: int, start: str) -> None:
    """A syntax error is a 400 and a type error a 422, each with axum's opening."""
    with pytest.raises(FrameworkRefusal) as caught:
        parse(body, TOKENIZE_REQUEST)
    assert caught.value.status == status
    assert caught.value.text.startswith(start)


async def test_only_a_disconnect_is_leaving() -> None:
    """A repeated end of the body is not taken for a client that leaves."""
    messages = [_part(b""), _part(b""), {"type": "http.disconnect"}, _part(b"never read")]
    exchange = _exchange(messages)
    await exchange.left()
    assert (await exchange.receive())["body"] == b"never read"


@pytest.mark.parametrize(
    ("method", "body", "names"),
    [
        ("GET", b"a", ["x-a", "content-length", "vary", "access-control-allow-origin", "allow"]),
        ("GET", b"", ["x-a", "vary", "access-control-allow-origin", "allow", "content-length"]),
        ("HEAD", b"a", ["x-a", "content-length", "vary", "access-control-allow-origin", "allow"]),
        ("HEAD", b"", ["x-a", "content-length", "vary", "access-control-allow-origin", "allow"]),
    ],
)
async def test_the_length_stands_where_the_router_puts_it(
    method: str, body: bytes, names: list[str]
) -> None:
    """The length stands before CORS, but an empty body's comes last unless to HEAD."""
    sent: list[MutableMapping[str, Any]] = []

    async def send(message: MutableMapping[str, Any]) -> None:
        sent.append(message)

    exchange = Exchange({"method": method, "path": "/", "headers": []}, _never, send)
    await exchange.reply(200, body, [(b"x-a", b"b")], last=[(b"allow", b"GET")])
    assert [name.decode() for name, _ in sent[0]["headers"]] == names
