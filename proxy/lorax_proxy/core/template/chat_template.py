"""A chat template in, prompts out: what Hugging Face's `apply_chat_template` would give.

A template is compiled once, then rendered for every request, in any thread. Rendering follows
`transformers` 5 (`tokenization_utils_base.py`, `utils/chat_template_utils.py`) in everything a
template can see:

- keys of a message whose value is null are left out;
- reasoning reaches the template under each name that templates read;
- special tokens are variables, and so are the client's `chat_template_kwargs`. Unlike there, none
  of these may replace a special token, the request's own fields or a function of the language;
- a model with several templates uses the one named `tool_use` when there are tools;
- `continue_final_message` renders the whole conversation with a mark behind the last message's
  text and cuts there, so that whatever the template closes a message with is not in the prompt.

Two kinds of failure, because two people can mend them: `TemplateRefused` says that this
conversation does not fit the template (the client's 400), `TemplateFailed` that the template does
not work (the operator's 500). Both name the template and the line.

No code of a client ever becomes template source: messages, tools and arguments are values.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from types import CodeType
from typing import Any, Self

from jinja2 import Template, TemplateSyntaxError, meta, nodes

from lorax_proxy.core.template.budget import BudgetExhausted, Limits, Meter, metering
from lorax_proxy.core.template.language import PlainEnvironment, RaisedByTemplate
from lorax_proxy.core.template.metered import MeteredEnvironment, counting
from lorax_proxy.errors import ProxyError

__all__ = [
    "ChatTemplate",
    "Limits",
    "SpecialTokens",
    "TemplateError",
    "TemplateExhausted",
    "TemplateFailed",
    "TemplateInvalid",
    "TemplateRefused",
    "strip_leading_bos",
]

# The mark that `continue_final_message` cuts at; the space behind it shows whether the template
# kept or trimmed the message's own trailing space. The spelling is transformers': a prompt that
# depends on it (`truncate`, `length`) comes out the same.
_MARK = "CONTINUE_FINAL_MESSAGE_TAG "

# Names that a message's reasoning comes under; templates read the first, gpt-oss's the second.
_REASONING = ("reasoning_content", "thinking", "reasoning")

# What is never a client's to replace, whatever the model's tokens are: special tokens, the request's
# own fields, and the functions that templates call.
_OURS = frozenset(
    {"messages", "tools", "documents", "add_generation_prompt", "continue_final_message"}
    | {"bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token"}
    | {"additional_special_tokens", *PlainEnvironment().globals, "strftime_now"}
)

_LONGEST_REASON = 400

# Plain types first: to ask an abstract class takes six times as long.
_MAPPINGS = (dict, Mapping)
_SEQUENCES = (list, Sequence)


class TemplateError(ProxyError):
    """Something is wrong with a chat template, or with what it was asked to render.

    Attributes:
        name: The template, as the operator named it.
        line: The template's line, when one can be named.
        reason: What happened.
    """

    def __init__(self, name: str, line: int | None, reason: str) -> None:
        if len(reason) > _LONGEST_REASON:
            reason = f"{reason[:_LONGEST_REASON]}…"
        place = f"chat template {name}" + ("" if line is None else f", line {line}")
        super().__init__(f"{place}: {reason}")
        self.name = name
        self.line = line
        self.reason = reason


class TemplateInvalid(TemplateError):
    """The source cannot be compiled."""


class TemplateFailed(TemplateError):
    """The template broke while rendering: an undefined value, a type error, a spent budget."""


class TemplateExhausted(TemplateFailed):
    """The template did more than its limits and the conversation's size allow."""


class TemplateRefused(TemplateError):
    """The conversation cannot be rendered: the template says so, or the arguments contradict."""

    @property
    def message(self) -> str:
        """What the template said, in its own words."""
        return self.reason


