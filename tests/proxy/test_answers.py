"""LoRAX's answers under way, on responses in memory: any bytes, any failure, several at once."""

import asyncio
import functools
import json
from collections.abc import Sequence
from itertools import pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from lorax_proxy.answers import Answer, gather, generate
from lorax_proxy.app import create_app
from lorax_proxy.client import AsgiApp
from lorax_proxy.config import UpstreamSettings
from lorax_proxy.core.choice_reader import ChoiceReader
from lorax_proxy.core.stream import Finished, Piece, Reading, Text
from lorax_proxy.errors import Lost, Refused, UpstreamError
from lorax_proxy.wire.lorax import GenerateParameters, GenerateRequest
from tests.proxy.memory import MemoryResponse, MemoryTransport, call
from tests.proxy.running import chat, failed, final, generation, settings_for, token, tokens
from tests.proxy.servers import event

REQUEST = GenerateRequest("x", GenerateParameters())


Answering = Answer[ChoiceReader]


def answer(*pieces: bytes | Exception, stops: tuple[str, ...] = ()) -> Answering:
    """An answer whose response has these pieces."""
    return Answer(MemoryResponse(pieces), ChoiceReader(Reading(stops=stops)))


async def drained(source: Answering) -> list[Piece]:
    """Everything that an answer has."""
    pieces: list[Piece] = []
    while not source.reader.finished:
        pieces += await source.pieces()
    return pieces


async def test_one_read_gives_its_pieces_together() -> None:
    """Two tokens of one read are two pieces of one call."""
    source = answer(tokens("a", "b"), final("</s>"))
    assert await source.pieces() == [Text("a"), Text("b")]
    assert await source.pieces() == [Finished("stop", 3, 7)]
    assert source.reader.finished


async def test_pieces_before_a_failure_come_out_first() -> None:
    """A token and an error in one read: the token is not lost, the next call raises."""
    source = answer(tokens("a") + failed("overloaded", "Model is overloaded"))
    assert await source.pieces() == [Text("a")]
    for _ in range(2):
        with pytest.raises(UpstreamError) as caught:
            await source.pieces()
        assert caught.value.failure == Refused(200, "overloaded", "Model is overloaded")
    assert source.reader.failure


async def test_events_behind_the_end_are_ignored() -> None:
    """The final event ends the choice, whatever else is in the read."""
    source = answer(final("</s>", count=1) + tokens("more") + b"data: garbage\n\n")
    assert await source.pieces() == [Finished("stop", 1, 7)]
    assert not source.reader.failure


async def test_comments_do_not_begin_an_answer() -> None:
    """LoRAX's keep-alives say nothing of the adapter; its first event does."""
    source = answer(b":\n\n", b":\n\n", tokens("a"))
    before = source.reader.begun
    await source.pieces()
    assert (before, source.reader.begun, source.reader.tokens) == (False, True, 1)


async def test_a_cancelled_caller_leaves_the_first_read_to_the_next() -> None:
    """Until LoRAX has begun, who is cancelled does not break the connection."""
    gate = asyncio.Event()

    class Waiting(MemoryResponse):
        cancelled = False

        async def read(self) -> bytes:
            try:
                await gate.wait()
            except asyncio.CancelledError:
                self.cancelled = True
                raise
            return await super().read()

    response = Waiting([tokens("a")])
    source = Answer(response, ChoiceReader(Reading()))
    first = asyncio.create_task(source.pieces())
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    assert not response.cancelled
    gate.set()
    assert await source.pieces() == [Text("a")]


async def test_closing_gives_a_waiting_read_up() -> None:
    """A read that nobody waits for any more does not outlive its response."""

    class Silent(MemoryResponse):
        async def read(self) -> bytes:
            await asyncio.Event().wait()
            raise AssertionError

    before = asyncio.all_tasks()
    response = Silent([])
    source = Answer(response, ChoiceReader(Reading()))
    reading = asyncio.create_task(source.pieces())
    await asyncio.sleep(0)
    reading.cancel()
    await asyncio.gather(reading, return_exceptions=True)
    await source.close()
    assert response.closed
    assert asyncio.all_tasks() == before


