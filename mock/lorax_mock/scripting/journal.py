"""The journal of requests and answers, and what it tells about clients.

`manners` are what a client should not have done. That it took a cut stream for a whole answer cannot be seen
when it happens: the wire is silent then. It shows later, if the text comes back as a finished turn of a
conversation. Short of that there is `doubts`: a client went on and did not ask again, so it took the answer
for whole or gave it up, and only the second would be right.
"""

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec

from lorax_mock.errors import FatalRequest, LoraxRefusal, Refusal
from lorax_mock.wire.native import Generated, GenerateParameters, GenerateRequest

__all__ = ["Entry", "Journal", "doubts", "manners"]

_LIMIT: Final = 10_000
"""Entries kept; a load test must not fill the memory."""

_TELLING: Final = 12
"""Characters of a cut answer from which on it is no accident that a prompt has them, too."""

_CUTS: Final = 100
"""Cut answers of a session that prompts are looked through for."""

_SECRET: Final = frozenset({"api_token"})
"""Parameters that are in no journal: a page, a log or a failing test's output may be seen by others."""

_HIDDEN: Final = "(not shown)"


@dataclass(slots=True)
class Entry:
    """One request and its outcome."""

    number: int
    """From 1 on in its session."""

    path: str
    request: GenerateRequest
    stream: bool = False
    """Whether it is answered as a stream; the request alone does not say so on every route."""

    outcome: str = "open"
    status: int = 200
    error_type: str | None = None
    tokens: int = 0
    session: str = ""
    rule: str | None = None
    fault: str | None = None
    at: float = 0.0
    """Seconds on the server's own clock when it arrived."""

    retry_after: float | None = None
    """What the answer told the client to wait."""

    cut: str | None = None
    """The text that was sent of a stream without its final event; None if it was whole, or a refusal."""

    notes: list[str] = field(default_factory=list)
    serial: int = 0
    """From 1 on in the process: grows from entry to entry, whatever is forgotten."""

    def answered(self, sequence: Generated) -> None:
        """Record that the answer was sent whole."""
        self.outcome = sequence.finish_reason.value
        self.tokens = len(sequence.tokens)

    def left(self, tokens: int) -> None:
        """Record that the client hung up after that many tokens."""
        self.outcome = "client_left"
        self.tokens = tokens

    def refused(self, refusal: Refusal) -> None:
        """Record a refusal in place of the answer."""
        self.outcome = "refused"
        match refusal:
            case LoraxRefusal(status=status, error_type=error_type):
                self.status, self.error_type = status, error_type
            case FatalRequest(reason=reason, source=source):
                self.status, self.error_type = 500, "mock_refusal"
                self.notes.append(f"would end a real LoRAX: {reason} ({source})")
            case _:
                pass

    def line(self) -> str:
        """The entry in one line, for people who watch."""
        asked = self.request.parameters
        merged = () if asked.merged_adapters is None else asked.merged_adapters.ids
        ended = self.outcome if self.error_type is None else self.error_type
        more = [
            f"{name}={value!r}"
            for name, value in (("rule", self.rule), ("fault", self.fault))
            if value
        ]
        adapter = asked.adapter_id or "+".join(merged) or "-"
        return " ".join([str(self.status), self.path, adapter, f"{self.tokens} tok", ended, *more])

    def shown(self) -> dict[str, Any]:
        """The entry as JSON shows it: without the token for adapters, which others may look at."""
        return {
            "number": self.number,
            "path": self.path,
            "stream": self.stream,
            "inputs": self.request.inputs,
            "parameters": _shown(self.request.parameters),
            "outcome": self.outcome,
            "status": self.status,
            "error_type": self.error_type,
            "tokens": self.tokens,
            "session": self.session,
            "rule": self.rule,
            "fault": self.fault,
            "cut": self.cut,
            "notes": self.notes,
        }


