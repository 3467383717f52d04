"""Every way an answer can fail, and what the client is told: one table.

LoRAX names the kind of a failure in `error_type` (router/src/infer.rs:1710-1746) but its cause only
in prose, some of which can hold text that a client chose. So the type decides, and two anchored
full-message patterns refine it: a prompt that is too long, and an adapter that cannot be loaded.
Anything else of type `generation`, plain text, or a type that we do not know, is a 502.

The openai SDK repeats 408, 409, 429 and 5xx twice by itself. A failure after the request reached
LoRAX may have cost a GPU minutes or a slow download, and would most likely repeat: it carries
`x-should-retry: false`, which the SDK obeys. Overload is the exception: nothing was done yet.

An answer without LoRAX's envelope is a gateway's that stands before it, or axum's (plain text). Its
429 and 503 say that nothing was done, so they keep their status and their `Retry-After`; 504 stays
504; whatever else it says is a 502 that names the status, which the operator needs to find it.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import assert_never

from lorax_proxy.errors import Failure, Lost, Refused, RequestRefused

__all__ = [
    "NO_RETRY",
    "ApiError",
    "answer",
    "internal",
    "refusal",
    "retry_after",
    "shutting_down",
]


@dataclass(frozen=True, slots=True)
class ApiError:
    """An error as OpenAI's clients read it: a status, and an envelope with all four keys.

    Two are for the log: `upstream_status`, the status that came without LoRAX's envelope, and
    `adapter_failed`, a 404 that is not the client's mistake alone.
    """

    status: int
    message: str
    type: str
    param: str | None = None
    code: str | None = None
    headers: tuple[tuple[str, str], ...] = ()
    upstream_status: int | None = None
    adapter_failed: bool = False

    @property
    def reason(self) -> str | None:
        """What an operator should read; None for what is the client's to mend."""
        return self.message if self.status >= 500 or self.adapter_failed else None


NO_RETRY = ("x-should-retry", "false")

_MAX_CAUSE = 600
"""Characters of LoRAX's own words that are passed on: hub errors of several lines fit."""

_MAX_MATCHED = 10_000
"""Characters of a message that a pattern looks at: LoRAX's own are far shorter, and a longer one
must not cost the proxy time."""

_TOO_LONG = re.compile(
    r"Input validation error: `inputs` must have less than (?P<limit>[0-9]{1,20}) tokens\. "
    r"Given: (?P<given>[0-9]{1,20})"
)
_OVER_BUDGET = re.compile(
    r"Input validation error: `inputs` tokens \+ `max_new_tokens` must be <= (?P<limit>[0-9]{1,20})\. "
    r"Given: (?P<given>[0-9]{1,20}) `inputs` tokens and (?P<budget>[0-9]{1,20}) `max_new_tokens`"
)

_FROM_SHARD = r"Request failed during generation: Server error: "
_ADAPTER_MISSING = (
    # server/lorax_server/utils/adapter.py: neither a file nor a folder nor a hub repository has one
    re.compile(_FROM_SHARD + r"No valid adapter config file found: tried [^\n]* and [^\n]*"),
    # huggingface_hub's text for a repository that is missing, private or gated
    re.compile(
        _FROM_SHARD
        + r"40[134] Client Error[^\n]*\n\s*\nRepository Not Found for url: [^\n]*(?:\n[^\n]*){0,8}"
    ),
    # huggingface_hub's texts (utils/_validators.py, 0.26.5) for ids that no repository can have
    re.compile(
        _FROM_SHARD + r"Repo id must be in the form 'repo_name' or 'namespace/repo_name': [^\n]*"
    ),
    re.compile(_FROM_SHARD + r"Repo id must use alphanumeric chars [^\n]*: '[^\n]*'\."),
    re.compile(_FROM_SHARD + r"Cannot have -- or \.\. in repo_id: '[^\n]*'\."),
    re.compile(_FROM_SHARD + r"Repo_id cannot end by '\.git': '[^\n]*'\."),
    # server/lorax_server/utils/sources/s3.py: the same for buckets
    re.compile(_FROM_SHARD + r"Invalid model_id [^\n]*\. model_id should be of the form [^\n]*"),
)
_ADAPTER_UNUSABLE = tuple(
    re.compile(_FROM_SHARD + pattern)
    for pattern in (
        r"Adapter '[^\n]*' is not compatible with model '[^\n]*'\. Architectures differ: [^\n]*",
        r"Adapter [^\n]* is larger than adapter memory reservation: [0-9]+ / [0-9]+ bytes",
        r"Memory reserved for adapters is 0\. Please set a memory reservation for adapters\.",
        r"This model does not support (?:dynamic )?adapter loading\.[^\n]*",
        r"Adapter [^\n]* is not ready for use\. Current status: [^\n]*",
        r"unable to merge adapters, lora configs have different ranks: [^\n]*",
        r"unable to merge adapters, lora configs have no target modules",
        r"Base model adapter cannot be merged\.",
        # torch, at a merge of matrices whose shapes differ (utils/merges/strategies.py:27)
        r"stack expects each tensor to be equal size, but got [^\n]*",
        # server/lorax_server/adapters/medusa.py
        r"Medusa adapters can only be loaded at request time when LoRAX was initialized with [^\n]*",
        r"Dynamic adapter loading is not supported for Medusa version [^\n]*",
        r"Cannot load a Medusa adapter dynamically with a different number of heads [^\n]*",
        # safetensors 0.4.2 on a weight file that is cut or corrupt
        r"Error while deserializing header: [A-Za-z0-9 ,_-]{1,80}",
        # server/lorax_server/utils/sources/source.py:84-94: the same files, looked at before
        r"Length of safetensor file less than 8 bytes: [^\n]*",
        r"Failed to read first 8 bytes of safetensor file: [^\n]*",
        r"Header extends past end of file: [^\n]*",
        # server/lorax_server/utils/sources/{hub,local,s3}.py: a configuration without weights
        r"No [^\n]* weights found for model [^\n]*",
        r"No local weights found in [^\n]* with extension [^\n]*",
        r"File [^\n]* of model [^\n]* not found in [^\n]*",
        r"Adapter [^\n]* is not yet available",
        r"api_token must be provided to for a model of source pbase",
        # botocore: the server has no credentials for the bucket, or the bucket says no
        r"Unable to locate credentials",
        r"Partial credentials found in [^\n]*, missing: [^\n]*",
        r"Could not connect to the endpoint URL: [^\n]*",
        r"An error occurred \([A-Za-z0-9.]{1,80}\) when calling the [A-Za-z0-9]{1,80} operation[^\n]*",
    )
)


