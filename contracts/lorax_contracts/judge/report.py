"""Where rules put what they find."""

import json
import re
from typing import Any

from lorax_contracts.errors import printable
from lorax_contracts.exchange import Exchange, Finding

__all__ = ["Report", "kind_of", "shown"]

_SHOWN = 200


def shown(value: Any) -> str:
    """A JSON value, text or bytes on one line, cut in the middle when it is long."""
    if isinstance(value, bytes):
        line = value.decode("utf-8", "backslashreplace")
    elif isinstance(value, str):
        line = json.dumps(value, ensure_ascii=False)
    else:
        line = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    if len(line) > _SHOWN:
        line = f"{line[: _SHOWN * 2 // 3]} ... {line[-_SHOWN // 3 :]}"
    return printable(line)


def kind_of(message: str) -> str:
    """A message without its numbers, its quoted texts and where they were cut: what two say alike."""
    return re.sub(r'"(?:[^"\\]|\\.)*"|"[^"]*\.\.\.|\.\.\.|-?\d+', "", message)


class Report:
    """Collects findings about one exchange, the first of each kind for each law."""

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange
        self._found: dict[tuple[str, str], Finding] = {}

    def add(self, law: str, message: str, *, at: str = "", seen: Any = None) -> None:
        """Reports that `law` is broken; later reports of the same law and kind are dropped.

        Args:
            law: id of the law.
            message: what is wrong, in one line.
            at: where, as in `Finding.at`.
            seen: the offending part, as bytes, text or JSON; None shows nothing.
        """
        key = law, kind_of(message)
        if key not in self._found:
            self._found[key] = Finding(
                law=law,
                message=message,
                at=at,
                seen="" if seen is None else shown(seen),
                exchange=self._exchange,
            )

    def has(self, law: str) -> bool:
        """Whether that law was reported already."""
        return any(found == law for found, _ in self._found)

    @property
    def findings(self) -> list[Finding]:
        """What was found, in order of discovery."""
        return list(self._found.values())