async def test_whoever_is_cancelled_while_closing_has_closed() -> None:
    """A client that leaves while the end of LoRAX's body is awaited leaves no connection behind."""

    class Endless(MemoryResponse):
        async def read(self) -> bytes:
            return await super().read() or await asyncio.get_running_loop().create_future()

    response = Endless([final("</s>", count=1)])
    source = Answer(response, ChoiceReader(Reading()))
    await source.pieces()
    closing = asyncio.create_task(source.close())
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert not response.closed
    closing.cancel()
    await asyncio.gather(closing, return_exceptions=True)
    assert closing.cancelled()
    assert response.closed


async def test_open_refuses_what_is_not_200_and_closes_it() -> None:
    """The envelope, or the text, of another status is the failure."""
    response = MemoryResponse([b'{"error":"e","error_type":"generation"}'], status=424)
    with pytest.raises(UpstreamError) as caught:
        await Answer.open(
            MemoryTransport(lambda _: response), REQUEST, ChoiceReader(Reading()), silence=1
        )
    assert caught.value.failure == Refused(424, "generation", "e")
    assert response.closed
    with pytest.raises(UpstreamError) as caught:
        await generate(
            MemoryTransport(lambda _: MemoryResponse([b"plain"], status=413)),
            REQUEST,
            Reading(),
            silence=1,
        )
    assert caught.value.failure == Refused(413, None, "plain")


async def test_a_whole_answer_is_read_from_its_tokens() -> None:
    """`generated_text` is not read: it may be empty, or hold a stop string."""
    response = MemoryResponse(
        [json.dumps({**generation("a", "b"), "generated_text": "x"}).encode()]
    )
    ranked = Reading(ranked=True)
    whole = await generate(MemoryTransport(lambda _: response), REQUEST, ranked, silence=1)
    assert whole.pieces == [Text("ab"), Finished("stop", 3, 7)]
    assert whole.end == Finished("stop", 3, 7)
    assert whole.mean_logprob == -0.5
    assert response.closed


async def test_gather_raises_the_first_failure_and_cancels_the_rest() -> None:
    """What is raised is the failure itself, and nothing is left running."""
    ended: list[str] = []

    async def waits() -> int:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append("cancelled")
        return 1

    async def fails() -> int:
        await asyncio.sleep(0)
        raise UpstreamError(Lost.CUT)

    with pytest.raises(UpstreamError):
        await gather([waits(), fails()])
    assert ended == ["cancelled"]


# properties

EVENTS = st.sampled_from(
    [
        tokens("a"),
        tokens("é", "b"),
        final("</s>"),
        final("z", "length", special=False),
        failed("overloaded", "Model is overloaded"),
        failed("?", ""),
        b":\n\n",
        b"data: \n\n",
        b"data: {}\n\n",
        b'data: {"token":null}\n\n',
        event({"token": token("a"), "generated_text": "a", "details": None}),
        b"\r\n",
        b"data: [DONE]\n\n",
        tokens("a")[:-7],
    ]
)
BODIES = st.lists(EVENTS | st.binary(max_size=40), max_size=6).map(b"".join)


@st.composite
def pieces_of(draw: st.DrawFn, bodies: st.SearchStrategy[bytes] = BODIES) -> list[bytes]:
    """A body, cut anywhere."""
    body = draw(bodies)
    cuts = draw(st.lists(st.integers(0, len(body)), max_size=4).map(sorted))
    return [body[a:b] for a, b in pairwise([0, *cuts, len(body)]) if a < b]


def run(source: Answering) -> tuple[list[Piece], Exception | None]:
    """What an answer gives, and how it failed."""

    async def read() -> tuple[list[Piece], Exception | None]:
        pieces: list[Piece] = []
        try:
            while not source.reader.finished:
                pieces += await source.pieces()
        except UpstreamError as error:
            return pieces, error
        return pieces, None

    return asyncio.run(read())


@pytest.mark.property
@given(pieces_of())
def test_law_any_bytes_end_well_or_in_our_failure(pieces: Sequence[bytes]) -> None:
    """A clean end has exactly one Finished, the last; everything else is an UpstreamError."""
    got, error = run(answer(*pieces))
    ends = [piece for piece in got if isinstance(piece, Finished)]
    if error is None:
        assert len(ends) == 1
        assert got[-1] is ends[0]
        assert b'"generated_text": "' in b"".join(pieces)
    else:
        assert not ends


