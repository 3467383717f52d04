"""Answers to short prompts, against the shard's own decoder: what it loses is got back, or told."""

import itertools

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from lorax_proxy.core.short_prompts import WatchedChoice, may_be_few_tokens, mended
from lorax_proxy.core.stream import Choice, Finished, Piece, Reading, Text, TokenLogprob
from lorax_proxy.errors import Lost, Refused, UpstreamError
from lorax_proxy.wire.lorax import (
    Event,
    FinishReason,
    GenerateParameters,
    GenerateRequest,
    StreamDetails,
    Token,
)
from tests.proxy.core.test_stops import oracle
from tests.strategies import small_texts, stop_lists


def decode(tokens: list[bytes]) -> str:
    """What a byte-level tokenizer makes of tokens: U+FFFD for what is no character."""
    return b"".join(tokens).decode(errors="replace")


def shard(
    prompt_length: int, tokens: list[bytes], reason: FinishReason, end: Token | None
) -> list[Event]:
    """The events of these tokens and an end token, decoded as the shard decodes them.

    `decode_token` (server/lorax_server/models/model.py:195) with the offsets that
    flash_causal_lm.py:265 begins with.
    """
    ids = [b"p"] * prompt_length
    prefix, read = prompt_length - 5, prompt_length
    texts: list[str] = []
    for token in [*tokens, *([end.text.encode()] if end else [])]:
        ids.append(token)
        before, now = decode(ids[prefix:read]), decode(ids[prefix:])
        if len(now) > len(before) and not now.endswith("\ufffd"):
            texts.append(now[len(before) :])
            prefix, read = read, len(ids)
        else:
            texts.append("")
    seen = ids[prompt_length:]
    if end is not None and end.special:
        seen = seen[:-1]
    whole = decode([b"p", *seen])[1:]
    if whole.endswith("\ufffd"):
        whole = ""
    events = [Event(Token(text, -0.5)) for text in texts]
    last = Token(texts[-1], -0.5, special=end is not None and end.special)
    details = StreamDetails(reason, len(texts), prompt_length)
    return [*events[:-1], Event(last, whole, details)]


@st.composite
def answers(draw: st.DrawFn) -> tuple[str, list[Event]]:
    """A text, and the events in which it comes after a prompt of one to seven tokens."""
    text = draw(small_texts.filter(bool))
    data = text.encode()
    fine = draw(st.booleans())
    cuts = range(1, len(data)) if fine else sorted(set(draw(st.lists(st.integers(1, len(data))))))
    edges = [0, *cuts, len(data)]
    tokens = [data[a:b] for a, b in itertools.pairwise(edges) if a < b]
    reason: FinishReason = draw(st.sampled_from(["length", "eos_token"]))
    end = Token("</s>", special=draw(st.booleans())) if reason == "eos_token" else None
    return text, shard(draw(st.integers(1, 7)), tokens, reason, end)


def whole(events: list[Event], reading: Reading) -> list[Piece]:
    """As `/generate` tells them."""
    tokens = [event.token for event in events if event.token is not None]
    details, text = events[-1].details, events[-1].generated_text
    assert details is not None
    assert text is not None
    return Choice(reading).feed_all(mended(tokens, details, text), details)


def watched(events: list[Event], reading: Reading, *, fold: bool) -> list[Piece]:
    """As a stream tells them."""
    choice = WatchedChoice(reading, whole=fold)
    pieces: list[Piece] = []
    for event in events:
        pieces += choice.feed(event)
        if choice.finished:
            break
        assert not fold or not pieces
    return pieces + choice.finish()


def written(pieces: list[Piece]) -> str:
    """The text of the pieces; the last of them is the end, and no other."""
    assert [isinstance(piece, Finished) for piece in pieces] == [False] * (len(pieces) - 1) + [True]
    return "".join(piece.text for piece in pieces if isinstance(piece, Text))


def logprobs(pieces: list[Piece]) -> list[TokenLogprob]:
    """The tokens of the pieces."""
    return [token for piece in pieces if isinstance(piece, Text) for token in piece.logprobs]


@pytest.mark.property
@given(answers(), stop_lists, st.none() | st.just(0))
def test_a_whole_answer_has_its_whole_text(
    answer: tuple[str, list[Event]], stops: list[str], most: int | None
) -> None:
    """However it is asked for, up to the first stop, and its logprobs' texts join to it."""
    text, events = answer
    reading = Reading(tuple(stops), most)
    asked, folded = whole(events, reading), watched(events, reading, fold=True)
    expected, stopped = oracle(text, stops)
    for pieces in (asked, folded):
        assert written(pieces) == expected
        assert most is None or "".join(t.text for t in logprobs(pieces)) == expected
    assert logprobs(asked) == logprobs(folded)
    assert isinstance(end := asked[-1], Finished)
    assert isinstance(other := folded[-1], Finished)
    assert (end.reason, end.completion_tokens) == (other.reason, other.completion_tokens)
    assert not stopped or end.reason == "stop"


