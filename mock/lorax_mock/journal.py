"""What came and what left, kept for assertions."""

from collections import deque
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec

from lorax_mock.errors import FatalRequest, LoraxRefusal, Refusal
from lorax_mock.wire import Generated, GenerateRequest

__all__ = ["Entry", "Journal"]

_LIMIT: Final = 10_000
"""Entries kept; a load test must not fill the memory."""


@dataclass(slots=True)
class Entry:
    """One request and its fate."""

    number: int
    path: str
    request: GenerateRequest
    outcome: str = "open"
    status: int = 200
    error_type: str | None = None
    tokens: int = 0
    notes: list[str] = field(default_factory=list)

    def answered(self, sequence: Generated) -> None:
        """The answer left whole."""
        self.outcome = sequence.finish_reason.value
        self.tokens = len(sequence.tokens)

    def left(self, tokens: int) -> None:
        """The client hung up after that many tokens."""
        self.outcome = "client_left"
        self.tokens = tokens

    def refused(self, refusal: Refusal) -> None:
        """The answer was a refusal."""
        self.outcome = "refused"
        match refusal:
            case LoraxRefusal(status=status, error_type=error_type):
                self.status, self.error_type = status, error_type
            case FatalRequest(reason=reason, source=source):
                self.status, self.error_type = 500, "mock_refusal"
                self.notes.append(f"would end a real LoRAX: {reason} ({source})")
            case _:
                pass

    def shown(self) -> dict[str, Any]:
        """The entry as JSON shows it."""
        return {
            "number": self.number,
            "path": self.path,
            "inputs": self.request.inputs,
            "parameters": self.request.parameters,
            "outcome": self.outcome,
            "status": self.status,
            "error_type": self.error_type,
            "tokens": self.tokens,
            "notes": self.notes,
        }


class Journal:
    """The last entries, oldest first."""

    def __init__(self) -> None:
        self.entries: deque[Entry] = deque(maxlen=_LIMIT)
        self.notes: deque[str] = deque(maxlen=_LIMIT)
        self._number = 0

    def begin(self, path: str, request: GenerateRequest) -> Entry:
        """A request that was understood; its fate is written into the entry later."""
        self._number += 1
        entry = Entry(self._number, path, request)
        self.entries.append(entry)
        return entry

    @property
    def settled(self) -> bool:
        """Whether no request is still being answered."""
        return all(entry.outcome != "open" for entry in self.entries)

    def note(self, text: str) -> None:
        """A remark that belongs to no entry."""
        self.notes.append(text)

    def as_json(self) -> bytes:
        """All of it."""
        return msgspec.json.encode(
            {"entries": [entry.shown() for entry in self.entries], "notes": list(self.notes)}
        )
