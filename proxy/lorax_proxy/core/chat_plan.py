"""A chat request becomes a plan: constraints found, messages rendered, parameters translated.

The order matters. The messages are put into the template's shape, then the client's special-token
spellings are dealt with where they stand, then the template renders: what it writes itself is
meant, what a client wrote is text.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from lorax_proxy.core.constraints import constraints_of
from lorax_proxy.core.messages import conversation
from lorax_proxy.core.plan import Facts, Plan, end_tokens, make_plan, stop_strings
from lorax_proxy.core.routing import Route
from lorax_proxy.core.special_text import SpecialText, SpecialTextFound, SpecialTextPolicy
from lorax_proxy.core.stream import Reading
from lorax_proxy.core.template.chat_template import (
    ChatTemplate,
    TemplateExhausted,
    TemplateFailed,
    TemplateRefused,
    strip_leading_bos,
)
from lorax_proxy.core.tools.prompt import fit_messages
from lorax_proxy.errors import RequestRefused
from lorax_proxy.wire.openai_requests import ChatRequest

__all__ = ["PreparedTemplate", "plan_chat"]


@dataclass(frozen=True, slots=True)
class PreparedTemplate:
    """A chat template, and what happens to its special tokens in a client's text."""

    template: ChatTemplate
    special_text: SpecialText

    @classmethod
    def of(cls, template: ChatTemplate, policy: SpecialTextPolicy) -> "PreparedTemplate":
        """Prepare a template under a policy."""
        return cls(template, SpecialText(template.special_tokens.spellings, policy))


def plan_chat(
    request: ChatRequest,
    route: Route,
    facts: Facts,
    prepared: PreparedTemplate,
    now: datetime,
    *,
    counted: bool = True,
) -> Plan:
    """Plan a chat completion.

    Args:
        request: The validated request, with the model's defaults filled in.
        route: What its model name means.
        facts: What is known of the route's upstream.
        prepared: The model's chat template.
        now: What `strftime_now` tells the template.
        counted: Whether the rendering is held to what the request's size allows; a small one need not.

    Raises:
        RequestRefused: 400 for what cannot be asked.
        TemplateFailed: When the template does not work: the operator's fault.
    """
    if facts.appends_eos:
        raise RequestRefused(
            "This server's tokenizer ends every prompt with EOS, so a chat cannot be continued "
            "through /generate; use /v1/completions.",
            status=500,
            type="server_error",
            code="tokenizer_appends_eos",
        )
    constraints = constraints_of(request)
    logprobs = _logprobs(request)
    if constraints.grammar is not None and logprobs is not None:
        raise RequestRefused(
            "'logprobs' cannot be told while tools may be called: the model's tokens spell a "
            "document that you do not see. Set 'tool_choice' to 'none', or leave one out.",
            param="logprobs",
            code="unsupported_parameter",
        )
    schema = constraints.schema
    if schema is not None and (request.ignore_eos_token or request.ignore_eos):
        raise RequestRefused(
            "'ignore_eos_token' cannot be used with tools or a JSON format: what comes after the "
            "document's end is not JSON.",
            param="ignore_eos_token" if request.ignore_eos_token else "ignore_eos",
            code="unsupported_parameter",
        )
    prompt = _render(request, prepared, constraints.tools, now, counted=counted)
    template = prepared.template
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
    budget = request.max_completion_tokens
    if budget is None:
        budget = request.max_tokens
    return make_plan(
        request,
        route,
        facts,
        prompts=[prompt],
        prompt_param="messages",
        budget=facts.default_max_tokens if budget is None else budget,
        reading=Reading(
            stops=stop_strings(request, route),
            logprobs=logprobs,
            grammar=constraints.grammar,
            document=schema is not None and constraints.grammar is None,
            ends=end_tokens(request, template.special_tokens.eos_token),
        ),
        schema=schema,
        dropped=constraints.dropped,
    )


def _render(
    request: ChatRequest,
    prepared: PreparedTemplate,
    tools: Sequence[Mapping[str, Any]] | None,
    now: datetime,
    *,
    counted: bool,
) -> str:
    kwargs: dict[str, Any] = dict(request.chat_template_kwargs or {})
    if request.guideline is not None:
        kwargs["guideline"] = request.guideline
    guard = prepared.special_text.guard
    template = prepared.template
    for name in filter(template.is_reserved, kwargs):
        raise RequestRefused(
            f"Invalid 'chat_template_kwargs.{name}': it is not a client's to set; the messages, the "
            "tools and the like have parameters of their own.",
            param=f"chat_template_kwargs.{name}",
            code="invalid_value",
        )
    try:
        messages = guard(conversation(request.messages), "messages")
        fitted = fit_messages(template, messages, guard(tools, "tools"))
        return template.render(
            fitted.messages,
            tools=fitted.tools,
            documents=guard(request.documents, "documents"),
            add_generation_prompt=request.add_generation_prompt,
            continue_final_message=bool(request.continue_final_message),
            kwargs=guard(kwargs, "chat_template_kwargs"),
            now=now,
            counted=counted,
        )
    except TemplateRefused as error:
        raise RequestRefused(
            f"The messages do not fit this model: {error}", param="messages", code="invalid_value"
        ) from None
    except TemplateExhausted as error:
        # it was tried when it was loaded, so this is more than any conversation's size allows
        raise RequestRefused(
            f"The messages and tools make more of this model's template than their size allows: {error}",
            param="messages",
            code="invalid_value",
        ) from None
    except TemplateFailed as error:
        if not kwargs:
            raise
        # without them it renders, or every chat with this model fails and tells the operator so
        raise RequestRefused(
            f"The template cannot work with these 'chat_template_kwargs': {error}",
            param="chat_template_kwargs",
            code="invalid_value",
        ) from None
    except SpecialTextFound as error:
        raise RequestRefused(str(error), param=error.path, code="invalid_value") from None


def _logprobs(request: ChatRequest) -> int | None:
    name, alternatives = "top_logprobs", request.top_logprobs
    if alternatives is None:
        name, alternatives = "return_k_alternatives", request.return_k_alternatives
    if request.logprobs:
        return alternatives or 0
    if alternatives:
        raise RequestRefused(
            f"The '{name}' parameter is only allowed when 'logprobs' is true.",
            param=name,
            code="invalid_value",
        )
    return None
