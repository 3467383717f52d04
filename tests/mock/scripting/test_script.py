"""Scripts as text and as rules."""

import pytest

from lorax_mock.scripting.faults import Fault, FaultKind
from lorax_mock.scripting.script import (
    Action,
    Reply,
    RequestFacts,
    Script,
    ScriptError,
    read_script,
)
from lorax_mock.wire.native import FinishReason, GenerateParameters, GenerateRequest

_TEXT = """
strict: true
rules:
  - name: greeting
    when: {adapter: acme/pirate, prompt_contains: hello, stream: true}
    reply: {text: "Ahoy!"}
    pace: {first_ms: 5, step_ms: 1}
  - when: {adapter: [base, acme/poet], parameters: {temperature: 0.5}}
    sequence:
      - fault: overload
      - fault: cut@120
      - {reply: {tokens: ["A", "hoy"], finish: length}}
"""


def test_a_script_is_read_into_rules() -> None:
    """A script gives rules with their actions, conditions and names."""
    script = read_script(_TEXT)
    greeting, second = script.rules
    assert script.strict
    assert greeting.name == "greeting"
    assert greeting.repeats
    assert greeting.actions == (Action(Reply("Ahoy!"), None, 5, 1),)
    assert second.name == "rule 2"
    assert not second.repeats
    assert second.actions == (
        Action(fault=Fault(FaultKind.OVERLOAD)),
        Action(fault=Fault(FaultKind.CUT, 120)),
        Action(Reply(None, ("A", "hoy"), FinishReason.LENGTH)),
    )


def test_json_is_yaml_and_nothing_is_no_rules() -> None:
    """A script may be JSON, and an empty text is a script without rules."""
    assert read_script('{"rules": [{"fault": "crlf"}]}').rules[0].actions[0].fault is not None
    assert read_script("") == Script()


def _facts(prompt: str = "hello there", **parameters: float) -> RequestFacts:
    asked = GenerateParameters(temperature=parameters.get("temperature"))
    request = GenerateRequest(prompt, asked)
    return RequestFacts("/generate", "acme/pirate", stream=False, request=request)


@pytest.mark.parametrize(
    ("when", "misses"),
    [
        ("{}", 0),
        ("{adapter: acme/pirate}", 0),
        ("{adapter: [base, acme/pirate]}", 0),
        ("{adapter: base}", 1),
        ("{stream: true}", 1),
        ("{path: /generate, prompt: hello there}", 0),
        ("{prompt: hello}", 1),
        ("{prompt_contains: there}", 0),
        ("{prompt_matches: '^hel+o'}", 0),
        ("{prompt_matches: '^there', adapter: base}", 2),
        ("{parameters: {temperature: 0.5}}", 0),
        ("{parameters: {temperature: 0.6}}", 1),
        ("{parameters: {top_k: null}}", 0),
    ],
)
def test_conditions_hold_or_say_why_not(when: str, misses: int) -> None:
    """Each condition holds, or tells what it wants and what it saw."""
    rule = read_script(f"rules: [{{when: {when}, fault: crlf}}]").rules[0]
    missed = rule.misses(_facts(temperature=0.5))
    assert len(missed) == misses
    assert all(" wants " in text and " the request has " in text for text in missed)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("rules:\n  - repyl: {text: a}", "line 2: unknown key 'repyl' in a rule; did you mean 'reply'?"),
        ("ruls: []", "line 1: unknown key 'ruls' in a script; did you mean 'rules'?"),
        ("rules:\n- when:\n    adaptor: a\n  fault: crlf", "line 3: unknown key 'adaptor' in a condition"),
        ("rules:\n- when: {}\n  fault: overlaod", "line 3: unknown fault 'overlaod'; did you mean 'overload'?"),
        ("rules:\n- reply: {txt: a}", "line 2: a reply has either 'text' or 'tokens'"),
        ("rules:\n- reply: {text: a, finish: stop}", "line 2: 'finish' is one of length, eos_token, stop_sequence"),
        ("rules:\n- reply: {text: '', finish: length}", "line 2: a reply that does not end with EOS needs a token"),
        ("rules:\n- reply: {tokens: [1]}", "line 2: 'tokens' is a list of strings"),
        ("rules:\n- name: x", "line 2: a rule has either 'sequence' or one action"),
        ("rules:\n- fault: crlf\n  sequence: []", "line 2: a rule has either 'sequence' or one action"),
        ("rules:\n- fault: 3", "line 2: 'fault' should be str, not 3"),
        ("rules:\n- fault: crlf\n  pace: {step: 1}", "line 3: unknown key 'step' in a pace; did you mean 'step_ms'?"),
        ("rules:\n- when: {prompt_matches: '('}\n  fault: crlf", "line 2: 'prompt_matches' is no pattern"),
        ("rules: [a]", "rule 1: a rule is a mapping, not 'a'"),
        ("rules:\n- sequence: [a]", "line 2: an action is a mapping, not 'a'"),
        ("- a", "line 1: a script is a mapping with the key 'rules'"),
        ("rules: [\n", "line 2: not YAML: "),
        ("strict: true\nstrict: false", "line 2: 'strict' twice"),
        ('{"rules": [\n{"reply": {"text": "\\ud83c"}}]}', "line 2: '\\ud83c' has half of a surrogate pair"),
        ("rules:\n- pace: {step_ms: .nan}", "line 2: 'step_ms' is from 0 to 1,000,000,000 ms, not nan"),
        ("rules:\n- pace: {first_ms: -1}", "line 2: 'first_ms' is from 0 to 1,000,000,000 ms, not -1"),
        ("rules:\n- pace: {first_ms: 1" + "0" * 400 + "}", "line 2: 'first_ms' is from 0 to"),
        ("rules:\n- fault: stall@0:" + "9" * 400, "line 2: fault 'stall@0:999"),
        ("strict: 1", "line 1: 'strict' should be bool, not 1"),
    ],
)  # fmt: skip
def test_a_wrong_script_is_told_line_and_key(text: str, told: str) -> None:
    """A wrong script is refused with the line, the key and the nearest valid one."""
    with pytest.raises(ScriptError) as caught:
        read_script(text)
    assert str(caught.value).startswith(told)
