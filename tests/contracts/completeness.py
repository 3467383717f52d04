"""What has to be there for each law: its rule, a step that names the rule, a plant, a line in the docs.

Whatever is forgotten is told in one sentence that says what it is and where it goes.
"""

import ast
import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path

__all__ = ["forgotten", "unentered"]

_LAW = re.compile(r"(OAI|LORAX)-[A-Z]+-[0-9]{3}")
_CODE = "contracts/lorax_contracts"


def forgotten(
    laws: Collection[str],
    *,
    rules: Mapping[str, Iterable[str]],
    steps: Collection[str],
    plants: Collection[str],
    page: str,
) -> Iterator[str]:
    """Each law that lacks something, and each id that is no law's.

    Args:
        laws: ids of all laws.
        rules: ids of the laws that each rule reports, by the rule's name.
        steps: ids of the laws that some step of a plan, or the first request of a run, shows.
        plants: ids of the laws for which a server is planted.
        page: the text of docs/laws.md.
    """
    ruled = {one for reported in rules.values() for one in reported}
    for one in laws:
        if one not in ruled:
            yield (
                f"{one} has no rule: report it in {_CODE}/ (judge, relations or probes) and put"
                f' @rule("{one}") on the function that does'
            )
        elif one not in steps:
            names = ", ".join(name for name, reported in rules.items() if one in reported)
            yield f"{one} is in no step: name its rule ({names}) in a step of {_CODE}/plan.py"
        if one not in plants:
            yield (
                f"{one} has no plant: add a server that breaks it, and nothing else, to"
                " tests/contracts/planted/"
            )
        if f"| {one} |" not in page:
            yield (f"{one} is not in docs/laws.md: run make docs")
    for name, reported in rules.items():
        for one in sorted(set(reported) - set(laws)):
            yield f"{one} is no law, and {name} reports it: add it to {_CODE}/data/laws/"
    for one in sorted(set(plants) - set(laws)):
        yield f"{one} is no law, and a server is planted for it: add it to {_CODE}/data/laws/"


def unentered(path: Path) -> Iterator[str]:
    """Each law that a module reports and no @rule of it names, and the other way round."""
    tree = ast.parse(path.read_text("utf-8"))
    entered: set[str] = set()
    decorators: set[ast.AST] = set()
    for node in ast.walk(tree):
        match node:
            case ast.Call(func=ast.Name("rule"), args=args):
                entered |= {str(one.value) for one in args if isinstance(one, ast.Constant)}
                decorators.update(args)
            case _:
                pass
    reported = {
        str(node.value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and node not in decorators
        if _LAW.fullmatch(str(node.value))
    }
    for one in sorted(reported - entered):
        yield f"{path.name} reports {one}, and no @rule in it says so"
    for one in sorted(entered - reported):
        yield f"{path.name}: @rule names {one}, and nothing in the module reports it"
