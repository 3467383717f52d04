"""The routes of a running mock, over a socket."""

import hashlib
import json
import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.mock.conftest import Running
from tests.mock.conftest import events as events_of

_DIGESTS = Path(__file__).parents[3] / "contracts/lorax_contracts/data/lorax/digests.json"


def test_generate_answers_with_the_adapters_voice(mock: Running) -> None:
    """The text names the adapter that was asked, and so do the headers."""
    body = {"inputs": "What is a reef?", "parameters": {"adapter_id": "acme/pirate"}}
    reply = mock.http.post("/generate", json=body)
    assert reply.status_code == 200
    assert list(reply.json()) == ["generated_text"]
    assert "acme/pirate" in reply.json()["generated_text"]
    assert "What is a reef" in reply.json()["generated_text"]
    assert reply.headers["x-adapter-id"] == "acme/pirate"


@pytest.mark.parametrize("path", ["/", "/invocations"])
def test_the_compat_routes_wrap_and_stream(mock: Running, path: str) -> None:
    """The compat routes give a list of one answer, or events when the body says so."""
    plain = mock.http.post(path, json={"inputs": "reef"}).json()
    assert plain == [mock.http.post("/generate", json={"inputs": "reef"}).json()]
    streamed = events_of(mock.http.post(path, json={"inputs": "reef", "stream": True}).text)
    assert streamed[-1]["generated_text"] == plain[0]["generated_text"]


def test_stream_folds_into_the_plain_answer(mock: Running) -> None:
    """The same request streamed and not gives the same tokens and text."""
    parameters = {"adapter_id": "acme/poet", "details": True, "max_new_tokens": 60}
    body = {"inputs": "moon", "parameters": parameters}
    plain = mock.http.post("/generate", json=body).json()
    streamed = mock.http.post("/generate_stream", json=body)
    assert streamed.headers["content-type"] == "text/event-stream"
    events = events_of(streamed.text)
    assert [event["token"] for event in events] == plain["details"]["tokens"]
    assert events[-1]["generated_text"] == plain["generated_text"]
    assert all(event["generated_text"] is None for event in events[:-1])
    assert list(events[-1]["details"]) == [
        "finish_reason",
        "prompt_tokens",
        "generated_tokens",
        "seed",
    ]


def test_each_event_is_one_data_line(mock: Running) -> None:
    """Each event is `data: `, compact JSON and one blank line, and there is no [DONE]."""
    text = mock.http.post("/generate_stream", json={"inputs": "reef"}).text
    assert text.endswith("\n\n")
    for block in text.removesuffix("\n\n").split("\n\n"):
        assert block.startswith('data: {"token":{"id":')
        assert "\n" not in block


_REFUSED: list[tuple[str, str, bytes | None, str | None, int, str]] = [
    ("POST", "/generate", b"{}", "text/plain", 415, "Expected request with `Content-Type: application/json`"),
    ("POST", "/generate", b"{}", None, 415, "Expected request with `Content-Type: application/json`"),
    ("POST", "/generate", b"", "application/json", 400, "Failed to parse the request body as JSON: EOF while parsing a value at line 1 column 0"),
    ("POST", "/generate", b"{}", "application/json", 422, "Failed to deserialize the JSON body into the target type: missing field `inputs` at line 1 column 2"),
    ("POST", "/generate_stream", b"{}", "application/vnd.x+json; charset=utf-8", 422, "Failed to deserialize the JSON body into the target type: missing field `inputs` at line 1 column 2"),
    ("POST", "/generate", b" " * 2_097_153, "application/json", 413, "Failed to buffer the request body: length limit exceeded"),
    ("POST", "/nowhere", b"{}", "application/json", 404, ""),
    ("GET", "/generate/", None, None, 404, ""),
    ("GET", "/v1/models", None, None, 404, ""),
    ("GET", "/generate", None, None, 405, ""),
    ("POST", "/health", b"", None, 405, ""),
    ("PUT", "/", b"", None, 405, ""),
]  # fmt: skip


