"""The trial: a template's first rendering, in a child that may die of it."""

import time
from importlib.resources import files
from pathlib import Path

import pytest

from lorax_proxy.core.template.budget import Limits
from lorax_proxy.core.template.chat_template import (
    SpecialTokens,
    TemplateExhausted,
    TemplateFailed,
    TemplateInvalid,
)
from lorax_proxy.errors import SettingsInvalid
from lorax_proxy.template_files import builtin_names
from lorax_proxy.template_trial import TrialLimits, try_template

TURNS = "{% for m in messages %}{{ m.content }}{% endfor %}"
# Budgets that stop nothing: what is left is the child's own limits.
BOUNDLESS = Limits(steps=10**18, characters=10**18, output=10**18)
LOOP = "{% for i in range(100000) %}{% for j in range(100000) %}{% endfor %}{% endfor %}"
MEMORY = "{% set x = 'a' * 500000000 %}"


def tried(source: str, limits: Limits | None = None, trial: TrialLimits | None = None) -> None:
    """A trial without special tokens."""
    try_template(source, "mine", SpecialTokens(), limits=limits, trial_limits=trial)


def test_an_ordinary_template_passes() -> None:
    """In a few tenths of a second, start of the interpreter included."""
    tried(TURNS)


def test_the_folder_that_it_runs_in_is_no_library(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file there of a module's name is not imported instead of it."""
    (tmp_path / "jinja2.py").write_text("raise SystemExit('not this one')\n", "utf-8")
    monkeypatch.chdir(tmp_path)
    tried(TURNS)


@pytest.mark.parametrize(
    "source",
    [
        "{% if messages[0].role == 'system' %}{{ raise_exception('no system') }}{% endif %}"
        + TURNS,
        "{% if tools %}{{ undefined.attribute }}{% endif %}" + TURNS,
    ],
)
def test_a_template_may_refuse_what_it_does_not_know(source: str) -> None:
    """System messages and tools; only a plain question must work."""
    tried(source)


@pytest.mark.parametrize(
    ("source", "error", "said"),
    [
        ("\n{% if %}", TemplateInvalid, "chat template mine, line 2: "),
        ("\n{{ a.b }}", TemplateFailed, "chat template mine, line 2: with a user message: "),
        ("{{ raise_exception('never') }}", TemplateFailed, "with a user message: never"),
        (LOOP, TemplateExhausted, "with a user message: it takes more steps"),
        ("{% if tools %}" + LOOP + "{% endif %}", TemplateExhausted, "with a tool: "),
        (
            "{% if messages | length > 100 %}" + LOOP + "{% endif %}",
            TemplateExhausted,
            "with 200 messages: ",
        ),
        ("{{ messages[0].content * 9999 }}", TemplateExhausted, "with a long message: "),
    ],
)
def test_a_verdict_names_the_template_the_line_and_the_conversation(
    source: str, error: type[Exception], said: str
) -> None:
    """As if it had failed here."""
    with pytest.raises(error) as caught:
        tried(source)
    assert type(caught.value) is error
    assert said in str(caught.value)


def test_the_tool_variant_is_tried_too() -> None:
    """With the conversations that have a tool."""
    with pytest.raises(TemplateExhausted, match=r"mine \(tool_use\)"):
        try_template(TURNS, "mine", SpecialTokens(), LOOP)


@pytest.mark.slow
def test_what_escapes_the_budgets_is_killed_for_its_time() -> None:
    """CPU time, by the kernel; a child that dies without a word is a verdict."""
    with pytest.raises(TemplateExhausted, match="killed by signal"):
        tried(LOOP, BOUNDLESS, TrialLimits(cpu_seconds=1))


@pytest.mark.slow
def test_what_escapes_the_budgets_gets_no_memory() -> None:
    """Address space, by the kernel."""
    with pytest.raises(
        TemplateExhausted, match="line 1: with a user message: it ran out of memory"
    ):
        tried(MEMORY + TURNS, BOUNDLESS, TrialLimits(memory=300 << 20))


@pytest.mark.slow
def test_what_sleeps_is_killed_by_the_wall_clock() -> None:
    """Also where the kernel has no limits to give."""
    started = time.monotonic()
    with pytest.raises(TemplateExhausted, match=r"not done after 0\.5 seconds"):
        tried(LOOP, BOUNDLESS, TrialLimits(cpu_seconds=60, wall_seconds=0.5))
    assert time.monotonic() - started < 5


@pytest.mark.parametrize("interpreter", ["", "/nowhere/python", "/"])
def test_without_a_child_process_it_is_one_clear_line(interpreter: str) -> None:
    """Such as in an embedded interpreter, which does not know where it is: untried is unused."""
    with pytest.raises(SettingsInvalid) as caught:
        try_template(TURNS, "mine", SpecialTokens(), interpreter=interpreter)
    said = str(caught.value)
    assert said.startswith("chat template mine cannot be tried: no child process can be started (")
    assert "\n" not in said


@pytest.mark.parametrize("name", builtin_names())
def test_built_ins_would_pass(name: str) -> None:
    """They are loaded without a trial because this test tries them."""
    path = files("lorax_proxy").joinpath("builtin_templates", f"{name}.jinja")
    tried(path.read_text("utf-8"))
