"""One run against one server: asks, judges what comes, and keeps the smallest proof of each law."""

import json
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol, TypeVar

from lorax_contracts.curl import WRONG_KEY
from lorax_contracts.exchange import End, Exchange, Finding, Route
from lorax_contracts.judge import judged, silenced, told
from lorax_contracts.judge.identity import timed
from lorax_contracts.judge.openai import ENVELOPE, request_misfits
from lorax_contracts.judge.report import kind_of, shown
from lorax_contracts.laws import Promise, law
from lorax_contracts.rules import Rule, rule, rules_of, shown_by

__all__ = ["SEED", "Asker", "Session", "Skipped"]

_T = TypeVar("_T")
# A reply that is sampled repeats with its seed alone.
_VARIES = ("/completions",)
_NO_KEYS = frozenset({"", f"Bearer {WRONG_KEY}"})
SEED = 7
"""The seed of every request that a probe makes."""


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
    """What could not be judged, and why.

    Attributes:
        group: what it has in common: a route, a kind of request, a broken law.
        laws: ids of the laws that nothing else showed either.
    """

    group: str
    why: str
    laws: frozenset[str] = frozenset()


class Session:
    """Holds what was found so far.

    Attributes:
        keyed: whether requests carry a key.
        context: the model's context in tokens, where the user said it.
        progress: called after every reply, for a progress bar.
        turn: called before a stream in which a second is to turn, to wait for the right moment.
        begun: whether the server has shown that there is something to judge.
    """

    def __init__(
        self,
        asker: Asker,
        *,
        wire: str,
        model: str = "",
        strict: bool = False,
        only: str | None = None,
        without: Collection[str] = (),
    ) -> None:
        """Nothing is asked yet.

        Args:
            asker: the client.
            wire: `openai` or `lorax`, the laws that hold.
            model: what OpenAI's `model` or LoRAX's `adapter_id` is set to.
            strict: judge our own, stricter promises too.
            only: tell findings of this law alone.
            without: ids of laws whose findings are not told; they explain others all the same.
        """
        self._asker = asker
        self.keyed = False
        self.context: int | None = None
        self.wire = wire
        self.model = model
        self.strict = strict
        self.only = only
        self.without = frozenset(without)
        self.progress: Callable[[], None] = lambda: None
        self.turn: Callable[[], None] = lambda: None
        self.begun = False
        self._skipped: list[tuple[str, str, Sequence[Rule | str]]] = []
        self._silent: dict[str, set[str]] = {}
        self._found: dict[tuple[str, str], Finding] = {}
        self._elsewhere: list[tuple[Finding, str]] = []
        self._once: dict[Callable[[Session], Any], Any] = {}

    @property
    def findings(self) -> list[Finding]:
        """One finding for each wanted law and way to break it, in order of discovery.

        A wrong envelope counts under the law of its place only where errors are right elsewhere, and
        that law is not broken otherwise. What is not wanted explains it all the same.
        """
        found = dict(self._found)
        broken = {law_id for law_id, _ in found}
        for finding, law_id in self._elsewhere:
            if not {finding.law, law_id} & broken:
                placed = replace(finding, law=law_id)
                found.setdefault((law_id, kind_of(placed.message)), placed)
        return [finding for (law_id, _), finding in found.items() if self.wants(law_id)]

    @property
    def skipped(self) -> list[Skipped]:
        """What was not judged, and why: a law where each of its rules was left out, or was silent.

        A law is silent where another is broken that it takes for granted: that is neither kept nor
        broken.
        """
        rules = {one for _, _, left in self._skipped for one in left if not isinstance(one, str)}
        listed: list[Skipped] = []
        for group, why, left in self._skipped:
            named = frozenset(one for one in left if isinstance(one, str))
            shown = shown_by(*(one for one in left if not isinstance(one, str)))
            laws = named | {one for one in shown if rules_of(one) <= rules}
            listed.append(Skipped(group, why, laws))
        broken = {finding.law for finding in self.findings}
        causes: dict[str, set[str]] = {}
        for one, because in self._silent.items():
            if one not in broken and self.wants(one):
                causes.setdefault(", ".join(sorted(because)), set()).add(one)
        return listed + [
            Skipped(
                group,
                f"broken, so that {', '.join(sorted(laws))} cannot be judged",
                frozenset(laws),
            )
            for group, laws in causes.items()
        ]

    def wants(self, law_id: str) -> bool:
        """Whether findings of that law are told."""
        if law_id in self.without:
            return False
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
        """Keeps a finding, unless the same has been shown by a plainer request."""
        key = finding.law, kind_of(finding.message)
        if key not in self._found or _rank(finding) < _rank(self._found[key]):
            self._found[key] = finding

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
        found = relation(*exchanges, **how)
        if not found:
            return
        broken = {one.law for exchange in exchanges for one in judged(exchange, kind=self.wire)}
        self._hold_back(silenced(found, broken))
        # What one reply alone shows already is not counted again.
        first = [one for one in told(found, broken) if one.law not in broken]
        if first:
            again = {one.law for one in relation(*map(self._repeat, exchanges), **how)}
            self.add(one for one in first if one.law in again)

    def _repeat(self, exchange: Exchange) -> Exchange:
        return self.ask(exchange.method, "/" + exchange.route.value, exchange.request)

    def break_law(self, law_id: str, message: str, exchange: Exchange) -> None:
        """Keeps a finding whose proof is the reply's beginning."""
        seen = f"{exchange.status or 'no reply'} {shown(exchange.body[:160])}".strip()
        finding = Finding(law=law_id, message=message, seen=seen, exchange=exchange)
        given = law(law_id).given
        broken = {one.law for one in judged(exchange, kind=self.wire)} if given else set()
        self._hold_back(silenced([finding], broken))
        self.add(told([finding], broken))

    def skip(self, group: str, why: str, *left: Rule | str) -> None:
        """Notes what was not judged: rules that were left out, or laws by id."""
        self._skipped.append((group, why, left))

    def _hold_back(self, silent: Mapping[str, frozenset[str]]) -> None:
        for one, causes in silent.items():
            self._silent.setdefault(one, set()).update(causes)

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
        right: bool = True,
    ) -> Exchange:
        """Asks and judges.

        Args:
            method: GET, POST, ...
            path: behind the server's prefix.
            request: sent as JSON.
            text: sent as it is, instead of `request`.
            headers: beyond the usual ones.
            envelope: the law under which a wrong error envelope is reported here.
            right: False for what is to be refused: how it is refused is judged, and nothing else.
        """
        exchange = self.forward(method, path, request, text=text, headers=headers)
        found = judged(exchange, kind=self.wire, right=right)
        if any(timed(one) and (one.law, kind_of(one.message)) not in self._found for one in found):
            # When the run began must not decide what it finds.
            self.turn()
            second = self.forward(method, path, request, text=text, headers=headers)
            again = {one.law for one in judged(second, kind=self.wire, right=right) if timed(one)}
            found = [one for one in found if not timed(one) or one.law in again]
        self._hold_back(silenced(found))
        for finding in told(found):
            if envelope is not None and finding.law in ENVELOPE:
                self._elsewhere.append((finding, envelope))
            else:
                self.found(finding)
        if exchange.status == 0 and right:
            self._unanswered(exchange)
        return exchange

    @rule("LORAX-HTTP-006", "OAI-HTTP-004")
    def _unanswered(self, exchange: Exchange) -> None:
        """A connection that was closed is a broken promise; silence only when it was waited for."""
        unread = "LORAX-HTTP-006" if self.wire == "lorax" else "OAI-HTTP-004"
        if exchange.dropped:
            cut = exchange.end is End.CUT
            why = exchange.trouble or "the connection was closed"
            self.break_law(unread, f"no reply came: {why}" if cut else why, exchange)
        elif not any(group == "silence" for group, _, _ in self._skipped):
            self.skip("silence", "a reply did not come in time; raise --patience and --seconds")

    def chat(self, text: str = "Hello!", /, **members: Any) -> Exchange:
        """A chat request with one user message, unless `messages` are given, and a seed.

        So that a command repeats what was seen; `seed=None` leaves it out.
        """
        request: dict[str, Any] = {
            "model": self.model,
            "messages": [{"role": "user", "content": text}],
            "seed": SEED,
            **members,
        }
        if members.get("seed", SEED) is None:
            del request["seed"]
        return self.ask("POST", "/chat/completions", request)


def _rank(finding: Finding) -> tuple[bool, bool, bool, int]:
    """How plain a proof is, the plainest first.

    An ordinary request: well formed, of a published route, with a right key; one whose answer
    repeats; one that was answered; a short one.
    """
    exchange = finding.exchange
    if exchange is None:
        return False, False, False, 0
    text = exchange.request_text
    odd = (
        text is not None
        or exchange.route is Route.OTHER
        or exchange.request_headers.get("authorization") in _NO_KEYS
        or bool(request_misfits(exchange))
    )
    varies = exchange.path.partition("?")[0].endswith(_VARIES) and "seed" not in exchange.asked
    refused = not 200 <= exchange.status < 300
    size = len(text) if text is not None else len(json.dumps(exchange.request))
    return odd, varies, refused, size
