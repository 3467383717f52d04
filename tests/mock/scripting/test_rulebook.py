"""Which rule acts, call by call."""

import pytest

from lorax_mock.errors import LoraxRefusal
from lorax_mock.scripting.faults import parse_fault
from lorax_mock.scripting.rulebook import Chosen, Rulebook
from lorax_mock.scripting.script import RequestFacts, read_script
from lorax_mock.wire.native import GenerateRequest

_FACTS = RequestFacts("/generate", "base", stream=False, request=GenerateRequest("hello"))


def _faults(book: Rulebook, count: int, session: str = "") -> list[str]:
    chosen = (book.choose(_FACTS, session) for _ in range(count))
    return [str(one.action.fault) for one in chosen]


def test_a_sequence_is_used_up_and_the_next_rule_takes_over() -> None:
    """A rule's sequence acts once for each action, and then the next rule acts."""
    book = Rulebook()
    assert book.empty
    book.load(
        read_script("rules: [{sequence: [{fault: overload}, {fault: crlf}]}, {fault: 'drip:1'}]")
    )
    assert _faults(book, 4) == ["overload", "crlf", "drip:1", "drip:1"]
    assert not book.empty


def test_without_a_rule_nothing_is_changed() -> None:
    """A request that no rule matches is answered as ever, unless the script is strict."""
    book = Rulebook()
    book.load(read_script("rules: [{when: {adapter: x}, fault: crlf}]"))
    assert book.choose(_FACTS) == Chosen()


def test_a_strict_script_names_the_nearest_rule() -> None:
    """A strict script refuses with the nearest rule and why it missed."""
    book = Rulebook()
    book.load(
        read_script(
            "strict: true\n"
            "rules:\n"
            "- {name: far, when: {adapter: x, stream: true}, fault: crlf}\n"
            "- {name: near, when: {adapter: base, prompt: bye}, fault: crlf}\n"
        )
    )
    with pytest.raises(LoraxRefusal) as caught:
        book.choose(_FACTS)
    assert caught.value.message == (
        "lorax-mock is strict and no rule matches this request; nearest is 'near': "
        "prompt wants 'bye' and the request has 'hello'"
    )
    book.load(read_script("{strict: true, rules: [{name: once, sequence: [{fault: crlf}]}]}"))
    book.choose(_FACTS)
    with pytest.raises(LoraxRefusal, match="nearest is 'once': its sequence is used up"):
        book.choose(_FACTS)


def test_sessions_share_nothing() -> None:
    """Sessions share neither rules nor counts of calls."""
    book = Rulebook()
    book.load(read_script("rules: [{sequence: [{fault: overload}]}]"))
    book.load(read_script("rules: [{sequence: [{fault: crlf}]}]"), "a")
    assert _faults(book, 3, "a") == ["crlf", "overload", "None"]
    assert _faults(book, 2, "b") == ["overload", "None"]
    assert _faults(book, 2) == ["overload", "None"]
    assert [rule.name for rule in book.script("a").rules] == ["rule 1"]
    assert book.script("b").rules == ()


def test_loading_and_resetting_start_anew() -> None:
    """Loading and resetting count calls anew, and a session's reset leaves the others."""
    text = "rules: [{sequence: [{fault: overload}]}]"
    book = Rulebook()
    book.load(read_script(text))
    assert _faults(book, 2) == ["overload", "None"]
    book.load(read_script(text))
    assert _faults(book, 1, "a") == ["overload"]
    book.reset("a")
    assert _faults(book, 2, "a") == ["overload", "None"]
    book.reset()
    assert book.empty


def test_planned_faults_are_used_up_in_order_and_a_sessions_own_come_first() -> None:
    """Those for all go to whoever asks next; a reset forgets them."""
    book = Rulebook()
    crlf, drip = parse_fault("crlf"), parse_fault("drip:1")
    book.plan_faults([crlf, drip])
    book.plan_faults([drip], "x")
    assert [book.next_fault("x"), book.next_fault("x"), book.next_fault(), book.next_fault()] == [
        *(drip, crlf, drip),
        None,
    ]
    book.plan_faults([crlf], "x")
    book.plan_faults([crlf])
    book.reset("x")
    assert (book.planned_faults("x"), book.planned_faults()) == ([], [crlf])
    book.reset()
    assert book.next_fault("x") is None
