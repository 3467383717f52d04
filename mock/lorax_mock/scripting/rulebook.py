"""Which rule acts on a request: scripts of a file and of sessions, and how often each was called.

A session is a name in the `x-lorax-mock-session` header. Its own rules come before the file's, its calls
are counted apart from everybody else's, so tests that share a mock do not share anything of it.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field

from lorax_mock.errors import LoraxRefusal
from lorax_mock.scripting.faults import Fault
from lorax_mock.scripting.script import Action, RequestFacts, Script

__all__ = ["Chosen", "Rulebook"]


@dataclass(frozen=True, slots=True)
class Chosen:
    """A rule's action, or none."""

    rule: str | None = None
    action: Action = field(default_factory=Action)


_NONE = Chosen()


class Rulebook:
    """Scripts and counters."""

    def __init__(self) -> None:
        self._base = Script()
        self._sessions: dict[str, Script] = {}
        # By session that asks, session whose script it is ("" for the one for all), and place.
        self._calls: dict[tuple[str, str, int], int] = {}
        self._faults: dict[str, list[Fault]] = {}
        """Faults of the next requests, by session; of anybody's, for the session without a name."""

    @property
    def empty(self) -> bool:
        """Whether nothing was ever scripted."""
        return not (self._base.rules or self._base.strict or self._sessions)

    def load(self, script: Script, session: str = "") -> None:
        """Replace the script of a session, or the one for all; its calls start anew."""
        if session:
            self._sessions[session] = script
        else:
            self._base = script
        self._calls = {key: calls for key, calls in self._calls.items() if key[1] != session}

    def script(self, session: str = "") -> Script:
        """The script of a session, or the one for all."""
        return self._sessions.get(session, Script()) if session else self._base

    def reset(self, session: str = "") -> None:
        """Forget a session, or everything that was scripted."""
        if session:
            self._faults.pop(session, None)
            self._sessions.pop(session, None)
            self._calls = {key: n for key, n in self._calls.items() if key[0] != session}
        else:
            self._base = Script()
            self._sessions.clear()
            self._calls.clear()
            self._faults.clear()

    def plan_faults(self, faults: Iterable[Fault], session: str = "") -> None:
        """Give the session's next requests these faults, one each, whatever rule acts; in place of those planned before."""
        self._faults[session] = list(faults)

    def planned_faults(self, session: str = "") -> list[Fault]:
        """The faults that the session's next requests get, in order."""
        return list(self._faults.get(session, ()))

    def next_fault(self, session: str = "") -> Fault | None:
        """The planned fault of a request, which is used up by it; its session's own come first."""
        for scope in dict.fromkeys((session, "")):
            if planned := self._faults.get(scope):
                return planned.pop(0)
        return None

    def choose(self, facts: RequestFacts, session: str = "") -> Chosen:
        """The action for a request; raises LoraxRefusal when a strict script has none."""
        for scope, script in self._scripts(session):
            for place, rule in enumerate(script.rules):
                if rule.misses(facts):
                    continue
                key = (session, scope, place)
                calls = self._calls.get(key, 0)
                if not rule.repeats and calls >= len(rule.actions):
                    continue
                self._calls[key] = calls + 1
                return Chosen(rule.name, rule.actions[0 if rule.repeats else calls])
        if any(script.strict for _, script in self._scripts(session)):
            raise self._unmatched(facts, session)
        return _NONE

    def _scripts(self, session: str) -> list[tuple[str, Script]]:
        own = self._sessions.get(session)
        return [("", self._base)] if own is None else [(session, own), ("", self._base)]

    def _unmatched(self, facts: RequestFacts, session: str) -> LoraxRefusal:
        rules = [rule for _, script in self._scripts(session) for rule in script.rules]
        missed = sorted(((rule.misses(facts), rule.name) for rule in rules), key=_how_far)
        text = "lorax-mock is strict and no rule matches this request"
        if missed:
            why, name = missed[0]
            reason = why[0] if why else "its sequence is used up"
            text += f"; nearest is {name!r}: {reason}"
        return LoraxRefusal(500, "mock_unmatched", text, "")


def _how_far(missed: tuple[list[str], str]) -> int:
    return len(missed[0])
