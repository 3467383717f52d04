"""A chat request becomes a plan: messages rendered, tools and formats turned into a grammar.

The order matters. The messages are put into the template's shape, then the client's special-token
spellings are dealt with where they stand, then the template renders: what it writes itself is
meant, what a client wrote is text.

LoRAX enforces one schema a request (server/lorax_server/utils/logits_process.py:532), so tools that
may be called and a JSON format exclude each other.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from lorax_proxy.core.messages import conversation
from lorax_proxy.core.plan import Facts, Plan, make_plan, stop_strings
from lorax_proxy.core.routing import Route
from lorax_proxy.core.schemas import JSON_OBJECT, SchemaRefused, lower
from lorax_proxy.core.special_text import SpecialText, SpecialTextFound, SpecialTextPolicy
from lorax_proxy.core.stream import Reading
from lorax_proxy.core.templates import ChatTemplate, TemplateRefused, strip_leading_bos
from lorax_proxy.core.tool_prompt import fit_messages
from lorax_proxy.core.tools import (
    Allowed,
    Auto,
    Choice,
    FunctionTool,
    Named,
    NoTools,
    Required,
    ToolGrammar,
    tool_grammar,
)
from lorax_proxy.errors import RequestRefused
from lorax_proxy.wire.openai_requests import (
    AllowedToolsChoice,
    ChatRequest,
    CustomTool,
    CustomToolChoice,
    FunctionCallOption,
    FunctionObject,
    JsonSchemaFormat,
    NamedToolChoice,
    TextFormat,
)

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
    request: ChatRequest, route: Route, facts: Facts, prepared: PreparedTemplate, now: datetime
) -> Plan:
    """Plan a chat completion.

    Args:
        request: The validated request, with the model's defaults filled in.
        route: What its model name means.
        facts: What is known of the route's upstream.
        prepared: The model's chat template.
        now: What `strftime_now` tells the template.

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
    tools, grammar = _tools(request)
    logprobs = _logprobs(request)
    if grammar is not None and logprobs is not None:
        raise RequestRefused(
            "'logprobs' cannot be told while tools may be called: the model's tokens spell a "
            "document that you do not see. Set 'tool_choice' to 'none', or leave one out.",
            param="logprobs",
            code="unsupported_parameter",
        )
    schema = grammar.schema if grammar is not None else _format_schema(request)
    if schema is not None and (request.ignore_eos_token or request.ignore_eos):
        raise RequestRefused(
            "'ignore_eos_token' cannot be used with tools or a JSON format: what comes after the "
            "document's end is not JSON.",
            param="ignore_eos_token" if request.ignore_eos_token else "ignore_eos",
            code="unsupported_parameter",
        )
    prompt = _render(request, prepared, tools, now)
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
        reading=Reading(stops=stop_strings(request, route), logprobs=logprobs, grammar=grammar),
        schema=schema,
    )


def _render(
    request: ChatRequest,
    prepared: PreparedTemplate,
    tools: Sequence[Mapping[str, Any]] | None,
    now: datetime,
) -> str:
    kwargs: dict[str, Any] = dict(request.chat_template_kwargs or {})
    if request.guideline is not None:
        kwargs["guideline"] = request.guideline
    guard = prepared.special_text.guard
    template = prepared.template
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
        )
    except TemplateRefused as error:
        raise RequestRefused(
            f"The messages do not fit this model: {error}", param="messages", code="invalid_value"
        ) from None
    except SpecialTextFound as error:
        raise RequestRefused(str(error), param=error.path, code="invalid_value") from None


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


def _format_schema(request: ChatRequest) -> Mapping[str, Any] | None:
    """The schema that `response_format` asks for; `text` asks for none, and LoRAX would apply one.

    Raises:
        RequestRefused: When a strict schema cannot be enforced, by its path.
    """
    wanted = request.response_format
    if wanted is None or isinstance(wanted, TextFormat):
        return None
    if not isinstance(wanted, JsonSchemaFormat) or wanted.json_schema.schema_ is None:
        return JSON_OBJECT
    strict = bool(wanted.json_schema.strict)
    try:
        return lower(
            wanted.json_schema.schema_, path="response_format.json_schema.schema", strict=strict
        ).schema
    except SchemaRefused as error:
        raise RequestRefused(
            f"Invalid schema for 'response_format': {error}",
            param=error.path,
            code="invalid_json_schema",
        ) from None


