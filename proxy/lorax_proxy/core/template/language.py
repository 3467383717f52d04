"""The Jinja that chat templates are written in: Hugging Face's dialect, sandboxed.

The dialect is what `transformers` gives a template (`utils/chat_template_utils.py`): an immutable
sandbox, blocks trimmed on both sides, `break` and `continue`, the globals `raise_exception`,
`namespace` and a `dict` that hides its type, a `tojson` that writes plain JSON,
and `{% generation %}` around what the assistant wrote.

Not there on purpose: `lipsum` and `random`. Equal inputs give equal prompts.
"""

import json
from collections.abc import Callable
from typing import Any, NoReturn, cast

from jinja2 import nodes
from jinja2.exceptions import SecurityError, TemplateError
from jinja2.ext import Extension, LoopControlExtension
from jinja2.parser import Parser
from jinja2.runtime import LoopContext, Macro
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.utils import Namespace

__all__ = ["PlainEnvironment", "RaisedByTemplate"]


class RaisedByTemplate(TemplateError):
    """The template called `raise_exception`: it refuses the messages it was given."""


def _raise_exception(message: Any) -> NoReturn:
    raise RaisedByTemplate(str(message))


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


class _TemplateDict:
    """`dict` as templates see it: a call and `fromkeys`, and no type to climb from."""

    def __call__(self, *args: Any, **kwargs: Any) -> dict[Any, Any]:
        return dict(*args, **kwargs)

    def fromkeys(self, *args: Any, **kwargs: Any) -> dict[Any, Any]:
        return dict.fromkeys(*args, **kwargs)


class _TemplateNamespace(Namespace):
    """`namespace` that stores no underscore names, as `transformers` has it."""

    # Without a parameter called `self`, so that `namespace(self=1)` works.
    def __init__(*args: Any, **kwargs: Any) -> None:
        self, rest = args[0], args[1:]
        values = dict(*rest, **kwargs)
        for name in values:
            _check_attribute(name)
        Namespace.__init__(self, values)
        object.__setattr__(self, "values", values)

    def __setitem__(self, name: str, value: Any) -> None:
        _check_attribute(name)
        object.__getattribute__(self, "values")[name] = value
        super().__setitem__(name, value)


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


class PlainEnvironment(ImmutableSandboxedEnvironment):
    """Hugging Face's dialect."""

    def __init__(self, **options: Any) -> None:
        super().__init__(
            trim_blocks=True,
            lstrip_blocks=True,
            extensions=[_Generation, LoopControlExtension],
            **options,
        )
        names = cast("dict[str, Any]", self.globals)
        names["raise_exception"] = _raise_exception
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
        kind = type(obj)
        if kind is dict and attribute not in _METHODS:
            if attribute in obj:
                return obj[attribute]
            return self.undefined(obj=obj, name=attribute)
        if (kind is str and attribute in _HARMLESS) or (
            kind is LoopContext and attribute in _OF_LOOPS
        ):
            return getattr(obj, attribute)
        return super().getattr(obj, attribute)


_METHODS = frozenset(dir(dict))
_OF_LOOPS = frozenset({"first", "index", "index0", "last", "length"})
_HARMLESS = frozenset(name for name in dir(str) if name[0] != "_") - {"format", "format_map"}
"""Methods of texts that no template can reach anything else by; the two can, and are wrapped."""
