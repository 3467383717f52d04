"""One choice's machine: what the client reads does not depend on how LoRAX cut it into tokens."""

import json
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from lorax_proxy.core.stream import (
    END_TOKENS,
    NO_LOGPROB,
    Choice,
    Finished,
    Piece,
    Reading,
    Text,
    TokenLogprob,
)
from lorax_proxy.core.tools.reader import (
    ArgumentsDelta,
    CallStarted,
    Form,
    ToolGrammar,
)
from lorax_proxy.errors import Lost, Refused, UpstreamError
from lorax_proxy.wire.lorax import (
    Alternative,
    Event,
    FinishReason,
    ScoredToken,
    StreamDetails,
    Token,
    decode_event,
)
from tests.proxy.core.test_stops import oracle
from tests.strategies import (
    EventStream,
    event_documents,
    event_streams,
    small_texts,
    stop_lists,
    tokenisations,
)

REASONS: tuple[FinishReason, ...] = ("length", "eos_token", "stop_sequence")
GRAMMAR = ToolGrammar({}, Form(frozenset({"f", "get"}), text=True, parallel=True), ())


TEXT_DOCUMENTS = [('"plain"', "plain"), ('"q\\"\\n\\u00e9\\ud83d\\ude00"', 'q"\né😀'), ('""', "")]
CALL_DOCUMENTS = [
    ('[{"name": "f", "arguments": {}}]', [("f", "{}")]),
    (
        '[{"name":"get","arguments":{"a":"]}\\"","b":[1,{"c":null}]}},{"name":"f","arguments":{ }}]',
        [("get", '{"a":"]}\\"","b":[1,{"c":null}]}'), ("f", "{ }")],
    ),
]


def decoded(stream: EventStream) -> list[Event]:
    """The stream's events as the proxy reads them."""
    return [decode_event(json.dumps(document).encode()) for document in stream.events]


def run(events: Sequence[Event], reading: Reading) -> list[Piece]:
    """All pieces of a whole stream; whatever follows a stop is fed too, and must be ignored."""
    choice = Choice(reading)
    pieces = [piece for event in events for piece in choice.feed(event)]
    return pieces + choice.finish()


def written(pieces: Sequence[Piece]) -> str:
    """The text of the pieces."""
    return "".join(piece.text for piece in pieces if isinstance(piece, Text))


def logprobs(pieces: Sequence[Piece]) -> list[TokenLogprob]:
    """The tokens of the pieces."""
    return [token for piece in pieces if isinstance(piece, Text) for token in piece.logprobs]


def calls(pieces: Sequence[Piece]) -> list[tuple[str, str]]:
    """The calls of the pieces: names and arguments."""
    found: list[tuple[str, str]] = []
    for piece in pieces:
        if isinstance(piece, CallStarted):
            assert piece.index == len(found)
            found.append((piece.name, ""))
        elif isinstance(piece, ArgumentsDelta):
            name, arguments = found[piece.index]
            found[piece.index] = (name, arguments + piece.fragment)
    return found


def end(pieces: Sequence[Piece]) -> Finished:
    """The one end, which is the last piece."""
    ends = [piece for piece in pieces if isinstance(piece, Finished)]
    assert len(ends) == 1
    assert pieces[-1] is ends[0]
    return ends[0]


def stream(
    tokens: Sequence[str | Token], reason: FinishReason, *, prompt_tokens: int = 3
) -> list[Event]:
    """Events of these tokens, the last one final."""
    events = [Event(token=t if isinstance(t, Token) else Token(t, -0.5)) for t in tokens]
    details = StreamDetails(reason, len(events), prompt_tokens)
    return [*events[:-1], Event(token=events[-1].token, generated_text="", details=details)]


@pytest.mark.property
@given(event_streams(), stop_lists)
def test_the_visible_text_comes_out_up_to_the_first_stop(
    events: EventStream, stops: list[str]
) -> None:
    """Special tokens, the end token's spelling and stop strings never leak; nothing else is lost."""
    pieces = run(decoded(events), Reading(stops=tuple(stops)))
    text, stopped = oracle(events.text, stops)
    assert written(pieces) == text
    assert all(piece.text for piece in pieces if isinstance(piece, Text))
    last = events.events[-1]["token"]
    at_edge = last["special"] and last["text"] in END_TOKENS
    expected = "stop" if stopped or events.finish_reason != "length" or at_edge else "length"
    assert end(pieces).reason == expected


