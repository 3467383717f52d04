"""The state of a mock: its settings and tokenizer, and all that its requests change."""

from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import replace
from typing import Final

from lorax_mock.errors import FatalRequest, LoraxRefusal, Refusal, overloaded
from lorax_mock.files.script_file import ScriptFile
from lorax_mock.model.adapter_catalogue import AdapterCatalogue
from lorax_mock.prompt.tokenizer import Tokenizer
from lorax_mock.router.health import Health
from lorax_mock.router.metrics import Metrics
from lorax_mock.scripting.journal import Journal
from lorax_mock.scripting.rulebook import Rulebook
from lorax_mock.server.batcher import Batcher
from lorax_mock.server.pacer import Pacer
from lorax_mock.server.watching import Watching
from lorax_mock.settings import Costs, Settings, check
from lorax_mock.wire.replies import encode_error

__all__ = ["Occurrences", "Permits", "State"]

_OCCURRENCES: Final = 100_000
"""Sampled requests whose repetitions are counted; then counting starts anew."""


class Permits:
    """The router's concurrency permits: taken without waiting, held until an answer or stream has ended."""

    def __init__(self, count: int) -> None:
        self._left = count

    @contextmanager
    def hold(self, count: int) -> Generator[None]:
        """Hold so many permits for the time of an answer; raises LoraxRefusal (429) at once."""
        if self._left < count:
            raise overloaded()
        self._left -= count
        try:
            yield
        finally:
            self._left += count


class Occurrences:
    """How often each session asked the same without a seed."""

    def __init__(self, limit: int = _OCCURRENCES) -> None:
        self._limit = limit
        self._counts: dict[tuple[str, bytes], int] = {}

    def add(self, session: str, key: bytes, count: int) -> int:
        """The number of sequences of that request that the session had before; counts these."""
        if len(self._counts) >= self._limit:
            self._counts.clear()
        before = self._counts.get((session, key), 0)
        self._counts[session, key] = before + count
        return before

    def forget(self, session: str) -> None:
        """Count a session's requests anew; those of all when it has no name."""
        self._counts = {
            place: count for place, count in self._counts.items() if session and place[0] != session
        }


class State:
    """One mock's settings and tokenizer, and all that its requests change."""

    def __init__(self, settings: Settings, tokenizer: Tokenizer) -> None:
        self.settings = settings
        self.tokenizer = tokenizer
        self.catalogue = AdapterCatalogue(settings)
        self.journal = Journal()
        self.health = Health()
        self.metrics = Metrics(settings.limits, self.health)
        self.rulebook = Rulebook()
        self.script_file: ScriptFile | None = None
        self.permits = Permits(settings.limits.max_concurrent_requests)
        self.occurrences = Occurrences()
        self.watching = Watching()
        self.batcher = Batcher(settings, self.metrics, watching=self.watching)
        self.pacer = Pacer()

    def spoken(self, refusal: Refusal) -> tuple[int, bytes]:
        """Status and JSON of a refusal, counted."""
        match refusal:
            case LoraxRefusal(status=status, message=message, error_type=error_type):
                if refusal.counted_as:
                    self.metrics.failed(refusal.counted_as)
                return status, encode_error(message, error_type)
            case FatalRequest(reason=reason, source=source):
                text = f"lorax-mock refuses what would end a real LoRAX ({source}): {reason}"
                return 500, encode_error(text, "mock_refusal")
            case _:
                raise refusal

    def renew(self, session: str) -> None:
        """Forget a session's rules, calls and entries; without a name everything, and renew the shard."""
        self.rulebook.reset(session)
        self.journal.clear(session)
        self.occurrences.forget(session)
        if session:
            return
        self.health.inference, self.health.shard = False, "well"
        if self.batcher.renew():
            self.catalogue = AdapterCatalogue(self.settings)

    def change_costs(self, costs: Costs) -> bool:
        """Renew the shard with other costs, unless requests wait or run; returns whether it did. Raises SettingsError."""
        settings = check(replace(self.settings, costs=costs))
        if not self.batcher.renew(settings):
            return False
        self.settings = settings
        self.catalogue = AdapterCatalogue(settings)
        return True
