"""Where LoRAX's own OpenAI endpoints leave the contract, and that the proxy keeps it.

Each test is one deviation of LoRAX's `/v1/*` (its docstring says what LoRAX does) and is named for
what the client gets instead. `docs/evidence/deviations.md` lists them all with their sources.
"""

import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

ADAPTER = "acme/support"
HELLO = [{"role": "user", "content": "Hello there!"}]
TOOL = {
    "type": "function",
    "function": {
        "name": "look_up",
        "parameters": {
            "type": "object",
            "properties": {"key": {"enum": ["a", "b"]}},
            "required": ["key"],
            "additionalProperties": False,
        },
    },
}
NO_PARAMETERS = {"type": "function", "function": {"name": "now"}}


class Api:
    """The proxy's wire, as bytes and JSON."""

    def __init__(self, base_url: str) -> None:
        self._http = httpx.Client(base_url=base_url, timeout=30)

    def close(self) -> None:
        """Close the connection."""
        self._http.close()

    def post(self, path: str, **body: Any) -> httpx.Response:
        """One request."""
        return self._http.post(path, json={"model": ADAPTER, **body})

    def chat(self, **body: Any) -> dict[str, Any]:
        """A whole chat answer."""
        response = self.post("/chat/completions", **{"messages": HELLO, **body})
        assert response.status_code == 200, response.text
        document: dict[str, Any] = response.json()
        return document

    def chunks(self, path: str = "/chat/completions", **body: Any) -> list[dict[str, Any]]:
        """A stream's chunks; its end mark is checked and left out."""
        if path == "/chat/completions":
            body = {"messages": HELLO, **body}
        response = self.post(path, stream=True, **body)
        assert response.status_code == 200, response.text
        events = [line[6:] for line in response.text.split("\n") if line.startswith("data: ")]
        assert events.pop() == "[DONE]"
        return [json.loads(event) for event in events]

    def get(self, path: str) -> httpx.Response:
        """One reading request."""
        return self._http.get(path)


@pytest.fixture
def api(base_url: str) -> Iterator[Api]:
    """A client that hides nothing."""
    made = Api(base_url)
    yield made
    made.close()


def test_models_are_listed(api: Api) -> None:
    """LoRAX has no `/v1/models` (router/src/server.rs:1623)."""
    assert ADAPTER in [model["id"] for model in api.get("/models").json()["data"]]


def test_errors_are_nested_with_four_keys(api: Api) -> None:
    """LoRAX's errors are flat: `{"error": text, "error_type": type}` (router/src/server.rs:1736)."""
    response = api.post("/chat/completions", messages=HELLO, max_tokens=100_000)
    assert set(response.json()["error"]) == {"message", "type", "param", "code"}


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[]", b'{"model": 5}', b'{"model": "", "messages": []}']
)
def test_malformed_requests_get_the_envelope(base_url: str, body: bytes) -> None:
    """LoRAX's framework answers in plain text (axum), which `response.json()` cannot read."""
    response = httpx.post(
        f"{base_url}/chat/completions", content=body, headers={"content-type": "application/json"}
    )
    assert response.status_code == 400
    assert response.json()["error"]["type"] == "invalid_request_error"


def test_a_refused_stream_has_a_real_status(api: Api) -> None:
    """LoRAX answers a refused stream with 200 and an event (router/src/server.rs:930)."""
    response = api.post("/chat/completions", messages=HELLO, stream=True, max_tokens=100_000)
    assert response.status_code == 400
    assert response.headers["content-type"] == "application/json"


def test_a_stop_string_ends_in_stop(api: Api) -> None:
    """LoRAX calls a stop string `content_filter` (router/src/lib.rs:1482)."""
    text = api.chat(seed=1)["choices"][0]["message"]["content"]
    answer = api.chat(seed=1, stop=[text[8:12]])
    assert answer["choices"][0]["finish_reason"] == "stop"


def test_a_stop_string_is_not_in_the_text(api: Api) -> None:
    """LoRAX leaves it in, and misses it inside a token (server/lorax_server/utils/tokens.py:150)."""
    text = api.chat(seed=1)["choices"][0]["message"]["content"]
    for begin in range(1, 12):
        stop = text[begin : begin + 2]
        kept = api.chat(seed=1, stop=stop)["choices"][0]["message"]["content"]
        assert kept == text[: text.index(stop)]


def test_stop_may_be_a_string_or_null(api: Api) -> None:
    """LoRAX takes a list only; a string or null is 422 in plain text (router/src/lib.rs:668)."""
    assert api.chat(stop=None)["choices"][0]["finish_reason"] == "stop"
    assert api.chat(stop="zzzzzz")["choices"][0]["finish_reason"] == "stop"


