"""What is kept of a request: bodies by their way, and no secret."""

import json

from msgspec.structs import replace

from lorax_proxy.core.inspection.recording import (
    HIDDEN,
    Call,
    Moment,
    Outline,
    Recording,
    Way,
    hide_secrets,
    hide_token,
)
from lorax_proxy.core.plan import Plan
from lorax_proxy.core.stream import Reading
from lorax_proxy.core.tools.reader import Form, ToolGrammar
from lorax_proxy.errors import Lost


def test_a_body_is_what_went_one_way() -> None:
    """Of one LoRAX request, where there are several."""
    recording = Recording("POST", "/", (), texts=True)
    for way, call, data in ((Way.CAME, 0, b"a"), (Way.CAME, 1, b"x"), (Way.CAME, 0, b"b")):
        recording.moments.append(Moment(0.0, way, call, len(data), data))
    assert recording.body(Way.CAME) == b"ab"
    assert recording.body(Way.CAME, 1) == b"x"
    assert recording.body(Way.ANSWERED) == b""


def test_what_was_kept_back_was_not_sent() -> None:
    """The places are those in the list of all."""
    recording = Recording("POST", "/", (), texts=True)
    recording.calls = [
        Call("POST", "/generate", lost=Lost.RENEWED.value),
        Call("POST", "/generate", lost=Lost.CUT.value),
        Call("POST", "/generate", 200),
    ]
    assert [place for place, _ in recording.sent] == [1, 2]


def test_a_plan_leaves_what_the_page_asks_of_it() -> None:
    """Whether its text may be compared with the answer, and by which stop strings it is cut."""
    plan = Plan(
        prompts=("p",),
        requests=(),
        tries=1,
        choices=1,
        reading=Reading(stops=("STOP",)),
        token_stream=True,
    )
    assert Outline.of(plan) == Outline(("STOP",), plain=True, cut=True)
    grammar = ToolGrammar({}, Form(frozenset({"f"}), text=False, parallel=False), ())
    calls = replace(plan, reading=Reading(grammar=grammar))
    assert Outline.of(calls) == Outline((), plain=False, cut=False)
    assert Outline.of(replace(plan, echo=True)).cut is False
    assert Outline.of(replace(plan, tries=2)).cut is False


def test_a_snapshot_stays_as_it_is() -> None:
    """While more passes."""
    recording = Recording("POST", "/", (), texts=True, calls=[Call("POST", "/generate")])
    snapshot = recording.snapshot()
    assert snapshot == recording
    recording.moments.append(Moment(0.0, Way.CAME, 0, 1, b"a"))
    recording.calls[0].status = 200
    assert (snapshot.moments, snapshot.calls[0].status) == ([], 0)


def test_headers_lose_what_may_be_a_secret() -> None:
    """By their names; LoRAX's counts of tokens are none."""
    given = [
        ("authorization", "Bearer k"),
        ("proxy-authorization", "k"),
        ("cookie", "k"),
        ("x-api-key", "k"),
        ("x-auth-token", "k"),
        ("x-total-tokens", "7"),
        ("x-time-per-token", "8"),
        ("x-time-to-first-token", "9"),
        ("host", "localhost"),
    ]
    hidden = dict(hide_secrets(given))
    assert [name for name, value in hidden.items() if value == HIDDEN] == [n for n, _ in given[:5]]
    assert "k" not in hidden.values()
    assert [value for value in hidden.values() if value != HIDDEN] == ["7", "8", "9", "localhost"]


def test_an_adapters_token_is_hidden() -> None:
    """And every other request stays as it is, byte for byte."""
    sent = {"inputs": "hi", "parameters": {"api_token": "hf_x", "seed": 1}}
    hidden = json.loads(hide_token(json.dumps(sent).encode()))
    assert hidden == {"inputs": "hi", "parameters": {"api_token": HIDDEN, "seed": 1}}
    openai = b'{"model": "m", "api_token" :\t"hf_\\"x\\\\", "seed": 9007199254740993, "top_p": 1.0}'
    assert hide_token(openai) == openai.replace(b'"hf_\\"x\\\\"', b'"%b"' % HIDDEN.encode())
    for begun in (b'{"api_token":"hf_', b'{"api_token":"hf_\\'):
        assert b"hf_" not in hide_token(begun)
    plain = json.dumps({"inputs": 'say "api_token": "', "parameters": {"seed": 1}}).encode()
    assert hide_token(plain) == plain
