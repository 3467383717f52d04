"""`action.yml` as a runner of GitHub reads it, so that its steps can be run anywhere.

Inputs have their defaults, expressions are filled in, and each `run` is a script of bash with the
variables that GitHub sets. Of expressions only the forms are known that the file has.
"""

import os
import re
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from tests.repo.tree import ROOT

__all__ = ["Done", "read_action", "run_step"]

_EXPRESSION = re.compile(r"\$\{\{ *(.*?) *\}\}")


@dataclass(frozen=True, slots=True)
class Done:
    """What a step has left: its exit code, its log, the job's summary, and its outputs."""

    code: int
    log: str
    summary: str
    outputs: Mapping[str, str]


def read_action() -> Any:
    """The file."""
    return yaml.safe_load((ROOT / "action.yml").read_text("utf-8"))


def _filled(text: str, inputs: Mapping[str, str], environment: Mapping[str, str]) -> str:
    """The text with each expression's value: the first of its terms that is not empty."""
    contexts = {"inputs": inputs, "env": environment}

    def value(found: re.Match[str]) -> str:
        terms = [term.strip().partition(".") for term in found[1].split("||")]
        return next((v for context, _, name in terms if (v := contexts[context].get(name, ""))), "")

    return _EXPRESSION.sub(value, text)


def run_step(
    number: int, folder: Path, given: Mapping[str, str], variables: Mapping[str, str] | None = None
) -> Done:
    """Runs one step of the action, in a job's folder.

    Args:
        number: of the step, from 0.
        folder: the runner's temporary folder, and where the job is at work.
        given: inputs.
        variables: of the job, beyond those of GitHub.
    """
    action = read_action()
    unknown = given.keys() - action["inputs"].keys()
    assert not unknown, f"action.yml has no input {', '.join(unknown)}"
    inputs = {name: str(one.get("default", "")) for name, one in action["inputs"].items()}
    inputs |= given
    step = action["runs"]["steps"][number]
    assert step["shell"] == "bash"
    assert not _EXPRESSION.search(step["run"]), "an input in a script can be a script"
    mine = dict(variables or {})
    summary, outputs = folder / "summary", folder / "outputs"
    for file in (summary, outputs):
        file.write_text("", "utf-8")
    script = folder / "step.sh"
    script.write_text(step["run"], "utf-8")
    done = subprocess.run(
        ["bash", "--noprofile", "--norc", "-e", "-o", "pipefail", str(script)],
        cwd=folder,
        env={
            **{k: v for k, v in os.environ.items() if not k.startswith(("OPENAI", "PIP_", "UV_"))},
            **mine,
            **{k: _filled(str(v), inputs, mine) for k, v in step.get("env", {}).items()},
            "GITHUB_ACTIONS": "true",
            "GITHUB_ACTION_PATH": str(ROOT),
            "GITHUB_OUTPUT": str(outputs),
            "GITHUB_STEP_SUMMARY": str(summary),
            "RUNNER_TEMP": str(folder),
        },
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        timeout=240,
    )
    lines = outputs.read_text("utf-8").splitlines()
    return Done(
        done.returncode,
        done.stdout,
        summary.read_text("utf-8"),
        dict(line.split("=", 1) for line in lines),
    )
