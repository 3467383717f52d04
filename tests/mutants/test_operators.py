"""Each operator's wrong forms of a small piece of code."""

import ast

import pytest

from tests.mutants.operators import replacements


def wrong_forms(code: str) -> list[str]:
    """What the first statement of the code, or the expression that it is, is replaced by."""
    statement = ast.parse(code).body[0]
    node = statement.value if isinstance(statement, ast.Expr) else statement
    return [" ".join(ast.unparse(wrong).split()) for wrong in replacements(node)]


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("7", ["8"]),
        ("True", ["False"]),
        ("None", []),
        ("'aB'", ["'XXaBXX'", "'ab'", "'AB'"]),
        ("'7'", ["'XX7XX'"]),
        ("b'a'", ["b'XXaXX'", "b'A'"]),
        ("f'a{b}'", ["f'XXaXX{b}'"]),
        ("not a", ["a"]),
        ("-a", ["+a"]),
        ("a + b", ["a - b"]),
        ("a ** b", ["a * b"]),
        ("a < b", ["a <= b"]),
        ("a < b == c", ["a <= b == c", "a < b != c"]),
        ("a in b", ["a not in b"]),
        ("a and b", ["a or b", "b", "a"]),
        (
            "a or b or c",
            ["a and b or c", "(a or b) and c", "b or c", "a or c", "a or b"],
        ),
        ("a if b else c", ["a if True else c", "a if False else c"]),
        ("lambda: a", ["lambda: None"]),
        ("f(a)", ["f(None)"]),
        ("f(a, b=c)", ["f(None, b=c)", "f(b=c)", "f(a, b=None)", "f(a)"]),
        ("f(*a)", []),
        ("len(a)", []),
        ("a.lstrip()", ["a.rstrip()"]),
        ("[a, b]", ["[b]", "[a]"]),
        ("{a: b, c: d}", ["{c: d}", "{a: b}"]),
        ("a = b", ["a = None"]),
        ("a = None", ["a = ''"]),
        ("a = auto()", []),
        ("a: int", []),
        ("a += b", ["a = b", "a -= b", "pass"]),
        ("raise a", ["pass"]),
        ("return a", ["return None"]),
        ("return None", []),
        ("if a: b", ["if not a: b"]),
        ("if a == b: c", []),
        ("if not a: b", []),
        ("while a < b: c", ["while not a < b: c"]),
        ("continue", ["break", "pass"]),
        ("break", ["return"]),
    ],
)
def test_operators(code: str, expected: list[str]) -> None:
    """Small faults, each once, and none that changes nothing."""
    assert wrong_forms(code) == expected


def test_a_match_loses_each_case_but_the_impossible_one() -> None:
    """What `assert_never` guards cannot be reached, with or without it."""
    code = "match a:\n case 1: b\n case 2: c\n case _: assert_never(a)"
    assert wrong_forms(code) == [
        "match a: case 2: c case _: assert_never(a)",
        "match a: case 1: b case _: assert_never(a)",
    ]


def test_a_statement_is_dropped() -> None:
    """A call whose value nobody takes is made for its effect."""
    (statement,) = ast.parse("f(a)").body
    assert [ast.unparse(wrong) for wrong in replacements(statement)] == ["pass"]


def test_a_slice_loses_its_ends() -> None:
    """Each bound is there for a reason."""
    (statement,) = ast.parse("a[b:c]").body
    assert isinstance(statement, ast.Expr)
    assert isinstance(statement.value, ast.Subscript)
    wrong = [ast.unparse(each) for each in replacements(statement.value.slice)]
    assert wrong == [":c", "b:"]


def test_conditions_inside_comprehensions_and_cases() -> None:
    """They are turned around, and left out."""
    (statement,) = ast.parse("[a for a in b if c]").body
    assert isinstance(statement, ast.Expr)
    assert isinstance(statement.value, ast.ListComp)
    wrong = [ast.unparse(each) for each in replacements(statement.value.generators[0])]
    assert wrong == [" for a in b if not c", " for a in b"]
    (match,) = ast.parse("match a:\n case 1 if b: c\n case _ if d: e").body
    assert isinstance(match, ast.Match)
    one, other = ([ast.unparse(each) for each in replacements(case)] for case in match.cases)
    assert [" ".join(each.split()) for each in one] == ["case 1 if not b: c", "case 1: c"]
    # without its guard it would hide the cases behind it, which is no Python
    assert [" ".join(each.split()) for each in other] == ["case _ if not d: e"]
