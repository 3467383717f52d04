"""The mock without a socket: as over one, and gone when its test is over."""

import asyncio
import threading
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import httpx
import pytest

from lorax_mock.http.axum import Receive, Scope, Send
from lorax_mock.scripting.script import ScriptError
from lorax_mock.server.app import MockApp
from lorax_mock.settings import Limits, Settings
from lorax_mock.testing.inprocess import LocalMock
from tests.mock.conftest import Running, events

_BODY = {"inputs": "hello", "parameters": {"details": True, "adapter_id": "acme/poet"}}


@pytest.fixture
def local() -> Iterator[LocalMock]:
    """A mock in this process."""
    with LocalMock() as mock:
        yield mock


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "/generate", _BODY),
        ("POST", "/generate_stream", _BODY),
        ("POST", "/generate", {"inputs": ""}),
        ("POST", "/generate", None),
        ("POST", "/v1/chat/completions", {"model": "", "messages": []}),
        ("GET", "/info?x=1", None),
        ("HEAD", "/info", None),
        ("DELETE", "/info", None),
        ("OPTIONS", "/any", None),
        ("GET", "/%2e", None),
    ],
)
def test_answers_are_those_of_a_socket(
    mock: Running, local: LocalMock, method: str, path: str, body: object
) -> None:
    """Answers in process have the status, body and headers of a socket, but for what the HTTP server adds."""
    over_socket = mock.http.request(method, path, json=body)
    with local.client() as http:
        here = http.request(method, path, json=body)
    assert (here.status_code, here.content) == (over_socket.status_code, over_socket.content)
    added = {"date", "transfer-encoding"}
    by_server = [one for one in over_socket.headers.multi_items() if one[0] not in added]
    assert _timeless(here.headers.multi_items()) == _timeless(by_server)


def _timeless(headers: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """Without times: the shared mock has loaded other adapters before."""
    return [one for one in headers if not one[0].startswith("x-") or "time" not in one[0]]


async def test_an_async_client_reads_a_stream_while_it_is_written(local: LocalMock) -> None:
    """An async client reads the first event of an answer that never ends."""
    local.faults("stall@1")
    async with (
        local.async_client() as http,
        http.stream("POST", "/generate_stream", json=_BODY) as reply,
    ):
        first = await anext(reply.aiter_text())
        assert len(events(first)) == 1
    assert local.journal[0]["outcome"] == "client_left"


def test_a_sync_client_that_leaves_is_noticed(local: LocalMock) -> None:
    """A sync client that leaves is in the journal with how far it read."""
    local.faults("stall@2")
    with local.client() as http, http.stream("POST", "/generate_stream", json=_BODY) as reply:
        parts = reply.iter_text()
        assert len(events(next(parts) + next(parts))) == 2
    assert local.journal[0]["outcome"] == "client_left"


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        ("cut@20", httpx.RemoteProtocolError),
        ("reset@20", httpx.ReadError),
        ("reset@0", httpx.ReadError),
    ],
)
@pytest.mark.parametrize("path", ["/generate", "/generate_stream"])
async def test_a_broken_connection_is_told_as_httpx_tells_it(
    local: LocalMock, path: str, fault: str, error: type[Exception]
) -> None:
    """A broken connection raises httpx's error in sync and async clients, and the next request is answered."""
    local.faults(fault, fault)
    with local.client() as http:
        with pytest.raises(error) as caught:
            await asyncio.to_thread(http.post, path, json=_BODY)
        assert isinstance(caught.value, httpx.RequestError)
        assert caught.value.request.url.path == path
    async with local.async_client() as http:
        with pytest.raises(error):
            await http.post(path, json=_BODY)
        assert (await http.post(path, json=_BODY)).status_code == 200


async def test_silence_is_a_read_timeout(local: LocalMock) -> None:
    """Silence beyond the client's own timeout raises ReadTimeout."""
    local.faults("stall@0", "stall@0")
    with local.client(timeout=0.01) as http, pytest.raises(httpx.ReadTimeout):
        http.post("/generate_stream", json=_BODY)
    async with local.async_client(timeout=0.01) as http:
        with pytest.raises(httpx.ReadTimeout):
            await http.post("/generate_stream", json=_BODY)


async def test_clients_of_all_kinds_share_one_mock(local: LocalMock) -> None:
    """Sync and async clients on several loops and threads use one mock at once."""

    def in_another_loop() -> str:
        async def ask() -> str:
            async with local.async_client() as http:
                return (await http.post("/generate", json=_BODY)).text

        return asyncio.run(ask())

    def blocking() -> str:
        with local.client() as http:
            return http.post("/generate", json=_BODY).text

    async with local.async_client() as http:

        async def here() -> str:
            return (await http.post("/generate", json=_BODY)).text

        texts = await asyncio.gather(
            asyncio.to_thread(in_another_loop),
            asyncio.to_thread(blocking),
            *[here() for _ in range(8)],
        )
    assert all(one == other for one, other in pairwise(texts))
    assert len(local.journal) == 10


def test_two_mocks_know_nothing_of_each_other(local: LocalMock) -> None:
    """Two mocks in a process have rules, journals and limits of their own."""
    with LocalMock(Settings(limits=Limits(max_input_length=2, max_total_tokens=9))) as other:
        local.script({"rules": [{"reply": {"text": "Ahoy!"}}]})
        with local.client() as http, other.client() as elsewhere:
            assert http.post("/generate", json=_BODY).json()["generated_text"] == "Ahoy!"
            assert elsewhere.post("/generate", json={"inputs": "a b c d"}).status_code == 422
        assert [entry["rule"] for entry in local.journal] == ["rule 1"]
        assert [entry["status"] for entry in other.journal] == [422]


def test_a_closed_mock_says_so_and_leaves_no_thread() -> None:
    """A closed mock raises for a request and leaves no thread."""
    before = threading.active_count()
    with LocalMock() as mock:
        mock.faults("stall@0")
        client = mock.client()
        with pytest.raises(httpx.ReadTimeout):
            mock.client(timeout=0.01).post("/generate_stream", json=_BODY)
        assert threading.active_count() == before + 1
    assert threading.active_count() == before
    with pytest.raises(RuntimeError, match="closed"):
        client.get("/info")


def test_a_wrong_script_file_is_told_at_once(tmp_path: Path) -> None:
    """A mock with a wrong script file raises before any request."""
    file = tmp_path / "script.yaml"
    file.write_text("rulse: []")
    with pytest.raises(ScriptError, match="did you mean 'rules'"):
        LocalMock(script=file)


class _Short(MockApp):
    """Promises more than it sends."""

    async def __call__(self, _: Scope, __: Receive, send: Send) -> None:
        headers = [(b"content-length", b"5")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b"abc"})


def test_a_wrong_length_is_an_error_as_on_a_socket() -> None:
    """An application that sends less than its content-length raises in process, too."""
    with LocalMock() as local:
        local.app = _Short(Settings())
        with local.client() as client, pytest.raises(RuntimeError, match="content-length"):
            client.get("/health")