def _tools(
    request: ChatRequest,
) -> tuple[Sequence[Mapping[str, Any]] | None, ToolGrammar | None]:
    """The tools as a template takes them, and the grammar of what may be answered.

    Raises:
        RequestRefused: For custom tools, unknown names, and schemas that cannot be enforced.
    """
    functions, place = _functions(request)
    choice = _choice(request, functions)
    if not functions or isinstance(choice, NoTools):
        return None, None
    if request.response_format is not None and not isinstance(request.response_format, TextFormat):
        raise RequestRefused(
            "'response_format' cannot be enforced while tools may be called: LoRAX enforces one "
            "schema a request. Set 'tool_choice' to 'none', or leave one out.",
            param="response_format",
            code="unsupported_parameter",
        )
    parallel = request.functions is None and request.parallel_tool_calls is not False
    try:
        grammar = tool_grammar(
            [
                FunctionTool(
                    name=function.name,
                    description=function.description,
                    parameters=function.parameters,
                    strict=bool(function.strict),
                    path=place.format(index),
                )
                for index, function in enumerate(functions)
            ],
            choice,
            parallel=parallel,
        )
    except SchemaRefused as error:
        raise RequestRefused(
            f"Invalid schema for a function: {error}", param=error.path, code="invalid_json_schema"
        ) from None
    return [
        {"type": "function", "function": function.model_dump(exclude_none=True)}
        for function in functions
    ], grammar


def _functions(request: ChatRequest) -> tuple[Sequence[FunctionObject], str]:
    """The functions, and where each stands in the request."""
    if request.functions is not None:
        if request.tools:
            raise RequestRefused(
                "'functions' is the older form of 'tools': send one of them.",
                param="functions",
                code="invalid_value",
            )
        return request.functions, "functions[{}]"
    functions: list[FunctionObject] = []
    for index, tool in enumerate(request.tools or ()):
        if isinstance(tool, CustomTool):
            raise RequestRefused(
                "Unsupported tool: custom tools are not supported; describe a function instead.",
                param=f"tools[{index}].type",
                code="unsupported_parameter",
            )
        functions.append(tool.function)
    return functions, "tools[{}].function"


def _choice(request: ChatRequest, functions: Sequence[FunctionObject]) -> Choice:
    chosen = request.tool_choice if request.functions is None else request.function_call
    param = "tool_choice" if request.functions is None else "function_call"
    if chosen is None and request.functions is None and request.function_call is not None:
        param, chosen = "function_call", request.function_call
    if not functions and chosen not in (None, "none", "auto"):
        raise RequestRefused(
            f"'{param}' is only allowed when 'tools' are specified.",
            param=param,
            code="invalid_value",
        )
    match chosen:
        case None | "auto":
            return Auto()
        case "none":
            return NoTools()
        case "required":
            return Required()
        case CustomToolChoice():
            raise RequestRefused(
                "Unsupported tool choice: custom tools are not supported.",
                param=f"{param}.type",
                code="unsupported_parameter",
            )
        case AllowedToolsChoice(allowed_tools=allowed):
            names = tuple(
                _known(_allowed_name(tool), functions, f"{param}.allowed_tools.tools[{index}]")
                for index, tool in enumerate(allowed.tools)
            )
            return Allowed(names, allowed.mode)
        case NamedToolChoice(function=function) | (FunctionCallOption() as function):
            return Named(_known(function.name, functions, f"{param}.function.name"))


def _allowed_name(tool: Mapping[str, Any]) -> str:
    function = tool.get("function", tool)
    return str(function.get("name", "")) if isinstance(function, Mapping) else ""


def _known(name: str, functions: Sequence[FunctionObject], param: str) -> str:
    if name not in {function.name for function in functions}:
        raise RequestRefused(
            f"Invalid '{param}': no function '{name}' in 'tools'.",
            param=param,
            code="invalid_value",
        )
    return name
