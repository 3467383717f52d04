"""Right answers made wrong in one place: what each test of a judge runs through."""

from collections.abc import Callable, Sequence

import pytest

from lorax_contracts.exchange import Exchange

__all__ = ["Case", "each_case"]

Case = tuple[str, str, Callable[[], Exchange]]
"""The law that is broken, how, and the exchange that breaks it."""


def each_case(cases: Sequence[Case]) -> pytest.MarkDecorator:
    """Parametrizes a test that takes `law`, `what` and `broken`."""
    names = [f"{law}-{what}" for law, what, _ in cases]
    return pytest.mark.parametrize(("law", "what", "broken"), cases, ids=names)
