"""The Jinja that chat templates are written in: Hugging Face's dialect, sandboxed and metered.

The dialect is what `transformers` gives a template (`utils/chat_template_utils.py`): an immutable
sandbox, blocks trimmed on both sides, `break` and `continue`, the globals `raise_exception`,
`strftime_now`, `namespace` and a `dict` that hides its type, a `tojson` that writes plain JSON,
and `{% generation %}` around what the assistant wrote.

How the meter (`core.template.budget`) gets to see everything that can grow:

- operators and calls pass the sandbox, which asks the environment;
- filters and tests are wrapped;
- what Jinja compiles to plain Python is rewritten in the syntax tree
  (`core.template.instruments`);
- printed values pass `finalize`.

Not there on purpose: `lipsum` and `random`. Equal inputs give equal prompts.
"""

import json
from collections.abc import Callable
from functools import wraps
from types import BuiltinMethodType, GeneratorType, MethodType
from typing import Any, NoReturn, cast

from jinja2 import Environment, nodes
from jinja2.exceptions import SecurityError, TemplateError
from jinja2.ext import Extension, LoopControlExtension
from jinja2.parser import Parser
from jinja2.runtime import Context, Macro
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.utils import Namespace

from lorax_proxy.core.template.budget import Weighable, active_meter
from lorax_proxy.core.template.costs import (
    charge_binary,
    charge_compare,
    charge_filter,
    charge_format,
    charge_method,
)
from lorax_proxy.core.template.instruments import INSTRUMENTS

__all__ = ["PlainEnvironment", "RaisedByTemplate", "TemplateEnvironment"]


class RaisedByTemplate(TemplateError):
    """The template called `raise_exception`: it refuses the messages it was given."""


def _raise_exception(message: Any) -> NoReturn:
    meter = active_meter()
    meter.spend(meter.weigh(message))
    raise RaisedByTemplate(str(message))


def _strftime_now(format: str) -> str:  # noqa: A002 - templates may name the argument
    meter = active_meter()
    # The C library may answer a directive with 256 characters for each of the format's.
    meter.spend(256 * len(format))
    return meter.now.strftime(format)


def _tojson(
    value: Any,
    ensure_ascii: bool = False,  # noqa: FBT001, FBT002 - the order of Hugging Face's filter
    indent: int | str | None = None,
    separators: tuple[str, str] | None = None,
    sort_keys: bool = False,  # noqa: FBT001, FBT002
) -> str:
    return json.dumps(
        value,
        ensure_ascii=ensure_ascii,
        indent=indent,
        separators=separators,
        sort_keys=sort_keys,
    )


def _unavailable(name: str) -> Callable[..., NoReturn]:
    def refuse(*_: Any, **__: Any) -> NoReturn:
        raise SecurityError(f"{name} gives a different prompt each time and is not available")

    return refuse


def _weigh_all(values: tuple[Any, ...]) -> None:
    meter = active_meter()
    meter.spend(sum(map(meter.weigh, values)))


class _TemplateDict:
    """`dict` as templates see it: a call and `fromkeys`, and no type to climb from."""

    def __call__(self, *args: Any, **kwargs: Any) -> dict[Any, Any]:
        _weigh_all(args)
        return dict(*args, **kwargs)

    def fromkeys(self, *args: Any, **kwargs: Any) -> dict[Any, Any]:
        _weigh_all(args)
        return dict.fromkeys(*args, **kwargs)


class _TemplateNamespace(Namespace, Weighable):
    """`namespace` that stores no underscore names, as `transformers` has it, and can be weighed."""

    # Without a parameter called `self`, so that `namespace(self=1)` works.
    def __init__(*args: Any, **kwargs: Any) -> None:
        self, rest = args[0], args[1:]
        _weigh_all(rest)
        values = dict(*rest, **kwargs)
        for name in values:
            _check_attribute(name)
        Namespace.__init__(self, values)
        object.__setattr__(self, "values", values)

    def __setitem__(self, name: str, value: Any) -> None:
        _check_attribute(name)
        object.__getattribute__(self, "values")[name] = value
        super().__setitem__(name, value)

    def members(self) -> list[Any]:
        """The attributes' values, and their names."""
        return [object.__getattribute__(self, "values")]

    def __repr__(self) -> str:
        meter = active_meter()
        meter.spend(meter.weigh(self))
        return super().__repr__()


def _check_attribute(name: Any) -> None:
    if isinstance(name, str) and name.startswith("_"):
        raise SecurityError(f"a namespace cannot have the attribute {name!r}: leave the _ out")


class _Generation(Extension):
    """`{% generation %}`: marks what the assistant wrote. Prompts need the text alone."""

    tags = {"generation"}  # noqa: RUF012 - Jinja declares it as an instance's set

    def parse(self, parser: Parser) -> nodes.Node:
        line = next(parser.stream).lineno
        body = parser.parse_statements(("name:endgeneration",), drop_needle=True)
        call = self.call_method("_written")
        return nodes.CallBlock(call, [], [], body).set_lineno(line)

    def _written(self, caller: Macro) -> str:
        text: str = caller()
        return text


