"""What only a request made for it shows: budgets without usage, roles, pictures, keys, long prompts."""

from typing import Any

from tests.contracts.planted.deviation import (
    GH,
    Deviation,
    ended,
    forget,
    is_chat,
    is_text,
    refusal,
    refuse,
    reply,
)
from tests.contracts.reference import CONTEXT, Asked, Said

__all__ = ["DEVIATIONS"]

SCHEMA = "OpenAPI document 2.3.0, "


def _unlimited(asked: Asked) -> None:
    forget("max_tokens", "max_completion_tokens")(asked)


def _uncounted(asked: Asked, said: Said) -> None:
    if is_chat(asked) and said.status == 200 and said.chunks is None:
        said.document.pop("usage")


def _long_cuts_as_stop(asked: Asked, said: Said) -> None:
    if is_chat(asked) and said.status == 200 and said.chunks is None:
        wanted = asked.document
        budget = wanted.get("max_tokens") or wanted.get("max_completion_tokens") or 0
        for one in said.document["choices"] if 4 < budget < 24 else []:
            ended(one, "length", "stop")


def _parts(document: Any) -> list[Any]:
    messages = document.get("messages")
    contents = [one.get("content") for one in messages if isinstance(one, dict)] if messages else []
    return [part for content in contents if isinstance(content, list) for part in content]


def _shown(document: Any) -> bool:
    return isinstance(document.get("messages"), list) and any(
        part.get("type") == "image_url" for part in _parts(document)
    )


def _blind(asked: Asked) -> None:
    if is_chat(asked) and _shown(asked.document):
        for message in asked.document["messages"]:
            message["content"] = [one for one in message["content"] if one["type"] == "text"]


def _choked(asked: Asked) -> Said | None:
    return refusal(500) if is_chat(asked) and _shown(asked.document) else None


def _developer(document: Any) -> bool:
    messages = document.get("messages")
    return isinstance(messages, list) and any(
        isinstance(one, dict) and one.get("role") == "developer" for one in messages
    )


def _any_key(asked: Asked) -> Said | None:
    if asked.headers.get("authorization") == "":
        return refusal(401, code="invalid_api_key")
    asked.headers = {}
    return None


def _forbidden(_: Asked, said: Said) -> None:
    if said.status == 401:
        said.status = 403


def _cut_prompts(asked: Asked) -> None:
    if is_chat(asked) and isinstance(asked.document.get("messages"), list):
        for message in asked.document["messages"]:
            if isinstance(message, dict) and isinstance(message.get("content"), str):
                message["content"] = message["content"][-CONTEXT:]


def _index_counts(asked: Asked, said: Said) -> None:
    if is_text(asked) and said.chunks is not None:
        for number, event in enumerate(said.chunks):
            for one in event["choices"]:
                one["index"] = number


def _embedder(asked: Asked, said: Said) -> Said | None:
    if asked.path == "/v1/models":
        row = {**said.document["data"][0], "id": "acme/embedder"}
        said.document["data"].append(row)
    if asked.path.endswith("/embeddings"):
        if asked.document.get("model") != "acme/embedder":
            return refusal(400, param="model")
        packed = asked.document.get("encoding_format") == "base64"
        numbers = "AAAAPw==" if packed else [0.5]
        vector = {"object": "embedding", "index": 7, "embedding": numbers}
        usage = {"prompt_tokens": 1, "total_tokens": 1}
        document = {"object": "list", "data": [vector], "model": "acme/embedder", "usage": usage}
        return Said(200, {"content-type": "application/json"}, document)
    return None


def _biased(asked: Asked) -> Said | None:
    biased = is_chat(asked) and asked.document.get("logit_bias")
    return refusal(500, "Internal Server Error") if biased else None


def _counts(prompt: int, spent: int) -> dict[str, int]:
    return {
        "prompt_tokens": prompt,
        "completion_tokens": spent,
        "total_tokens": prompt + spent,
    }


DEVIATIONS: tuple[Deviation, ...] = (
    Deviation(
        "budgets ignored, and no usage",
        "OAI-FINISH-002",
        "mocks of OpenAI's API; https://github.com/ggml-org/llama.cpp/issues/13700",
        ask=_unlimited,
        say=_uncounted,
        also={
            "OAI-USAGE-001": "there is none",
            "OAI-ERR-004": "a negative budget is taken too",
        },
    ),
    Deviation(
        "length reported as stop for budgets of more than a few tokens",
        "OAI-FINISH-001",
        GH + "mudler/LocalAI/issues/3533",
        say=_long_cuts_as_stop,
    ),
    Deviation(
        "the role developer refused",
        "OAI-ACCEPT-011",
        GH + "vllm-project/vllm/issues/13210",
        ask=refuse(_developer),
    ),
    Deviation("an image left out", "OAI-ERR-011", GH + "lm-sys/FastChat/issues/2790", ask=_blind),
    Deviation(
        "the same count for every prompt, with an image or without",
        "OAI-USAGE-004",
        "mocktopus 0.2.0, llm-mock-api 0.1.2",
        ask=_blind,
        say=reply(lambda d: d["usage"].update(_counts(10, d["usage"]["completion_tokens"]))),
        also={"OAI-STREAM-026": "streams count"},
    ),
    Deviation(
        "every count 0, with an image or without",
        "OAI-USAGE-003",
        "LitServe 0.2.19",
        ask=_blind,
        say=reply(lambda d: d["usage"].update(_counts(0, 0))),
    ),
    Deviation(
        "an image is answered with 500",
        "OAI-ERR-011",
        GH + "vllm-project/vllm/issues/35438",
        ask=_choked,
    ),
    Deviation(
        "a wrong key answered",
        "OAI-ERR-012",
        "OpenAI API reference, error codes: 401",
        ask=_any_key,
        keyed=True,
    ),
    Deviation(
        "a wrong key is 403",
        "OAI-ERR-012",
        "OpenAI API reference, error codes: 401",
        say=_forbidden,
        keyed=True,
    ),
    Deviation(
        "prompts beyond the context cut",
        "OAI-ERR-013",
        "OpenAI API reference, error codes: context_length_exceeded",
        ask=_cut_prompts,
        context=CONTEXT,
    ),
    Deviation(
        "the index of completion streams counts tokens",
        "OAI-COMP-004",
        GH + "BerriAI/litellm/issues/376",
        say=_index_counts,
    ),
    Deviation(
        "embeddings of a listed model all have index 7",
        "OAI-EMB-002",
        SCHEMA + "Embedding.index",
        say=_embedder,
        also={
            "OAI-MODELS-003": "acme/embedder is listed, and nothing but embeddings knows it",
            "OAI-MODELS-005": "the same",
        },
    ),
    Deviation(
        "logit_bias is answered with 500",
        "OAI-ERR-010",
        GH + "vllm-project/vllm/issues/35438",
        ask=_biased,
    ),
)
