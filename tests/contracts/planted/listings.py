"""Models, text completions and embeddings."""

from collections.abc import Callable
from typing import Any

from tests.contracts.planted.deviation import (
    GH,
    Change,
    Deviation,
    assign,
    completion,
    completion_chunks,
    is_chat,
    is_text,
    refusal,
)
from tests.contracts.reference import Asked, Said

__all__ = ["DEVIATIONS"]


def _no_slashes(asked: Asked) -> Said | None:
    return refusal(404) if asked.path.startswith("/v1/models/acme") else None


def _not_served(asked: Asked) -> Said | None:
    return refusal(404) if is_chat(asked) and asked.document.get("model") == "acme/base" else None


def _twice_listed(asked: Asked, said: Said) -> None:
    if asked.path == "/v1/models":
        said.document["data"].append(said.document["data"][0])


def _unowned(asked: Asked, said: Said) -> None:
    if asked.path == "/v1/models":
        for one in said.document["data"]:
            one.pop("owned_by")


def _no_echo(asked: Asked) -> None:
    if is_text(asked):
        asked.document.pop("echo", None)


def _float_embeddings(asked: Asked) -> None:
    if asked.path.endswith("/embeddings") and isinstance(asked.document, dict):
        asked.document.pop("encoding_format", None)


def _same_index(asked: Asked, said: Said) -> None:
    if asked.path.endswith("/embeddings") and said.status == 200:
        for one in said.document["data"]:
            one["index"] = 0


def _odd_length(asked: Asked, said: Said) -> None:
    if asked.path.endswith("/embeddings") and said.status == 200 and len(said.document["data"]) > 1:
        said.document["data"][0]["embedding"].pop()


def _first_only(asked: Asked, said: Said) -> None:
    if asked.path.endswith("/embeddings") and said.status == 200:
        del said.document["data"][1:]


def _empty_vectors(asked: Asked, said: Said) -> None:
    listed = isinstance(asked.document, dict) and isinstance(asked.document.get("input"), list)
    if asked.path.endswith("/embeddings") and said.status == 200 and listed:
        for one in said.document["data"]:
            one["embedding"] = []


def _unending(events: list[Any]) -> None:
    for event in events:
        for one in event["choices"]:
            one["finish_reason"] = ""


def _uncounted(events: list[Any]) -> None:
    if events and events[-1]["choices"] == []:
        events.pop()


def _generated_only(asked: Asked, said: Said) -> None:
    if is_text(asked) and said.status == 200 and said.chunks is None and asked.document.get("echo"):
        for one in said.document["choices"]:
            for key in one["logprobs"] or {}:
                del one["logprobs"][key][0]


def _no_zero(asked: Asked) -> Said | None:
    return refusal(400) if is_text(asked) and asked.document.get("logprobs") == 0 else None


def _any_model(asked: Asked, said: Said) -> Said | None:
    if asked.path.startswith("/v1/models/") and said.status == 404:
        name = asked.path.removeprefix("/v1/models/")
        model = {"id": name, "object": "model", "created": 1, "owned_by": "acme"}
        return Said(200, dict(said.headers), model)
    return None


def _both(change: Change) -> Callable[[Asked, Said], None]:
    """Changes text completions, and each event of their streams."""

    def say(asked: Asked, said: Said) -> None:
        completion(change)(asked, said)
        completion_chunks(lambda events: [change(one) for one in events])(asked, said)

    return say


def _unmarked(events: list[Any]) -> None:
    for event in events:
        if event["choices"]:
            event.pop("usage", None)


def _endless(events: list[Any]) -> None:
    for event in events:
        for one in event["choices"]:
            one["finish_reason"] = None


def _unframed(asked: Asked, said: Said) -> None:
    if is_text(asked) and said.chunks is not None:
        said.done = False


def _no_vector_usage(asked: Asked, said: Said) -> None:
    if asked.path.endswith("/embeddings") and said.status == 200:
        said.document.pop("usage")


