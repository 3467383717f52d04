"""Scripts: which reply, fault and pace answer which request, as a value that can be read and printed.

A script is a list of rules, tried in order; the first whose conditions all hold acts. A rule has one
action or a `sequence` of them, one a call; after its last action it no longer matches, and the next rule,
or the mock's ordinary answer, takes over. So "fail twice, then succeed" is a sequence of two faults.

    strict: true                      # refuse what no rule matches
    rules:
      - name: greeting
        when: {adapter: acme/pirate, prompt_contains: hello, stream: true}
        reply: {text: "Ahoy!"}
      - when: {adapter: base}
        sequence:
          - fault: overload
          - fault: cut@120
          - {reply: {tokens: ["A", "hoy"], finish: length}, pace: {first_ms: 5, step_ms: 1}}

A wrong script is refused with the line, the key and the nearest valid one. JSON is read as JSON.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec

from lorax_mock.nearest import nearest_hint
from lorax_mock.scripting.faults import Fault, FaultError, parse_fault
from lorax_mock.serde.documents import Document, DocumentError, read_document
from lorax_mock.wire.native import FinishReason, GenerateRequest

__all__ = ["Action", "Reply", "RequestFacts", "Rule", "Script", "ScriptError", "read_script"]


class ScriptError(Exception):
    """The script is wrong; the text says where, what, and what was meant."""


@dataclass(frozen=True, slots=True)
class Reply:
    """The scripted answer: a text for the tokenizer, or texts of whole tokens."""

    text: str | None = None
    tokens: tuple[str, ...] = ()
    finish: FinishReason | None = None
    """None ends with EOS, as a model does by itself; otherwise there is no EOS and this reason."""


@dataclass(frozen=True, slots=True)
class Action:
    """What happens to one call; None leaves that part as it would be."""

    reply: Reply | None = None
    fault: Fault | None = None
    first_ms: float | None = None
    step_ms: float | None = None


@dataclass(frozen=True, slots=True)
class RequestFacts:
    """What a rule's conditions are checked against."""

    path: str
    adapter: str
    """Ids joined by commas; "base" for the base model."""

    stream: bool
    request: GenerateRequest


@dataclass(frozen=True, slots=True)
class Rule:
    """Conditions and actions."""

    name: str
    when: tuple[tuple[str, Any], ...]
    actions: tuple[Action, ...]
    repeats: bool
    """Whether the one action is for every call."""

    def misses(self, facts: RequestFacts) -> list[str]:
        """The conditions that do not hold, in words."""
        return [
            f"{key} wants {wanted!r} and the request has {seen!r}"
            for key, wanted in self.when
            for holds, seen in [_CONDITIONS[key](wanted, facts)]
            if not holds
        ]


@dataclass(frozen=True, slots=True)
class Script:
    """Rules in order."""

    rules: tuple[Rule, ...] = field(default=())
    strict: bool = False
    source: str = field(default="", compare=False)
    """The text that it was read from."""


def _is_one_of(wanted: Any, seen: Any) -> tuple[bool, Any]:
    return seen in wanted if isinstance(wanted, list) else seen == wanted, seen


def _parameters(wanted: dict[str, Any], facts: RequestFacts) -> tuple[bool, Any]:
    given = msgspec.to_builtins(facts.request.parameters)
    seen = {name: given.get(name) for name in wanted}
    return seen == wanted, seen


_CONDITIONS: Final = {
    "adapter": lambda wanted, facts: _is_one_of(wanted, facts.adapter),
    "path": lambda wanted, facts: _is_one_of(wanted, facts.path),
    "stream": lambda wanted, facts: (wanted == facts.stream, facts.stream),
    "prompt": lambda wanted, facts: (wanted == facts.request.inputs, facts.request.inputs),
    "prompt_contains": lambda wanted, facts: (
        wanted in facts.request.inputs,
        facts.request.inputs,
    ),
    "prompt_matches": lambda wanted, facts: (
        re.search(wanted, facts.request.inputs) is not None,
        facts.request.inputs,
    ),
    "parameters": _parameters,
}

_WHEN_TYPES: Final[dict[str, tuple[type, ...]]] = {
    "adapter": (str, list),
    "path": (str, list),
    "stream": (bool,),
    "prompt": (str,),
    "prompt_contains": (str,),
    "prompt_matches": (str,),
    "parameters": (dict,),
}
_SCRIPT_KEYS: Final[dict[str, tuple[type, ...]]] = {"rules": (list,), "strict": (bool,)}
_ACTION_KEYS: Final[dict[str, tuple[type, ...]]] = {
    "reply": (dict,),
    "fault": (str,),
    "pace": (dict,),
}
_RULE_KEYS: Final[dict[str, tuple[type, ...]]] = {
    "name": (str,),
    "when": (dict,),
    "sequence": (list,),
    **_ACTION_KEYS,
}
_REPLY_KEYS: Final[dict[str, tuple[type, ...]]] = {
    "text": (str,),
    "tokens": (list,),
    "finish": (str,),
}
_LONGEST_MS: Final = 1_000_000_000
"""Eleven days: beyond any test, within any clock."""

