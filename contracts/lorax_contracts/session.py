"""One run against one server: asks, judges what comes, and keeps the smallest proof of each law."""

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Protocol

from lorax_contracts.exchange import Exchange, Finding
from lorax_contracts.judge import judge
from lorax_contracts.laws import Promise, law

__all__ = ["Asker", "Session", "Skipped"]

_ENVELOPE = frozenset({"OAI-ERR-001", "OAI-ERR-002", "OAI-HTTP-001"})


class Asker(Protocol):
    """What a session needs of a client; `Client.ask` is one."""

    def ask(
        self,
        method: str,
        path: str,
        request: Any = None,
        *,
        text: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Exchange:
        """Sends one request and reads its reply."""
        ...


@dataclass(frozen=True, slots=True)
class Skipped:
    """A group of laws that could not be judged, and why."""

    group: str
    why: str


class Session:
    """Holds what was found so far.

    Attributes:
        begun: whether the server has shown that there is something to judge.
        skipped: what was not judged, and why.
    """

    def __init__(
        self,
        asker: Asker,
        *,
        wire: str,
        model: str = "",
        strict: bool = False,
        tell: Callable[[str], None] = lambda _: None,
    ) -> None:
        """Nothing is asked yet.

        Args:
            asker: the client.
            wire: `openai` or `lorax`, the laws that hold.
            model: what OpenAI's `model` or LoRAX's `adapter_id` is set to.
            strict: judge our own, stricter promises too.
            tell: is told what is being looked at, for a progress bar.
        """
        self._asker = asker
        self.wire = wire
        self.model = model
        self.strict = strict
        self.tell = tell
        self.begun = False
        self.skipped: list[Skipped] = []
        self._found: dict[str, Finding] = {}

    @property
    def findings(self) -> list[Finding]:
        """One finding a law, in order of discovery."""
        return list(self._found.values())

    def found(self, finding: Finding) -> None:
        """Keeps a finding, unless the same law has been shown by a smaller request."""
        if law(finding.law).promise is Promise.OURS and not self.strict:
            return
        old = self._found.get(finding.law)
        if old is None or _size(finding) < _size(old):
            self._found[finding.law] = finding

    def add(self, findings: Iterable[Finding]) -> None:
        """Keeps each of them."""
        for finding in findings:
            self.found(finding)

    def compare(
        self, relation: Callable[..., list[Finding]], *exchanges: Exchange, **how: Any
    ) -> None:
        """Judges exchanges together, and once more when they disagree.

        Batching makes even greedy answers of real servers differ now and then: what does not show
        again, on the same requests asked anew, is not the server's promise broken but its nature.
        """
        first = relation(*exchanges, **how)
        if first:
            again = {one.law for one in relation(*map(self._repeat, exchanges), **how)}
            self.add(one for one in first if one.law in again)

    def _repeat(self, exchange: Exchange) -> Exchange:
        return self.ask(exchange.method, "/" + exchange.route.value, exchange.request)

    def break_law(self, law_id: str, message: str, exchange: Exchange) -> None:
        """Keeps a finding whose proof is the reply's beginning."""
        seen = exchange.body[:160].decode("utf-8", "backslashreplace").replace("\n", "\\n")
        shown = f"{exchange.status or 'no reply'} {seen}".strip()
        self.found(Finding(law=law_id, message=message, seen=shown, exchange=exchange))

    def skip(self, group: str, why: str) -> None:
        """Notes that a group of laws was not judged."""
        self.skipped.append(Skipped(group, why))

    def ask(
        self,
        method: str,
        path: str,
        request: Any = None,
        *,
        text: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        envelope: str | None = None,
    ) -> Exchange:
        """Asks and judges.

        Args:
            method: GET, POST, ...
            path: behind the server's prefix.
            request: sent as JSON.
            text: sent as it is, instead of `request`.
            headers: beyond the usual ones.
            envelope: the law under which a wrong error envelope is reported here.
        """
        exchange = self._asker.ask(method, path, request, text=text, headers=headers)
        for finding in judge(exchange, kind=self.wire, strict=self.strict):
            kept = finding
            if envelope is not None and finding.law in _ENVELOPE:
                kept = replace(finding, law=envelope)
            self.found(kept)
        if exchange.status == 0:
            unread = "LORAX-HTTP-006" if self.wire == "lorax" else "OAI-HTTP-004"
            self.break_law(unread, f"no reply came ({exchange.end.value})", exchange)
        return exchange

    def chat(self, text: str = "Hello!", /, **members: Any) -> Exchange:
        """A chat request with one user message, unless `messages` are given."""
        request: dict[str, Any] = {
            "model": self.model,
            "messages": [{"role": "user", "content": text}],
            **members,
        }
        return self.ask("POST", "/chat/completions", request)


def _size(finding: Finding) -> int:
    exchange = finding.exchange
    if exchange is None:
        return 0
    if exchange.request_text is not None:
        return len(exchange.request_text)
    return len(json.dumps(exchange.request))
