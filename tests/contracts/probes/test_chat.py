"""Probes of plain chat."""

from lorax_contracts.probes import chat
from tests.contracts.planted import Deviation
from tests.contracts.probes.family import broken, each_of, quiet, session
from tests.contracts.reference import Asked, Said, openai

PROBES = (chat.probe_chat, chat.probe_stops, chat.probe_accepted)


def test_it_finds_nothing_on_a_correct_server() -> None:
    """No false alarm."""
    assert quiet(*PROBES)


@each_of(
    "OAI-ACCEPT-001",
    "OAI-ACCEPT-002",
    "OAI-ACCEPT-003",
    "OAI-ACCEPT-007",
    "OAI-ACCEPT-009",
    "OAI-CHAT-003",
    "OAI-CHAT-011",
    "OAI-FINISH-004",
    "OAI-STOP-002",
    "OAI-USAGE-004",
)
def test_it_finds_its_own_family(deviation: Deviation) -> None:
    """Without the help of other probes."""
    assert deviation.law in broken(deviation, *PROBES)


def test_a_server_that_does_not_repeat_itself_is_not_compared() -> None:
    """The comparison is left out and said to be, with the laws that it would have judged."""
    numbers = iter(range(999))

    def fickle(asked: Asked) -> Said:
        if isinstance(asked.document, dict):
            asked.document["seed"] = next(numbers)
        return openai(asked)

    run = session(fickle)
    chat.probe_chat(run)
    chat.probe_stops(run)
    assert run.findings == []
    assert [one.group for one in run.skipped] == ["repetition"]
    assert "OAI-STOP-002" in run.skipped[0].laws


def test_what_several_probes_compare_with_is_asked_for_once() -> None:
    """The answer that is to be repeated is asked for twice, however many probes want it."""
    asked: list[Asked] = []

    def counting(one: Asked) -> Said:
        asked.append(one)
        return openai(one)

    run = session(counting)
    first, second = chat.steady(run), chat.steady(run)
    assert first is second is not None
    assert len(asked) == 2