@dataclass(frozen=True, slots=True)
class SpecialTokens:
    """A tokenizer's special tokens.

    Attributes:
        bos_token: Written before a text, "" if the model has none.
        eos_token: Ends the model's answer, "" if it has none.
        others: Further names that templates use (`pad_token`, `unk_token`, ...) and their texts.
        spellings: Every special token's text, for `core.special_text`.
    """

    bos_token: str = ""
    eos_token: str = ""
    others: Mapping[str, str] = field(default_factory=dict)
    spellings: frozenset[str] = frozenset()

    def variables(self) -> dict[str, str]:
        """The variables that templates read; a token that the model lacks is not defined."""
        named = {"bos_token": self.bos_token, "eos_token": self.eos_token}
        return {**{name: text for name, text in named.items() if text}, **self.others}


@dataclass(frozen=True, slots=True)
class _Compiled:
    source: str
    plain: Template
    metered: Template
    variables: frozenset[str]
    literals: frozenset[str]


@dataclass(frozen=True, slots=True)
class ChatTemplate:
    """A compiled chat template; immutable, safe to share between threads.

    Attributes:
        name: What errors call it: a built-in's name or a path.
        special_tokens: The model's special tokens.
        limits: What one rendering may do.
        takes_system: The template prints a system message.
        takes_tools: The template reads `tools` (or has a variant of its own for them).
        takes_documents: The template reads `documents`.
        takes_tool_calls: The template writes an assistant's `tool_calls`.
        takes_tool_messages: The template knows messages of the role `tool`.
    """

    name: str
    special_tokens: SpecialTokens
    limits: Limits
    takes_system: bool
    takes_tools: bool
    takes_documents: bool
    takes_tool_calls: bool
    takes_tool_messages: bool
    _default: _Compiled
    _tool_use: _Compiled | None
    _variables: Mapping[str, str]

    @classmethod
    def compile(
        cls,
        source: str,
        name: str,
        special_tokens: SpecialTokens,
        tool_use_source: str | None = None,
        limits: Limits | None = None,
    ) -> Self:
        """Compile `source`, and the variant for requests with tools if the model has one.

        Raises:
            TemplateInvalid: A source is not valid in Hugging Face's dialect of Jinja.
        """
        limits = limits if limits is not None else Limits()
        default = _compile(source, name, limits)
        tool_use = None
        if tool_use_source is not None:
            tool_use = _compile(tool_use_source, f"{name} (tool_use)", limits)
        variants = [default] if tool_use is None else [default, tool_use]
        return cls(
            name=name,
            special_tokens=special_tokens,
            limits=limits,
            takes_system=_prints_system(default.metered, special_tokens, limits),
            takes_tools=tool_use is not None or "tools" in default.variables,
            takes_documents=any("documents" in v.variables for v in variants),
            takes_tool_calls=any("tool_calls" in v.literals for v in variants),
            takes_tool_messages=any("tool" in v.literals for v in variants),
            _default=default,
            _tool_use=tool_use,
            _variables=special_tokens.variables(),
        )

    def render(
        self,
        messages: Sequence[Mapping[str, Any]],
        *,
        tools: Sequence[Mapping[str, Any]] | None = None,
        documents: Sequence[Mapping[str, Any]] | None = None,
        add_generation_prompt: bool | None = None,
        continue_final_message: bool = False,
        kwargs: Mapping[str, Any] | None = None,
        now: datetime,
        counted: bool = True,
    ) -> str:
        """The prompt for a conversation.

        Args:
            messages: At least one message; JSON values only.
            tools: The tools as OpenAI sends them, or None.
            documents: Documents for templates that take them, or None.
            add_generation_prompt: Open the assistant's turn at the end; by default, unless the
                final message is to be continued.
            continue_final_message: Leave the final message open, for the model to go on with.
            kwargs: The client's `chat_template_kwargs`, none of them `is_reserved`.
            now: The local time, for templates that print the date.
            counted: Hold the rendering to `limits`; a small conversation need not be.

        Raises:
            TemplateRefused: The conversation does not fit the template.
            TemplateFailed: The template broke or did more than its limits allow.
        """
        chosen = self._default
        if tools is not None and self._tool_use is not None:
            chosen = self._tool_use
        name = self.name if chosen is self._default else f"{self.name} (tool_use)"
        if add_generation_prompt is None:
            add_generation_prompt = not continue_final_message
        self._check(
            messages, kwargs or {}, continued=continue_final_message and add_generation_prompt
        )
        conversation = [_message(message) for message in messages]
        extra = kwargs or {}
        meter, final = None, ""
        if counted or continue_final_message:
            try:
                size, (conversation, tools, documents, extra) = _sized(
                    (conversation, tools, documents, extra)
                )
            except RecursionError:
                reason = "the messages are nested too deeply"
                raise TemplateRefused(self.name, None, reason) from None
            meter = Meter(self.limits, size=size, messages=len(conversation))
        if continue_final_message:
            final = self._mark_final(conversation, chosen)
        variables = {
            **extra,
            **self._variables,
            "messages": conversation,
            "tools": tools,
            "documents": documents,
            "add_generation_prompt": add_generation_prompt,
            "strftime_now": now.strftime,
        }
        template = chosen.plain if meter is None else chosen.metered
        prompt = _run(template, name, variables, meter)
        return self._cut(prompt, final) if continue_final_message else prompt

    def is_reserved(self, name: str) -> bool:
        """Whether a variable is never a client's to set."""
        return name in _OURS or name in self.special_tokens.others

    def _check(
        self, messages: Sequence[Mapping[str, Any]], kwargs: Mapping[str, Any], *, continued: bool
    ) -> None:
        if not messages:
            raise TemplateRefused(self.name, None, "there is no message to render")
        if continued:
            raise TemplateRefused(
                self.name,
                None,
                "continue_final_message and add_generation_prompt contradict each other: "
                "set one of them to false",
            )
        for reserved in filter(self.is_reserved, sorted(kwargs)):
            raise TemplateRefused(
                self.name, None, f"chat_template_kwargs must not set {reserved!r}"
            )

    def _mark_final(self, conversation: list[dict[str, Any]], chosen: _Compiled) -> str:
        """Put the mark behind the final message's text, in place, and return that text."""
        message = conversation[-1]
        content = message.get("content")
        if content is None:
            raise TemplateRefused(
                self.name, None, "continue_final_message: the final message has no content"
            )
        if "content" not in chosen.source:
            raise TemplateRefused(
                self.name, None, "continue_final_message: the template does not print contents"
            )
        if isinstance(content, str):
            message["content"] = content + _MARK
            return content
        parts = content if isinstance(content, list) else []
        for part in reversed(parts):
            if isinstance(part, dict) and isinstance(part.get("text"), str):
                text: str = part["text"]
                part["text"] = text + _MARK
                return text
        raise TemplateRefused(
            self.name, None, "continue_final_message: the final message has no text to continue"
        )

    def _cut(self, prompt: str, final: str) -> str:
        mark = _MARK.strip()
        if final.strip() not in prompt or mark not in prompt:
            raise TemplateRefused(
                self.name,
                None,
                "continue_final_message: the template does not print the final message as it is",
            )
        place = prompt.rindex(mark)
        kept = prompt[:place]
        return kept if prompt.startswith(_MARK, place) else kept.rstrip()