@pytest.mark.parametrize(("method", "path", "body", "kind", "status", "text"), _REFUSED)
def test_the_framework_refuses_in_plain_text(
    mock: Running,
    method: str,
    path: str,
    body: bytes | None,
    *,
    kind: str | None,
    status: int,
    text: str,
) -> None:
    """Framework refusals have axum's statuses and words and not LoRAX's envelope."""
    headers = {} if kind is None else {"content-type": kind}
    reply = mock.http.request(method, path, content=body, headers=headers)
    assert (reply.status_code, reply.text) == (status, text)
    if text:
        assert reply.headers["content-type"] == "text/plain; charset=utf-8"
    else:
        assert "content-type" not in reply.headers
        assert reply.headers["content-length"] == "0"


def test_a_wrong_method_is_told_the_right_ones(mock: Running) -> None:
    """A wrong method is a 405 with the allowed ones, HEAD beside GET."""
    assert mock.http.get("/generate").headers["allow"] == "POST"
    assert mock.http.post("/info").headers["allow"] == "GET,HEAD"
    assert mock.http.head("/generate").headers["allow"] == "POST"
    assert mock.http.put("/").headers["allow"] == "POST,GET,HEAD"


def test_paths_are_compared_as_they_were_sent(mock: Running) -> None:
    """A path with percent signs or a slash at the end is another path."""
    for path in ("/%69nfo", "/info/", "//info"):
        assert mock.http.get(f"{mock.url}{path}").status_code == 404
    assert mock.http.get("/info?a=b").status_code == 200


def test_every_answer_carries_the_cors_headers(mock: Running) -> None:
    """Every answer has the CORS headers, preflights of any path too."""
    for reply in (
        mock.http.get("/health"),
        mock.http.post("/generate", content=b"x"),
        mock.http.get("/nowhere"),
        mock.http.post("/generate_stream", json={"inputs": "a"}),
        mock.http.options("/nowhere"),
    ):
        assert reply.headers["access-control-allow-origin"] == "*"
        assert "access-control-request-method" in reply.headers["vary"]
        assert not {
            "access-control-expose-headers",
            "access-control-allow-credentials",
            "access-control-max-age",
        } & set(reply.headers)
    preflight = mock.http.options("/generate")
    assert (preflight.status_code, preflight.content) == (200, b"")
    assert preflight.headers["access-control-allow-methods"] == "GET,POST"
    assert preflight.headers["access-control-allow-headers"] == "content-type"
    assert preflight.headers["allow"] == "POST"
    assert "allow" not in mock.http.options("/nowhere").headers


@pytest.mark.parametrize("path", ["/", "/health", "/ping", "/startup"])
def test_health_is_empty(mock: Running, path: str) -> None:
    """Health routes answer 200 with an empty body, to HEAD as well."""
    for method in ("GET", "HEAD"):
        reply = mock.http.request(method, path)
        assert (reply.status_code, reply.content) == (200, b"")


def test_refusals_in_a_stream_are_events_under_200(mock: Running) -> None:
    """A refused stream is one event with error and error_type under 200; a whole answer has the status."""
    body = {"inputs": "", "parameters": {"adapter_id": "acme/pirate"}}
    streamed = mock.http.post("/generate_stream", json=body)
    plain = mock.http.post("/generate", json=body)
    assert (streamed.status_code, plain.status_code) == (200, 422)
    assert events_of(streamed.text) == [plain.json()]
    assert plain.json() == {
        "error": "Input validation error: `inputs` cannot be empty",
        "error_type": "validation",
    }
    assert streamed.headers["x-adapter-id"] == "acme/pirate"
    assert not [name for name in plain.headers if name.startswith("x-")]


def test_stream_headers_are_those_known_before(mock: Running) -> None:
    """A stream's headers have neither counts nor times, and turn caching and buffering off."""
    headers = mock.http.post("/generate_stream", json={"inputs": "é😀"}).headers
    told = {name: value for name, value in headers.items() if name.startswith("x-")}
    assert told == {
        "x-accel-buffering": "no",
        "x-compute-type": "gpu+optimized",
        "x-compute-characters": "2",
        "x-model-id": mock.announced["model_id"],
    }
    assert headers["cache-control"] == "no-cache"