@pytest.mark.property
@given(pieces_of())
def test_law_cutting_the_bytes_elsewhere_changes_nothing(pieces: Sequence[bytes]) -> None:
    """The pieces and the failure are those of the body in one read."""
    got, error = run(answer(*pieces))
    whole, whole_error = run(answer(*[each for each in (b"".join(pieces),) if each]))
    assert got == whole
    assert type(error) is type(whole_error)
    assert str(error) == str(whole_error)


_DOCUMENTS = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["token", "text", "details", "tokens", "generated_text", "finish_reason", "error"]
            ),
            inner,
            max_size=3,
        )
    ),
    max_leaves=8,
).map(lambda document: json.dumps(document).encode())


@st.composite
def wholes(draw: st.DrawFn) -> bytes:
    """An answer of /generate with one thing in it changed, or anything else."""
    if draw(st.booleans()):
        return draw(st.binary(max_size=40) | _DOCUMENTS)
    document = generation(*draw(st.lists(st.text(max_size=3), max_size=3)))
    odd = draw(st.none() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=3))
    key = draw(st.sampled_from(sorted(document["details"])))
    document["details"][key] = odd
    return json.dumps(document).encode()


def judge(reply_body: bytes, status: int, *, stream: bool) -> None:
    """A valid answer, or OpenAI's error; never a 500, never a clean end of a broken stream."""
    assert status != 500, reply_body
    if status != 200 or not stream:
        document = json.loads(reply_body)
        assert ("error" in document) == (status != 200)
        if status == 200:
            (choice,) = document["choices"]
            assert choice["finish_reason"] in ("stop", "length")
            assert all(type(count) is int and count >= 0 for count in document["usage"].values())
        return
    blocks = reply_body.decode().split("\n\n")[:-1]
    documents = [json.loads(block[6:]) for block in blocks if block != "data: [DONE]"]
    finished = [
        choice["finish_reason"]
        for each in documents
        for choice in each.get("choices", [])
        if choice["finish_reason"]
    ]
    if blocks[-1] == "data: [DONE]":
        assert len(finished) == 1
        assert not any("error" in each for each in documents)
    else:
        assert set(documents[-1]) == {"error"}


BODY: list[bytes] = []
"""What the LoRAX in memory answers at present: an application is made once, not for each body."""

TRANSPORT = MemoryTransport(lambda _: MemoryResponse(BODY))


@functools.cache
def application() -> AsgiApp:
    """The whole proxy in front of it."""
    settings = settings_for(upstream=[UpstreamSettings(url="http://lorax")], log_level="error")
    return create_app(settings, open_transport=lambda _: TRANSPORT)


def asked(body: Sequence[bytes], *, stream: bool) -> None:
    """Ask an application in memory whose LoRAX answers with this body."""
    BODY[:] = body
    TRANSPORT.opened.clear()
    request = chat(stream=stream)
    if stream:
        request["stream_options"] = {"include_usage": True}
    reply = asyncio.run(call(application(), "/v1/chat/completions", request))
    assert reply.complete
    judge(reply.body, reply.status, stream=stream)
    assert all(isinstance(each, MemoryResponse) and each.closed for each in TRANSPORT.opened)


@pytest.mark.property
@given(pieces_of())
def test_law_any_stream_becomes_an_answer_or_an_error(pieces: Sequence[bytes]) -> None:
    """Whatever /generate_stream sends: chunks and [DONE], an error event, or an envelope."""
    asked(pieces, stream=True)


@pytest.mark.property
@given(pieces_of(wholes()))
@example([json.dumps(generation("a", generated_tokens=10**30)).encode()])
@example([json.dumps(generation("a", generated_tokens=-1)).encode()])
@example([json.dumps(generation("a", prompt_tokens=2**64)).encode()])
def test_law_any_body_becomes_an_answer_or_an_error(pieces: Sequence[bytes]) -> None:
    """Whatever /generate sends: an answer, or an envelope that is no bug of ours."""
    asked(pieces, stream=False)
