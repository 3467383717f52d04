"""One run against one server: asks, judges what comes, and keeps the smallest proof of each law."""

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Protocol, TypeVar

from lorax_contracts.exchange import Exchange, Finding
from lorax_contracts.judge import judge
from lorax_contracts.judge.report import shown
from lorax_contracts.laws import Promise, law, laws_of

__all__ = ["Asker", "Session", "Skipped"]

_T = TypeVar("_T")
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
    """A group of laws that could not be judged, and why.

    Attributes:
        laws: ids of the laws; empty when the group is a part of what some laws are judged by.
    """

    group: str
    why: str
    laws: frozenset[str] = frozenset()


class Session:
    """Holds what was found so far.

    Attributes:
        progress: called after every reply, for a progress bar.
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
        only: str | None = None,
    ) -> None:
        """Nothing is asked yet.

        Args:
            asker: the client.
            wire: `openai` or `lorax`, the laws that hold.
            model: what OpenAI's `model` or LoRAX's `adapter_id` is set to.
            strict: judge our own, stricter promises too.
            only: keep findings of this law alone.
        """
        self._asker = asker
        self.wire = wire
        self.model = model
        self.strict = strict
        self.only = only
        self.progress: Callable[[], None] = lambda: None
        self.begun = False
        self.skipped: list[Skipped] = []
        self._found: dict[str, Finding] = {}
        self._once: dict[Callable[[Session], Any], Any] = {}

    @property
    def findings(self) -> list[Finding]:
        """One finding a law, in order of discovery."""
        return list(self._found.values())

    def wants(self, law_id: str) -> bool:
        """Whether findings of that law are kept."""
        if self.only is not None:
            return law_id == self.only
        return self.strict or law(law_id).promise is not Promise.OURS

    def once(self, ask: Callable[["Session"], _T]) -> _T:
        """What `ask` gives, asked for at the first call: several probes build on it."""
        if ask not in self._once:
            self._once[ask] = ask(self)
        found: _T = self._once[ask]
        return found

    def found(self, finding: Finding) -> None:
        """Keeps a finding, unless the same law has been shown by a smaller request."""
        if not self.wants(finding.law):
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
        seen = f"{exchange.status or 'no reply'} {shown(exchange.body[:160])}".strip()
        self.found(Finding(law=law_id, message=message, seen=seen, exchange=exchange))

    def skip(self, group: str, why: str, *families: str) -> None:
        """Notes that a group was not judged, and which laws or families of laws with it."""
        self.skipped.append(Skipped(group, why, laws_of(*families)))

    def forward(self, method: str, path: str, request: Any = None, **how: Any) -> Exchange:
        """Asks and does not judge."""
        exchange = self._asker.ask(method, path, request, **how)
        self.progress()
        return exchange

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
        exchange = self.forward(method, path, request, text=text, headers=headers)
        for finding in judge(exchange, kind=self.wire, strict=True):
            kept = finding
            if envelope is not None and finding.law in _ENVELOPE:
                kept = replace(finding, law=envelope)
            self.found(kept)
        if exchange.status == 0:
            unread = "LORAX-HTTP-006" if self.wire == "lorax" else "OAI-HTTP-004"
            why = exchange.trouble or exchange.end.value
            self.break_law(unread, f"no reply came ({why})", exchange)
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
