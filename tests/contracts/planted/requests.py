"""What is refused though it is right, taken though it is wrong, and how it is refused."""

from collections.abc import Callable
from typing import Any

from lorax_contracts.exchange import End
from tests.contracts.planted.deviation import (
    GH,
    Deviation,
    errors,
    is_chat,
    refusal,
    refuse,
)
from tests.contracts.reference import Asked, Said

__all__ = ["DEVIATIONS"]


def _first_part_only(asked: Asked) -> None:
    if is_chat(asked) and isinstance(asked.document.get("messages"), list):
        for message in asked.document["messages"]:
            if isinstance(message, dict) and isinstance(message.get("content"), list):
                message["content"] = message["content"][-1:]


def _any_model(asked: Asked) -> None:
    if is_chat(asked) and isinstance(asked.document.get("model"), str):
        asked.document["model"] = "acme/base"


def _old_shape(said: Said) -> None:
    said.document = {"object": "error", "message": "bad", "type": "BadRequestError", "code": 400}


def _numeric(said: Said) -> None:
    said.document["error"]["code"] = said.status


def _keyless(said: Said) -> None:
    said.document["error"].pop("param")


def _traceback(said: Said) -> None:
    said.document["error"]["message"] = 'Traceback (most recent call last):\n  File "a.py", line 1'


def _crash(asked: Asked, said: Said) -> Said | None:
    return refusal(500, "Internal Server Error") if said.status == 400 and is_chat(asked) else None


def _crash_on_bytes(asked: Asked) -> Said | None:
    if asked.method == "POST" and asked.document is None:
        return refusal(500, "Internal Server Error")
    return None


def _drop(asked: Asked) -> Said | None:
    if asked.body.startswith(b"[[["):
        return Said(0, {}, raw=b"", end=End.CUT)
    return None


def _as_200(asked: Asked, said: Said) -> None:
    if is_chat(asked) and said.status >= 400:
        said.status = 200


def _html_404(asked: Asked, said: Said) -> Said | None:
    if said.status == 404 and "no-such-path" in asked.path:
        return Said(404, {"content-type": "text/html"}, raw=b"<html>404 page not found</html>")
    return None


def _nameless(said: Said) -> None:
    said.document["error"]["param"] = None


def _busy(asked: Asked) -> Said | None:
    return refusal(429, "busy") if is_chat(asked) and asked.document.get("n") == 2 else None


def _no_options(document: Any) -> bool:
    options = document.get("stream_options")
    return isinstance(options, dict) and options.get("include_usage") is False


def _lenient(member: str) -> Callable[[Asked], None]:
    def ask(asked: Asked) -> None:
        value = asked.document.get(member) if isinstance(asked.document, dict) else None
        if isinstance(value, int) and not 0 <= value <= 2:
            asked.document.pop(member)

    return ask


def _empty_messages(asked: Asked) -> None:
    if is_chat(asked) and asked.document.get("messages") == []:
        asked.document["messages"] = [{"role": "user", "content": ""}]


DEVIATIONS: tuple[Deviation, ...] = (
    Deviation(
        "null refused",
        "OAI-ACCEPT-002",
        GH + "ztjhz/BetterChatGPT/issues/248",
        ask=refuse(lambda d: "temperature" in d and d["temperature"] is None),
    ),
    Deviation(
        "content parts refused",
        "OAI-ACCEPT-003",
        GH + "kvcache-ai/ktransformers/issues/773",
        ask=refuse(
            lambda d: any(
                isinstance(one.get("content"), list)
                for one in d.get("messages") or []
                if isinstance(one, dict)
            )
        ),
    ),
    Deviation(
        "only one content part read",
        "OAI-ACCEPT-003",
        GH + "CommandCodeAI/command-code/issues/820",
        ask=_first_part_only,
    ),
    Deviation(
        "streams without usage refused",
        "OAI-ACCEPT-010",
        "OpenAPI document 2.3.0, ChatCompletionStreamOptions.include_usage",
        ask=refuse(_no_options),
    ),
    Deviation(
        "429 without Retry-After",
        "OAI-ERR-008",
        "RFC 9110, section 10.2.3",
        ask=_busy,
        strict=True,
    ),
    Deviation(
        "a refused parameter that is not named",
        "OAI-ERR-009",
        "OpenAPI document 2.3.0, Error.param",
        say=errors(_nameless),
        strict=True,
    ),
    Deviation(
        "user and metadata refused",
        "OAI-ACCEPT-009",
        GH + "voideditor/void/issues/128",
        ask=refuse(lambda d: "metadata" in d),
    ),
    Deviation(
        "any model name answered",
        "OAI-ERR-005",
        "OpenAI API reference, error codes: model_not_found",
        ask=_any_model,
        also={
            "OAI-CHAT-005": "as the base model, also for an adapter",
            "OAI-STREAM-008": "in streams too",
        },
    ),
    Deviation(
        "a temperature of 5 accepted",
        "OAI-ERR-004",
        "OpenAPI document 2.3.0, temperature: maximum 2",
        ask=_lenient("temperature"),
    ),
    Deviation(
        "no messages accepted",
        "OAI-ERR-004",
        "LoRAX router/src/lib.rs:668: messages may be empty",
        ask=_empty_messages,
    ),
    Deviation(
        "errors of an older shape",
        "OAI-ERR-001",
        GH + "vllm-project/vllm/pull/17664",
        say=errors(_old_shape),
    ),
    Deviation(
        "the status as error code",
        "OAI-ERR-002",
        GH + "sgl-project/sglang/pull/32808",
        say=errors(_numeric),
    ),
    Deviation(
        "errors without param",
        "OAI-ERR-002",
        "OpenAPI document 2.3.0, Error",
        say=errors(_keyless),
    ),
    Deviation(
        "500 for a bad member",
        "OAI-ERR-003",
        GH + "vllm-project/vllm/issues/35438",
        say=_crash,
        also={"OAI-ERR-011": "an image is refused with 500 too"},
    ),
    Deviation(
        "500 for malformed JSON",
        "OAI-ERR-003",
        "vLLM production-stack, request_service/request.py:287",
        ask=_crash_on_bytes,
    ),
    Deviation("killed by nested lists", "OAI-ERR-003", "CWE-674", ask=_drop),
    Deviation("errors as 200", "OAI-HTTP-005", GH + "vllm-project/vllm/issues/49181", say=_as_200),
    Deviation("a traceback in an error", "OAI-ERR-006", "CWE-209", say=errors(_traceback)),
    Deviation(
        "a web page for an unknown path",
        "OAI-ERR-007",
        GH + "ollama/ollama/issues/13715",
        say=_html_404,
    ),
)