DEVIATIONS: tuple[Deviation, ...] = (
    Deviation(
        "any model's name found",
        "OAI-MODELS-004",
        "OpenAPI document 2.3.0, retrieveModel",
        say=_any_model,
    ),
    Deviation(
        "a fingerprint of completions that is a number",
        "OAI-COMP-001",
        "OpenAPI document 2.3.0, CreateCompletionResponse.system_fingerprint",
        say=_both(assign(system_fingerprint=5)),
    ),
    Deviation(
        "object of chat for completions",
        "OAI-COMP-002",
        "OpenAPI document 2.3.0, CreateCompletionResponse.object",
        say=_both(assign(object="chat.completion")),
    ),
    Deviation(
        "completion streams without [DONE]",
        "OAI-COMP-009",
        "OpenAPI document 2.3.0, CreateCompletionRequest.stream",
        say=_unframed,
    ),
    Deviation(
        "no usage: null in completion streams",
        "OAI-COMP-011",
        "OpenAPI document 2.3.0, CreateCompletionRequest.stream_options",
        say=completion_chunks(_unmarked),
    ),
    Deviation(
        "completions created at 0",
        "OAI-COMP-012",
        "OpenAPI document 2.3.0, CreateCompletionResponse.created",
        say=_both(assign(created=0)),
    ),
    Deviation(
        "completions of another model",
        "OAI-COMP-013",
        "OpenAPI document 2.3.0, CreateCompletionResponse.model",
        say=_both(assign(model="acme/other")),
    ),
    Deviation(
        "completion streams that never finish",
        "OAI-COMP-014",
        "OpenAPI document 2.3.0, CreateCompletionResponse.choices.finish_reason",
        say=completion_chunks(_endless),
    ),
    Deviation(
        "embeddings without usage",
        "OAI-EMB-005",
        "OpenAPI document 2.3.0, CreateEmbeddingResponse.usage",
        say=_no_vector_usage,
    ),
    Deviation(
        "names with slashes not found",
        "OAI-MODELS-003",
        GH + "ollama/ollama/issues/13715",
        ask=_no_slashes,
    ),
    Deviation(
        "a listed model that does not answer",
        "OAI-MODELS-005",
        "OpenAPI document 2.3.0, listModels",
        ask=_not_served,
    ),
    Deviation(
        "a model listed twice",
        "OAI-MODELS-002",
        "OpenAPI document 2.3.0, Model.id",
        say=_twice_listed,
    ),
    Deviation(
        "models without owner",
        "OAI-MODELS-006",
        GH + "inferencerlabs/inferencer-feedback/issues/42",
        say=_unowned,
    ),
    Deviation("echo ignored", "OAI-COMP-007", "OpenAPI document 2.3.0, echo", ask=_no_echo),
    Deviation(
        "base64 ignored",
        "OAI-EMB-003",
        GH + "runpod-workers/worker-infinity-embedding/issues/30",
        ask=_float_embeddings,
    ),
    Deviation(
        "every embedding has the index 0",
        "OAI-EMB-002",
        "OpenAPI document 2.3.0, Embedding.index",
        say=_same_index,
    ),
    Deviation(
        "embeddings of different lengths",
        "OAI-EMB-004",
        "OpenAPI document 2.3.0, Embedding.embedding",
        say=_odd_length,
    ),
    Deviation(
        "one embedding for all inputs",
        "OAI-EMB-002",
        GH + "gpustack/gpustack/issues/513",
        say=_first_only,
    ),
    Deviation(
        "empty embeddings for a list",
        "OAI-EMB-004",
        GH + "garrytan/gbrain/issues/328",
        say=_empty_vectors,
    ),
    Deviation(
        "completion streams without a finish reason",
        "OAI-COMP-005",
        GH + "huggingface/text-generation-inference/pull/2336",
        say=completion_chunks(_unending),
    ),
    Deviation(
        "completion streams without the usage asked for",
        "OAI-COMP-010",
        GH + "BerriAI/litellm/issues/8349",
        say=completion_chunks(_uncounted),
    ),
    Deviation(
        "echo without the prompt's log probabilities",
        "OAI-COMP-015",
        GH + "ggml-org/llama.cpp/issues/27174",
        say=_generated_only,
    ),
    Deviation(
        "logprobs 0 of completions refused",
        "OAI-COMP-008",
        GH + "vllm-project/vllm/pull/3731",
        ask=_no_zero,
    ),
)
