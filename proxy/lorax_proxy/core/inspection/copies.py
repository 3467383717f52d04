"""A recorded request in other forms: commands that repeat it, a rule for the mock, a transcript.

No key is in any of them: they read it from the environment's `OPENAI_API_KEY`. The last two say what
LoRAX answered, in the forms that `lorax-mock` and `lorax-contracts` read (docs/mock.md, Scripts;
`lorax_contracts.transcripts`); the packages share no code, so a test has each read what is written here.
Beside them stand the answers as they were, for `lorax-contracts lint`.
"""

import json
import shlex
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import quote

import msgspec

from lorax_proxy.core.inspection.events import Events, as_object, as_objects
from lorax_proxy.core.inspection.recording import Call, Recording, Way
from lorax_proxy.core.parameters import Endpoint, Treatment, row_of

__all__ = ["copies"]

_METHODS: Mapping[str, tuple[Endpoint, str]] = {
    "/chat/completions": (Endpoint.CHAT, "chat.completions"),
    "/completions": (Endpoint.COMPLETIONS, "completions"),
    "/embeddings": (Endpoint.EMBEDDINGS, "embeddings"),
}
"""How the SDK calls an endpoint."""

_OF_OTHERS = frozenset(
    {
        *("separate_reasoning", "stream_reasoning", "include_reasoning"),
        *("no_stop_trim", "skip_special_tokens", "return_hidden_states"),
    }
)
"""Parameters that clients of other servers send, and OpenAI's SDK has no argument for."""

_FAILURES: Mapping[str, tuple[int, str]] = {
    "generation": (424, "error@{}"),
    "overloaded": (429, "error@{}:overloaded"),
    "incomplete_generation": (500, "incomplete@{}"),
}
"""The mock's faults that are LoRAX's own errors, by `error_type`: a whole answer's status, and the fault
after so many tokens."""

_MOST_ARGUMENT = 96 * 1024
"""Bytes of a body that a command's argument holds, quoted: Linux takes 128 KiB of one (MAX_ARG_STRLEN)."""

_FRAMING = frozenset({"content-length", "transfer-encoding", "connection", "date"})


def copies(recording: Recording, asked: bytes, base_url: str) -> dict[str, str]:
    """Each form that the request has, by its name.

    Args:
        recording: What passed.
        asked: OpenAI's request, without compression.
        base_url: Where this server is, without `/v1`.
    """
    made: dict[str, Callable[[], str | None]] = {"curl": lambda: _curl(recording, asked, base_url)}
    document = _object(asked)
    known = _METHODS.get(recording.path.removeprefix("/v1"))
    if known is not None and document is not None:
        endpoint, method = known
        made["python"] = lambda: _python(document, endpoint, method, base_url)
        made["javascript"] = lambda: _javascript(document, method, base_url)
    made["mock_rule"] = lambda: _rules(recording)
    if document is not None and recording.status and not _breaks(recording):
        made["transcript"] = lambda: _transcript(recording, document)
    forms = {name: form for name, make in made.items() if (form := _made(make))}
    if answer := recording.body(Way.ANSWERED):
        forms["answer"] = answer.decode("utf-8", "replace")
    for number, (index, _) in enumerate(recording.sent, 1):
        if reply := recording.body(Way.CAME, index):
            forms[f"reply_{number}"] = reply.decode("utf-8", "replace")
    return forms


def _made(make: Callable[[], str | None]) -> str | None:
    """A form; None of a request that is nested too deep to be written in it."""
    try:
        return make()
    except RecursionError:
        return None


def _object(body: bytes) -> dict[str, Any] | None:
    try:
        document = msgspec.json.decode(body)
    except (msgspec.DecodeError, RecursionError):
        return None
    return document if isinstance(document, dict) else None


def _needs_key(recording: Recording) -> bool:
    return any(name == "authorization" for name, _ in recording.headers)


def _curl(recording: Recording, asked: bytes, base_url: str) -> str:
    document = _object(asked) or {}
    words = ["curl", "-sSN" if document.get("stream") is True else "-sS"]
    if recording.method == "HEAD":
        words.append("-I")
    elif recording.method not in ("GET", "POST"):
        words += ["-X", recording.method]
    # the path is kept as it was read; what is percent-encoded is nothing to curl's own patterns either
    words.append(shlex.quote(base_url + quote(recording.path, safe="/:@!$&'()*+,;=")))
    if _needs_key(recording):
        words += ["-H", '"authorization: Bearer $OPENAI_API_KEY"']
    if recording.method != "POST":
        return " ".join(words)
    words += ["-H", "'content-type: application/json'"]
    text = asked.decode("utf-8", "replace")
    if len(text.encode()) < _MOST_ARGUMENT:
        # raw: else a body that begins with @ names a file to send
        return " ".join([*words, "--data-raw", shlex.quote(text)])
    end = "END"
    while end in text:
        end += "_"
    return f"{' '.join(words)} --data-binary @- <<'{end}'\n{text}\n{end}"


