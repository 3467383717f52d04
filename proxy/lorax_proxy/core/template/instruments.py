"""Rewrites a template's syntax tree, so that loops, `~` and slices charge the meter before they run.

Loops, `~`, slices, comparisons, dictionary keys and literal text never pass the sandbox. They are
rewritten into filters whose names start with a dot, which no template can spell in front of its
arguments and which do exactly the same after paying the meter (`core.template.budget`). Jinja must
not fold them while it compiles, hence `pass_context` on each.
"""

import operator
from collections.abc import Callable, Iterator
from typing import Any

from jinja2 import Environment, nodes, pass_context
from jinja2.runtime import Context, markup_join, str_join
from jinja2.visitor import NodeTransformer

from lorax_proxy.core.template.budget import active_meter
from lorax_proxy.core.template.costs import charge_compare

__all__ = ["INSTRUMENTS", "instrument"]

_COMPARISONS: dict[str, Callable[[Any, Any], Any]] = {
    "eq": operator.eq,
    "ne": operator.ne,
    "lt": operator.lt,
    "lteq": operator.le,
    "gt": operator.gt,
    "gteq": operator.ge,
    "in": lambda left, right: left in right,
    "notin": lambda left, right: left not in right,
}


@pass_context
def _pay(_: Context, size: int, steps: int) -> bool:
    meter = active_meter()
    meter.step(abs(steps))
    meter.spend(abs(size))
    return True


@pass_context
def _concatenate(context: Context, values: tuple[Any, ...]) -> str:
    meter = active_meter()
    meter.spend(sum(map(meter.weigh, values)))
    return markup_join(values) if context.eval_ctx.autoescape else str_join(values)


@pass_context
def _compare(_: Context, left: Any, symbol: str, right: Any) -> Any:
    charge_compare(active_meter(), symbol, left, right)
    return _COMPARISONS[symbol](left, right)


@pass_context
def _weighed(_: Context, value: Any) -> Any:
    meter = active_meter()
    meter.spend(meter.weigh(value))
    return value


@pass_context
def _slice(_: Context, value: Any, *bounds: Any) -> Any:
    result = value[slice(*bounds)]
    if isinstance(result, str | list | tuple):
        active_meter().spend(len(result))
    return result


INSTRUMENTS: dict[str, Callable[..., Any]] = {
    ".pay": _pay,
    ".concatenate": _concatenate,
    ".compare": _compare,
    ".weighed": _weighed,
    ".slice": _slice,
}
"""The filters that the rewritten tree calls, by name."""


def _instrument(name: str, subject: nodes.Expr, *args: nodes.Expr) -> nodes.Filter:
    return nodes.Filter(subject, name, list(args), [], None, None, lineno=subject.lineno)


def _payment(size: int, steps: int, line: int) -> nodes.Filter:
    """An expression that pays and is true."""
    literal, price = nodes.Const(size, lineno=line), nodes.Const(steps, lineno=line)
    return _instrument(".pay", literal, price)


class _Instrumentation(NodeTransformer):
    """Puts a payment before everything that Jinja would compile to plain Python."""

    def generic_visit(self, node: nodes.Node, *args: Any, **kwargs: Any) -> nodes.Node:
        super().generic_visit(node, *args, **kwargs)
        # Not `elif_`: its members are no statements in a row but tests with bodies of their own.
        for field in ("body", "else_"):
            statements = getattr(node, field, None)
            if not isinstance(statements, list) or (field == "else_" and not statements):
                continue
            size = sum(_literal_size(s) for s in statements if isinstance(s, nodes.Output))
            # A literal of ten thousand members is built anew each time: length counts.
            steps = 1 + sum(map(_expression_size, statements)) // 16
            statements.insert(
                0, nodes.ExprStmt(_payment(size, steps, node.lineno), lineno=node.lineno)
            )
        return node

    def visit_For(self, node: nodes.For) -> nodes.Node:  # noqa: N802 - Jinja's visitors
        self.generic_visit(node)
        if node.test is not None:
            paid = _payment(0, 1 + _expression_size(node.test) // 16, node.lineno)
            node.test = nodes.And(paid, node.test, lineno=node.lineno)
        return node

    def visit_Concat(self, node: nodes.Concat) -> nodes.Node:  # noqa: N802 - Jinja's visitors
        self.generic_visit(node)
        if node.find(nodes.Name) is None:
            # Jinja joins constants while it compiles, and then escapes otherwise than at run time;
            # their length is bounded by the source's.
            return node
        return _instrument(".concatenate", nodes.Tuple(node.nodes, "load", lineno=node.lineno))

    def visit_Compare(self, node: nodes.Compare) -> nodes.Node:  # noqa: N802 - Jinja's visitors
        self.generic_visit(node)
        if len(node.ops) > 1:
            node.expr = _instrument(".weighed", node.expr)
            for operand in node.ops:
                operand.expr = _instrument(".weighed", operand.expr)
            return node
        operand = node.ops[0]
        searches = operand.op in {"in", "notin"}
        if not searches and nodes.Const in {type(node.expr), type(operand.expr)}:
            return node
        symbol = nodes.Const(operand.op, lineno=node.lineno)
        return _instrument(".compare", node.expr, symbol, operand.expr)

    def visit_Getitem(self, node: nodes.Getitem) -> nodes.Node:  # noqa: N802 - Jinja's visitors
        self.generic_visit(node)
        if isinstance(node.arg, nodes.Slice):
            none = nodes.Const(None, lineno=node.lineno)
            bounds = (node.arg.start, node.arg.stop, node.arg.step)
            return _instrument(".slice", node.node, *(bound or none for bound in bounds))
        if not isinstance(node.arg, nodes.Const):
            node.arg = _instrument(".weighed", node.arg)
        return node

    def visit_Pair(self, node: nodes.Pair) -> nodes.Node:  # noqa: N802 - Jinja's visitors
        self.generic_visit(node)
        if not isinstance(node.key, nodes.Const):
            node.key = _instrument(".weighed", node.key)
        return node


def _expression_size(node: nodes.Node) -> int:
    """How many nodes `node` has, without those of statements inside it, which pay for themselves."""
    size, pending = 0, [node]
    while pending:
        size += 1
        children = pending.pop().iter_child_nodes()
        pending.extend(child for child in children if not isinstance(child, nodes.Stmt))
    return size


def _literal_size(output: nodes.Output) -> int:
    literals: Iterator[Any] = (
        child.data if isinstance(child, nodes.TemplateData) else child.value
        for child in output.nodes
        if isinstance(child, nodes.TemplateData | nodes.Const)
    )
    return sum(len(value) if isinstance(value, str) else 8 for value in literals)


def instrument(tree: nodes.Template, environment: Environment) -> nodes.Template:
    """Rewrite `tree`, in place, so that its rendering pays the active meter."""
    _Instrumentation().visit(tree)
    tree.set_environment(environment)
    return tree
