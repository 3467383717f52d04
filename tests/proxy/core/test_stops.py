"""The stop cutter against a naive oracle: the earliest completion, the longest of those."""

import time
from collections.abc import Sequence

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from lorax_proxy.core.stops import StopCutter
from tests.strategies import small_texts, stop_lists, tokenisations


def cut(pieces: Sequence[str], stops: Sequence[str]) -> tuple[str, bool]:
    """Everything that comes out, and whether a stop string was found."""
    cutter = StopCutter(stops)
    out = "".join([cutter.feed(piece) for piece in pieces])
    return out + cutter.finish(), cutter.stopped


def oracle(text: str, stops: Sequence[str]) -> tuple[str, bool]:
    """Where the first stop string is complete, cut before the longest that is complete there."""
    for end in range(len(text) + 1):
        ending = [stop for stop in stops if text[:end].endswith(stop)]
        if ending:
            return text[: end - max(map(len, ending))], True
    return text, False


@pytest.mark.property
@given(small_texts, stop_lists, st.data())
@example("aab", ["aab", "ab", "b"], None)
@example("aaab", ["aab"], None)
@example("aababb", ["aabb"], None)
@example("aabaabaaab", ["aabaaab"], None)
@example("abaababaabab", ["abaabab"], None)
@example("abab", ["abab", "ba"], None)
def test_any_tokenisation_is_cut_as_the_oracle_says(
    text: str, stops: list[str], data: st.DataObject | None
) -> None:
    """However the text arrives, the same text is left, and no character before the stop is lost."""
    pieces = [text] if data is None else data.draw(tokenisations(text))
    assert cut(pieces, stops) == oracle(text, stops)


@pytest.mark.property
@given(small_texts, stop_lists)
def test_no_stop_string_is_left(text: str, stops: list[str]) -> None:
    """The output holds no stop string, and is the beginning of the text."""
    out, stopped = cut([text], stops)
    assert text.startswith(out)
    assert not any(stop in out for stop in stops)
    assert stopped == any(stop in text for stop in stops)


@pytest.mark.property
@given(small_texts, stop_lists)
def test_only_what_may_still_become_a_stop_is_held_back(text: str, stops: list[str]) -> None:
    """After each character, what is held back is the longest beginning of a stop string."""
    cutter = StopCutter(stops)
    seen, out = "", ""
    for character in text:
        seen += character
        out += cutter.feed(character)
        if cutter.stopped:
            return
        held = max(
            (n for stop in stops for n in range(len(stop)) if seen.endswith(stop[:n])), default=0
        )
        assert out == seen[: len(seen) - held]


def test_nothing_comes_out_after_a_stop() -> None:
    """What LoRAX still sends after the cut is dropped, the end included."""
    cutter = StopCutter(["b"])
    assert cutter.feed("ab") == "a"
    assert cutter.stopped
    assert cutter.feed("more") == ""
    assert cutter.finish() == ""


def test_what_was_held_back_comes_out_once() -> None:
    """The end of the text releases it, and leaves nothing behind."""
    cutter = StopCutter(["abc"])
    assert cutter.feed("xab") == "x"
    assert cutter.finish() == "ab"
    assert cutter.finish() == ""


def test_without_stops_text_passes_at_once() -> None:
    """Nothing is held back, and no character is looked at."""
    cutter = StopCutter([])
    assert cutter.feed("any") == "any"
    assert cutter.finish() == ""
    assert not cutter.stopped


def test_a_stop_string_given_twice_is_one() -> None:
    """Repeated stop strings cost nothing and change nothing."""
    assert cut(["xaby"], ["ab", "ab"]) == ("x", True)


@pytest.mark.parametrize(
    ("stop", "text"),
    [
        ("a" * 999 + "b", "a" * 200_000),
        ("ab" * 499 + "c", "ab" * 100_000),
        ("a" * 499 + "b" + "a" * 499 + "c", ("a" * 499 + "b" + "a" * 498) * 200),
    ],
)
def test_hostile_stops_cost_no_more_than_harmless_ones(stop: str, text: str) -> None:
    """A stop string that almost matches everywhere takes no longer than one that only begins to."""

    def seconds(each: str) -> float:
        best = float("inf")
        for _ in range(3):
            cutter = StopCutter([each])
            begun = time.process_time()
            cutter.feed(text)
            best = min(best, time.process_time() - begun)
        return best

    # a cutter that starts anew at each character takes several hundred times as long
    assert seconds(stop) < 20 * seconds(text[0] + "z" * (len(stop) - 1)) + 0.05