def strip_leading_bos(prompt: str, bos_token: str) -> str:
    """`prompt` without the one BOS that it starts with, if it does.

    LoRAX's `/generate` tokenises with special tokens added (router/src/lib.rs:341), so a BOS that
    the template wrote would reach the model twice.
    """
    return prompt.removeprefix(bos_token) if bos_token else prompt


def _compile(source: str, name: str, limits: Limits) -> _Compiled:
    if len(source) > limits.source:
        raise TemplateInvalid(
            name, None, f"its source has {len(source)} characters, at most {limits.source} are read"
        )
    plain, metered = PlainEnvironment(), MeteredEnvironment()
    try:
        tree = plain.parse(source)
        literals = {c.value for c in tree.find_all(nodes.Const) if isinstance(c.value, str)}
        attributes = {g.attr for g in tree.find_all(nodes.Getattr)}
        variables = meta.find_undeclared_variables(tree)
        # Jinja evaluates constants while it compiles, their filters too, and escapes otherwise then
        with metering(Meter(limits)):
            counted = metered.compile(counting(metered.parse(source)), name)
        templates = (_template(plain, plain.compile(source, name)), _template(metered, counted))
    except TemplateSyntaxError as error:
        raise TemplateInvalid(name, error.lineno, error.message or "invalid syntax") from error
    except RecursionError:
        raise TemplateInvalid(name, None, "it is nested too deeply") from None
    except Exception as error:
        # Jinja evaluates constants while it compiles, so that `{[]: 1}` raises Python's own errors.
        reason = f"it does not compile: {type(error).__name__}: {error}"
        raise TemplateInvalid(name, None, reason) from error
    return _Compiled(source, *templates, frozenset(variables), frozenset(literals | attributes))