@pytest.mark.property
@given(answers(), stop_lists, st.none() | st.just(0))
@example(("世界", shard(4, [b"\xe4", b"\xb8", b"\x96", "界".encode()], "length", None)), [], 0)
@example(
    ("か", shard(3, [b"\xe3", b"\x81", b"\x8b"], "eos_token", Token("</s>", special=True))), [], 0
)
@example(("éa<", shard(1, [b"\xc3", b"\xa9", b"a", b"<"], "length", None)), ["é<"], 0)
@example(("\x85<<", shard(4, [b"\xc2", b"\x85", b"<", b"<"], "length", None)), ["<"], 0)
def test_a_stream_has_its_whole_text_or_fails(
    answer: tuple[str, list[Event]], stops: list[str], most: int | None
) -> None:
    """A hole is never told as an answer; after five tokens and more there is none."""
    text, events = answer
    details = events[-1].details
    assert details is not None
    try:
        pieces = watched(events, Reading(tuple(stops), most), fold=False)
    except UpstreamError as error:
        assert error.failure is Lost.GARBLED  # noqa: PT017 - either outcome may be right
        assert details.prompt_tokens < 5
        return
    assert written(pieces) == oracle(text, stops)[0]
    assert most is None or "".join(t.text for t in logprobs(pieces)) == written(pieces)


@pytest.mark.property
@given(
    small_texts.filter(lambda text: bool(text) and "\ufffd" not in text),
    st.integers(1, 7),
    st.booleans(),
    st.none() | st.just(0),
)
@example("🌸a", 4, False, None)
@example("世a", 3, False, None)
@example("か", 3, True, 0)
def test_an_answer_that_ends_inside_a_character_has_its_text_or_fails(
    text: str, prompt_length: int, ended: bool, most: int | None
) -> None:
    """The shard's own text is empty then: what the tokens do not say is nowhere, and that is told."""
    end = Token("</s>", special=True) if ended else None
    data = text.encode() + "世".encode()[:2]
    tokens = [data[at : at + 1] for at in range(len(data))]
    events = shard(prompt_length, tokens, "eos_token" if ended else "length", end)
    assert events[-1].generated_text == ""
    said = "".join(e.token.text for e in events if e.token is not None and not e.token.special)
    reading = Reading(logprobs=most)

    def taken(how: int) -> list[Piece]:
        return whole(events, reading) if how == 2 else watched(events, reading, fold=how == 1)

    for how in range(3):
        if said == text:
            assert written(taken(how)) == text
        elif said or len(data) >= 4:
            with pytest.raises(UpstreamError) as caught:
                taken(how)
            assert caught.value.failure is Lost.TORN
        else:
            # three bytes may be the beginning of one character: there is no more to tell
            assert written(taken(how)) == ""


def test_what_was_only_held_back_is_sent_at_the_end() -> None:
    """A character of three tokens after a prompt of three, then the end: no text ever came for it."""
    end = Token("</s>", special=True)
    events = shard(3, [b"\xe3", b"\x81", b"\x8b"], "eos_token", end)
    assert [event.token.text for event in events if event.token] == ["", "", "", "\ufffd</s>"]
    assert watched(events, Reading(), fold=False) == [Text("か"), Finished("stop", 4, 3)]
    (told, finished) = watched(events, Reading(logprobs=0), fold=False)[-2:]
    assert told == Text("か", tuple(TokenLogprob(text, -0.5) for text in ("", "", "か")))
    assert finished == Finished("stop", 4, 3)


def test_a_hole_is_a_failure_of_a_stream_and_none_of_a_whole_answer() -> None:
    """The first character is lost for good, and what comes after it has been sent."""
    events = shard(4, [b"\xe4", b"\xb8", b"\x96", b",", b"a"], "length", None)
    choice = WatchedChoice(Reading(), whole=False)
    given_ = [piece for event in events[:-1] for piece in choice.feed(event)]
    assert "世" not in "".join(piece.text for piece in given_ if isinstance(piece, Text))
    assert not choice.finished
    with pytest.raises(UpstreamError) as caught:
        choice.feed(events[-1])
    assert caught.value.failure is Lost.GARBLED
    assert not choice.finished
    assert written(watched(events, Reading(), fold=True)) == "世,a"