def _split(
    document: Mapping[str, Any], endpoint: Endpoint
) -> tuple[dict[str, Any], dict[str, Any]]:
    """The parameters that the SDK knows, and those that it takes as `extra_body` alone."""
    known: dict[str, Any] = {}
    extra: dict[str, Any] = {}
    for name, value in document.items():
        row = row_of(name, endpoint)
        argument = row is not None and row.treatment is not Treatment.EXTENSION
        (known if argument and name not in _OF_OTHERS else extra)[name] = value
    return known, extra


def _python(document: Mapping[str, Any], endpoint: Endpoint, method: str, base_url: str) -> str:
    known, extra = _split(document, endpoint)
    arguments = [f"    {name}={_literal(value, 4)},\n" for name, value in known.items()]
    if extra:
        arguments.append(f"    extra_body={_literal(extra, 4)},\n")
    text = "choice.delta.content" if method == "chat.completions" else "choice.text"
    if document.get("stream") is True:
        show = (
            "for chunk in answer:\n    for choice in chunk.choices:\n"
            f'        print({text} or "", end="", flush=True)\n'
        )
    else:
        show = "print(answer.model_dump_json(indent=2))\n"
    return (
        "import os\n\nfrom openai import OpenAI\n\n"
        f"client = OpenAI(base_url={base_url + '/v1'!r}, "
        'api_key=os.environ.get("OPENAI_API_KEY", "unused"))\n'
        f"answer = client.{method}.create(\n{''.join(arguments)})\n{show}"
    )


def _literal(value: Any, indent: int) -> str:
    """A JSON value as Python writes it, over several lines where it is long."""
    plain = repr(value)
    if len(plain) <= 80 or not isinstance(value, list | dict):
        return plain
    pad = " " * (indent + 4)
    items = (
        [f"{pad}{key!r}: {_literal(item, indent + 4)},\n" for key, item in value.items()]
        if isinstance(value, dict)
        else [f"{pad}{_literal(item, indent + 4)},\n" for item in value]
    )
    opening, closing = "{}" if isinstance(value, dict) else "[]"
    return f"{opening}\n{''.join(items)}{' ' * indent}{closing}"


def _javascript(document: Mapping[str, Any], method: str, base_url: str) -> str:
    text = "choice.delta?.content" if method == "chat.completions" else "choice.text"
    if document.get("stream") is True:
        show = (
            "for await (const chunk of answer) {\n  for (const choice of chunk.choices) {\n"
            f'    process.stdout.write({text} ?? "");\n  }}\n}}\n'
        )
    else:
        show = "console.log(JSON.stringify(answer, null, 2));\n"
    body = json.dumps(document, indent=2, ensure_ascii=False)
    # two line ends that JSON may hold raw and older JavaScript may not
    body = body.replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")
    return (
        'import OpenAI from "openai";\n\n'
        f"const client = new OpenAI({{\n  baseURL: {json.dumps(base_url + '/v1')},\n"
        '  apiKey: process.env.OPENAI_API_KEY ?? "unused",\n});\n'
        f"const answer = await client.{method}.create({body});\n{show}"
    )


def _yaml(value: object) -> str:
    """A scalar, or a list of them, as YAML reads JSON: every character that it does not print escaped."""
    text = json.dumps(value, ensure_ascii=False)
    return "".join(
        each
        if each.isprintable()
        else f"\\u{ord(each):04x}"
        if ord(each) < 0x10000
        else f"\\U{ord(each):08x}"
        for each in text
    )


def _rules(recording: Recording) -> str | None:
    rules = [_rule(recording, index, call) for index, call in recording.sent]
    return "rules:\n" + "".join(filter(None, rules)) if any(rules) else None


