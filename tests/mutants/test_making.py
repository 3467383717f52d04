"""A module's mutants: what is left alone, and names that outlive edits."""

from pathlib import Path

import pytest

from tests.mutants.making import Name, Source

_CODE = '''"""Words."""
from a import b
__all__ = ["F"]
Alias = b | int
LIMIT: int = 3

class F:
    """Words."""
    __slots__ = ("x",)

    @cached(1)
    def g(self, x: "str" = "s") -> "None":
        self.h(); self.h()
        match x:
            case None:
                return x[1]
            case _:
                assert_never(x)
'''


@pytest.fixture
def source(tmp_path: Path) -> Source:
    """The code above as a module."""
    return made(tmp_path, _CODE)


def made(folder: Path, code: str) -> Source:
    """That code as a module."""
    path = folder / "planted.py"
    path.write_text(code, "utf-8")
    return Source(path, "planted")


def test_every_place_has_its_mutants_and_no_other_place(source: Source) -> None:
    """Docstrings, imports, aliases, decorators, annotations and `assert_never` are left alone."""
    assert [(name.where, name.was, name.now, name.nth) for name in source.mutants] == [
        ("", "LIMIT: int = 3", "LIMIT: int = None", 0),
        ("", "LIMIT: int = 3", "LIMIT: int = 4", 0),
        (
            "F.g",
            "def g(self, x: 'str'='s') -> 'None'",
            "def g(self, x: 'str'='XXsXX') -> 'None'",
            0,
        ),
        ("F.g", "def g(self, x: 'str'='s') -> 'None'", "def g(self, x: 'str'='S') -> 'None'", 0),
        ("F.g", "self.h()", "pass", 0),
        ("F.g", "self.h()", "pass", 1),
        ("F.g", "match x case None", "match x (without this case)", 0),
        ("F.g", "return x[1]", "return None", 0),
        ("F.g", "return x[1]", "return x[2]", 0),
    ]


def test_names_outlive_edits_elsewhere(source: Source, tmp_path: Path) -> None:
    """Lines may move, and the formatter may do what it likes."""
    edited = made(
        tmp_path, "LATER = [1,\n 2]\n\n" + _CODE.replace("self.h(); ", "self.h()\n        ")
    )
    moved = {name: edited.line(name) - source.line(name) for name in source.mutants}
    assert {*source.mutants} < {*edited.mutants}
    assert {*moved.values()} == {3, 4}


def test_long_statements_are_cut_around_the_difference(tmp_path: Path) -> None:
    """The name stays short, and still says where."""
    source = made(tmp_path, f"x = ['{'a' * 99}', 1, '{'b' * 99}']")
    (name,) = [name for name in source.mutants if name.now.endswith("…") and ", 2, " in name.now]
    assert name.was == f"…{'a' * 57}', 1, '{'b' * 57}…"
    assert name.now == f"…{'a' * 57}', 2, '{'b' * 57}…"


def test_a_mutant_differs_in_one_place(tmp_path: Path) -> None:
    """It is compiled with that one fault, and the next one without it."""
    source = made(tmp_path, "x = 1\ny = 2\n")
    results: list[dict[str, object]] = []
    for name in (None, *source.mutants):
        space: dict[str, object] = {}
        exec(source.compiled(name), space)  # noqa: S102 - the code above
        results.append({"x": space["x"], "y": space["y"]})
    assert results == [
        {"x": 1, "y": 2},
        {"x": None, "y": 2},
        {"x": 2, "y": 2},
        {"x": 1, "y": None},
        {"x": 1, "y": 3},
    ]


def test_a_name_reads_as_one_line() -> None:
    """For progress and reports."""
    assert str(Name("m", "F.g", "x = 1", "x = 2")) == "F.g: x = 1  ->  x = 2"
    assert str(Name("m", "", "x = 1", "x = 2", 1)) == "m: x = 1  ->  x = 2 (no. 2)"