# A call is as slow as some ten other steps.
_CALL = 10


class PlainEnvironment(ImmutableSandboxedEnvironment):
    """Hugging Face's dialect, for inputs so small that nothing need be counted."""

    def __init__(self, **options: Any) -> None:
        super().__init__(
            trim_blocks=True,
            lstrip_blocks=True,
            extensions=[_Generation, LoopControlExtension],
            **options,
        )
        names = cast("dict[str, Any]", self.globals)
        names["raise_exception"] = _raise_exception
        names["strftime_now"] = _strftime_now
        names["dict"] = _TemplateDict()
        names["namespace"] = _TemplateNamespace
        names["lipsum"] = _unavailable("lipsum")
        self.filters["tojson"] = _tojson
        self.filters["random"] = _unavailable("random")

    def getattr(self, obj: Any, attribute: str) -> Any:
        """An attribute, or a member of that name: `message.role` is nearly always a member.

        Jinja tries the attribute first, whose absence is an exception, and the sandbox asks of each
        method of a text whether it is safe: 1 us for each.
        """
        if type(obj) is dict and attribute in obj and attribute not in _METHODS:
            return obj[attribute]
        if type(obj) is str and attribute in _HARMLESS:
            return getattr(obj, attribute)
        return super().getattr(obj, attribute)


_METHODS = frozenset(dir(dict))
_HARMLESS = frozenset(name for name in dir(str) if name[0] != "_") - {"format", "format_map"}
"""Methods of texts that no template can reach anything else by; the two can, and are wrapped."""


class TemplateEnvironment(PlainEnvironment):
    """The same, every operation of which pays the active meter first."""

    intercepted_binops = frozenset({"+", "-", "*", "/", "//", "**", "%"})

    def __init__(self) -> None:
        super().__init__(finalize=_finalize)
        for name, function in list(self.filters.items()):
            self.filters[name] = _metered_filter(name, function)
        for name, function in list(self.tests.items()):
            if name in _PRICED_TESTS:
                self.tests[name] = _metered_test(name, cast("Callable[..., Any]", function))
        self.filters |= INSTRUMENTS

    def call(
        __self,  # noqa: N805 - a template may pass any keyword, `self` included
        __context: Context,  # noqa: PYI063 - Jinja's own signature
        __callee: Any,
        *args: Any,
        **kwargs: Any,
    ) -> Any:
        """Every call in a template."""
        meter = active_meter()
        meter.step(_CALL + len(args) + len(kwargs))
        if isinstance(__callee, BuiltinMethodType | MethodType):
            values = list(args)
            charge_method(meter, __callee.__self__, __callee.__name__, values, kwargs)
            return super().call(__context, __callee, *values, **kwargs)
        return super().call(__context, __callee, *args, **kwargs)

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        """Every arithmetic operator in a template."""
        charge_binary(active_meter(), operator, left, right)
        return super().call_binop(context, operator, left, right)

    def wrap_str_format(self, value: Any) -> Callable[..., str] | None:
        """`str.format` and `str.format_map`, sandboxed and paid for; None for any other value."""
        inner = super().wrap_str_format(value)
        if inner is None:
            return None

        @wraps(inner)
        def metered(*args: Any, **kwargs: Any) -> str:
            charge_format(active_meter(), value.__self__, [*args, *kwargs.values()])
            return inner(*args, **kwargs)

        return metered


def _finalize(value: Any) -> Any:
    meter = active_meter()
    meter.spend(meter.weigh(value))
    return value


def _metered_filter(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(function)
    def metered(*args: Any, **kwargs: Any) -> Any:
        meter = active_meter()
        values = list(args)
        passed: list[Any] = []
        if values and isinstance(values[0], Context | nodes.EvalContext | Environment):
            passed.append(values.pop(0))
        charge_filter(meter, name, values, kwargs)
        result = function(*passed, *values, **kwargs)
        if not isinstance(result, GeneratorType):
            return result
        return meter.paced(result, values[0] if values else None)

    return metered


# The tests that look inside what they are given.
_PRICED_TESTS = frozenset(
    {"lower", "upper", "in", "eq", "equalto", "==", "ne", "!=", "lt", "lessthan", "<", "le", "<="}
    | {"gt", "greaterthan", ">", "ge", ">="}
)


def _metered_test(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(function)
    def metered(value: Any, *args: Any) -> Any:
        meter = active_meter()
        meter.step()
        if args:
            charge_compare(meter, "in" if name == "in" else "eq", value, args[0])
        else:
            meter.spend(meter.weigh(value))
        return function(value, *args)

    return metered