def test_a_list_of_prompts_is_answered_one_by_one(api: Api) -> None:
    """LoRAX takes one string; a list is 422 in plain text (router/src/lib.rs:972)."""
    answer = api.post("/completions", prompt=["one", "two"], n=2, max_tokens=3).json()
    assert [choice["index"] for choice in answer["choices"]] == [0, 1, 2, 3]


def test_a_tool_can_be_named_as_openai_names_it(api: Api) -> None:
    """LoRAX takes `{"Function": {...}}` only (router/src/tool_grammar.rs)."""
    choice = {"type": "function", "function": {"name": "look_up"}}
    answer = api.chat(tools=[TOOL, NO_PARAMETERS], tool_choice=choice)
    names = {c["function"]["name"] for c in answer["choices"][0]["message"]["tool_calls"]}
    assert names == {"look_up"}


def test_required_is_not_a_tools_name(api: Api) -> None:
    """LoRAX looks for a tool called `required` and answers 422 (router/src/tool_grammar.rs)."""
    answer = api.chat(tools=[TOOL], tool_choice="required")
    assert answer["choices"][0]["message"]["tool_calls"]


def test_a_tool_may_have_no_parameters(api: Api) -> None:
    """LoRAX insists on `function.parameters` (router/src/lib.rs)."""
    answer = api.chat(tools=[NO_PARAMETERS], tool_choice="required")
    call = answer["choices"][0]["message"]["tool_calls"][0]
    assert json.loads(call["function"]["arguments"]) == {}


def test_tool_calls_end_in_tool_calls(api: Api) -> None:
    """LoRAX declares that finish reason and never sends it (router/src/lib.rs:1482)."""
    answer = api.chat(tools=[TOOL], tool_choice="required")
    assert answer["choices"][0]["finish_reason"] == "tool_calls"


def test_tool_call_ids_are_unique(api: Api) -> None:
    """LoRAX's only call always has the id "0" (router/src/server.rs:338)."""
    ids: list[str] = []
    for seed in range(4):
        answer = api.chat(tools=[TOOL], tool_choice="required", seed=seed)
        ids += [call["id"] for call in answer["choices"][0]["message"]["tool_calls"]]
    assert len(set(ids)) == len(ids) >= 4


def test_tool_calls_have_openais_shape(api: Api) -> None:
    """LoRAX adds `description: null` to the function and leaves `content` out."""
    message = api.chat(tools=[TOOL], tool_choice="required")["choices"][0]["message"]
    assert message["content"] is None
    assert set(message["tool_calls"][0]) == {"id", "type", "function"}
    assert set(message["tool_calls"][0]["function"]) == {"name", "arguments"}


def test_tool_calls_are_streamed_as_tool_calls(api: Api) -> None:
    """LoRAX streams the raw constrained JSON as content (router/src/server.rs)."""
    chunks = api.chunks(tools=[TOOL], tool_choice="required")
    deltas = [chunk["choices"][0]["delta"] for chunk in chunks]
    assert "".join(delta.get("content") or "" for delta in deltas) == ""
    assert any("tool_calls" in delta for delta in deltas)
    assert chunks[-1]["choices"][0]["finish_reason"] == "tool_calls"


def test_a_tool_call_that_the_budget_cuts_is_a_length(api: Api) -> None:
    """LoRAX answers 422 after the generation was paid for (router/src/server.rs:338)."""
    answer = api.chat(tools=[TOOL], tool_choice="required", max_tokens=4)
    assert answer["choices"][0]["finish_reason"] == "length"


def test_tools_reach_the_prompt(api: Api) -> None:
    """LoRAX loses its tool prompt when the last message is a plain string (router/src/lib.rs:626)."""
    without = api.chat()["usage"]["prompt_tokens"]
    assert api.chat(tools=[TOOL])["usage"]["prompt_tokens"] > without + 20


def test_tool_results_reach_the_prompt(api: Api) -> None:
    """LoRAX drops `tool_calls`, `tool_call_id` and `name` before the template (router/src/lib.rs)."""
    call = {
        "id": "call_1",
        "type": "function",
        "function": {"name": "look_up", "arguments": '{"key":"a"}'},
    }
    messages = [
        *HELLO,
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "call_1", "content": "forty-two"},
    ]
    short = api.chat(messages=HELLO)["usage"]["prompt_tokens"]
    assert api.chat(messages=messages)["usage"]["prompt_tokens"] > short + 15


