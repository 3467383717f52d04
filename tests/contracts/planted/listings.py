"""Models, text completions and embeddings."""

from tests.contracts.planted.deviation import GH, Deviation, is_chat, is_text, refusal
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


DEVIATIONS: tuple[Deviation, ...] = (
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
        "OAI-MODELS-001",
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
)
