"""The recorder: what it keeps while a page is open, within its bounds, and whom it tells."""

import time
from collections.abc import Iterator

import pytest

from lorax_proxy.core.inspection.recording import Outline, Way
from lorax_proxy.core.plan import Plan
from lorax_proxy.core.stream import Reading
from lorax_proxy.errors import Lost, UpstreamError
from lorax_proxy.observe import Record
from lorax_proxy.tap import Recorder, Tap
from lorax_proxy.upstream.direct import DirectTransport

HEADERS = [(b"host", b"localhost"), (b"authorization", b"Bearer k")]


def begin(recorder: Recorder) -> Tap:
    """A request arrives."""
    return recorder.begin(Record("id", "POST", "/v1/completions", begun=1.0), HEADERS)


@pytest.fixture
def small() -> Iterator[Recorder]:
    """A recorder of three requests, 1,000 bytes each and 2,000 of all, with a page open."""
    recorder = Recorder(texts=True, most=3, most_bytes_each=1000, most_bytes=2000)
    with recorder.watching(lambda: None):
        yield recorder


def test_it_watches_while_a_page_is_open() -> None:
    """The last one to be closed ends it."""
    recorder = Recorder(texts=True)
    seen = [recorder.watched]
    with recorder.watching(lambda: None):
        with recorder.watching(lambda: None):
            seen.append(recorder.watched)
        seen.append(recorder.watched)
    seen.append(recorder.watched)
    assert seen == [False, True, True, False]


def test_a_request_under_way_is_recorded_no_further_when_the_page_is_closed() -> None:
    """Nothing is, while no page is open."""
    recorder = Recorder(texts=True)
    with recorder.watching(lambda: None):
        tap = begin(recorder)
        tap.add(Way.ASKED, b"seen")
    tap.add(Way.ASKED, b"unseen")
    assert tap.recording.body(Way.ASKED) == b"seen"


def test_so_many_requests_are_kept(small: Recorder) -> None:
    """The newest; numbers go on."""
    for _ in range(5):
        begin(small)
    assert [tap.number for tap in small] == [3, 4, 5]
    assert small.find(2) is None
    kept = small.find(3)
    assert kept is not None
    assert ("authorization", "(hidden)") in kept.recording.headers


def test_a_request_takes_so_much_and_no_more(small: Recorder) -> None:
    """What is too much is not kept, and the page is told that something is missing."""
    tap = begin(small)
    tap.add(Way.ASKED, b"x" * 500)
    seen = [tap.recording.cut]
    tap.add(Way.ASKED, b"y" * 500)
    assert [*seen, tap.recording.cut] == [False, True]
    assert tap.recording.body(Way.ASKED) == b"x" * 500
    for _ in range(100):
        tap.add(Way.ANSWERED, b"")
    assert tap.size <= 1000


def test_all_take_so_much_and_no_more(small: Recorder) -> None:
    """The oldest goes for the newest; one alone stays."""
    taps = [begin(small) for _ in range(3)]
    for tap in taps:
        tap.add(Way.ASKED, b"x" * 700)
    assert [tap.number for tap in small] == [2, 3]
    assert sum(tap.size for tap in small) <= 2000
    # who is dropped goes on, and counts no more
    taps[0].add(Way.ASKED, b"x")
    taps[1].add(Way.ANSWERED, b"")
    assert [tap.number for tap in small] == [2, 3]


@pytest.mark.parametrize("how", ["dropped", "cleared"])
def test_what_is_forgotten_takes_nothing_any_more(small: Recorder, how: str) -> None:
    """A stream that is under way meanwhile goes on, and nobody can open it."""
    tap = begin(small)
    tap.add(Way.ASKED, b"x")
    if how == "cleared":
        small.clear()
    else:
        for _ in range(3):
            begin(small)
    assert small.find(1) is None
    tap.add(Way.CAME, b"y")
    assert tap.called("POST", "/generate", b"prompt") == 0
    tap.failed(UpstreamError(Lost.CUT), 0)
    tap.finish()
    assert tap.recording.moments == []


async def test_a_plan_is_not_kept_with_its_prompts() -> None:
    """They may be megabytes that nothing counts; and without texts there is none of it."""
    plan = Plan(
        prompts=("secret",),
        requests=(),
        tries=1,
        choices=1,
        reading=Reading(stops=("STOP",)),
        token_stream=True,
    )
    transport = DirectTransport("http://lorax", connect_timeout=1, connect_retries=0)
    for texts, outline in ((True, Outline(("STOP",))), (False, None)):
        tap = begin(Recorder(texts=texts))
        tap.on(transport, adapters=(), bos="", plan=plan)
        assert tap.recording.outline == outline
        assert "secret" not in repr(tap.recording)


def test_what_is_forgotten_counts_no_more(small: Recorder) -> None:
    """Its memory is there for the next ones."""
    for _ in range(2):
        begin(small).add(Way.ASKED, b"x" * 700)
        small.clear()
    assert list(small) == []
    for _ in range(2):
        begin(small).add(Way.ASKED, b"x" * 700)
    assert len(list(small)) == 2


def test_a_page_that_does_not_read_holds_nothing_that_is_forgotten() -> None:
    """However many requests there are meanwhile."""
    recorder = Recorder(texts=True, most=3)
    with recorder.watching(lambda: None) as watch:
        for _ in range(100):
            begin(recorder)
        assert len(watch) <= 7
        assert [tap.number for tap in watch.take()] == [98, 99, 100]


def test_sizes_are_kept_without_texts() -> None:
    """Where texts are not allowed."""
    recorder = Recorder(texts=False)
    with recorder.watching(lambda: None):
        tap = begin(recorder)
        tap.add(Way.ASKED, b"secret")
        assert tap.called("POST", "/generate", b"prompt") == 0
    assert [(m.way, m.size, m.data) for m in tap.recording.moments] == [
        (Way.ASKED, 6, b""),
        (Way.SENT, 6, b""),
    ]


def test_times_are_those_since_the_request_arrived() -> None:
    """In seconds."""
    recorder = Recorder(texts=True)
    with recorder.watching(lambda: None):
        before = time.perf_counter()
        tap = begin(recorder)
        tap.add(Way.ASKED, b"x")
        tap.add(Way.DONE)
        took = time.perf_counter() - before
    first, last = (moment.at for moment in tap.recording.moments)
    assert 0 <= first <= last <= took


def test_a_page_is_told_once_of_all_that_changed() -> None:
    """However often, and not of what is forgotten."""
    recorder = Recorder(texts=True)
    woken: list[str] = []
    with recorder.watching(lambda: woken.append("!")) as watch:
        one, two = begin(recorder), begin(recorder)
        one.add(Way.ASKED, b"x")
        assert woken == ["!"]
        assert [tap.number for tap in watch.take()] == [1, 2]
        assert list(watch.take()) == []
        two.finish()
        assert (woken, two.over) == (["!", "!"], True)
        assert list(watch.take()) == [two]
        recorder.clear()
        one.finish()
        assert list(watch.take()) == []
