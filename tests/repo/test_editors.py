"""Hooks and editors are pointed at the project's own tools, so that nobody is told two things."""

import configparser
import json
import re
import tomllib
from typing import Any

import yaml

from tests.repo.readme import make_targets
from tests.repo.tree import ROOT

HOOKS: dict[str, Any] = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text("utf-8"))


def test_every_hook_is_a_make_target() -> None:
    """Of this repository and no other, so that the locks decide which tool judges."""
    (repository,) = HOOKS["repos"]
    assert repository["repo"] == "local"
    targets = {hook["id"]: hook["entry"].split()[-1] for hook in repository["hooks"]}
    assert targets.keys() == {"lint", "types"}
    assert set(targets.values()) <= make_targets(ROOT)
    for hook in repository["hooks"]:
        assert hook["entry"] == f"make --silent {hook['id']}"
        # they look at all files: what one changes another may break
        assert (hook["language"], hook["pass_filenames"]) == ("system", False)


def test_both_times_of_the_hooks_are_installed() -> None:
    """`pre-commit install` without an option installs those before a push as well."""
    used = {
        time for hook in HOOKS["repos"][0]["hooks"] for time in hook.get("stages", ["pre-commit"])
    }
    assert used == set(HOOKS["default_install_hook_types"])


def test_the_editor_uses_the_environment_that_make_dev_makes() -> None:
    """Its interpreter, its ruff, and the tests where pytest looks for them."""
    settings = json.loads((ROOT / ".vscode/settings.json").read_text("utf-8"))
    made = re.search(r"^VENV := (.+)$", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE)
    assert made
    binaries = f"${{workspaceFolder}}/{made[1]}/bin"
    assert settings["python.defaultInterpreterPath"] == f"{binaries}/python"
    assert settings["ruff.path"] == [f"{binaries}/ruff"]
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]
    assert settings["python.testing.pytestArgs"] == project["pytest"]["ini_options"]["testpaths"]
    assert settings["[python]"]["editor.rulers"] == [project["ruff"]["line-length"]]


def test_the_editorconfig_says_what_the_formatter_does() -> None:
    """One width; tabs where make wants them; nothing trimmed from recorded bytes."""
    parser = configparser.ConfigParser()
    parser.read_string("[top]\n" + (ROOT / ".editorconfig").read_text("utf-8"))
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]
    assert parser["top"]["root"] == "true"
    assert parser["*"]["max_line_length"] == str(project["ruff"]["line-length"])
    assert parser["Makefile"]["indent_style"] == "tab"
    recorded = next(name for name in parser if name.startswith("{contracts/lorax_contracts/data"))
    assert parser[recorded]["trim_trailing_whitespace"] == "unset"
