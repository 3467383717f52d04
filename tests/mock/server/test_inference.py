"""What a request gets: its sequences and their times."""

import json
import sys
from collections.abc import MutableMapping
from types import FrameType
from typing import Any

import pytest

from lorax_mock.server.app import MockApp, create_app
from lorax_mock.server.inference import Run
from lorax_mock.server.ticket import Ticket, Work
from lorax_mock.shard.jobs import Done, Job
from lorax_mock.shard.timing import Timing


def test_a_run_tells_its_first_sequences_times() -> None:
    """They are those of its ticket, once that is done."""
    ticket = Ticket(Work("", 1, 1, 1))
    assert not Run([], [ticket]).entered
    ticket.end(Done(Job(1, 2.0, "", 1, 1, 1), 3.0, 5.0, 8.0))
    assert Run([], [ticket]).timing == Timing(0.0, 1.0, 2.0, 5.0)


async def _answered(app: MockApp, inputs: str, **parameters: object) -> tuple[bytes, int]:
    """The body of an answer, and the Python functions that were called for it."""
    body = json.dumps({"inputs": inputs, "parameters": {"details": True, **parameters}}).encode()
    heard: list[bytes] = []
    calls = 0

    async def receive() -> MutableMapping[str, Any]:
        return {"type": "http.request", "body": body}

    async def send(message: MutableMapping[str, Any]) -> None:
        heard.append(message.get("body", b""))

    def count(_frame: FrameType, event: str, _value: object) -> None:
        nonlocal calls
        calls += event == "call"

    headers = [(b"content-type", b"application/json")]
    sys.setprofile(count)
    try:
        await app(
            {"type": "http", "method": "POST", "path": "/generate", "headers": headers},
            receive,
            send,
        )
    finally:
        sys.setprofile(None)
    return b"".join(heard), calls


@pytest.mark.parametrize("parameters", [{}, {"do_sample": True, "seed": 3}])
async def test_an_equal_request_is_not_worked_out_again(parameters: dict[str, object]) -> None:
    """The last answers are remembered, by all that they depend on; one that was forgotten is the same."""
    app = create_app()
    first, effort = await _answered(app, "hello", max_new_tokens=400, **parameters)
    again, less = await _answered(app, "hello", max_new_tokens=400, **parameters)
    assert again == first
    # what is left is reading, checking and the shard
    assert less < effort - 80
    others = [
        await _answered(app, "hello", **{"max_new_tokens": 400, **parameters, **more})
        for more in (
            {"max_new_tokens": 399},
            {"adapter_id": "acme/pirate"},
            {"ignore_eos_token": True},
            {"stop": ["."]},
            {"do_sample": True, "seed": 4},
        )
    ]
    assert len({body for body, _ in others} - {first}) >= 4
    for number in range(256):
        await _answered(app, f"hello {number}", max_new_tokens=1)
    forgotten, effort = await _answered(app, "hello", max_new_tokens=400, **parameters)
    assert forgotten == first
    assert less < effort - 80
