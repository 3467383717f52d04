"""A request with its journal entry and with what the script says of it."""

import dataclasses
from dataclasses import dataclass

from lorax_mock.errors import LoraxRefusal
from lorax_mock.http.axum import Exchange
from lorax_mock.router.validation import adapter_ids
from lorax_mock.scripting.faults import Fault, FaultError, effect_of, parse_fault
from lorax_mock.scripting.journal import Entry, Journal
from lorax_mock.scripting.rulebook import Rulebook
from lorax_mock.scripting.script import Action, RequestFacts
from lorax_mock.settings import Costs
from lorax_mock.wire.native import GenerateRequest

__all__ = ["ScriptedRequest", "begin"]


@dataclass(frozen=True, slots=True)
class ScriptedRequest:
    """A request, its exchange, its journal entry, and its action and fault from the script or its header."""

    exchange: Exchange
    request: GenerateRequest
    entry: Entry
    action: Action
    fault: Fault | None

    def costs(self, costs: Costs) -> Costs:
        """The server's costs, but for what the action says."""
        if not self.has_pace:
            return costs
        step = costs.step if self.action.step_ms is None else self.action.step_ms
        first = 0.0 if self.action.first_ms is None else self.action.first_ms
        return Costs(prefill_token=0.0, first=first, step=step, paced=True)

    def paced(self, costs: Costs) -> bool:
        """Whether this answer takes real time."""
        return costs.paced or self.has_pace

    @property
    def has_pace(self) -> bool:
        """Whether the script gave it a pace of its own."""
        return self.action.first_ms is not None or self.action.step_ms is not None


def begin(
    exchange: Exchange,
    request: GenerateRequest,
    *,
    stream: bool,
    journal: Journal,
    rulebook: Rulebook,
    now: float,
) -> ScriptedRequest:
    """The request, entered in the journal, with its action and fault.

    Raises LoraxRefusal for a strict script without a rule for it, and for a fault that does not exist.
    """
    session = (exchange.header(b"x-lorax-mock-session") or b"").decode("latin-1")
    entry = journal.begin(exchange.path, request, stream=stream, session=session, at=now)
    scripted = ScriptedRequest(exchange, request, entry, Action(), None)
    try:
        if not rulebook.empty:
            adapter = ",".join(adapter_ids(request.parameters)) or "base"
            chosen = rulebook.choose(RequestFacts(exchange.path, adapter, stream, request), session)
            entry.rule = chosen.rule
            scripted = dataclasses.replace(
                scripted, action=chosen.action, fault=chosen.action.fault
            )
        planned = rulebook.next_fault(session)
        if planned is not None:
            scripted = dataclasses.replace(scripted, fault=planned)
        wanted = exchange.header(b"x-lorax-mock-fault")
        if wanted is not None:
            scripted = dataclasses.replace(scripted, fault=_wanted(wanted.decode("latin-1")))
    except LoraxRefusal as refusal:
        entry.refused(refusal)
        raise
    fault = scripted.fault
    if fault is not None:
        entry.fault = str(fault)
        exchange.extra.append((b"x-lorax-mock-fault", entry.fault.encode()))
        after = effect_of(fault).retry_after
        if after is not None:
            entry.retry_after = float(after)
            exchange.extra.append((b"retry-after", after.encode()))
    return scripted


def _wanted(text: str) -> Fault:
    try:
        return parse_fault(text)
    except FaultError as error:
        raise LoraxRefusal(400, "mock_fault", f"lorax-mock: {error}", "") from None