_PACE_KEYS: Final[dict[str, tuple[type, ...]]] = {"first_ms": (int, float), "step_ms": (int, float)}


def read_script(text: str) -> Script:
    """The script in a text of YAML or JSON; raises ScriptError."""
    try:
        document = read_document(text)
    except DocumentError as error:
        raise ScriptError(str(error)) from None
    if document is None:
        return Script()
    if not isinstance(document, Document):
        raise ScriptError("line 1: a script is a mapping with the key 'rules'")
    _check(document, _SCRIPT_KEYS, "script")
    rules = document.get("rules", [])
    return Script(
        tuple(_rule(rule, number) for number, rule in enumerate(rules, 1)),
        bool(document.get("strict", False)),
        text,
    )


def _check(mapping: Document, keys: dict[str, tuple[type, ...]], what: str) -> None:
    for key, value in mapping.items():
        line = mapping.lines[key]
        if key not in keys:
            hint = nearest_hint(key, keys)
            raise ScriptError(f"line {line}: unknown key {key!r} in a {what}; {hint}")
        if not isinstance(value, keys[key]) or (isinstance(value, bool) and bool not in keys[key]):
            wanted = " or ".join(kind.__name__ for kind in keys[key])
            raise ScriptError(f"line {line}: {key!r} should be {wanted}, not {value!r}")


def _rule(rule: Any, number: int) -> Rule:
    if not isinstance(rule, Document):
        raise ScriptError(f"rule {number}: a rule is a mapping, not {rule!r}")
    _check(rule, _RULE_KEYS, "rule")
    when = rule.get("when") or Document()
    if isinstance(when, Document) and when:
        _check(when, _WHEN_TYPES, "condition")
        _check_pattern(when)
    single = {key: rule[key] for key in _ACTION_KEYS if key in rule}
    if ("sequence" in rule) == bool(single):
        raise ScriptError(
            f"line {rule.line}: a rule has either 'sequence' or one action "
            f"({', '.join(_ACTION_KEYS)})"
        )
    if "sequence" in rule:
        actions = tuple(_action(step, rule.lines["sequence"]) for step in rule["sequence"])
    else:
        actions = (_action(rule, rule.line),)
    return Rule(
        str(rule.get("name", f"rule {number}")),
        tuple(dict(when).items()),
        actions,
        repeats="sequence" not in rule,
    )


def _check_pattern(when: Document) -> None:
    try:
        re.compile(when.get("prompt_matches", ""))
    except re.error as error:
        line = when.lines["prompt_matches"]
        raise ScriptError(f"line {line}: 'prompt_matches' is no pattern: {error}") from None


def _action(step: Any, line: int) -> Action:
    if not isinstance(step, Document):
        raise ScriptError(f"line {line}: an action is a mapping, not {step!r}")
    if "sequence" not in step and "when" not in step:
        _check(step, {**_RULE_KEYS}, "action")
    fault = None
    if "fault" in step:
        try:
            fault = parse_fault(step["fault"])
        except FaultError as error:
            raise ScriptError(f"line {step.lines['fault']}: {error}") from None
    pace = step.get("pace") or Document()
    if pace:
        _check(pace, _PACE_KEYS, "pace")
    for key, value in pace.items():
        if not 0 <= value <= _LONGEST_MS:
            raise ScriptError(
                f"line {pace.lines[key]}: {key!r} is from 0 to {_LONGEST_MS:,} ms, not {value!r}"
            )
    return Action(_reply(step), fault, pace.get("first_ms"), pace.get("step_ms"))


def _reply(step: Document) -> Reply | None:
    if "reply" not in step:
        return None
    reply = step["reply"]
    line = step.lines["reply"]
    if not isinstance(reply, Document) or ("text" in reply) == ("tokens" in reply):
        raise ScriptError(f"line {line}: a reply has either 'text' or 'tokens'")
    _check(reply, _REPLY_KEYS, "reply")
    reasons = {reason.value: reason for reason in FinishReason}
    finish = reply.get("finish")
    if finish is not None and finish not in reasons:
        raise ScriptError(
            f"line {reply.lines['finish']}: 'finish' is one of {', '.join(reasons)}, not {finish!r}"
        )
    tokens: Sequence[Any] = reply.get("tokens", [])
    if not all(isinstance(token, str) for token in tokens):
        raise ScriptError(f"line {reply.lines['tokens']}: 'tokens' is a list of strings")
    if finish is not None and not (reply.get("text") or tokens):
        raise ScriptError(f"line {line}: a reply that does not end with EOS needs a token")
    ended = None if finish in (None, FinishReason.EOS.value) else reasons[finish]
    return Reply(reply.get("text"), tuple(tokens), ended)