@pytest.mark.property
@given(small_texts, stop_lists, st.sampled_from(REASONS), st.booleans(), st.data())
def test_tokenisation_changes_nothing_that_the_client_reads(
    text: str,
    stops: list[str],
    reason: FinishReason,
    asked: bool,
    data: st.DataObject,
) -> None:
    """Two tokenisations of a text give the same text and the same finish reason."""
    reading = Reading(stops=tuple(stops), logprobs=0 if asked else None)
    first, second = (
        run(stream([*data.draw(tokenisations(text)), Token("</s>", special=True)], reason), reading)
        for _ in range(2)
    )
    assert written(first) == written(second)
    assert end(first).reason == end(second).reason


@pytest.mark.property
@given(event_streams(alternatives=3), stop_lists, st.integers(0, 3))
@example(
    EventStream(
        [
            {"token": {"text": "x<"}},
            {"token": {"text": ""}},
            {
                "token": {"text": "é"},
                "generated_text": "",
                "details": {"finish_reason": "length", "generated_tokens": 3},
            },
        ],
        "x<é",
        "length",
        0,
    ),
    ["<é"],
    1,
)
def test_joined_logprobs_are_the_text(events: EventStream, stops: list[str], most: int) -> None:
    """Token texts concatenate to the content: with held-back text, cuts inside tokens, and all."""
    pieces = run(decoded(events), Reading(stops=tuple(stops), logprobs=most))
    tokens = logprobs(pieces)
    assert "".join(token.text for token in tokens) == written(pieces)
    assert b"".join(token.text.encode() for token in tokens) == written(pieces).encode()
    assert all(len(token.top or ()) <= most for token in tokens)
    if not stops:
        visible = [
            document
            for document in events.events
            if not document["token"].get("special")
            and not (
                events.finish_reason == "eos_token" and document.get("generated_text") is not None
            )
        ]
        assert [token.text for token in tokens] == [each["token"]["text"] for each in visible]


@pytest.mark.property
@given(event_streams(), stop_lists)
def test_asking_for_logprobs_changes_no_text(events: EventStream, stops: list[str]) -> None:
    """The same text at the same events, with and without."""
    plain, asked = Choice(Reading(tuple(stops))), Choice(Reading(tuple(stops), logprobs=2))
    for event in decoded(events):
        assert written(plain.feed(event)) == written(asked.feed(event))


@pytest.mark.property
@given(
    event_streams(
        visible=small_texts
        | st.sampled_from([raw for raw, _ in (*TEXT_DOCUMENTS, *CALL_DOCUMENTS)]),
        alternatives=2,
    ),
    st.just(()) | st.just(()) | stop_lists.map(tuple),
    st.none() | st.none() | st.integers(0, 2),
    st.booleans(),
)
def test_a_whole_answer_is_its_events_one_by_one(
    events: EventStream, stops: tuple[str, ...], most: int | None, constrained: bool
) -> None:
    """Text, calls, logprobs, counts, reason and failure: taken at once or event by event."""
    reading = Reading(stops, most, GRAMMAR if constrained else None, ranked=True)
    one, other = Choice(reading), Choice(reading)
    fed = decoded(events)
    details = fed[-1].details
    assert details is not None
    tokens = [event.token for event in fed if event.token is not None]
    try:
        expected = [piece for event in fed for piece in one.feed(event)]
    except UpstreamError as error:
        with pytest.raises(UpstreamError) as caught:
            other.feed_all(tokens, details)
        assert caught.value.failure == error.failure  # noqa: PT017 - either outcome may be right
        return
    pieces = other.feed_all(tokens, details)
    assert written(pieces) == written(expected)
    assert calls(pieces) == calls(expected)
    assert logprobs(pieces) == logprobs(expected)
    assert end(pieces) == end(expected)
    assert (other.tokens, other.ended) == (one.tokens, one.ended)
    # since 3.12 `sum` keeps what single additions round away
    assert other.logprob == pytest.approx(one.logprob)


def test_a_whole_answer_without_tokens_is_cut() -> None:
    """LoRAX generates at least one token, so an answer with none is none."""
    with pytest.raises(UpstreamError) as caught:
        Choice(Reading()).feed_all([], StreamDetails("length", 0, 3))
    assert caught.value.failure is Lost.CUT