def _template(environment: PlainEnvironment, code: CodeType) -> Template:
    # a plain dictionary: Jinja makes a chain of two, which it then copies name by name
    return Template.from_code(environment, code, dict(environment.globals))


def _run(template: Template, name: str, variables: dict[str, Any], meter: Meter | None) -> str:
    pieces = template.root_render_func(template.new_context(variables))
    try:
        if meter is None:
            return "".join(pieces)
        with metering(meter):
            return "".join(map(meter.emitted, pieces))
    except RaisedByTemplate as error:
        raise TemplateRefused(name, _line(template, error), error.message or "") from None
    except BudgetExhausted as error:
        raise TemplateExhausted(name, _line(template, error), str(error)) from None
    except MemoryError as error:
        reason = "it ran out of memory"
        raise TemplateExhausted(name, _line(template, error), reason) from None
    except RecursionError as error:
        reason = "it recurses too deeply"
        raise TemplateFailed(name, _line(template, error), reason) from None
    except Exception as error:
        # Whatever Python raises under a template's hands is the template's failure.
        reason = f"{type(error).__name__}: {error}"
        raise TemplateFailed(name, _line(template, error), reason) from error


def _prints_system(template: Template, tokens: SpecialTokens, limits: Limits) -> bool:
    """Whether a system message before a user message is rendered, by trying."""
    probe = [{"role": "system", "content": "probe-s"}, {"role": "user", "content": "probe-u"}]
    variables = {
        **tokens.variables(),
        "messages": probe,
        "tools": None,
        "documents": None,
        "add_generation_prompt": True,
    }
    try:
        return "probe-s" in _run(template, "", variables, Meter(limits, size=64, messages=2))
    except TemplateError:
        return False


def _line(template: Template, error: BaseException) -> int | None:
    """The innermost line of the template that `error` passed through."""
    line = None
    trace = error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_globals.get("__jinja_template__") is template:
            line = template.get_corresponding_lineno(trace.tb_lineno)
        trace = trace.tb_next
    return line


def _message(message: Mapping[str, Any]) -> dict[str, Any]:
    """A message as templates see it: no nulls, and its reasoning under each name."""
    kept = {key: value for key, value in message.items() if value is not None}
    reasoning = next((kept[key] for key in _REASONING if key in kept), None)
    if reasoning is None:
        return kept
    return {"thinking": reasoning, **kept, "reasoning_content": reasoning}


def _sized(value: Any) -> tuple[int, Any]:
    """A copy of `value` in plain types, and its size: characters plus members."""
    if isinstance(value, str):
        return len(value), value
    if isinstance(value, _MAPPINGS):
        size, copied = 0, {}
        for key, item in value.items():
            item_size, copied[key] = _sized(item)
            size += item_size + len(str(key)) + 1
        return size, copied
    if isinstance(value, _SEQUENCES):
        size, items = 0, []
        for item in value:
            item_size, plain = _sized(item)
            items.append(plain)
            size += item_size + 1
        return size, items
    return 1, value
