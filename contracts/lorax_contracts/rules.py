"""The registry of rules: which function reports which law broken.

A rule is a function that reports laws by id: it reads one exchange (`judge/`), compares several
(`relations`), or sends a request made for it (`probes/`). `@rule` enters it here and gives it back as
it is. A step of the plan names its rules, so that it claims a law only where a rule for it is.

    @rule("OAI-STOP-001")
    def judge_stops(exchange, choice, report): ...

    Step("stop strings", chat.probe_stops, 9, (content.judge_stops, relations.cut_by_stop))

What a private function of a module reports is entered by the public ones that call it.
"""

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

__all__ = ["Rule", "registered", "rule", "rules_of", "shown_by"]

Rule = Callable[..., Any]
"""A function that reports laws."""

_Function = TypeVar("_Function", bound=Rule)
_LAWS: dict[Rule, frozenset[str]] = {}


def rule(law: str, *more: str) -> Callable[[_Function], _Function]:
    """A decorator that enters a function as the one that reports these laws, by id."""

    def enter(function: _Function) -> _Function:
        _LAWS[function] = frozenset({law, *more})
        return function

    return enter


def shown_by(*rules: Rule) -> frozenset[str]:
    """Ids of the laws that these rules report.

    Raises:
        LookupError: one of them was never entered.
    """
    for one in rules:
        if one not in _LAWS:
            raise LookupError(f"{one.__module__}.{one.__qualname__} has no @rule")
    return frozenset().union(*(_LAWS[one] for one in rules))


def rules_of(law: str) -> frozenset[Rule]:
    """The rules that report this law, of the modules imported so far."""
    return frozenset(one for one, laws in _LAWS.items() if law in laws)


def registered() -> Mapping[Rule, frozenset[str]]:
    """Each rule of the modules imported so far, and ids of the laws that it reports."""
    return dict(_LAWS)
