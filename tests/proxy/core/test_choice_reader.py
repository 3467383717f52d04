"""A stream's bytes in, chunks' bytes out: the short way where that is enough."""

import json
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from lorax_proxy.core.chat_style import ChatStyle
from lorax_proxy.core.choice_reader import ChoiceChunks
from lorax_proxy.core.stream import Finished, Reading
from lorax_proxy.core.text_completion import CompletionStyle
from lorax_proxy.errors import UpstreamError
from lorax_proxy.wire.openai_replies import ChunkWriter, Identity
from tests.strategies import chunkings, small_texts, stop_lists

IDENTITY = Identity(id="chatcmpl-7f3a", created=1_700_000_000, model="org/a", fingerprint="fp")


def token(text: object, **more: object) -> dict[str, Any]:
    """A token as LoRAX writes it."""
    return {"id": 7, "text": text, "logprob": -0.25, "special": False, **more}


def event(token: object, **more: object) -> dict[str, Any]:
    """An event as LoRAX writes it."""
    return {"token": token, "generated_text": None, "details": None, **more}


def written(*documents: object) -> bytes:
    """Events on the wire."""
    return b"".join(b"data:%b\n\n" % json.dumps(each).encode() for each in documents)


def end(count: int) -> dict[str, Any]:
    """The last event."""
    details = {"finish_reason": "eos_token", "generated_tokens": count, "prompt_tokens": 7}
    return event(token("</s>", special=True), generated_text="x", details=details)


def told(
    pieces: Sequence[bytes], reading: Reading, *, chat: bool = True, shortens: bool
) -> tuple[bytes, Finished | None, int, str]:
    """Everything that a body becomes: the chunks, the end, the count, the failure."""
    style = ChatStyle("chatcmpl-7f3a") if chat else CompletionStyle(logprobs=False)
    writer = ChunkWriter(IDENTITY, style.chunk_object, usage_asked=False)
    reader = ChoiceChunks(reading, style, writer, 1, shortens=shortens)
    out = b""
    try:
        for piece in [*filter(None, pieces), b""]:
            out += reader.chunks(piece)
            if reader.finished:
                break
    except UpstreamError as error:
        return out, reader.end, reader.tokens, str(error)
    return out, reader.end, reader.tokens, ""


_odd = st.sampled_from([None, True, -1, 0.5, "", "a", [], {}, [{"text": "a"}], {"text": "a"}])
_tokens = st.builds(
    lambda text, odd: {**token(text), **odd},
    small_texts | st.sampled_from(["plain", '"', "\\", "\x7f", "\x01", "\u2028", "/", ""]) | _odd,
    st.dictionaries(
        st.sampled_from(["logprob", "special", "alternative_tokens", "id", "text"]),
        _odd,
        max_size=1,
    ),
)
_events = st.builds(
    lambda token, odd: {**event(token), **odd},
    st.one_of(_tokens, _tokens, _tokens, _odd),
    st.dictionaries(
        st.sampled_from(["generated_text", "details", "error", "error_type", "index", "token"]),
        _odd,
        max_size=1,
    ),
)


@st.composite
def bodies(draw: st.DrawFn) -> list[bytes]:
    """Events that are LoRAX's or nearly, however JSON may spell them, cut anywhere."""
    lines: list[bytes] = []
    for document in draw(st.lists(_events, max_size=6)):
        text = json.dumps(
            document,
            ensure_ascii=draw(st.booleans()),
            separators=draw(st.sampled_from([(",", ":"), (", ", ": ")])),
        )
        lines.append(f"data:{draw(st.sampled_from(['', ' ']))}{text}".encode())
    if draw(st.booleans()):
        lines.append(b"data:" + json.dumps(end(len(lines) + 1)).encode())
    body = b"".join(line + draw(st.sampled_from([b"\n\n", b"\r\n\r\n"])) for line in lines)
    return draw(chunkings(body))


@pytest.mark.property
@given(bodies(), st.booleans())
@example([written(event(token("a")), event(token("b")), end(3))], True)
@example([written(event(token("a", logprob="x")))], True)
@example([written(event(token("a"), generated_text="a"))], True)
@example([written(event(token("a", special=True)))], True)
def test_the_short_way_writes_what_the_machine_writes(body: Sequence[bytes], chat: bool) -> None:
    """The same chunks, end, count and failure, whatever arrives and however it is cut."""
    reading = Reading()
    short = told(body, reading, chat=chat, shortens=True)
    assert short == told(body, reading, chat=chat, shortens=False)


@pytest.mark.property
@given(bodies(), stop_lists, st.booleans())
def test_a_text_in_which_something_may_change_goes_through_the_machine(
    body: Sequence[bytes], stops: list[str], logprobs: bool
) -> None:
    """With stop strings, log probabilities or a schema the machine alone reads."""
    reading = Reading(
        stops=tuple(stops), logprobs=0 if logprobs else None, document=not (stops or logprobs)
    )
    assert told(body, reading, shortens=True) == told(body, reading, shortens=False)


def test_nothing_is_shortened_after_a_short_prompt_before_its_text_is_whole() -> None:
    """LoRAX loses characters there (`core.short_prompts`): the first texts are looked after."""
    style = ChatStyle("chatcmpl-7f3a")
    writer = ChunkWriter(IDENTITY, style.chunk_object, usage_asked=False)
    reader = ChoiceChunks(Reading(), style, writer, 0, watched=True)
    out = reader.chunks(written(event(token("")), event(token("b"))))
    out += reader.chunks(written(event(token("c"))))
    assert [json.loads(each[6:])["choices"][0]["delta"] for each in out.split(b"\n\n")[:-1]] == [
        {"content": "b"},
        {"content": "c"},
    ]