@pytest.mark.property
@given(event_streams(), stop_lists)
def test_usage_counts_what_lorax_generated(events: EventStream, stops: list[str]) -> None:
    """LoRAX's own count at its end, the end token included; what had come at our own stop."""
    choice = Choice(Reading(stops=tuple(stops)))
    fed = 0
    pieces: list[Piece] = []
    for event in decoded(events):
        if choice.finished:
            break
        fed += 1
        pieces += choice.feed(event)
    assert end(pieces).completion_tokens == fed == choice.tokens
    final = fed == len(events.events)
    assert end(pieces).prompt_tokens == ((events.prompt_tokens or None) if final else None)


@pytest.mark.property
@given(event_streams(), stop_lists, st.data())
def test_a_cut_stream_is_never_a_clean_end(
    events: EventStream, stops: list[str], data: st.DataObject
) -> None:
    """A body that ends before the final event raises, unless our own stop came first."""
    kept = decoded(events)[: data.draw(st.integers(0, len(events.events) - 1))]
    choice = Choice(Reading(stops=tuple(stops)))
    pieces = [piece for event in kept for piece in choice.feed(event)]
    if choice.finished:
        assert end(pieces).reason == "stop"
        assert choice.finish() == []
        return
    assert not any(isinstance(piece, Finished) for piece in pieces)
    with pytest.raises(UpstreamError) as caught:
        choice.finish()
    assert caught.value.failure is Lost.CUT


@pytest.mark.property
@given(
    st.lists(event_documents, max_size=8),
    st.builds(
        Reading,
        stops=stop_lists.map(tuple),
        logprobs=st.none() | st.integers(0, 3),
        grammar=st.none() | st.just(GRAMMAR),
    ),
)
def test_any_events_give_pieces_or_our_own_error(documents: list[Any], reading: Reading) -> None:
    """Events in any order and mixture: pieces, then one end or an `UpstreamError`."""
    from lorax_proxy.wire.lorax import Unreadable

    choice = Choice(reading)
    pieces: list[Piece] = []
    try:
        for document in documents:
            pieces += choice.feed(decode_event(json.dumps(document).encode()))
            if choice.finished:
                # the reader closes the upstream here: what would follow is never decoded
                break
        pieces += choice.finish()
    except (UpstreamError, Unreadable):
        assert not any(isinstance(piece, Finished) for piece in pieces)
        return
    end(pieces)


@pytest.mark.property
@given(st.sampled_from(TEXT_DOCUMENTS), stop_lists, st.data())
def test_text_under_a_grammar_is_decoded_and_cut(
    document: tuple[str, str], stops: list[str], data: st.DataObject
) -> None:
    """Stop strings apply to the decoded text, however the JSON was cut into tokens."""
    raw, text = document
    tokens = data.draw(tokenisations(raw))
    pieces = run(
        stream([*tokens, Token("</s>", special=True)], "eos_token"),
        Reading(stops=tuple(stops), grammar=GRAMMAR),
    )
    assert written(pieces) == oracle(text, stops)[0]
    assert calls(pieces) == []
    assert end(pieces).reason == "stop"


@pytest.mark.property
@given(st.sampled_from(CALL_DOCUMENTS), st.data())
def test_calls_are_read_however_they_were_tokenised(
    document: tuple[str, list[tuple[str, str]]], data: st.DataObject
) -> None:
    """Names once, arguments as they were written, no text, and `tool_calls` at the end."""
    raw, expected = document
    tokens = data.draw(tokenisations(raw))
    # a stop string that stands in the arguments is no stop: it applies to content alone
    reading = Reading(stops=("a", "}"), grammar=GRAMMAR)
    pieces = run(stream([*tokens, Token("</s>", special=True)], "eos_token"), reading)
    assert calls(pieces) == expected
    assert written(pieces) == ""
    assert end(pieces).reason == "tool_calls"


@pytest.mark.property
@given(st.sampled_from(CALL_DOCUMENTS), st.data())
def test_calls_that_the_budget_cut_are_a_length(
    document: tuple[str, list[tuple[str, str]]], data: st.DataObject
) -> None:
    """What there is of the calls has come out, and the reason says that there was no room."""
    raw, expected = document
    kept = raw[: data.draw(st.integers(1, len(raw) - 1))]
    tokens = data.draw(tokenisations(kept))
    pieces = run(stream(tokens or [""], "length"), Reading(grammar=GRAMMAR))
    for (name, arguments), (whole_name, whole) in zip(calls(pieces), expected, strict=False):
        assert name == whole_name
        assert whole.startswith(arguments)
    assert end(pieces).reason == "length"


