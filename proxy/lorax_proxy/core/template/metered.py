"""The same dialect, counting: each operation that a longer conversation makes longer tells the meter.

Calls and operators pass the sandbox, filters and tests are wrapped, and what Jinja compiles to plain
Python (loops, `~`, `in`, slices) is rewritten in the syntax tree into filters whose names start with
a dot, which no template can spell. Jinja must not fold these while it compiles, hence `pass_context`.
"""

from collections.abc import Callable
from functools import wraps
from types import BuiltinMethodType
from typing import Any, cast

from jinja2 import Environment, nodes, pass_context
from jinja2.runtime import Context, markup_join, str_join
from jinja2.visitor import NodeTransformer

from lorax_proxy.core.template.budget import active_meter
from lorax_proxy.core.template.language import PlainEnvironment

__all__ = ["MeteredEnvironment", "counting"]

_CALL = 10
"""A call is as slow as some ten other steps."""


class MeteredEnvironment(PlainEnvironment):
    """Hugging Face's dialect, told to the active meter."""

    intercepted_binops = frozenset({"+", "*", "%"})

    def __init__(self) -> None:
        super().__init__()
        for name, function in list(self.filters.items()):
            self.filters[name] = _metered_filter(function)
        self.tests["in"] = _is_in
        self.filters |= {
            ".turn": _turn,
            ".concatenate": _concatenate,
            ".in": _in,
            ".slice": _slice,
        }

    def call(
        __self,  # noqa: N805 - a template may pass any keyword, `self` included
        __context: Context,  # noqa: PYI063 - Jinja's own signature
        __callee: Any,
        *args: Any,
        **kwargs: Any,
    ) -> Any:
        """Every call in a template: a method walks what it belongs to."""
        meter = active_meter()
        meter.step(_CALL)
        if isinstance(__callee, BuiltinMethodType):
            owner = __callee.__self__
            # what asks a dictionary for a member or a view walks nothing
            if not isinstance(owner, dict):
                meter.take(owner)
        result = super().call(__context, __callee, *args, **kwargs)
        meter.take(result)
        return result

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        """The operators that make a longer text or list of two."""
        result = super().call_binop(context, operator, left, right)
        active_meter().take(result)
        return result


def _metered_filter(function: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(function)
    def metered(*args: Any, **kwargs: Any) -> Any:
        meter = active_meter()
        meter.step()
        for value in args:
            if not isinstance(value, Context | nodes.EvalContext | Environment):
                meter.take(value)
                break
        result = function(*args, **kwargs)
        meter.take(result)
        return result

    return metered


def _is_in(value: Any, container: Any) -> bool:
    active_meter().take(container)
    return value in container


@pass_context
def _turn(_: Context, value: Any) -> Any:
    active_meter().step()
    return value


@pass_context
def _concatenate(context: Context, values: tuple[Any, ...]) -> str:
    joined = markup_join(values) if context.eval_ctx.autoescape else str_join(values)
    active_meter().take(joined)
    return joined


@pass_context
def _in(_: Context, value: Any, container: Any) -> bool:
    active_meter().take(container)
    return value in container


@pass_context
def _slice(_: Context, value: Any, *bounds: Any) -> Any:
    part = value[slice(*bounds)]
    active_meter().take(part)
    return part


def counting(tree: nodes.Template) -> nodes.Template:
    """A template's tree, for a `MeteredEnvironment` to compile; `tree` itself is changed."""
    return cast("nodes.Template", _Rewriting().visit(tree))


def _filter(name: str, subject: nodes.Expr, *args: nodes.Expr) -> nodes.Filter:
    return nodes.Filter(subject, name, list(args), [], None, None, lineno=subject.lineno)


class _Rewriting(NodeTransformer):
    """Puts a filter of ours where Jinja would compile to plain Python."""

    def visit_For(self, node: nodes.For) -> nodes.Node:  # noqa: N802 - Jinja's visitors
        self.generic_visit(node)
        turn = _filter(".turn", nodes.Const(True, lineno=node.lineno))
        if node.test is not None:
            node.test = nodes.And(turn, node.test, lineno=node.lineno)
        node.body.insert(0, nodes.ExprStmt(turn, lineno=node.lineno))
        return node

    def visit_Concat(self, node: nodes.Concat) -> nodes.Node:  # noqa: N802 - Jinja's visitors
        self.generic_visit(node)
        if node.find(nodes.Name) is None:
            # Jinja joins constants while it compiles, and then escapes otherwise than at run time
            return node
        return _filter(".concatenate", nodes.Tuple(node.nodes, "load", lineno=node.lineno))

    def visit_Compare(self, node: nodes.Compare) -> nodes.Node:  # noqa: N802 - Jinja's visitors
        self.generic_visit(node)
        [operand, *further] = node.ops
        if further or operand.op not in {"in", "notin"}:
            return node
        found = _filter(".in", node.expr, operand.expr)
        return found if operand.op == "in" else nodes.Not(found, lineno=node.lineno)

    def visit_Getitem(self, node: nodes.Getitem) -> nodes.Node:  # noqa: N802 - Jinja's visitors
        self.generic_visit(node)
        if not isinstance(node.arg, nodes.Slice) or node.find(nodes.Name) is None:
            # a slice of constants is one, and what Jinja makes of a wrong one is nothing, not an error
            return node
        none = nodes.Const(None, lineno=node.lineno)
        bounds = (node.arg.start, node.arg.stop, node.arg.step)
        return _filter(".slice", node.node, *(bound or none for bound in bounds))
