"""A mock recorded, and its recording replayed, over sockets."""

import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from tests.mock.conftest import Running

_ASKED = [
    ("/generate", {"inputs": "reef", "parameters": {"details": True}}),
    ("/generate_stream", {"inputs": "moon", "parameters": {"adapter_id": "acme/poet"}}),
    ("/generate", {"inputs": ""}),
    ("/generate", {"inputs": "dice", "parameters": {"do_sample": True}}),
    ("/generate", {"inputs": "dice", "parameters": {"do_sample": True}}),
]


@pytest.fixture
def start() -> Iterator[Callable[..., httpx.Client]]:
    """Starts a subcommand and gives a client for the address it tells."""
    processes: list[subprocess.Popen[str]] = []
    clients: list[httpx.Client] = []

    def begin(*arguments: str) -> httpx.Client:
        process = subprocess.Popen(
            [sys.executable, "-m", "lorax_mock", *arguments, "--port", "0"],
            stdout=subprocess.PIPE,
            text=True,
        )
        processes.append(process)
        assert process.stdout is not None
        match = re.search(r"on (http://\S+) ", process.stdout.readline())
        assert match is not None
        clients.append(httpx.Client(base_url=match[1], timeout=10))
        return clients[-1]

    yield begin
    for client in clients:
        client.close()
    for process in processes:
        process.terminate()
        assert process.wait(5) == 0
        assert process.stdout is not None
        process.stdout.close()


def _told(client: httpx.Client) -> list[tuple[int, bytes, str | None]]:
    replies = [
        client.post(path, json=body, headers={"authorization": "Bearer s3cret"})
        for path, body in _ASKED
    ]
    return [
        (reply.status_code, reply.content, reply.headers.get("x-compute-characters"))
        for reply in replies
    ]


@pytest.mark.slow
def test_a_recording_replays_byte_for_byte(
    start_mock: Callable[..., Running], start: Callable[..., httpx.Client], tmp_path: Path
) -> None:
    """A replay has the recorded bodies, statuses, headers, streams and repetitions, and no secret."""
    running = start_mock()
    cassette = tmp_path / "cassette.jsonl"
    recording = start("record", str(cassette), "--upstream", running.url)
    told = _told(recording)
    assert told[3][1] != told[4][1] or told[3] == told[4]
    with pytest.raises(httpx.RemoteProtocolError):
        recording.post("/generate", json={"inputs": "x"}, headers={"x-lorax-mock-fault": "cut@3"})
    assert "s3cret" not in cassette.read_text()
    replayed = start("replay", str(cassette))
    assert _told(replayed) == told
    with pytest.raises(httpx.RemoteProtocolError):
        replayed.post("/generate", json={"inputs": "x"})
    unknown = replayed.post("/generate", json={"inputs": "never asked"})
    assert unknown.status_code == 500
    assert "was recorded with other bodies" in unknown.json()["error"]


def test_an_upstream_that_is_not_there_is_named(
    start: Callable[..., httpx.Client], tmp_path: Path
) -> None:
    """An upstream that does not answer is a 502 with its address, and nothing is recorded."""
    cassette = tmp_path / "cassette.jsonl"
    recording = start("record", str(cassette), "--upstream", "http://127.0.0.1:9")
    reply = recording.post("/generate", json={"inputs": "a"})
    assert reply.status_code == 502
    assert "cannot reach http://127.0.0.1:9" in reply.json()["error"]
    assert cassette.read_text() == ""