def test_an_unknown_adapter_fails_each_time_and_harms_no_other(mock: Running) -> None:
    """An unknown adapter is a 424 with the hub's words each time, and other requests are answered."""
    body = {"inputs": "a", "parameters": {"adapter_id": "nobody/nothing"}}
    for _ in range(2):
        reply = mock.http.post("/generate", json=body)
        assert (reply.status_code, reply.json()["error_type"]) == (424, "generation")
        assert "Repository Not Found for url" in reply.json()["error"]
    assert mock.http.post("/generate", json={"inputs": "a"}).status_code == 200


@pytest.mark.parametrize("path", ["/generate", "/generate_stream"])
def test_a_request_that_would_end_lorax_is_refused_by_name(mock: Running, path: str) -> None:
    """A request that would end LoRAX is refused with the reason and the place, and noted in the journal."""
    body = {"inputs": "a", "parameters": {"adapter_id": "acme/pirate\n"}}
    if path == "/generate":
        merged = {"ids": ["a", "b"], "weights": [1, 1], "merge_strategy": "mean"}
        body = {"inputs": "a", "parameters": {"merged_adapters": merged}}
    reply = mock.http.post(path, json=body)
    assert reply.status_code == 500
    assert reply.json()["error_type"] == "mock_refusal"
    assert "router/src/" in reply.json()["error"]
    last = mock.http.get("/_mock/journal").json()["entries"][-1]
    assert any("would end a real LoRAX" in note for note in last["notes"])


def test_tokenize_counts_as_generate_does(mock: Running) -> None:
    """`/tokenize` counts a prompt as `/generate` does, BOS included unless it is turned off."""
    tokens = mock.http.post("/tokenize", json={"inputs": "Hello 😀"}).json()
    body = {"inputs": "Hello 😀", "parameters": {"details": True, "max_new_tokens": 1}}
    counted = mock.http.post("/generate", json=body).json()["details"]["prompt_tokens"]
    assert len(tokens) == counted
    assert tokens[0] == {"id": 128000, "text": "<|begin_of_text|>", "start": 0, "stop": 0}
    bare = {"inputs": "Hello 😀", "add_special_tokens": False}
    assert mock.http.post("/tokenize", json=bare).json() == tokens[1:]


def test_replies_are_framed_as_the_router_frames_them(mock: Running) -> None:
    """Replies are HTTP/1.1 with lower-case names, JSON with its length, and chunked streams."""
    for reply, chunked in (
        (mock.http.post("/generate", json={"inputs": "a"}), False),
        (mock.http.post("/generate", json={"inputs": ""}), False),
        (mock.http.post("/generate_stream", json={"inputs": "a"}), True),
    ):
        assert reply.http_version == "HTTP/1.1"
        names = [name.decode() for name, _ in reply.headers.raw]
        assert names == [name.lower() for name in names]
        assert ("transfer-encoding" in names) == chunked
        assert ("content-length" in names) != chunked
        assert not {"server", "x-request-id", "traceparent"} & set(names)


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("GET", "/info", None),
        ("GET", "/metrics", None),
        ("GET", "/health", None),
        ("POST", "/tokenize", {"inputs": "a"}),
    ],
)
def test_only_answers_carry_x_headers(
    mock: Running, method: str, path: str, body: dict[str, str] | None
) -> None:
    """Routes that tell about the server have no x-headers."""
    reply = mock.http.request(method, path, json=body)
    assert reply.status_code == 200
    assert not [name for name in reply.headers if name.startswith("x-")]


def test_what_lorax_does_not_read_changes_no_byte(mock: Running) -> None:
    """Fields that LoRAX ignores change no byte of the answer."""
    plain = mock.http.post("/generate", json={"inputs": "a reef"}).content
    ignored = {"apply_chat_template": True, "watermark": True, "best_of": 0, "max_tokens": 1}
    body = {"inputs": "a reef", "stream": True, "add_special_tokens": False, "parameters": ignored}
    assert mock.http.post("/generate", json=body).content == plain


