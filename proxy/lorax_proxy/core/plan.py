"""What to ask LoRAX for, and how to read the answers: the value that every text request becomes.

A plan is a value: equal requests, routes, facts and templates give equal plans, and the shell only
carries them out. `n` choices are `n` LoRAX requests: LoRAX's own `best_of` forbids seeds and
streams, is limited to 2, and reports usage for one sequence only (router/src/infer.rs:1000).
"""

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
from msgspec.structs import replace

from lorax_proxy.core.routing import Adapter, Base, Merge, Route, Target
from lorax_proxy.core.sampling import sampling, upstream_seed
from lorax_proxy.core.stream import END_TOKENS, Reading
from lorax_proxy.errors import RequestRefused
from lorax_proxy.wire.lorax import (
    GenerateParameters,
    GenerateRequest,
    MergedAdapters,
    ResponseFormat,
)
from lorax_proxy.wire.openai_requests import SamplingRequest

__all__ = [
    "Facts",
    "Plan",
    "adapter_ids",
    "check_choices",
    "end_tokens",
    "make_plan",
    "stop_strings",
    "target_parameters",
]

_MAX_STOP = 1000
"""Characters of one stop string: longer than any that a client means, and what bounds the text
that is held back."""


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known of one upstream.

    Attributes:
        model_id: The base model, as `/info` names it.
        fingerprint: What `system_fingerprint` says of it.
        max_stop_sequences: How many stop strings LoRAX takes (`/info`).
        bos: The spelling of what `/generate` puts before every prompt; empty when nothing, None
            when it puts the tokenizer's BOS but could not say how that is spelled.
        appends_eos: Whether the server's tokenizer also ends prompts with EOS: no chat then.
        text_only: Whether the model is known to read no images.
        default_max_tokens: The operator's budget for chat requests without one.
        vocabulary_size: How many tokens the model chooses from, if that is known.
    """

    model_id: str
    fingerprint: str | None
    max_stop_sequences: int
    bos: str | None = ""
    appends_eos: bool = False
    text_only: bool = False
    default_max_tokens: int | None = None
    vocabulary_size: int | None = None


class Plan(msgspec.Struct, frozen=True):
    """The LoRAX requests of one OpenAI request, and how to read each answer.

    Attributes:
        prompts: The prompts as sent, for counting when LoRAX does not say.
        requests: All LoRAX requests, prompt by prompt; empty when a zero budget asks for nothing.
        tries: How many LoRAX requests each prompt has.
        choices: How many of a prompt's answers are returned: the likeliest, if fewer than `tries`.
        reading: How each answer is read.
        token_stream: Whether tokens must be seen as they come, even for an answer that is not
            streamed: a stop string ends generation at once.
        echo: The prompts to put before the answers, if the client asked for that.
        score: Whether the prompt's own logprobs are asked for: only `/generate` tells them.
        discard: Whether what is generated is thrown away: LoRAX refuses a budget of zero.
        truncate: How many of a prompt's tokens LoRAX keeps, if fewer.
        dropped: The paths of the schema keywords that LoRAX cannot enforce.
    """

    prompts: tuple[str, ...]
    requests: tuple[GenerateRequest, ...]
    tries: int
    choices: int
    reading: Reading
    token_stream: bool
    echo: bool = False
    score: bool = False
    discard: bool = False
    truncate: int | None = None
    dropped: tuple[str, ...] = ()


def adapter_ids(target: Target) -> tuple[str, ...]:
    """The LoRAX adapter ids that a target loads."""
    match target:
        case Base():
            return ()
        case Adapter():
            return (target.id,)
        case Merge():
            return target.ids


def stop_strings(request: SamplingRequest, route: Route) -> tuple[str, ...]:
    """The request's stop strings and its model's.

    Raises:
        RequestRefused: When one is empty or longer than the limit.
    """
    stop = request.stop
    stops: Sequence[str] = (stop,) if isinstance(stop, str) else stop or ()
    for index, text in enumerate(stops):
        param = "stop" if isinstance(stop, str) else f"stop[{index}]"
        if not text:
            raise RequestRefused(
                f"Invalid '{param}': a stop string must not be empty.",
                param=param,
                code="invalid_value",
            )
        if len(text) > _MAX_STOP:
            raise RequestRefused(
                f"Invalid '{param}': a stop string has at most {_MAX_STOP} characters.",
                param=param,
                code="string_above_max_length",
            )
    defaults = route.model.stop if route.model else ()
    return tuple(dict.fromkeys((*stops, *defaults)))


def check_choices(request: SamplingRequest, most: int, prompts: int = 1, best_of: int = 1) -> None:
    """Refuse what would become more LoRAX requests than are allowed.

    Args:
        request: The validated request.
        most: How many LoRAX requests there may be.
        prompts: How many prompts it has.
        best_of: How many answers each is chosen from.

    Raises:
        RequestRefused: 400 when there would be more.
    """
    choices = request.n or 1
    wanted = prompts * max(choices, best_of)
    if wanted > most:
        many = "best_of" if best_of > choices else "n" if choices > 1 else "prompt"
        raise RequestRefused(
            f"Invalid '{many}': this request would become {wanted} LoRAX requests, and this "
            f"server allows {most} ('max_choices').",
            param=many,
            code="above_max_value",
        )


def end_tokens(request: SamplingRequest, eos_token: str = "") -> frozenset[str]:
    """What ends a model's turn, its template's end token included; nothing if that is ignored."""
    if request.ignore_eos_token or request.ignore_eos:
        return frozenset()
    return _ends_with(eos_token)


@functools.lru_cache(maxsize=64)
def _ends_with(eos_token: str) -> frozenset[str]:
    return END_TOKENS | {eos_token} if eos_token else END_TOKENS


def make_plan(
    request: SamplingRequest,
    route: Route,
    facts: Facts,
    *,
    prompts: Sequence[str],
    prompt_param: str,
    budget: int | None,
    reading: Reading,
    schema: Mapping[str, Any] | None = None,
    tries: int | None = None,
    echo: bool = False,
    dropped: tuple[str, ...] = (),
) -> Plan:
    """Put a plan together.

    Args:
        request: The validated request.
        route: What its model name means.
        facts: What is known of the route's upstream.
        prompts: What to complete.
        prompt_param: Where the client put that, for refusals.
        budget: How many tokens to generate at most; None leaves it to LoRAX.
        reading: How the answers are read.
        schema: A lowered JSON schema to constrain generation with.
        tries: How many answers to choose from, if not `n`.
        echo: Whether the prompt comes before the answer.
        dropped: The paths of the schema keywords that LoRAX cannot enforce.

    Raises:
        RequestRefused: 400 for what cannot be asked.
    """
    for prompt in prompts:
        if not facts.text_only and _holds_image(prompt):
            raise RequestRefused(
                f"Invalid '{prompt_param}': '![](...)' is how LoRAX's vision models are told to "
                "fetch an image, and this model is not known to read text only.",
                param=prompt_param,
                code="unsupported_content",
            )
    score = echo and reading.logprobs is not None
    discard = budget == 0 and score
    budget = 1 if discard else budget
    tries = max(request.n or 1, tries or 1)
    if tries > (request.n or 1):
        reading = replace(reading, ranked=True)
    parameters = replace(
        sampling(request, facts.vocabulary_size),
        **target_parameters(route.target),
        max_new_tokens=budget,
        ignore_eos_token=bool(request.ignore_eos_token or request.ignore_eos),
        # a backstop: LoRAX stops by itself where one ends with a token. Under a tool grammar they
        # are for the decoded text, of which LoRAX sees the JSON spelling only.
        stop=() if reading.grammar else reading.stops[: facts.max_stop_sequences],
        truncate=request.truncate,
        # finish reason and usage come with the details only
        details=True,
        decoder_input_details=score,
        return_k_alternatives=reading.logprobs or None,
        response_format=None if schema is None else ResponseFormat("json_object", schema),
    )
    asked = [] if budget == 0 else [_choice(parameters, request.seed, i) for i in range(tries)]
    return Plan(
        prompts=tuple(prompts),
        requests=tuple(GenerateRequest(prompt, each) for prompt in prompts for each in asked),
        tries=tries,
        choices=request.n or 1,
        reading=reading,
        token_stream=bool(reading.stops) and not score,
        echo=echo,
        score=score,
        discard=discard,
        truncate=request.truncate,
        dropped=dropped,
    )


def _choice(parameters: GenerateParameters, seed: int | None, choice: int) -> GenerateParameters:
    """The parameters of one of several choices, which differ by their seeds."""
    if seed is None or not parameters.do_sample:
        return parameters
    return replace(parameters, seed=upstream_seed(seed, choice))


def _holds_image(prompt: str) -> bool:
    """Whether LoRAX's vision models would find an image to fetch: `![](...)`.

    The pattern (router/src/validation.rs:601) is linear in LoRAX's regex engine and quadratic in
    Python's, where a megabyte of `![](` would take hours; what it finds can be found by two searches.
    """
    start = prompt.find("![](")
    return start >= 0 and prompt.find(")", start) >= 0


def target_parameters(target: Target) -> Mapping[str, Any]:
    """LoRAX's parameters that name a target."""
    match target:
        case Base():
            return {}
        case Adapter():
            return {
                "adapter_id": target.id,
                "adapter_source": target.source,
                "api_token": target.token,
            }
        case Merge():
            return {
                "merged_adapters": MergedAdapters(
                    ids=target.ids,
                    weights=target.weights,
                    merge_strategy=target.strategy,
                    density=target.density or 0.0,
                    majority_sign_method=target.majority_sign_method,
                ),
                "adapter_source": target.source,
                "api_token": target.token,
            }
