"""The routes of a running mock, over a socket."""

import json

from tests.mock.conftest import Running


def test_generate_answers_with_the_adapters_voice(mock: Running) -> None:
    """The text names the adapter that was asked, and the headers tell it too."""
    body = {"inputs": "What is a reef?", "parameters": {"adapter_id": "acme/pirate"}}
    reply = mock.http.post("/generate", json=body)
    assert reply.status_code == 200
    assert list(reply.json()) == ["generated_text"]
    assert "acme/pirate" in reply.json()["generated_text"]
    assert "What is a reef" in reply.json()["generated_text"]
    assert reply.headers["x-adapter-id"] == "acme/pirate"


def test_stream_folds_into_the_plain_answer(mock: Running) -> None:
    """The same request streamed and not gives the same tokens and text."""
    body = {
        "inputs": "moon",
        "parameters": {"adapter_id": "acme/poet", "details": True, "max_new_tokens": 60},
    }
    plain = mock.http.post("/generate", json=body).json()
    streamed = mock.http.post("/generate_stream", json=body)
    assert streamed.headers["content-type"] == "text/event-stream"
    events = [
        json.loads(part.removeprefix("data: ")) for part in streamed.text.split("\n\n") if part
    ]
    assert [event["token"] for event in events] == plain["details"]["tokens"]
    assert events[-1]["generated_text"] == plain["generated_text"]
    assert all(event["generated_text"] is None for event in events[:-1])