def _rule(recording: Recording, index: int, call: Call) -> str | None:
    """A rule that has the mock answer as LoRAX did; None where no answer is to be repeated."""
    asked = _object(recording.body(Way.SENT, index)) or {}
    prompt = asked.get("inputs")
    if not call.path.startswith("/generate") or not isinstance(prompt, str):
        return None
    parameters = as_object(asked.get("parameters"))
    merged = as_object(parameters.get("merged_adapters")).get("ids")
    ids = map(str, merged) if isinstance(merged, list) else ()
    adapter = ",".join(ids) or str(parameters.get("adapter_id") or "base")
    # not the path: whether the proxy asks for a stream depends on how warm it is
    when: dict[str, Any] = {"adapter": adapter, "prompt": prompt}
    several = len(recording.sent) > 1
    if several and "seed" in parameters:
        # the choices of one request differ by their seeds alone
        when["parameters"] = {"seed": parameters["seed"]}
    lines = [
        f"  - name: {_yaml(f'recorded {index + 1}' if several else 'recorded')}",
        f"    when: {{{', '.join(f'{key}: {_yaml(value)}' for key, value in when.items())}}}",
        *(f"    {line}" for line in _action(recording, call, index)),
    ]
    return "\n".join(lines) + "\n"


def _action(recording: Recording, call: Call, index: int) -> Sequence[str]:
    reply = recording.body(Way.CAME, index)
    if call.status == 429:
        return ["fault: overload"]
    if call.status != 200:
        error_type = str((_object(reply) or {}).get("error_type"))
        status, fault = _FAILURES.get(error_type, (None, ""))
        if status != call.status:
            fault = f"status:{call.status or 503}"
        return [f"fault: {_yaml(fault.format(0))}"]
    tokens, reason, error = _tokens(call, reply)
    if error is not None:
        _, fault = _FAILURES.get(error, _FAILURES["generation"])
        said = [f"reply: {{tokens: {_yaml(tokens)}}}"] if tokens else []
        return [*said, f"fault: {_yaml(fault.format(len(tokens)))}"]
    if call.lost is not None:
        return [f"fault: {_yaml(f'cut@{len(reply)}')}"]
    finish = f", finish: {reason}" if reason in ("length", "stop_sequence") and tokens else ""
    return [f"reply: {{tokens: {_yaml(tokens)}{finish}}}"]


def _tokens(call: Call, reply: bytes) -> tuple[list[str], str | None, str | None]:
    """The texts of an answer's tokens without the end token, why it ended, and an error's type."""
    found: list[Mapping[str, Any]] = []
    reason, error = None, None
    if call.path == "/generate_stream":
        for event in Events().feed(reply):
            document = _object(event.encode()) or {}
            if "error" in document:
                error = str(document.get("error_type"))
            if isinstance(document.get("token"), dict):
                found.append(document["token"])
            reason = as_object(document.get("details")).get("finish_reason", reason)
    else:
        details = as_object((_object(reply) or {}).get("details"))
        found.extend(as_objects(details.get("tokens")))
        reason = details.get("finish_reason")
    if reason == "eos_token" and found:
        found = found[:-1]
    return [str(token.get("text", "")) for token in found], reason, error


def _transcript(recording: Recording, document: Mapping[str, Any]) -> str:
    parts = [
        "# Recorded by the inspector.",
        *_request("openai", recording.method, recording.path, document),
    ]
    for index, call in recording.sent:
        if not call.status:
            continue  # no reply, no transcript of it
        parts += _request(
            "lorax", call.method, call.path, _object(recording.body(Way.SENT, index)) or {}
        )
        parts += _reply(
            "lorax",
            call.status,
            call.headers,
            recording.body(Way.CAME, index),
            cut=call.lost is not None or _was_closed(recording, index),
        )
    parts += _reply(
        "openai", recording.status, recording.answer_headers, recording.body(Way.ANSWERED)
    )
    return "\n".join(parts) + "\n"


def _breaks(recording: Recording) -> bool:
    """Whether a reply has a line that a transcript would take for the head of its next part."""
    bodies = [recording.body(Way.ANSWERED)]
    bodies += [recording.body(Way.CAME, index) for index, _ in recording.sent]
    return any(b"\n=== " in b"\n" + body for body in bodies)


def _was_closed(recording: Recording, call: int) -> bool:
    return any(each.way is Way.CLOSED and each.call == call for each in recording.moments)


def _request(side: str, method: str, path: str, document: Mapping[str, Any]) -> Iterator[str]:
    yield f"=== {side} request"
    yield f"{method} {path}"
    yield ""
    yield json.dumps(document, indent=2, ensure_ascii=False)


def _reply(
    side: str,
    status: int,
    headers: Sequence[tuple[str, str]],
    body: bytes,
    *,
    cut: bool = False,
) -> Iterator[str]:
    yield f"=== {side} reply{', cut' if cut else ''}"
    yield str(status)
    yield from (f"{name}: {value}" for name, value in headers if name not in _FRAMING)
    yield ""
    yield body.decode("utf-8", "replace")