@pytest.mark.parametrize(
    "text", ["not json", '[{"name": "g"', '"a" "b"', "", '"half', '[{"name": "f", "arguments": {']
)
def test_output_outside_the_grammar_is_no_answer(text: str) -> None:
    """LoRAX was told a grammar: an answer that leaves it, or ends inside, can be trusted in nothing."""
    with pytest.raises(UpstreamError) as caught:
        run(
            stream([text, Token("</s>", special=True)], "eos_token"),
            Reading(grammar=GRAMMAR),
        )
    assert caught.value.failure is Lost.OFF_FORMAT


@pytest.mark.parametrize(
    ("reason", "last", "expected", "text"),
    [
        ("eos_token", Token("</s>", special=True), "stop", "ab"),
        ("eos_token", Token("<|end|>", special=False), "stop", "ab"),
        ("length", Token("c"), "length", "abc"),
        ("length", Token("</s>", special=True), "stop", "ab"),
        ("length", Token("<|eot_id|>", special=True), "stop", "ab"),
        ("length", Token("<|own_end|>", special=True), "stop", "ab"),
        ("length", Token("<unk>", special=True), "length", "ab"),
        ("length", Token("</s>", special=False), "length", "ab</s>"),
        ("stop_sequence", Token("c"), "stop", "abc"),
        ("length", Token("STOP"), "stop", "ab"),
        ("length", Token("cSTOPd"), "stop", "abc"),
        ("eos_token", Token("STOP"), "stop", "ab"),
    ],
)
def test_finish_reasons(reason: FinishReason, last: Token, expected: str, text: str) -> None:
    """LoRAX's reasons in OpenAI's words; an end token and a stop string that we matched beat `length`."""
    ends = END_TOKENS | {"<|own_end|>"}
    for reading in (Reading(("STOP",), ends=ends), Reading(("STOP",), logprobs=0, ends=ends)):
        pieces = run(stream(["a", "b", last], reason), reading)
        assert end(pieces).reason == expected
        assert written(pieces) == text


def test_an_end_token_that_is_ignored_ends_nothing() -> None:
    """With `ignore_eos_token` the model would have gone on: only the budget stopped it."""
    events = stream(["a", Token("</s>", special=True)], "length")
    assert end(run(events, Reading(ends=frozenset()))).reason == "length"


DOCUMENT_ENDS: list[tuple[str, FinishReason, Token, str | None]] = [
    ('{"a": [1]}', "eos_token", Token("</s>", special=True), "stop"),
    ('{"a": [1]} \n', "eos_token", Token("</s>", special=True), "stop"),
    ('{"a": [1', "eos_token", Token("</s>", special=True), None),
    ("", "eos_token", Token("</s>", special=True), None),
    ('{"a": [1]}}', "eos_token", Token("</s>", special=True), None),
    # Python reads these, JSON does not
    ('{"a": NaN}', "eos_token", Token("</s>", special=True), None),
    ('{"a": [-Infinity]}', "eos_token", Token("</s>", special=True), None),
    # more digits than Python makes a number of
    ('{"a": ' + "9" * 5000 + "}", "eos_token", Token("</s>", special=True), "stop"),
    ('{"a": [1', "length", Token("2"), "length"),
    ('{"a": [1', "length", Token("</s>", special=True), None),
    # the client's own stop string, found by LoRAX
    ('{"a": [1', "stop_sequence", Token("2"), "stop"),
]


@pytest.mark.parametrize(("text", "reason", "last", "expected"), DOCUMENT_ENDS)
def test_a_document_that_lorax_ends_is_whole(
    text: str, reason: FinishReason, last: Token, expected: str | None
) -> None:
    """Under a schema a `stop` is a promise that what is there parses, as it is with tools."""
    events = stream([text[:5], text[5:], last], reason)
    reading = Reading(document=True)
    tokens = [event.token for event in events if event.token is not None]
    details = events[-1].details
    assert details is not None

    def taken(*, whole: bool) -> list[Piece]:
        return Choice(reading).feed_all(tokens, details) if whole else run(events, reading)

    for whole in (False, True):
        if expected is None:
            with pytest.raises(UpstreamError) as caught:
                taken(whole=whole)
            assert caught.value.failure is Lost.OFF_FORMAT
        else:
            assert end(taken(whole=whole)).reason == expected


def test_a_stop_string_may_cut_a_document() -> None:
    """The client asked for it, and is told `stop`."""
    events = stream(['{"a": "x', 'STOP"}', Token("</s>", special=True)], "eos_token")
    pieces = run(events, Reading(stops=("STOP",), document=True))
    assert (written(pieces), end(pieces).reason) == ('{"a": "x', "stop")