def test_details_come_as_far_as_they_are_asked_for(mock: Running) -> None:
    """Details and prefill details come only if asked for, and the latter bring the former along."""

    def details(**parameters: object) -> dict[str, Any]:
        asked = {"max_new_tokens": 2, **parameters}
        reply = mock.http.post("/generate", json={"inputs": "a reef", "parameters": asked})
        told: dict[str, Any] = reply.json().get("details", {})
        return told

    assert details() == {}
    assert details(details=True)["prefill"] == []
    whole = details(decoder_input_details=True)
    first, *rest = [token["logprob"] for token in whole["prefill"]]
    assert first is None
    assert rest
    assert None not in rest
    assert len(whole["tokens"]) == whole["generated_tokens"] == 2
    assert "best_of_sequences" not in details(details=True, best_of=1)


def test_best_of_shows_the_winner_and_its_figures(mock: Running) -> None:
    """The headers count the winner's tokens, and the loser stands apart in the details."""
    asked = {"best_of": 2, "do_sample": True, "details": True}
    reply = mock.http.post("/generate", json={"inputs": "a reef", "parameters": asked})
    details = reply.json()["details"]
    assert reply.headers["x-generated-tokens"] == str(details["generated_tokens"])
    (loser,) = details["best_of_sequences"]
    assert loser["seed"] != details["seed"]

    def mean(tokens: list[dict[str, float]]) -> float:
        return sum(token["logprob"] for token in tokens) / len(tokens)

    assert mean(details["tokens"]) >= mean(loser["tokens"])


def test_the_prompt_stands_before_the_whole_text_alone(mock: Running) -> None:
    """`return_full_text` puts the prompt before the whole text and leaves token events as they are."""
    asked = {"return_full_text": True, "max_new_tokens": 3}
    body = {"inputs": "a reef: ", "parameters": asked}
    events = events_of(mock.http.post("/generate_stream", json=body).text)
    joined = "".join(event["token"]["text"] for event in events)
    assert events[-1]["generated_text"] == f"a reef: {joined}"
    (listed,) = mock.http.post("/", json=body).json()
    assert listed["generated_text"] == f"a reef: {joined}"
    del asked["return_full_text"]
    assert mock.http.post("/", json=body).json() == [{"generated_text": joined}]


def test_tokenize_adds_special_tokens_unless_told_not_to(mock: Running) -> None:
    """`/tokenize` adds special tokens for null as for true, and refuses a list of texts."""
    first = [
        mock.http.post("/tokenize", json={"inputs": "a", "add_special_tokens": wanted}).json()[0]
        for wanted in (True, None, False)
    ]
    assert [token["start"] == token["stop"] for token in first] == [True, True, False]
    assert mock.http.post("/tokenize", json={"inputs": ["a"]}).status_code == 422


def test_the_docs_are_where_loraxs_are(mock: Running) -> None:
    """The docs are a page behind a slash and a document whose every operation is there."""
    moved = mock.http.get("/docs")
    assert (moved.status_code, moved.headers["location"], moved.content) == (303, "/docs/", b"")
    page = mock.http.get("/docs/")
    assert (page.status_code, page.headers["content-type"]) == (200, "text/html")
    told = mock.http.get("/api-doc/openapi.json")
    assert told.headers["content-type"] == "application/json"
    for path, item in told.json()["paths"].items():
        for method in item:
            wrong = "get" if method == "post" else "post"
            assert mock.http.request(wrong, path).status_code == (405 if path != "/" else 200)


def test_a_model_may_have_no_fast_tokenizer(start_mock: Callable[..., Running]) -> None:
    """Without a fast tokenizer `/tokenize` is a 404 in LoRAX's envelope, and generation goes on."""
    slow = start_mock("--no-fast-tokenizer").http
    refused = slow.post("/tokenize", json={"inputs": "a"})
    assert (refused.status_code, refused.json()) == (
        404,
        {
            "error": "No fast tokenizer or tokenizer.json for this model",
            "error_type": "no fast tokenizer",
        },
    )
    assert slow.post("/tokenize", json={}).status_code == 422
    answer = slow.post("/generate", json={"inputs": "a", "parameters": {"max_new_tokens": 1}})
    assert answer.status_code == 200


def test_metrics_come_as_text_and_as_json(mock: Running) -> None:
    """Metrics are JSON only if the accept header asks for it."""
    mock.http.post("/generate", json={"inputs": "a"})
    text = mock.http.get("/metrics?format=json")
    assert text.headers["content-type"] == "text/plain"
    assert "# TYPE lorax_request_count counter\nlorax_request_count " in text.text
    shown = mock.http.get("/metrics", headers={"accept": "application/json"}).json()
    assert shown["lorax_request_count"]["data"][0]["key"] == "count"