def test_logprobs_are_told(api: Api) -> None:
    """LoRAX ignores `logprobs` and `top_logprobs` in chats."""
    answer = api.chat(logprobs=True, top_logprobs=2, max_tokens=5)
    content = answer["choices"][0]["logprobs"]["content"]
    assert all(len(token["top_logprobs"]) == 2 for token in content)
    joined = bytes(byte for token in content for byte in token["bytes"])
    assert joined.decode() == answer["choices"][0]["message"]["content"]


def test_completions_stream_with_logprobs(api: Api) -> None:
    """In LoRAX `logprobs` makes a streamed completion fail (router/src/lib.rs:1251)."""
    chunks = api.chunks("/completions", prompt="Hi", logprobs=1, max_tokens=4)
    assert any(chunk["choices"][0]["logprobs"] for chunk in chunks)


def test_max_completion_tokens_is_honoured(api: Api) -> None:
    """LoRAX does not know `max_completion_tokens` and generates on."""
    answer = api.chat(max_completion_tokens=3, max_tokens=50)
    assert answer["usage"]["completion_tokens"] == 3


def test_identity_is_real(api: Api) -> None:
    """LoRAX: id "null", `created` 0, the base model's name, `object` of another endpoint (6.4)."""
    first, second = api.chat(), api.chat()
    assert first["id"] != second["id"]
    assert first["id"].startswith("chatcmpl-")
    assert first["created"] > 1_700_000_000
    assert first["model"] == ADAPTER
    assert first["object"] == "chat.completion"


def test_chunks_share_one_identity(api: Api) -> None:
    """LoRAX's chunks have the id "null", the model "null" and `created` 0."""
    chunks = api.chunks()
    assert len({(c["id"], c["model"], c["created"], c["object"]) for c in chunks}) == 1
    assert chunks[0]["model"] == ADAPTER
    assert chunks[0]["created"] > 1_700_000_000


def test_the_role_comes_once_and_first(api: Api) -> None:
    """LoRAX repeats `role` in every chunk and sends no opening one."""
    roles = [chunk["choices"][0]["delta"].get("role") for chunk in api.chunks()]
    assert roles[0] == "assistant"
    assert roles[1:] == [None] * (len(roles) - 1)


def test_usage_comes_only_when_asked_for(api: Api) -> None:
    """LoRAX sends usage unasked, in every chunk of a completion's stream (6.4, 6.5)."""
    assert all("usage" not in chunk for chunk in api.chunks())
    assert all("usage" not in chunk for chunk in api.chunks("/completions", prompt="Hi"))
    asked = api.chunks(stream_options={"include_usage": True})
    assert [chunk["usage"] for chunk in asked[:-1]] == [None] * (len(asked) - 1)
    assert asked[-1]["choices"] == []
    assert asked[-1]["usage"]["total_tokens"] > 0


def test_more_choices_than_lorax_allows(api: Api) -> None:
    """LoRAX's `n` is its `best_of`: 2 at most, and never with a seed or in a stream (6.1)."""
    answer = api.chat(n=5, seed=11, max_tokens=20, temperature=1)
    texts = [choice["message"]["content"] for choice in answer["choices"]]
    assert len(texts) == 5
    assert len(set(texts)) > 1
    chunks = api.chunks(n=3, seed=11, max_tokens=5)
    assert {choice["index"] for chunk in chunks for choice in chunk["choices"]} == {0, 1, 2}


def test_each_choice_is_counted(api: Api) -> None:
    """LoRAX's usage and finish reason are the winner's alone (6.4)."""
    answer = api.chat(n=3, max_tokens=4)
    assert answer["usage"]["completion_tokens"] == 12
    assert [choice["finish_reason"] for choice in answer["choices"]] == ["length"] * 3


def test_the_end_token_never_leaks(api: Api) -> None:
    """An EOS on the last allowed token is `length`, and LoRAX streams its spelling (6.4)."""
    whole = api.chat(seed=5, temperature=0)
    tokens = whole["usage"]["completion_tokens"]
    chunks = api.chunks(seed=5, temperature=0, max_tokens=tokens)
    text = "".join(chunk["choices"][0]["delta"].get("content") or "" for chunk in chunks)
    assert text == whole["choices"][0]["message"]["content"]
    assert "<|" not in text