@pytest.mark.property
@given(event_streams(alternatives=1), st.none() | st.just(0), st.data())
def test_events_that_were_lost_or_doubled_are_no_answer(
    events: EventStream, most: int | None, data: st.DataObject
) -> None:
    """LoRAX counts what it sends: another number of tokens never ends in a `stop` or a `length`."""
    fed = decoded(events)
    details = fed[-1].details
    assert details is not None
    index = data.draw(st.integers(0, len(fed) - 1))
    again = fed[index] if index < len(fed) - 1 else Event(fed[index].token)
    doubled = [*fed[:index], again, *fed[index:]]
    for wrong in (doubled, [*fed[:index], *fed[index + 1 :]]) if len(fed) > 1 else (doubled,):
        with pytest.raises(UpstreamError) as caught:
            run(wrong, Reading(logprobs=most))
        assert caught.value.failure in (Lost.MISCOUNTED, Lost.CUT)
        tokens = [event.token for event in wrong if event.token is not None]
        with pytest.raises(UpstreamError) as caught:
            Choice(Reading(logprobs=most)).feed_all(tokens, details)
        assert caught.value.failure is Lost.MISCOUNTED


def test_an_error_event_raises_with_its_type() -> None:
    """A 200 that holds an error is a refusal, before and after tokens."""
    for before in ([], [Event(token=Token("a"))]):
        choice = Choice(Reading())
        for event in before:
            choice.feed(event)
        with pytest.raises(UpstreamError) as caught:
            choice.feed(Event(error="Model is overloaded", error_type="overloaded"))
        assert caught.value.failure == Refused(200, "overloaded", "Model is overloaded")


def test_an_event_with_nothing_in_it_is_a_refusal_without_words() -> None:
    """It is no token, and LoRAX sends nothing else but errors."""
    with pytest.raises(UpstreamError) as caught:
        Choice(Reading()).feed(Event())
    assert caught.value.failure == Refused(200, None, "")


def test_output_outside_the_grammar_is_no_answer_when_it_is_cut_either() -> None:
    """A budget that ran out excuses an early end, not another document."""
    with pytest.raises(UpstreamError) as caught:
        run(stream(["not json"], "length"), Reading(grammar=GRAMMAR))
    assert caught.value.failure is Lost.OFF_FORMAT


def test_a_final_event_without_details_is_not_lorax() -> None:
    """Details were asked for: nothing is made up in their place."""
    with pytest.raises(UpstreamError) as caught:
        Choice(Reading()).feed(Event(token=Token("a"), generated_text="a"))
    assert caught.value.failure is Lost.UNREADABLE


def test_a_logprob_that_json_cannot_hold() -> None:
    """Null stands for NaN and infinities, and OpenAI documents a number for that."""
    assert NO_LOGPROB == -9999.0
    token = Token("a", None, alternative_tokens=())
    pieces = run(stream([token], "length"), Reading(logprobs=1))
    assert logprobs(pieces) == [TokenLogprob("a", NO_LOGPROB)]


def test_alternatives_come_with_their_logprobs() -> None:
    """As many as were asked for, in LoRAX's order; null is OpenAI's number for what is unlikely."""
    others = tuple(
        Alternative(text, logprob) for text, logprob in (("a", -0.5), ("b", None), ("c", -3))
    )
    pieces = run(
        stream([Token("a", -0.5, alternative_tokens=others)], "length"), Reading(logprobs=2)
    )
    assert logprobs(pieces) == [TokenLogprob("a", -0.5, (("a", -0.5), ("b", -9999.0)))]


def test_the_chosen_token_among_the_alternatives_has_its_own_text() -> None:
    """LoRAX decodes each alternative as if it followed the chosen one, which tears characters."""
    others = (Alternative("", None, 5), Alternative("a", -2.5, 7), Alternative("\ufffd", -0.5, 5))
    token = ScoredToken("\u4e16", -0.5, alternative_tokens=others, id=5)
    pieces = run(stream([token], "length"), Reading(logprobs=2))
    assert logprobs(pieces) == [TokenLogprob("\u4e16", -0.5, (("\u4e16", -0.5), ("a", -2.5)))]