class Journal:
    """The last entries, oldest first."""

    def __init__(self) -> None:
        self.entries: deque[Entry] = deque(maxlen=_LIMIT)
        self.notes: deque[str] = deque(maxlen=_LIMIT)
        self._serial = 0
        self._numbers: dict[str, int] = {}

    def begin(
        self,
        path: str,
        request: GenerateRequest,
        *,
        stream: bool = False,
        session: str = "",
        at: float = 0.0,
    ) -> Entry:
        """A new entry for a request that was understood; its outcome is recorded later."""
        self._serial += 1
        number = self._numbers[session] = self._numbers.get(session, 0) + 1
        entry = Entry(
            number, path, request, stream=stream, session=session, at=at, serial=self._serial
        )
        self.entries.append(entry)
        return entry

    @property
    def settled(self) -> bool:
        """Whether no request is still being answered."""
        return all(entry.outcome != "open" for entry in self.entries)

    def note(self, text: str) -> None:
        """Keep a remark that belongs to no entry."""
        self.notes.append(text)

    def clear(self, session: str = "") -> None:
        """Forget a session's entries, or everything."""
        kept = [entry for entry in self.entries if session and entry.session != session]
        self.entries.clear()
        self.entries.extend(kept)
        if session:
            self._numbers.pop(session, None)
        else:
            self._numbers.clear()
            self.notes.clear()

    def as_json(self, session: str = "") -> bytes:
        """All of it, or a session's part, with a verdict on the client's manners."""
        entries = [entry for entry in self.entries if not session or entry.session == session]
        return msgspec.json.encode(
            {
                "entries": [entry.shown() for entry in entries],
                "manners": manners(entries),
                "doubts": doubts(entries),
                "notes": list(self.notes),
            }
        )


def manners(entries: Iterable[Entry]) -> list[str]:
    """What a client should not have done, in words.

    A repetition is the same request on the same path: after a refusal that will not change (4xx but
    408 and 429), or earlier than it was told to wait. A cut answer that comes back in a later prompt of the
    session with more behind it was taken for whole; with nothing behind it, it is being continued.
    """
    cuts: dict[str, deque[Entry]] = {}
    last: dict[tuple[str, str, bytes], Entry] = {}
    out: list[str] = []
    for entry in entries:
        key = (entry.session, entry.path, _hashable(entry.request))
        before = last.get(key)
        if before is not None:
            if before.status in (400, 404, 422, 424):
                out.append(f"{entry.number} repeats {before.number}, refused with {before.status}")
            if before.retry_after is not None and entry.at - before.at < before.retry_after:
                waited = entry.at - before.at
                out.append(
                    f"{entry.number} repeats {before.number} after {waited:.3f} s, told to wait "
                    f"{before.retry_after:g} s"
                )
        last[key] = entry
        out += [
            f"{entry.number} goes on from the text of {cut.number}, which was cut off"
            for cut in cuts.get(entry.session, ())
            if cut.cut is not None and _finished(cut.cut, cut.request.inputs, entry.request.inputs)
        ]
        if entry.cut is not None and len(entry.cut.strip()) >= _TELLING:
            cuts.setdefault(entry.session, deque(maxlen=_CUTS)).append(entry)
    return out


def _finished(text: str, asked: str, prompt: str) -> bool:
    """Whether a prompt has that text as something that was finished."""
    text = text.strip()
    return text not in asked and text in prompt and not prompt.rstrip().endswith(text)


def doubts(entries: Iterable[Entry]) -> list[str]:
    """What clients may have done wrong and the wire does not tell, in words.

    A stream was cut off, and its session went on without asking for that prompt again.
    """
    open_cuts: dict[str, dict[str, Entry]] = {}
    following: dict[tuple[str, int], int] = {}
    for entry in entries:
        cuts = open_cuts.setdefault(entry.session, {})
        cut = cuts.pop(entry.request.inputs, None)
        if cut is not None:
            following.pop((cut.session, cut.number), None)
        for other in cuts.values():
            following.setdefault((other.session, other.number), entry.number)
        if entry.cut is not None:
            cuts[entry.request.inputs] = entry
    return [
        f"{number} was cut off and {after} went on without asking again: the client gave it up, "
        "or took it for whole"
        for (_, number), after in sorted(following.items())
    ]


def _shown(parameters: GenerateParameters) -> dict[str, Any]:
    """The parameters that were given another value than they have by themselves, secrets replaced."""
    plain = GenerateParameters()
    values = ((name, getattr(parameters, name)) for name in parameters.__struct_fields__)
    return {
        name: _HIDDEN if name in _SECRET else value
        for name, value in values
        if value != getattr(plain, name)
    }


def _hashable(request: GenerateRequest) -> bytes:
    """A request's identity; a schema in it is a mapping, which has none."""
    return msgspec.json.encode(request)
