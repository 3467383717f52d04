"""Golden transcripts: a text that both sides' tests play, and that keeps every law itself."""

from dataclasses import replace

import pytest

from lorax_contracts import loader, schemas, transcripts
from lorax_contracts.errors import CannotRead, UnknownName
from lorax_contracts.exchange import End
from lorax_contracts.judge import judge

NAMES = loader.transcript_names()


@pytest.mark.parametrize("name", NAMES)
def test_its_text_is_what_it_renders_to(name: str) -> None:
    """A transcript read and written again is the same file, so regeneration shows as a diff."""
    assert transcripts.render(transcripts.load(name)) == loader.text(f"transcripts/{name}.txt")


@pytest.mark.parametrize("name", NAMES)
def test_openais_side_keeps_every_law(name: str) -> None:
    """What the client gets breaks no law, our own ones included (headers that vary are not kept)."""
    exchange = transcripts.load(name).exchange()
    broken = [one for one in judge(exchange, strict=True) if one.law != "OAI-HTTP-003"]
    assert broken == []


NOT_LORAX = {"error_not_lorax", "error_plain_text"}
"""What comes there is no LoRAX's, which is the point."""


@pytest.mark.parametrize("name", sorted(set(NAMES) - NOT_LORAX))
def test_loraxs_side_keeps_every_law(name: str) -> None:
    """What LoRAX says in it is what LoRAX would say."""
    for call in transcripts.load(name).calls:
        exchange = call.exchange()
        if exchange.end is End.COMPLETE and exchange.media_type == "application/json":
            length = ("content-length", str(len(exchange.body)))
            exchange = replace(exchange, headers=(*exchange.headers, length))
        broken = [one for one in judge(exchange) if exchange.end is End.COMPLETE]
        assert broken == []


@pytest.mark.parametrize("name", NAMES)
def test_requests_fit_their_schemas(name: str) -> None:
    """Both sides' requests are what each wire admits; refused ones are the point of their files."""
    transcript = transcripts.load(name)
    if not name.startswith("refused_"):
        kind = "chat_" if "chat" in transcript.request.path else ""
        schema = "embedding" if "embeddings" in transcript.request.path else f"{kind}completion"
        assert schemas.validate(f"openai/{schema}_request", transcript.request.json) == []
    for call in transcript.calls:
        if call.request.path.startswith("/generate"):
            assert schemas.validate("lorax/generate_request", call.request.json) == []


def test_the_world_keeps_every_law() -> None:
    """The answers that stand ready in every transcript are LoRAX's."""
    for call in transcripts.world():
        exchange = call.exchange()
        length = ("content-length", str(len(exchange.body)))
        assert judge(replace(exchange, headers=(*exchange.headers, length))) == []


def test_an_unknown_name_names_the_nearest() -> None:
    """A typing error is answered with what was meant."""
    with pytest.raises(UnknownName, match="chat_plain"):
        transcripts.load("chat_plane")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("# nothing\n", "starts with an openai request"),
        ("hello\n", "before the first section"),
        ("=== openai request\nPOST /x\n\n{\n=== openai reply\n200\n\n", "POST /x"),
        ("=== openai request\nPOST /x\n\n{}\n=== openai reply\nyes\n\n", "is no status"),
        ("=== openai request\nPOST /x\nbad\n\n=== openai reply\n200\n\n", "is no header"),
        ("=== openai request\n\n=== openai reply\n200\n\n", "without a first line"),
        (
            "=== openai request\nPOST /x\n\n=== lorax reply\n200\n\n=== openai reply\n200\n\n",
            "is followed by its lorax reply",
        ),
    ],
)
def test_what_is_no_transcript_is_refused_with_its_place(text: str, said: str) -> None:
    """A broken file says where it is broken."""
    with pytest.raises(CannotRead, match=said):
        transcripts.parse("broken", text)


def test_settle_numbers_ids_in_order_and_fixes_the_time() -> None:
    """Equal ids stay equal, different ones stay different, whatever they were."""
    body = (
        b'{"id":"chatcmpl-x","created":9}{"id":"chatcmpl-x","created":9}'
        b'{"id":"call_q"}{"id":"call_p"}{"id":"call_q"}'
    )
    assert transcripts.settle(body) == (
        b'{"id":"chatcmpl-0","created":1700000000}{"id":"chatcmpl-0","created":1700000000}'
        b'{"id":"call_0"}{"id":"call_1"}{"id":"call_0"}'
    )


def test_a_cut_reply_is_read_back_as_cut() -> None:
    """How a body ends is part of the conversation."""
    assert transcripts.load("truncated_stream").calls[0].reply.end is End.CUT
    assert transcripts.load("chat_stream").calls[0].reply.end is End.COMPLETE