def test_a_stop_string_ends_at_once_what_has_no_hole() -> None:
    """The upstream is let go as ever; only after an incomplete character its end is waited for."""
    plain = [Event(Token(text, -0.5)) for text in ("a", "STOP")]
    torn = [Event(Token("", -0.5)), *plain]
    for whole_ in (False, True):
        choice = WatchedChoice(Reading(("STOP",)), whole=whole_)
        pieces = [piece for event in plain for piece in choice.feed(event)]
        assert pieces == [Text("a"), Finished("stop", 2, None)]
        assert (choice.finished, choice.ended, choice.tokens, choice.logprob) == (
            True,
            False,
            2,
            -1,
        )
        assert choice.feed(plain[0]) == choice.finish() == []
        choice = WatchedChoice(Reading(("STOP",)), whole=whole_)
        pieces = [piece for event in torn for piece in choice.feed(event)]
        assert pieces == ([] if whole_ else [Text("a")])
        assert not choice.finished
        with pytest.raises(UpstreamError) as caught:
            choice.finish()
        assert caught.value.failure is Lost.CUT


def test_who_needs_no_watching_is_read_without() -> None:
    """A stream whose first text came at once; what was held back, and what is whole, is watched on."""
    for text, whole_, settled in (("a", False, True), ("", False, False), ("a", True, False)):
        choice = WatchedChoice(Reading(), whole=whole_)
        before = choice.plain
        choice.feed(Event(Token(text)))
        after = choice.plain
        assert before is None
        assert (after is not None) is settled
        assert after is None or after.tokens == 1


@pytest.mark.parametrize("first", ["", "a"])
def test_failures_are_those_of_any_choice(first: str) -> None:
    """An error inside, an end that tells nothing, a count that does not fit."""
    for event, failure in (
        (Event(error="x", error_type="generation"), Refused(200, "generation", "x")),
        (Event(Token("b"), "b"), Lost.UNREADABLE),
        (Event(Token("b"), "b", StreamDetails("length", 7, 3)), Lost.MISCOUNTED),
    ):
        for whole_ in (False, True):
            choice = WatchedChoice(Reading(), whole=whole_)
            choice.feed(Event(Token(first)))
            with pytest.raises(UpstreamError) as caught:
                choice.feed(event)
            assert caught.value.failure == failure


def details(prompt_tokens: int, tokens: int, reason: FinishReason = "length") -> StreamDetails:
    """The end of an answer."""
    return StreamDetails(reason, tokens, prompt_tokens)


@pytest.mark.parametrize(
    ("texts", "generated", "expected"),
    [
        (["a", "b"], "ab", ["a", "b"]),
        # ended inside a character, after a first one that came at once, or none
        (["a", ""], "", ["a", ""]),
        (["", "", ""], "", ["", "", ""]),
        # a special token before it took its space
        ([" a", "b"], "ab", [" a", "b"]),
        # a window without the prompt took its space
        (["a", "b"], " ab", [" a", "b"]),
        (["", "", "\ufffd\ufffda", "b"], "世ab", ["", "", "世a", "b"]),
        (["", "", "", "界"], "世界", ["", "", "世", "界"]),
        (["x", "y"], "xzy", ["xz", "y"]),
    ],
)
def test_texts_are_put_back_where_they_fit(
    texts: list[str], generated: str, expected: list[str]
) -> None:
    """What fits from either end stays; the rest goes to the token that completes it."""
    tokens = [Token(text, -0.5) for text in texts]
    for prompt_tokens in (0, 2, 4):
        got = mended(tokens, details(prompt_tokens, len(texts)), generated)
        assert [token.text for token in got] == expected
    assert mended(tokens, details(5, len(texts)), generated) is tokens


def test_special_tokens_and_end_tokens_stay_what_they_are() -> None:
    """They are no text, and `generated_text` has the spelling of an end token that is not special."""
    special, ending = Token("<s>", special=True), Token("<|end|>")
    tokens = [Token(""), special, Token("\ufffda"), ending]
    got = mended(tokens, details(3, 4, "eos_token"), "世a<|end|>")
    assert [token.text for token in got] == ["", "<s>", "世a", "<|end|>"]
    only = [Token("<s>", special=True)]
    assert mended(only, details(3, 1), "x") is only


@pytest.mark.parametrize(
    ("prompt", "truncate", "few"),
    [("a" * 64, None, True), ("a" * 65, None, False), ("a" * 65, 4, True), ("a" * 65, 5, False)],
)
def test_prompts_that_may_be_few_tokens(prompt: str, truncate: int | None, *, few: bool) -> None:
    """Short ones, and those that are truncated to a few."""
    request = GenerateRequest(prompt, GenerateParameters(truncate=truncate))
    assert may_be_few_tokens(request) is few
