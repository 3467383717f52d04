"""Tool calls and structured output: offered, chosen, called, parsed."""

import json
import re
from collections.abc import Mapping
from typing import Any

from jsonschema import SchemaError

from lorax_contracts import schemas
from lorax_contracts.exchange import Exchange
from lorax_contracts.judge.answer import Answer, Call, Choice, mapping, objects
from lorax_contracts.judge.identity import Places
from lorax_contracts.judge.report import Report
from lorax_contracts.rules import rule

__all__ = ["CALL_PLACES", "judge_json", "judge_tools"]

CALL_PLACES: Places = (
    (
        re.compile(r"^/choices/\d+/message/tool_calls/\d+/(id|type|function/name) "),
        "OAI-TOOL-001",
    ),
    (
        re.compile(r"^/choices/\d+/(message|delta)/tool_calls/\d+/function/arguments "),
        "OAI-TOOL-002",
    ),
)
"""Where in a reply or a chunk a misfit breaks a law about calls."""

_BAD = object()


def _decode(text: Any) -> Any:
    if not isinstance(text, str):
        return _BAD
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return _BAD


def _offered(exchange: Exchange) -> dict[str, Mapping[str, Any]]:
    functions = [mapping(tool.get("function")) for tool in objects(exchange.asked.get("tools"))]
    functions += objects(exchange.asked.get("functions"))
    return {str(function.get("name")): function for function in functions}


def _call(call: Call, choice: Choice, offered: Any, known: bool, report: Report) -> None:  # noqa: FBT001 - one caller
    at = f"/choices/{choice.index}/message/tool_calls"
    seen = {"id": call.id, "type": call.type, "name": call.name}
    if not isinstance(call.id, str) or not call.id.strip():
        report.add("OAI-TOOL-001", "a tool call has no id", at=at, seen=seen)
    if call.type != "function":
        report.add("OAI-TOOL-001", "a tool call's type is not function", at=at, seen=seen)
    if not call.name or (known and call.name not in offered):
        report.add("OAI-TOOL-001", "a function that was not offered is called", at=at, seen=seen)
    _arguments(call, choice, offered, at, report)


def _arguments(call: Call, choice: Choice, offered: Any, at: str, report: Report) -> None:
    if choice.finish == "length":
        return
    arguments = _decode(call.arguments)
    if not isinstance(arguments, Mapping):
        report.add("OAI-TOOL-002", "arguments hold no JSON object", at=at, seen=call.arguments)
        return
    function = mapping(offered.get(call.name))
    if function.get("strict") is True and isinstance(function.get("parameters"), Mapping):
        try:
            misfits = schemas.validate_against(function["parameters"], arguments)
        except SchemaError:
            return
        for misfit in misfits[:1]:
            report.add("OAI-TOOL-005", misfit.message, at=at + misfit.at, seen=call.arguments)


def _obeyed(exchange: Exchange, choice: Choice, report: Report) -> None:
    asked = exchange.asked
    wish = asked.get("tool_choice")
    names = [call.name for call in choice.calls]
    at = f"/choices/{choice.index}"
    if wish == "none" and names:
        report.add("OAI-TOOL-003", "a call in spite of tool_choice none", at=at, seen=names)
    named = mapping(mapping(wish).get("function")).get("name")
    cut = choice.finish in {"length", "content_filter"} or choice.refusal
    if (wish == "required" or named) and not names and not cut:
        report.add("OAI-TOOL-003", "no call in spite of tool_choice", at=at, seen=choice.text)
    if named and any(name != named for name in names):
        report.add("OAI-TOOL-003", f"only {named} was to be called", at=at, seen=names)
    if asked.get("parallel_tool_calls") is False and len(names) > 1:
        report.add("OAI-TOOL-003", "parallel calls in spite of the refusal", at=at, seen=names)


@rule("OAI-TOOL-001", "OAI-TOOL-002", "OAI-TOOL-003", "OAI-TOOL-004", "OAI-TOOL-005")
def judge_tools(exchange: Exchange, answer: Answer, report: Report) -> None:
    """Judges all calls of an answer."""
    offered = _offered(exchange)
    known = exchange.request is not None
    ids: list[Any] = []
    for choice in answer.choices.values():
        for call in choice.calls:
            _call(call, choice, offered, known, report)
            ids.append(call.id)
        if choice.function_call is not None:
            _arguments(
                choice.function_call,
                choice,
                offered,
                f"/choices/{choice.index}/message/function_call",
                report,
            )
        if known:
            _obeyed(exchange, choice, report)
    if len({str(one) for one in ids}) != len(ids):
        report.add("OAI-TOOL-004", "two calls of one reply share an id", at="/choices", seen=ids)


@rule("OAI-JSON-001", "OAI-JSON-002")
def judge_json(exchange: Exchange, choice: Choice, report: Report) -> None:
    """Judges the content of one choice against the request's response_format."""
    wanted = mapping(exchange.asked.get("response_format"))
    if choice.finish != "stop" or choice.calls or choice.refusal or exchange.asked.get("stop"):
        return
    at = f"/choices/{choice.index}/message/content"
    match wanted.get("type"):
        case "json_object":
            if not isinstance(_decode(choice.content), Mapping):
                report.add("OAI-JSON-001", "no JSON object", at=at, seen=choice.text)
        case "json_schema":
            described = mapping(wanted.get("json_schema"))
            if described.get("strict") is not True or "schema" not in described:
                return
            document = _decode(choice.content)
            if document is _BAD:
                report.add("OAI-JSON-002", "the content is not JSON", at=at, seen=choice.text)
                return
            try:
                misfits = schemas.validate_against(described["schema"], document)
            except SchemaError:
                return
            for misfit in misfits[:1]:
                report.add("OAI-JSON-002", misfit.message, at=at + misfit.at, seen=choice.text)
        case _:
            pass