def test_an_end_token_that_takes_the_last_of_the_budget_is_a_stop(api: Api) -> None:
    """LoRAX says `length`, though the model came to its end (4)."""
    whole = api.chat(seed=5, temperature=0)
    tokens = whole["usage"]["completion_tokens"]
    for budget, reason in ((tokens, "stop"), (tokens - 1, "length"), (tokens + 1, "stop")):
        chunks = api.chunks(seed=5, temperature=0, max_tokens=budget)
        assert chunks[-1]["choices"][0]["finish_reason"] == reason
        answer = api.chat(seed=5, temperature=0, max_tokens=budget)
        assert answer["choices"][0]["finish_reason"] == reason
        assert answer["usage"]["completion_tokens"] == min(budget, tokens)


def test_temperature_zero_is_greedy(api: Api) -> None:
    """In LoRAX `n: 1, temperature: 0` samples, and 0 divides by zero in a batch (2.3, 6.5)."""
    answers = [
        api.post("/completions", prompt="Hi", n=1, temperature=0, max_tokens=9).json()
        for _ in range(3)
    ]
    assert len({answer["choices"][0]["text"] for answer in answers}) == 1


def test_the_default_temperature_samples(api: Api) -> None:
    """LoRAX's completions are greedy without a temperature, and at 1.0 (2.3)."""
    texts = {
        api.post("/completions", prompt="Hi", seed=seed, max_tokens=12).json()["choices"][0]["text"]
        for seed in range(6)
    }
    assert len(texts) > 1


def test_echo_is_streamed(api: Api) -> None:
    """LoRAX's streams leave the prompt out whatever `echo` says (6.5)."""
    chunks = api.chunks("/completions", prompt="Once upon", echo=True, max_tokens=3)
    assert "".join(c["choices"][0]["text"] for c in chunks).startswith("Once upon")


@pytest.mark.parametrize(
    ("path", "name", "value"),
    [
        ("/chat/completions", "logit_bias", {"50256": -100}),
        ("/completions", "suffix", "the end"),
        ("/chat/completions", "tempreature", 0.5),
    ],
)
def test_what_cannot_be_honoured_is_refused_by_name(
    api: Api, path: str, name: str, value: Any
) -> None:
    """LoRAX ignores what it does not know at every level: a misspelt parameter is silently lost."""
    prompt = {"messages": HELLO} if path == "/chat/completions" else {"prompt": "Hi"}
    response = api.post(path, **prompt, **{name: value})
    assert response.status_code == 400
    assert response.json()["error"]["param"] == name


def test_a_negative_budget_is_a_bad_request(api: Api) -> None:
    """LoRAX casts -1 to 4294967295 and complains about the context (2.2)."""
    response = api.post("/chat/completions", messages=HELLO, max_tokens=-1)
    assert response.status_code == 400
    assert response.json()["error"]["param"] == "max_tokens"


def test_json_objects_may_nest(api: Api) -> None:
    """LoRAX's default schema is a flat object, and it constrains `text` too (8.1, 8.2)."""
    values = [
        json.loads(
            api.chat(response_format={"type": "json_object"}, seed=seed)["choices"][0]["message"][
                "content"
            ]
        )
        for seed in range(8)
    ]
    assert all(isinstance(value, dict) for value in values)
    assert any(isinstance(inner, list | dict) for value in values for inner in value.values())
    plain = api.chat(response_format={"type": "text"}, seed=1)
    assert (
        plain["choices"][0]["message"]["content"]
        == api.chat(seed=1)["choices"][0]["message"]["content"]
    )


def test_a_key_is_never_an_adapter_token(base_url: str) -> None:
    """LoRAX sends `Authorization: Bearer X` to the hub as a token (router/src/server.rs:675)."""
    response = httpx.post(
        f"{base_url}/chat/completions",
        json={"model": ADAPTER, "messages": HELLO},
        headers={"authorization": "Bearer EMPTY"},
    )
    assert response.status_code == 200


def test_special_tokens_in_a_message_are_text(api: Api) -> None:
    """LoRAX parses `<|eot_id|>` in users' text as the token (section 7 of its wire)."""
    messages = [{"role": "user", "content": "a<|eot_id|>b"}]
    split = [{"role": "user", "content": "a< |eot_id|>b"}]
    as_sent = api.chat(messages=messages, max_tokens=1)["usage"]
    assert as_sent == api.chat(messages=split, max_tokens=1)["usage"]


def test_images_in_text_are_not_fetched(base_url: str) -> None:
    """LoRAX's vision models fetch `![](url)` from any text (router/src/validation.rs:601)."""
    image = {"type": "image_url", "image_url": {"url": "http://127.0.0.1/x.png"}}
    messages = [{"role": "user", "content": [image]}]
    response = httpx.post(
        f"{base_url}/chat/completions", json={"model": ADAPTER, "messages": messages}
    )
    assert response.status_code == 400
    assert response.json()["error"]["param"] == "messages[0].content[0]"
