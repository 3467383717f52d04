"""What to ask LoRAX for, and how to read the answer: an OpenAI request becomes a `Plan`.

A plan is a value: equal requests, routes, facts and templates give equal plans, and the shell only
carries them out. `n` choices are `n` LoRAX requests: LoRAX's own `best_of` forbids seeds and
streams, is limited to 2, and reports usage for one sequence only (router/src/infer.rs:1000).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from lorax_proxy.core.messages import conversation
from lorax_proxy.core.routing import Adapter, Base, Merge, Route, Target
from lorax_proxy.core.sampling import Sampling, sampling, upstream_seed
from lorax_proxy.core.stream import Reading
from lorax_proxy.core.templates import ChatTemplate, TemplateRefused, strip_leading_bos
from lorax_proxy.errors import RequestRefused
from lorax_proxy.wire.lorax import GenerateParameters, GenerateRequest, MergedAdapters
from lorax_proxy.wire.openai_requests import ChatRequest, SamplingRequest

__all__ = ["Facts", "Plan", "adapter_ids", "plan_chat"]

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
        text_only: Whether the model is known to read no images; None when nobody knows.
        default_max_tokens: The operator's budget for chat requests without one.
    """

    model_id: str
    fingerprint: str | None
    max_stop_sequences: int
    bos: str | None = ""
    appends_eos: bool = False
    text_only: bool | None = None
    default_max_tokens: int | None = None


@dataclass(frozen=True, slots=True)
class Plan:
    """The LoRAX requests of one OpenAI request, and how to read each answer.

    Attributes:
        requests: One a choice; empty when a zero budget asks for nothing.
        choices: How many choices the answer has.
        reading: How each answer is read.
        token_stream: Whether tokens must be seen as they come, even for an answer that is not
            streamed: a stop string ends generation at once.
        prompt: The prompt as sent, for counting when LoRAX does not say.
        truncate: How many of its tokens LoRAX keeps, if fewer.
    """

    requests: tuple[GenerateRequest, ...]
    choices: int
    reading: Reading
    token_stream: bool
    prompt: str
    truncate: int | None = None


def adapter_ids(target: Target) -> tuple[str, ...]:
    """The LoRAX adapter ids that a target loads."""
    match target:
        case Base():
            return ()
        case Adapter():
            return (target.id,)
        case Merge():
            return target.ids


def plan_chat(
    request: ChatRequest, route: Route, facts: Facts, template: ChatTemplate, now: datetime
) -> Plan:
    """Plan a chat completion.

    Args:
        request: The validated request, with the model's defaults filled in.
        route: What its model name means.
        facts: What is known of the route's upstream.
        template: The model's chat template.
        now: What `strftime_now` tells the template.

    Raises:
        RequestRefused: 400 for what cannot be asked.
        TemplateFailed: When the template does not work: the operator's fault.
    """
    prompt = _render(request, template, now)
    bos = template.special_tokens.bos_token if facts.bos is None else facts.bos
    if bos:
        # /generate adds it again (router/src/lib.rs:341)
        prompt = strip_leading_bos(prompt, bos)
    if not prompt:
        raise RequestRefused(
            "Invalid 'messages': the chat template made an empty prompt of them.",
            param="messages",
            code="invalid_value",
        )
    stops = _stops(request, route)
    reading = Reading(stops=stops, logprobs=_logprobs(request))
    budget = (
        request.max_tokens
        if request.max_completion_tokens is None
        else request.max_completion_tokens
    )
    return _plan(
        request,
        route,
        facts,
        prompt=prompt,
        budget=facts.default_max_tokens if budget is None else budget,
        reading=reading,
    )


def _render(request: ChatRequest, template: ChatTemplate, now: datetime) -> str:
    kwargs: dict[str, Any] = dict(request.chat_template_kwargs or {})
    if request.guideline is not None:
        kwargs["guideline"] = request.guideline
    try:
        return template.render(
            conversation(request.messages),
            documents=request.documents,
            add_generation_prompt=request.add_generation_prompt,
            continue_final_message=bool(request.continue_final_message),
            kwargs=kwargs,
            now=now,
        )
    except TemplateRefused as error:
        raise RequestRefused(
            f"The messages do not fit this model: {error}", param="messages", code="invalid_value"
        ) from None


def _stops(request: SamplingRequest, route: Route) -> tuple[str, ...]:
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


def _logprobs(request: ChatRequest) -> int | None:
    alternatives = request.top_logprobs
    if alternatives is None:
        alternatives = request.return_k_alternatives
    if request.logprobs:
        return alternatives or 0
    if alternatives:
        raise RequestRefused(
            "The 'top_logprobs' parameter is only allowed when 'logprobs' is true.",
            param="top_logprobs",
            code="invalid_value",
        )
    return None


def _plan(
    request: SamplingRequest,
    route: Route,
    facts: Facts,
    *,
    prompt: str,
    budget: int | None,
    reading: Reading,
) -> Plan:
    choices = request.n or 1
    chosen = sampling(request)
    parameters = [
        _parameters(request, route, facts, chosen, reading, budget, choice)
        for choice in range(choices if budget != 0 else 0)
    ]
    return Plan(
        requests=tuple(GenerateRequest(prompt, each) for each in parameters),
        choices=choices,
        reading=reading,
        token_stream=bool(reading.stops),
        prompt=prompt,
        truncate=request.truncate,
    )


def _parameters(
    request: SamplingRequest,
    route: Route,
    facts: Facts,
    chosen: Sampling,
    reading: Reading,
    budget: int | None,
    choice: int,
) -> GenerateParameters:
    return GenerateParameters(
        **_target(route.target),
        temperature=chosen.temperature,
        repetition_penalty=chosen.repetition_penalty,
        frequency_penalty=chosen.frequency_penalty,
        presence_penalty=chosen.presence_penalty,
        top_k=chosen.top_k,
        top_p=chosen.top_p,
        typical_p=chosen.typical_p,
        do_sample=chosen.do_sample,
        watermark=chosen.watermark,
        max_new_tokens=budget,
        ignore_eos_token=bool(request.ignore_eos_token or request.ignore_eos),
        # a backstop: LoRAX stops by itself where one ends with a token
        stop=reading.stops[: facts.max_stop_sequences],
        truncate=request.truncate,
        # finish reason and usage come with the details only
        details=True,
        return_k_alternatives=reading.logprobs or None,
        seed=upstream_seed(request.seed, choice) if chosen.do_sample else None,
    )


def _target(target: Target) -> Mapping[str, Any]:
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