def test_a_token_that_a_stop_cuts_keeps_what_is_visible() -> None:
    """The token's logprobs stay with the part of its text that the client sees."""
    whole, cut = (
        Token(text, -0.5, alternative_tokens=(Alternative("z", -1.5),)) for text in ("ab", "cSTOPd")
    )
    pieces = run(stream([whole, cut, "e"], "length"), Reading(stops=("STOP",), logprobs=1))
    top = (("z", -1.5),)
    assert logprobs(pieces) == [TokenLogprob("ab", -0.5, top), TokenLogprob("c", -0.5, top)]
    assert end(pieces) == Finished("stop", 2, None)


def test_a_token_of_which_nothing_is_left_has_no_logprob() -> None:
    """A stop string that begins where a token begins takes the token with it."""
    pieces = run(stream(["ab", "STOP"], "length"), Reading(stops=("STOP",), logprobs=0))
    assert logprobs(pieces) == [TokenLogprob("ab", -0.5)]


def test_what_is_held_back_gives_no_piece() -> None:
    """Nothing is sent to say that nothing can be said yet."""
    choice = Choice(Reading(stops=("STOP",), logprobs=0))
    assert choice.feed(Event(Token("ST", -0.5))) == []
    tokens = (TokenLogprob("ST", -0.5), TokenLogprob("EP", -0.5))
    assert choice.feed(Event(Token("EP", -0.5))) == [Text("STEP", tokens)]


def test_a_text_under_a_grammar_says_first_that_it_is_one() -> None:
    """Before its first character, even when both come in one token."""
    choice = Choice(Reading(grammar=GRAMMAR))
    assert choice.feed(Event(Token('"hi'))) == [Text(""), Text("hi")]


def test_a_stop_in_the_last_event_knows_the_prompt() -> None:
    """LoRAX has counted by then, whether the text is plain or in a grammar's quotes."""
    plain, quoted = Choice(Reading(stops=("b",))), Choice(Reading(stops=("b",), grammar=GRAMMAR))
    (event,) = stream(["abc"], "length", prompt_tokens=7)
    assert plain.feed(event) == [Text("a"), Finished("stop", 1, 7)]
    (event,) = stream(['"abc'], "length", prompt_tokens=7)
    assert quoted.feed(event) == [Text(""), Text("a"), Finished("stop", 1, 7)]


def test_a_cut_inside_an_escape_is_seen_by_the_stops() -> None:
    """Half a surrogate pair becomes U+FFFD at the end, which is text like any other."""
    events = stream(['"a\\ud83d'], "length", prompt_tokens=7)
    assert run(events, Reading(grammar=GRAMMAR)) == [
        Text(""),
        Text("a"),
        Text("\ufffd"),
        Finished("length", 1, 7),
    ]
    assert run(events, Reading(stops=("\ufffd",), grammar=GRAMMAR)) == [
        Text(""),
        Text("a"),
        Finished("stop", 1, 7),
    ]


def test_who_ended_a_choice() -> None:
    """LoRAX, when its final event came; we, when a stop string did."""
    by_lorax, by_us = Choice(Reading()), Choice(Reading(stops=("b",)))
    for choice in (by_lorax, by_us):
        assert (choice.ended, choice.finished) == (False, False)
    for event in stream(["a", "b", "c"], "length"):
        by_lorax.feed(event)
        by_us.feed(event)
    assert (by_lorax.ended, by_lorax.finished) == (True, True)
    assert (by_us.ended, by_us.finished) == (False, True)


def test_what_follows_a_stop_is_ignored() -> None:
    """Events that were under way when we stopped change nothing."""
    choice = Choice(Reading(stops=("b",)))
    assert choice.feed(Event(token=Token("ab"))) == [Text("a"), Finished("stop", 1, None)]
    assert choice.feed(Event(error="x", error_type="generation")) == []
    assert choice.finish() == []
    assert choice.tokens == 1


def test_the_sum_of_logprobs_is_kept() -> None:
    """`best_of` chooses by it; a null counts as the least likely."""
    choice = Choice(Reading())
    for event in stream([Token("a", -0.5), Token("b", None)], "length"):
        choice.feed(event)
    assert choice.logprob == -0.5 + NO_LOGPROB


@pytest.mark.parametrize("reason", REASONS)
def test_a_whole_answer_ends_as_a_stream_does(reason: FinishReason) -> None:
    """The end token's spelling is no text, special to its tokenizer or not; any other last token is."""
    tokens = [Token("a", -0.5), Token("b", -0.5), Token("<|end|>", -0.5)]
    pieces = Choice(Reading()).feed_all(tokens, StreamDetails(reason, 3, 7))
    assert written(pieces) == ("ab" if reason == "eos_token" else "ab<|end|>")
