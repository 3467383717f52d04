"""The registry: every law has its rule, its step and its plant, and whatever is forgotten is named."""

import importlib
import pkgutil
from pathlib import Path

import pytest

import lorax_contracts
from lorax_contracts.laws import all_laws
from lorax_contracts.plan import PLANS
from lorax_contracts.rules import registered, rules_of, shown_by
from tests.contracts.completeness import forgotten, unentered
from tests.contracts.planted import DEVIATIONS
from tests.contracts.planted.native import PLANTED

PACKAGE = Path(lorax_contracts.__file__).parent
PAGE = Path(__file__).parents[2] / "docs" / "laws.md"


def test_no_law_lacks_its_rule_its_step_its_plant_or_its_line() -> None:
    """Laws, rules registered, laws shown by steps and plants are one list, with no exception."""
    for module in pkgutil.walk_packages([str(PACKAGE)], "lorax_contracts."):
        if not module.name.endswith(".__main__"):
            importlib.import_module(module.name)
    rules = {f"{one.__module__}.{one.__qualname__}": ids for one, ids in registered().items()}
    steps = {one for plan in PLANS.values() for step in plan for one in step.judges}
    missing = forgotten(
        all_laws(),
        rules=rules,
        steps=steps,
        plants={one.law for one in DEVIATIONS} | {one.law for one in PLANTED},
        page=PAGE.read_text("utf-8"),
    )
    assert "\n".join(missing) == ""


# `recording` reports nothing: it names the laws that a file cannot show
@pytest.mark.parametrize(
    "path",
    sorted({*PACKAGE.rglob("*.py")} - {PACKAGE / "recording.py"}),
    ids=lambda path: path.stem,
)
def test_a_module_enters_what_it_reports(path: Path) -> None:
    """Neither a law that is reported under no rule, nor a rule for what is never reported."""
    assert "\n".join(unentered(path)) == ""


WHOLE = {"A-1", "A-2"}


@pytest.mark.parametrize(
    ("without", "told"),
    [
        ("rules", "A-2 has no rule: report it in contracts/lorax_contracts/"),
        ("steps", "A-2 is in no step: name its rule (judge.both) in a step of"),
        ("plants", "A-2 has no plant: add a server that breaks it, and nothing else, to"),
        ("page", "A-2 is not in docs/laws.md: run make docs"),
        ("laws", "A-2 is no law, and judge.both reports it: add it to"),
    ],
)
def test_what_is_forgotten_is_named(without: str, told: str) -> None:
    """One of five places lacks one law: the sentence says which, and where to go."""

    def there(place: str) -> set[str]:
        return WHOLE - {"A-2"} if place == without else WHOLE

    found = list(
        forgotten(
            there("laws"),
            rules={"judge.both": there("rules")},
            steps=there("steps"),
            plants=there("plants"),
            page="".join(f"| {one} |" for one in there("page")),
        )
    )
    assert found[0].startswith(told)
    assert len(found) == 1 + (without == "laws")


@pytest.mark.parametrize(
    ("code", "told"),
    [
        ('@rule("OAI-A-001")\ndef f(r):\n    r.add("OAI-A-001")\n', ""),
        (
            '@rule("OAI-A-001")\ndef f(r):\n    r.add("OAI-A-001", r.add("OAI-A-002"))\n',
            "m.py reports OAI-A-002, and no @rule in it says so",
        ),
        (
            'def f(r):\n    r.add("OAI-A-001")\n',
            "m.py reports OAI-A-001, and no @rule in it says so",
        ),
        (
            '@rule("OAI-A-001", "OAI-A-002")\ndef f(r):\n    r.add("OAI-A-001")\n',
            "m.py: @rule names OAI-A-002, and nothing in the module reports it",
        ),
    ],
)
def test_a_report_without_a_rule_is_named(tmp_path: Path, code: str, told: str) -> None:
    """And a rule without a report."""
    (tmp_path / "m.py").write_text(code)
    assert "\n".join(unentered(tmp_path / "m.py")) == told


def test_what_was_never_entered_is_no_rule() -> None:
    """A step that names it fails at once, by its name."""

    def judge_nothing() -> str:
        return "nothing"

    with pytest.raises(LookupError, match="judge_nothing has no @rule"):
        shown_by(judge_nothing)


def test_a_law_may_have_several_rules() -> None:
    """It is judged where any of them was not left out."""
    assert len(rules_of("OAI-HTTP-004")) > 1
    assert rules_of("OAI-HTTP-999") == frozenset()
