"""Tools, structured output and log probabilities of chat."""

from typing import Any

from lorax_contracts import relations
from lorax_contracts.exchange import Exchange
from lorax_contracts.judge.content import judge_finish
from lorax_contracts.judge.logprobs import judge_logprobs
from lorax_contracts.judge.report import shown
from lorax_contracts.judge.tools import judge_tools
from lorax_contracts.probes.chat import GREEDY, accepted
from lorax_contracts.rules import rule
from lorax_contracts.session import Session

__all__ = ["TOOLS", "probe_json", "probe_logprobs", "probe_tools"]

TOOLS: list[dict[str, Any]] = [
    {
        "type": "function",
        "function": {
            "name": "get_weather",
            "description": "The weather of a city.",
            "strict": True,
            "parameters": {
                "type": "object",
                "properties": {"city": {"type": "string"}, "celsius": {"type": "boolean"}},
                "required": ["city", "celsius"],
                "additionalProperties": False,
            },
        },
    },
    {
        "type": "function",
        "function": {
            "name": "add",
            "description": "The sum of two numbers.",
            "parameters": {
                "type": "object",
                "properties": {"a": {"type": "integer"}, "b": {"type": "integer"}},
                "required": ["a", "b"],
            },
        },
    },
]

_NAMED = {"type": "function", "function": {"name": "add"}}
_ASK = "What is the weather in Paris? Use a tool."


@rule("OAI-ACCEPT-004", "OAI-ACCEPT-005", "OAI-ACCEPT-006", "OAI-ACCEPT-008", "OAI-TOOL-004")
def probe_tools(session: Session) -> None:
    """Tool calls, streamed and not, and their way back."""
    most: dict[str, Any] = {"max_tokens": 200, **GREEDY}
    left_to_it = session.chat(_ASK, tools=TOOLS, **most)
    session.chat(_ASK, tools=TOOLS, tool_choice="none", max_tokens=8)
    session.chat(_ASK, tools=TOOLS, tool_choice="auto", stream=True, **most)
    first = session.chat(_ASK, tools=TOOLS, tool_choice="required", **most)
    if accepted(session, "OAI-ACCEPT-008", "tool_choice required", first):
        second = session.chat(_ASK + " Now.", tools=TOOLS, tool_choice="required", **most)
        _ids(session, first, second)
        streamed = session.chat(_ASK, tools=TOOLS, tool_choice="required", stream=True, **most)
        again = session.chat(_ASK, tools=TOOLS, tool_choice="required", **most)
        # Ids made of the time differ where its second turned; it does not turn between all three.
        _ids(session, second, again)
        if relations.repeats(first, again) and _calls(first) == _calls(again):
            session.compare(relations.same_streamed, first, streamed)
        session.chat(_ASK, tools=TOOLS, tool_choice="required", parallel_tool_calls=False, **most)
    elif 400 <= left_to_it.status < 500 and not left_to_it.says_nothing:
        # A server that has no tools at all has said so; no other form needs to be tried.
        why = f"refused with {left_to_it.status}"
        session.skip("tools", why, judge_tools, judge_finish, "OAI-ACCEPT-004", "OAI-ACCEPT-005")
        _conversation(session)
        return
    named = session.chat(_ASK, tools=TOOLS, tool_choice=_NAMED, **most)
    accepted(session, "OAI-ACCEPT-004", "tool_choice as an object", named)
    bare = [
        {"type": "function", "function": {"name": "get_time", "description": "The time of day."}}
    ]
    accepted(
        session,
        "OAI-ACCEPT-005",
        "a function without parameters",
        session.chat("What time is it?", tools=bare, **most),
    )
    _conversation(session)


def _calls(exchange: Exchange) -> list[tuple[str, Any]]:
    answer = relations.answer_of(exchange)
    choices = answer.choices.values() if answer else []
    return [(call.name, call.arguments) for choice in choices for call in choice.calls]


def _ids(session: Session, first: Exchange, second: Exchange) -> None:
    answers = [relations.answer_of(one) for one in (first, second)]
    ids = [
        [
            call.id
            for choice in answer.choices.values()
            for call in choice.calls
            if isinstance(call.id, str) and call.id
        ]
        for answer in answers
        if answer is not None
    ]
    if len(ids) == 2 and set(ids[0]) & set(ids[1]):
        session.break_law(
            "OAI-TOOL-004", f"two replies share the tool call id {shown(ids[0][0])}", second
        )


def _conversation(session: Session) -> None:
    call = {
        "id": "call_8f2c",
        "type": "function",
        "function": {"name": "add", "arguments": '{"a":1,"b":2}'},
    }
    messages = [
        {"role": "user", "content": "Add one and two."},
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "call_8f2c", "content": "3"},
    ]
    # Sampled, with a seed that repeats it: a model whose likeliest answer is in words may still call.
    reply = session.chat(messages=messages, tools=TOOLS, max_tokens=64, temperature=1, seed=3)
    if reply.status != 200:
        # What is refused may be what the model wrote now; without tools nothing is parsed.
        reply = session.chat(messages=messages, **GREEDY, max_tokens=64)
    accepted(session, "OAI-ACCEPT-006", "a conversation with tool results", reply)


def probe_json(session: Session) -> None:
    """response_format."""
    most: dict[str, Any] = {"max_tokens": 200, **GREEDY}
    ask = "Describe Paris as a JSON object."
    session.chat(ask, response_format={"type": "json_object"}, **most)
    schema = {
        "type": "object",
        "properties": {
            "name": {"type": "string"},
            "size": {"type": "string", "enum": ["small", "large"]},
            "count": {"type": "integer"},
        },
        "required": ["name", "size", "count"],
        "additionalProperties": False,
    }
    described = {"name": "city", "strict": True, "schema": schema}
    wanted = {"type": "json_schema", "json_schema": described}
    plain = session.chat(ask, response_format=wanted, **most)
    streamed = session.chat(ask, response_format=wanted, stream=True, **most)
    again = session.chat(ask, response_format=wanted, **most)
    if relations.repeats(plain, again):
        session.compare(relations.same_streamed, plain, streamed)


@rule("OAI-LOGP-001")
def probe_logprobs(session: Session) -> None:
    """Logprobs and top_logprobs."""
    most: dict[str, Any] = {"max_tokens": 12, **GREEDY}
    first = session.chat("Say: é, 日本, 😀!", logprobs=True, top_logprobs=3, **most)
    alone = session.chat("Hi.", logprobs=True, **most)
    if first.status != 200 and alone.status != 200:
        why = f"refused with {alone.status}"
        session.skip("log probabilities", why, judge_logprobs, probe_logprobs)
        return
    accepted(session, "OAI-LOGP-001", "logprobs without top_logprobs", alone)
    session.chat("Hi.", logprobs=True, top_logprobs=0, **most)
    session.chat("Hi.", logprobs=True, top_logprobs=2, stream=True, **most)
    session.chat("Hi.", logprobs=False, **most)
