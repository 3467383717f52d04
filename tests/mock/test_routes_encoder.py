"""Encoder routes over a socket, on the right model and on a wrong one."""

from collections.abc import Callable

import pytest

from tests.mock.conftest import Running


@pytest.mark.parametrize(
    ("path", "body", "cause"),
    [
        ("/embed", {"inputs": "a"}, "Model does not support embeddings"),
        ("/v1/embeddings", {"input": "a", "model": "m"}, "Model does not support embeddings"),
        ("/classify", {"inputs": "a"}, "Model does not support classification"),
        ("/classify_batch", {"inputs": ["a"]}, "Model does not support classification"),
    ],
)
def test_a_text_model_refuses_encoder_work(
    mock: Running, path: str, body: dict[str, object], cause: str
) -> None:
    """424 from the shard."""
    reply = mock.http.post(path, json=body)
    assert reply.status_code == 424
    assert reply.json()["error"] == f"Request failed during generation: Server error: {cause}"


def test_an_embedding_model(start_mock: Callable[..., Running]) -> None:
    """One vector, a list of them, LoRAX's shapes; no text generation, no adapters."""
    running = start_mock("--kind", "embed")
    assert running.announced["adapters"] == []
    one = running.http.post("/embed", json={"inputs": "a boat"}).json()
    assert len(one["embeddings"]) == 384
    listed = running.http.post(
        "/v1/embeddings", json={"input": ["x", "a boat"], "model": ""}
    ).json()
    assert list(listed) == ["embeddings"]
    assert listed["embeddings"][1] == {
        "index": 1,
        "embedding": one["embeddings"],
        "object": "embedding",
    }
    empty = running.http.post("/v1/embeddings", json={"input": [], "model": ""})
    assert (empty.status_code, empty.json()["error"]) == (500, "Embedding Failure")
    long = running.http.post("/embed", json={"inputs": "word " * 5000})
    assert long.status_code == 422
    adapter = {"inputs": "a", "parameters": {"adapter_id": "acme/pirate"}}
    assert "Memory reserved" in running.http.post("/embed", json=adapter).json()["error"]
    text = running.http.post("/generate", json={"inputs": "a"}).json()
    assert text["error"].endswith("This model does not support text generation")


def test_a_classifying_model(start_mock: Callable[..., Running]) -> None:
    """Entities, batches of them, and the few headers."""
    running = start_mock("--kind", "classify")
    reply = running.http.post("/classify", json={"inputs": "Ada met Bob"})
    assert [entity["word"] for entity in reply.json()] == ["ada", "met", "bob"]
    batch = running.http.post("/classify_batch", json={"inputs": ["Ada met Bob", "x"]})
    assert batch.json() == [reply.json(), []]
    assert batch.headers["x-validation-time"] == "0"
    assert "x-model-id" not in reply.headers
    empty = running.http.post("/classify_batch", json={"inputs": []})
    assert empty.json()["error_type"] == "classification_failure"
