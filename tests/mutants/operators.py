"""What one piece of code may be replaced by: small faults that a person could make.

The first half are mutmut's operators, word for word in effect, so that scores can be compared; the
second half are faults that mutmut 3 does not plant (docs/evidence/mutants.md tells them apart).
"""

import ast
import copy
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final

__all__ = ["changed", "replacements"]

_FLIPPED: Final[Mapping[type[ast.AST], type[ast.AST]]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Div,
    ast.Div: ast.Mult,
    ast.FloorDiv: ast.Div,
    ast.Mod: ast.Div,
    ast.LShift: ast.RShift,
    ast.RShift: ast.LShift,
    ast.BitAnd: ast.BitOr,
    ast.BitOr: ast.BitAnd,
    ast.BitXor: ast.BitAnd,
    ast.Pow: ast.Mult,
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
    ast.And: ast.Or,
    ast.Or: ast.And,
    ast.USub: ast.UAdd,
    ast.UAdd: ast.USub,
}

_OPPOSITE_TESTS: Final = (ast.Eq, ast.NotEq, ast.Is, ast.IsNot, ast.In, ast.NotIn)
"""Comparisons that `_FLIPPED` already turns into their negation."""

_TWINS: Final[Mapping[str, str]] = {
    name: other
    for one, another in (
        ("lower", "upper"),
        ("lstrip", "rstrip"),
        ("find", "rfind"),
        ("ljust", "rjust"),
        ("index", "rindex"),
        ("removeprefix", "removesuffix"),
        ("partition", "rpartition"),
    )
    for name, other in ((one, another), (another, one))
}

_UNTOUCHED_CALLS: Final = frozenset({"len", "isinstance"})
"""Their arguments stay: without them nothing runs at all."""


def replacements(node: ast.AST) -> Iterator[ast.AST]:
    """Each wrong form of a node, in its place; `node` itself is left as it is."""
    operator = _OPERATORS.get(type(node))
    if operator is not None:
        for wrong in operator(node):
            yield ast.fix_missing_locations(ast.copy_location(wrong, node))


def changed(node: ast.AST, **fields: Any) -> Any:
    """A copy of a node, its children shared, with other fields."""
    twin = copy.copy(node)
    for name, value in fields.items():
        setattr(twin, name, value)
    return twin


def _none() -> ast.Constant:
    return ast.Constant(None)


def _is_none(node: ast.AST | None) -> bool:
    return isinstance(node, ast.Constant) and node.value is None


def _without(items: Sequence[Any], index: int) -> list[Any]:
    return [*items[:index], *items[index + 1 :]]


def _constant(node: ast.Constant) -> Iterator[ast.AST]:
    value = node.value
    match value:
        case bool():
            yield changed(node, value=not value)
        case int() | float():
            yield changed(node, value=value + 1)
        case str():
            for wrong in dict.fromkeys((f"XX{value}XX", value.lower(), value.upper())):
                if wrong != value:
                    yield changed(node, value=wrong)
        case bytes():
            for other in dict.fromkeys((b"XX%bXX" % value, value.lower(), value.upper())):
                if other != value:
                    yield changed(node, value=other)
        case _:
            pass


def _formatted(node: ast.JoinedStr) -> Iterator[ast.AST]:
    """Each literal part of an f-string, which mutmut leaves alone, is a text like any other."""
    for index, part in enumerate(node.values):
        if isinstance(part, ast.Constant) and isinstance(part.value, str):
            wrong = changed(part, value=f"XX{part.value}XX")
            yield changed(node, values=[*node.values[:index], wrong, *node.values[index + 1 :]])


def _unary(node: ast.UnaryOp) -> Iterator[ast.AST]:
    if isinstance(node.op, ast.Not | ast.Invert):
        yield node.operand
    else:
        yield changed(node, op=_FLIPPED[type(node.op)]())


def _binary(node: ast.BinOp) -> Iterator[ast.AST]:
    if type(node.op) in _FLIPPED:
        yield changed(node, op=_FLIPPED[type(node.op)]())


def _boolean(node: ast.BoolOp) -> Iterator[ast.AST]:
    """Each of its operators flipped, as if written in pairs from the left; each operand left out."""
    values, kind = node.values, type(node.op)
    other: Any = _FLIPPED[kind]

    def joined(operands: Sequence[ast.expr]) -> ast.expr:
        return operands[0] if len(operands) == 1 else ast.BoolOp(kind(), list(operands))

    for index in range(1, len(values)):
        pair = ast.BoolOp(other(), [joined(values[:index]), values[index]])
        yield joined([pair, *values[index + 1 :]])
    for index in range(len(values)):
        yield joined(_without(values, index))


def _compare(node: ast.Compare) -> Iterator[ast.AST]:
    for index, operator in enumerate(node.ops):
        flipped = _FLIPPED[type(operator)]()
        yield changed(node, ops=[*node.ops[:index], flipped, *node.ops[index + 1 :]])


def _choice(node: ast.IfExp) -> Iterator[ast.AST]:
    yield changed(node, test=ast.Constant(value=True))
    yield changed(node, test=ast.Constant(value=False))


def _function(node: ast.Lambda) -> Iterator[ast.AST]:
    yield changed(node, body=ast.Constant(0) if _is_none(node.body) else _none())