def test_a_full_server_answers_429_at_once(start_mock: Callable[..., Running]) -> None:
    """A request beyond the permits is refused at once with 429 and not queued."""
    slow = start_mock("--max-concurrent-requests", "1", "--pace", "real", "--step-ms", "5000")
    with slow.http.stream("POST", "/generate_stream", json={"inputs": "a"}) as stream:
        chunks = stream.iter_bytes()
        next(chunks)
        refused = slow.http.post("/generate", json={"inputs": "a"})
        assert refused.status_code == 429
        assert refused.json() == {"error": "Model is overloaded", "error_type": "overloaded"}
        assert "retry-after" not in refused.headers


def test_a_client_that_leaves_is_noticed_and_frees_its_permit(
    start_mock: Callable[..., Running],
) -> None:
    """A client that leaves is in the journal, and its permit serves the next request."""
    slow = start_mock("--max-concurrent-requests", "1", "--pace", "real", "--step-ms", "1000")
    with slow.http.stream("POST", "/generate_stream", json={"inputs": "a"}) as stream:
        chunks = stream.iter_bytes()
        next(chunks)
    with slow.http.stream("GET", "/_mock/journal?wait=1") as reply:
        reply.read()
        entry = reply.json()["entries"][0]
    assert (entry["outcome"], entry["tokens"]) == ("client_left", 1)
    body = {"inputs": "a", "parameters": {"max_new_tokens": 1}}
    assert slow.http.post("/generate", json=body).status_code == 200


def _golden() -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads(_DIGESTS.read_text())
    return loaded


def _digest(client: httpx.Client, case: dict[str, Any]) -> str:
    reply = client.post(case["path"], json=case["body"])
    return hashlib.sha256(reply.content).hexdigest()


def test_bodies_have_their_golden_digests(start_mock: Callable[..., Running]) -> None:
    """Two processes with different hash seeds give 64 requests at once, in two orders, their golden bytes."""
    cases = _golden()["cases"]
    for hash_seed in ("1", "2"):
        running = start_mock(environment={"PYTHONHASHSEED": hash_seed})
        order = sorted(cases, key=lambda case: hashlib.sha256(str(case).encode()).digest())
        if hash_seed == "2":
            order.reverse()
        crowd = (order * 64)[:64]
        with ThreadPoolExecutor(16) as pool:
            seen = list(pool.map(_digest, [running.http] * 64, crowd))
        assert seen == [case["sha256"] for case in crowd]


def test_a_long_unpaced_stream_reaches_its_end(mock: Running) -> None:
    """A stream of 500 tokens without a pace reaches its end."""
    body = {"inputs": "a", "parameters": {"ignore_eos_token": True, "max_new_tokens": 500}}
    streamed = events_of(mock.http.post("/generate_stream", json=body).text)
    assert len(streamed) == 500
    assert streamed[-1]["generated_text"] is not None


def test_the_facts_table_has_no_empty_row() -> None:
    """Each fact names its source, modules and tests that exist, or says why it is not imitated."""
    root = Path(__file__).parents[3]
    lines = (root / "docs/evidence/mock-facts.md").read_text("utf-8").splitlines()
    rows = [line for line in lines if line.startswith("| ") and not line.startswith("| fact")]
    assert len(rows) > 200
    assert len(set(rows)) == len(rows)
    for row in rows:
        fact, source, modules, told = (cell.strip() for cell in row.strip("|").split("|"))
        assert fact, row
        assert source, row
        names = re.findall(r"`(?:([\w./]+\.py)::)?(test_\w+)`", told)
        why = told.partition("not imitated")[2]
        assert names or len(why) > 20, row
        assert modules or why, row
        file = ""
        for named, test in names:
            file = named or file
            text = (root / "tests/mock" / file).read_text("utf-8")
            assert re.search(rf"^(async )?def {test}\(", text, re.MULTILINE), row
        for module in re.findall(r"`([\w/]+)`", modules):
            assert (root / f"mock/lorax_mock/{module}.py").exists(), row
