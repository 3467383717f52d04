"""Encoder routes over a socket, on the right model and on a wrong one."""

import re
from collections import Counter
from collections.abc import Callable

import httpx
import pytest

from lorax_mock.server.app import create_app
from lorax_mock.settings import Limits, Settings
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
    """A text model refuses to embed and to classify with the shard's 424."""
    reply = mock.http.post(path, json=body)
    assert reply.status_code == 424
    assert reply.json()["error"] == f"Request failed during generation: Server error: {cause}"


def test_an_embedding_model(start_mock: Callable[..., Running]) -> None:
    """An embedding model gives vectors in LoRAX's shapes, and neither text nor adapters."""
    running = start_mock("--kind", "embed")
    assert running.announced["adapters"] == []
    reply = running.http.post("/embed", json={"inputs": "a boat"})
    assert not any(name.startswith("x-") for name in reply.headers)
    one = reply.json()
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
    text = running.http.post("/generate", json={"inputs": "a"}).json()
    assert text["error"].endswith("This model does not support text generation")


def test_a_classifying_model(start_mock: Callable[..., Running]) -> None:
    """A classifier gives entities, for one text and for lists, with its few headers."""
    running = start_mock("--kind", "classify")
    reply = running.http.post("/classify", json={"inputs": "Ada met Bob"})
    assert [entity["word"] for entity in reply.json()] == ["ada", "met", "bob"]
    batch = running.http.post("/classify_batch", json={"inputs": ["Ada met Bob", "x"]})
    assert batch.json() == [reply.json(), []]
    assert batch.headers["x-validation-time"] == "0"
    assert {name for name in reply.headers if name.startswith("x-")} == {
        "x-compute-type",
        "x-compute-time",
        "x-validation-time",
        "x-queue-time",
        "x-inference-time",
    }
    empty = running.http.post("/classify_batch", json={"inputs": []})
    assert empty.json()["error_type"] == "classification_failure"
    assert running.http.post("/classify", json={"inputs": ""}).json() == []
    told = running.http.get("/metrics").text
    assert "lorax_request_input_count_sum 2\n" in told
    assert "lorax_request_classify_output_count_sum 6\n" in told
    assert "lorax_request_classify_output_count_count 4\n" in told
    assert "lorax_request_success 3\n" in told
    assert "lorax_request_input_length_count 4\n" in told
    assert "lorax_request_max_new_tokens" not in told
    # It embeds as well: numbers for the labels of its first tokens.
    tokens = len(running.http.post("/tokenize", json={"inputs": "a"}).json())
    vector = running.http.post("/embed", json={"inputs": "a"}).json()["embeddings"]
    assert len(vector) == 9 * tokens
    long = running.http.post("/embed", json={"inputs": "a b c d " * 50}).json()["embeddings"]
    assert len(long) == 384
    assert long[: len(vector)] != vector


_MEMORY = "Memory reserved for adapters is 0. Please set a memory reservation for adapters."


def _failures(running: Running) -> Counter[str]:
    """How often which kind of failure was counted."""
    told = running.http.get("/metrics").text
    found = re.findall(r'lorax_request_failure\{err="(\w+)"\} (\d+)', told)
    return Counter({err: int(count) for err, count in found})


def test_what_an_embedding_model_finds_first(start_mock: Callable[..., Running]) -> None:
    """An embedding model checks lengths, then the empty list, then the download, then the memory."""
    running = start_mock("--kind", "embed")
    pirate = {"adapter_id": "acme/pirate"}
    fatal = {"ids": ["a/b"], "weights": [], "merge_strategy": "magic"}
    failures = _failures(running)
    for parameters, texts, words, err in (
        (pirate, ["a"], _MEMORY, "download_adapter"),
        ({"adapter_id": "acme/wrong-base"}, ["a"], _MEMORY, "download_adapter"),
        ({"adapter_id": "acme/none"}, ["a"], "Repository Not Found for url:", "download_adapter"),
        (pirate, [], "Embedding Failure", "embedding_failure"),
        (pirate, ["word " * 5000], "`inputs` tokens", None),
        ({"merged_adapters": fatal}, ["a"], "router/src/lib.rs:106", None),
    ):
        body = {"input": texts, "model": "", "parameters": parameters}
        assert words in running.http.post("/v1/embeddings", json=body).json()["error"]
        after = _failures(running)
        assert after - failures == Counter([] if err is None else [err])
        failures = after
    # Two kinds of adapters at once, weights that are missing: nobody looks.
    merged = {"ids": ["__base_model__"], "weights": []}
    both = {"inputs": "a", "parameters": {"adapter_id": "x/y", "merged_adapters": merged}}
    assert running.http.post("/embed", json=both).status_code == 200
    # OpenAI's arrays of token ids match no variant; a format or dimensions change nothing.
    extras = {"encoding_format": "base64", "dimensions": 3, "user": "u", "model": "anything"}
    reply = running.http.post("/v1/embeddings", json={"input": "", **extras})
    assert len(reply.json()["embeddings"][0]["embedding"]) == 384
    refused = running.http.post("/v1/embeddings", json={"input": [1, 2], "model": ""})
    assert refused.status_code == 422
    assert "did not match any variant of untagged enum StringOrVec" in refused.text
    assert running.http.post("/v1/embeddings", json={"input": ""}).status_code == 422


def test_on_a_text_model_the_adapter_comes_before_the_refusal(mock: Running) -> None:
    """A text model downloads and loads the adapter before the shard sees that it cannot embed."""
    for adapter, words in (
        ("acme/pirate", "Model does not support embeddings"),
        ("acme/wrong-base", "is not compatible with model"),
    ):
        body = {"inputs": "a", "parameters": {"adapter_id": adapter}}
        assert words in mock.http.post("/embed", json=body).json()["error"]


@pytest.mark.parametrize("kind", ["embed", "classify"])
async def test_a_list_takes_one_permit(kind: str) -> None:
    """A list takes one permit however long it is, and without one it is a 429 at once."""
    settings = Settings(kind=kind, limits=Limits(max_concurrent_requests=1))
    app = create_app(settings)
    path, body = {
        "embed": ("/v1/embeddings", {"input": ["a", "b", "c"], "model": ""}),
        "classify": ("/classify_batch", {"inputs": ["a", "b", "c"]}),
    }[kind]
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://mock") as client:
        assert (await client.post(path, json=body)).status_code == 200
        with app.state.permits.hold(1):
            assert (await client.post(path, json=body)).status_code == 429


async def test_without_a_fast_tokenizer_classification_ends_the_router() -> None:
    """Without a fast tokenizer a classification is a mock_refusal, and embedding goes on uncounted."""
    limits = Limits(fast_tokenizer=False)
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(create_app(Settings(kind="classify", limits=limits))),
        base_url="http://mock",
    ) as client:
        refused = await client.post("/classify", json={"inputs": "a"})
        assert refused.status_code == 500
        assert "router/src/infer.rs:711" in refused.json()["error"]
        long = await client.post("/embed", json={"inputs": "word " * 5000})
        assert long.status_code == 200


async def test_the_wrong_kind_of_work_is_told_to_health() -> None:
    """Work of the wrong kind is a failed pass to health, which the next good one mends."""
    app = create_app(Settings(kind="embed"))
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://mock") as client:
        for path, status in (("/embed", 200), ("/classify", 424), ("/embed", 200)):
            assert (await client.post(path, json={"inputs": "a"})).status_code == status
            assert app.state.health.inference is (status == 200)