def _call(node: ast.Call) -> Iterator[ast.AST]:
    function = node.func
    if isinstance(function, ast.Attribute) and function.attr in _TWINS:
        yield changed(node, func=changed(function, attr=_TWINS[function.attr]))
    if isinstance(function, ast.Name) and function.id in _UNTOUCHED_CALLS:
        return
    args, keywords = node.args, node.keywords
    several = len(args) + len(keywords) > 1
    for index, argument in enumerate(args):
        if not isinstance(argument, ast.Starred) and not _is_none(argument):
            yield changed(node, args=[*args[:index], _none(), *args[index + 1 :]])
        if several:
            yield changed(node, args=_without(args, index))
    for index, keyword in enumerate(keywords):
        if keyword.arg is not None and not _is_none(keyword.value):
            empty = changed(keyword, value=_none())
            yield changed(node, keywords=[*keywords[:index], empty, *keywords[index + 1 :]])
        if several:
            yield changed(node, keywords=_without(keywords, index))


def _assigned(node: ast.Assign | ast.AnnAssign) -> Iterator[ast.AST]:
    match node.value:
        case None | ast.Call(func=ast.Name("auto")):
            return  # one None among the values of an Enum is as good as any other
        case ast.Constant(value=None):
            yield changed(node, value=ast.Constant(""))
        case _:
            yield changed(node, value=_none())


def _augmented(node: ast.AugAssign) -> Iterator[ast.AST]:
    yield ast.Assign([node.target], node.value)
    if type(node.op) in _FLIPPED:
        yield changed(node, op=_FLIPPED[type(node.op)]())
    yield ast.Pass()


def _match(node: ast.Match) -> Iterator[ast.AST]:
    for index, case in enumerate(node.cases):
        if len(node.cases) > 1 and not is_unreachable(case):
            yield changed(node, cases=_without(node.cases, index))


def is_unreachable(case: ast.match_case) -> bool:
    """Whether a case says that the type checker has proved it impossible."""
    match case.body:
        case [ast.Expr(value=ast.Call(func=ast.Name("assert_never")))]:
            return True
        case _:
            return False


# From here on, what mutmut does not do.


def _negated(test: ast.expr) -> Iterator[ast.expr]:
    opposite = (
        isinstance(test, ast.Compare)
        and len(test.ops) == 1
        and isinstance(test.ops[0], _OPPOSITE_TESTS)
    )
    if not opposite and not (isinstance(test, ast.UnaryOp) and isinstance(test.op, ast.Not)):
        yield ast.UnaryOp(ast.Not(), test)


def _conditional(node: ast.If | ast.While) -> Iterator[ast.AST]:
    for test in _negated(node.test):
        yield changed(node, test=test)


def _case(node: ast.match_case) -> Iterator[ast.AST]:
    if node.guard is not None:
        for test in _negated(node.guard):
            yield changed(node, guard=test)
        if not isinstance(node.pattern, ast.MatchAs) or node.pattern.pattern is not None:
            yield changed(node, guard=None)


def _comprehension(node: ast.comprehension) -> Iterator[ast.AST]:
    for index, condition in enumerate(node.ifs):
        for test in _negated(condition):
            yield changed(node, ifs=[*node.ifs[:index], test, *node.ifs[index + 1 :]])
        yield changed(node, ifs=_without(node.ifs, index))


def _statement(node: ast.Expr) -> Iterator[ast.AST]:
    if not isinstance(node.value, ast.Constant):
        yield ast.Pass()


def _return(node: ast.Return) -> Iterator[ast.AST]:
    if node.value is not None and not _is_none(node.value):
        yield changed(node, value=_none())


def _dropped(node: ast.stmt) -> Iterator[ast.AST]:
    yield ast.Pass()


def _break(node: ast.Break) -> Iterator[ast.AST]:
    yield ast.Return(None)


def _continue(node: ast.Continue) -> Iterator[ast.AST]:
    yield ast.Break()
    yield ast.Pass()


def _display(node: ast.List | ast.Set | ast.Tuple) -> Iterator[ast.AST]:
    """Tables are code: every entry left out once."""
    if isinstance(node, ast.Set) or isinstance(node.ctx, ast.Load):
        for index in range(len(node.elts)):
            if len(node.elts) > 1 or not isinstance(node, ast.Set):
                yield changed(node, elts=_without(node.elts, index))


def _dict(node: ast.Dict) -> Iterator[ast.AST]:
    for index in range(len(node.keys)):
        keys, values = _without(node.keys, index), _without(node.values, index)
        yield changed(node, keys=keys, values=values)


def _slice(node: ast.Slice) -> Iterator[ast.AST]:
    if node.lower is not None:
        yield changed(node, lower=None)
    if node.upper is not None:
        yield changed(node, upper=None)


_OPERATORS: Final[Mapping[type[ast.AST], Callable[[Any], Iterator[ast.AST]]]] = {
    ast.Constant: _constant,
    ast.JoinedStr: _formatted,
    ast.UnaryOp: _unary,
    ast.BinOp: _binary,
    ast.BoolOp: _boolean,
    ast.Compare: _compare,
    ast.IfExp: _choice,
    ast.Lambda: _function,
    ast.Call: _call,
    ast.Assign: _assigned,
    ast.AnnAssign: _assigned,
    ast.AugAssign: _augmented,
    ast.Match: _match,
    ast.If: _conditional,
    ast.While: _conditional,
    ast.match_case: _case,
    ast.comprehension: _comprehension,
    ast.Expr: _statement,
    ast.Return: _return,
    ast.Raise: _dropped,
    ast.Break: _break,
    ast.Continue: _continue,
    ast.List: _display,
    ast.Set: _display,
    ast.Tuple: _display,
    ast.Dict: _dict,
    ast.Slice: _slice,
}
