"""A chat template's first rendering happens in a child process that may be killed.

Templates often come from a model's repository that nobody read. The sandbox keeps them from touching
the process; nothing in Jinja keeps one from running for an hour or from doubling a string forty
times. So when a template is loaded, a child with little time and memory compiles it and renders a few
conversations, all counted, so that an endless loop is told with its line. A template that the child does not survive, or that cannot render a plain question,
never reaches the process that serves.

The child is this module, run with `python -m`: it reads one JSON document from its standard input
and answers with one line of JSON.
"""

import json
import subprocess
import sys
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

from lorax_proxy.core.template.chat_template import (
    ChatTemplate,
    Limits,
    SpecialTokens,
    TemplateExhausted,
    TemplateFailed,
    TemplateInvalid,
    TemplateRefused,
)
from lorax_proxy.errors import SettingsInvalid

__all__ = ["TrialLimits", "try_template"]


@dataclass(frozen=True, slots=True)
class TrialLimits:
    """What the child may use.

    Attributes:
        cpu_seconds: CPU time. Published templates take some milliseconds in all.
        wall_seconds: Time until it is killed, start of the interpreter included: more than the
            CPU time, since a busy machine may keep it waiting.
        memory: Bytes of address space; the interpreter with Jinja needs about 100 MB of them.
    """

    cpu_seconds: int = 5
    wall_seconds: float = 30.0
    memory: int = 1 << 30


def try_template(
    source: str,
    name: str,
    special_tokens: SpecialTokens,
    tool_use_source: str | None = None,
    *,
    limits: Limits | None = None,
    trial_limits: TrialLimits | None = None,
    interpreter: str | None = None,
) -> None:
    """Compile and render a template in a child process, of this interpreter unless another is named.

    Raises:
        SettingsInvalid: No child can be started: there is no interpreter, no memory or no file
            descriptor for one.
        TemplateInvalid: It does not compile.
        TemplateExhausted: It ran out of time, memory or budget.
        TemplateFailed: It cannot render even one plain user message.
    """
    allowed = trial_limits if trial_limits is not None else TrialLimits()
    order = {
        "source": source,
        "tool_use_source": tool_use_source,
        "name": name,
        "special_tokens": {
            "bos_token": special_tokens.bos_token,
            "eos_token": special_tokens.eos_token,
            "others": dict(special_tokens.others),
        },
        "limits": asdict(limits if limits is not None else Limits()),
        "trial": asdict(allowed),
    }
    # an embedded interpreter may not know where it is
    python = sys.executable if interpreter is None else interpreter
    try:
        child = subprocess.run(  # noqa: S603 - an interpreter, named by the caller and not by a request
            [python or "(no interpreter)", "-P", "-m", "lorax_proxy.template_trial"],
            input=json.dumps(order).encode(),
            capture_output=True,
            timeout=allowed.wall_seconds,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise TemplateExhausted(
            name, None, f"its trial was not done after {allowed.wall_seconds:g} seconds"
        ) from None
    except OSError as error:
        raise SettingsInvalid(
            f"chat template {name} cannot be tried: no child process can be started "
            f"({error.strerror}: {python!r}); it is never rendered untried, so mend that, or name a "
            "built-in template"
        ) from error
    verdict = _verdict(child.stdout)
    if verdict is None:
        raise TemplateExhausted(name, None, _death(child.returncode, child.stderr, allowed))
    if verdict["kind"] != "fine":
        raise _KINDS[verdict["kind"]](verdict["name"], verdict["line"], verdict["reason"])


_KINDS: dict[str, type[TemplateInvalid | TemplateFailed]] = {
    "invalid": TemplateInvalid,
    "exhausted": TemplateExhausted,
    "failed": TemplateFailed,
}


def _verdict(answer: bytes) -> dict[str, Any] | None:
    try:
        verdict = json.loads(answer)
    except ValueError:
        return None
    return verdict if isinstance(verdict, dict) and "kind" in verdict else None


def _death(status: int, errors: bytes, allowed: TrialLimits) -> str:
    last = errors.decode("utf-8", "replace").strip().rpartition("\n")[2]
    how = f"was killed by signal {-status}" if status < 0 else f"ended with status {status}"
    return (
        f"its trial, with {allowed.cpu_seconds} s of CPU and {allowed.memory >> 20} MB of memory, "
        f"{how}{f' ({last})' if last else ''}"
    )


def _conversations() -> list[tuple[str, list[dict[str, Any]], list[dict[str, Any]] | None]]:
    """What a template is tried on: the plain question, which must work, comes first."""
    user, system = {"role": "user", "content": "Hello"}, {"role": "system", "content": "Be brief."}
    assistant = {"role": "assistant", "content": "Hi."}
    schema = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
    function = {"name": "weather", "description": "The weather in a city.", "parameters": schema}
    call = {
        "id": "call00001",
        "type": "function",
        "function": {"name": "weather", "arguments": {"city": "Oslo"}},
    }
    called: list[dict[str, Any]] = [
        user,
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "call00001", "name": "weather", "content": "rain"},
    ]
    return [
        ("a user message", [user], None),
        ("a system message", [system, user], None),
        ("a tool", [system, user], [{"type": "function", "function": function}]),
        ("a tool's result", called, [{"type": "function", "function": function}]),
        ("200 messages", [*([user, assistant] * 100), user], None),
        ("a long message", [{"role": "user", "content": "word " * 20_000}], None),
    ]


def _judge(order: dict[str, Any]) -> dict[str, Any]:
    try:
        template = ChatTemplate.compile(
            order["source"],
            order["name"],
            SpecialTokens(**order["special_tokens"]),
            order["tool_use_source"],
            Limits(**order["limits"]),
        )
    except TemplateInvalid as error:
        return _told("invalid", error)
    for what, messages, tools in _conversations():
        try:
            template.render(messages, tools=tools, now=datetime.fromtimestamp(0, UTC))
        except TemplateExhausted as error:
            return _told("exhausted", error, f"with {what}: ")
        except (TemplateFailed, TemplateRefused) as error:
            # Many templates refuse a system message or know no tools; a question they must take.
            if what == "a user message":
                return _told("failed", error, f"with {what}: ")
    return {"kind": "fine"}


def _told(
    kind: str, error: TemplateInvalid | TemplateFailed | TemplateRefused, where: str = ""
) -> dict[str, Any]:
    return {"kind": kind, "name": error.name, "line": error.line, "reason": where + error.reason}


def _limit_this_process(cpu_seconds: int, memory: int) -> None:
    """Ask the kernel to hold this process to its limits, where it can."""
    with suppress(ImportError, ValueError, OSError):
        import resource  # noqa: PLC0415 - POSIX alone has it; elsewhere the wall time must do

        resource.setrlimit(resource.RLIMIT_CPU, (cpu_seconds, cpu_seconds + 1))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        resource.setrlimit(resource.RLIMIT_AS, (memory, memory))


def _main() -> None:
    order = json.load(sys.stdin)
    _limit_this_process(order["trial"]["cpu_seconds"], order["trial"]["memory"])
    json.dump(_judge(order), sys.stdout)


if __name__ == "__main__":
    _main()