def refusal(error: RequestRefused) -> ApiError:
    """Our own refusal of a request."""
    return ApiError(error.status, error.message, error.type, error.param, error.code, error.headers)


def internal(request_id: str) -> ApiError:
    """A bug of ours: nothing about it leaves but the id under which it was logged."""
    return ApiError(
        500,
        f"The proxy failed to answer this request. Its log has the cause under {request_id}.",
        "server_error",
        code="internal_error",
        headers=(NO_RETRY,),
    )


def shutting_down() -> ApiError:
    """This process ends before the answer is complete, or before it was begun."""
    return ApiError(
        503,
        "This server is shutting down. Please repeat the request.",
        "server_error",
        code="shutting_down",
        headers=(("retry-after", "1"),),
    )


def answer(
    failure: Failure, *, adapter: str | None = None, prompt_param: str | None = None
) -> ApiError:
    """What the client is told.

    Args:
        failure: What happened.
        adapter: The public name of the model, if it is an adapter's, which may have failed to load.
        prompt_param: Where the client put its prompt, for errors about its length.
    """
    match failure:
        case Refused():
            return _refused(failure, adapter, prompt_param)
        case Lost.UNREACHABLE | Lost.CONNECT_TIMEOUT | Lost.NOT_READY | Lost.RENEWED:
            return ApiError(
                503,
                f"LoRAX {failure.value}.",
                "server_error",
                code="upstream_unavailable",
                headers=(("retry-after", "2"),),
            )
        case Lost.FIRST_EVENT_TIMEOUT | Lost.IDLE_TIMEOUT | Lost.TOTAL_TIMEOUT:
            return ApiError(
                504,
                f"LoRAX {failure.value}.",
                "server_error",
                code="upstream_timeout",
                headers=(NO_RETRY,),
            )
        case (
            Lost.CUT
            | Lost.GARBLED
            | Lost.TORN
            | Lost.UNREADABLE
            | Lost.OFF_FORMAT
            | Lost.MISCOUNTED
        ):
            missing = failure in (Lost.CUT, Lost.GARBLED, Lost.TORN)
            return ApiError(
                502,
                f"LoRAX {failure.value}.",
                "server_error",
                code="upstream_incomplete" if missing else "upstream_error",
                headers=(NO_RETRY,),
            )
        case _:
            assert_never(failure)


def _refused(failure: Refused, adapter: str | None, prompt_param: str | None) -> ApiError:
    match failure.type:
        case "validation":
            return _invalid(failure.message, prompt_param)
        case "overloaded":
            # LoRAX gives no hint (router/src/server.rs:1736), a gateway on the way may; a second is
            # one decode of a full batch
            return ApiError(
                429,
                "LoRAX is overloaded: it serves as many requests at once as it may.",
                "rate_limit_error",
                code="rate_limit_exceeded",
                headers=(("retry-after", failure.retry_after or "1"),),
            )
        case "generation" if adapter and _matches(_ADAPTER_MISSING, failure.message):
            return ApiError(
                404,
                f"The model `{adapter}` could not be loaded: {_cause(failure.message)}",
                "invalid_request_error",
                "model",
                "model_not_found",
                (NO_RETRY,),
                adapter_failed=True,
            )
        case "generation" if adapter and _matches(_ADAPTER_UNUSABLE, failure.message):
            return ApiError(
                502,
                f"The model `{adapter}` cannot be used: {_cause(failure.message)}",
                "server_error",
                "model",
                "adapter_load_failed",
                (NO_RETRY,),
            )
        case "incomplete_generation":
            return ApiError(
                502,
                "LoRAX ended its answer before it was complete.",
                "server_error",
                code="upstream_incomplete",
                headers=(NO_RETRY,),
            )
        case None if failure.status != 200:
            return _untyped(failure, prompt_param)
        case _:
            return ApiError(
                502,
                f"LoRAX failed: {_cause(failure.message)}",
                "server_error",
                code="upstream_error",
                headers=(NO_RETRY,),
            )


def _untyped(failure: Refused, prompt_param: str | None) -> ApiError:
    """What somebody else said: a gateway before LoRAX, or the framework around it."""
    status = failure.status
    # an HTML page explains nothing in a line
    said = failure.message.strip()
    words = f": {_cut(said)}" if said and not said.startswith("<") else "."
    answered = f"The upstream answered {status}, without an error of LoRAX's{words}"
    match status:
        case 429:
            return ApiError(
                429,
                answered,
                "rate_limit_error",
                code="rate_limit_exceeded",
                headers=(("retry-after", failure.retry_after or "1"),),
                upstream_status=status,
            )
        case 503:
            return ApiError(
                503,
                answered,
                "server_error",
                code="upstream_unavailable",
                headers=(("retry-after", failure.retry_after or "2"),),
                upstream_status=status,
            )
        case 504:
            # it was waited for, so LoRAX may be at work on it
            return ApiError(
                504,
                answered,
                "server_error",
                code="upstream_timeout",
                headers=(NO_RETRY,),
                upstream_status=status,
            )
        case 413:
            return ApiError(
                400,
                "The upstream answered 413: the request is larger than it accepts. LoRAX takes "
                "bodies of up to 2 MiB, a gateway before it perhaps less.",
                "invalid_request_error",
                prompt_param,
                "context_length_exceeded",
                upstream_status=status,
            )
        case _:
            return ApiError(
                502,
                answered,
                "server_error",
                code="upstream_error",
                headers=(NO_RETRY,),
                upstream_status=status,
            )


def _invalid(message: str, prompt_param: str | None) -> ApiError:
    if found := _TOO_LONG.fullmatch(message):
        return _length_error(
            f"This model takes prompts of up to {found['limit']} tokens. "
            f"However, your prompt has {found['given']} tokens. Please shorten it.",
            prompt_param,
        )
    if found := _OVER_BUDGET.fullmatch(message):
        given, budget = int(found["given"]), int(found["budget"])
        return _length_error(
            f"This model's maximum context length is {found['limit']} tokens. However, you "
            f"requested {given + budget} tokens ({given} in the prompt, {budget} in the "
            "completion). Please reduce the length of either.",
            prompt_param,
        )
    shown = _cut(message.strip() or "LoRAX refused the request without a word.")
    return ApiError(400, shown, "invalid_request_error", code="invalid_value")


_RETRY_AFTER = re.compile(r"[0-9]{1,10}|[A-Za-z]{3}, [0-9]{2} [A-Za-z]{3} [0-9]{4} [0-9:]{8} GMT")
"""RFC 9110 10.2.3: seconds, or a date; anything else is not passed on."""


def retry_after(headers: Sequence[tuple[str, str]]) -> str | None:
    """The `Retry-After` among an answer's headers (names in lower case), if it is one."""
    given = next((value for name, value in headers if name == "retry-after"), "")
    return given if _RETRY_AFTER.fullmatch(given) else None


def _length_error(message: str, prompt_param: str | None) -> ApiError:
    return ApiError(400, message, "invalid_request_error", prompt_param, "context_length_exceeded")


def _matches(patterns: tuple[re.Pattern[str], ...], message: str) -> bool:
    return len(message) <= _MAX_MATCHED and any(pattern.fullmatch(message) for pattern in patterns)


def _cause(message: str) -> str:
    message = message.removeprefix("Request failed during generation: ")
    return _cut(message.removeprefix("Server error: ").strip() or "no cause was given.")


def _cut(message: str) -> str:
    return message if len(message) <= _MAX_CAUSE else message[: _MAX_CAUSE - 3] + "..."
