"""Faults by id, what they do to events, and every kind of them on every route that generates."""

import http.client
import itertools
import json
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lorax_mock.scripting.faults import (
    Act,
    Close,
    Effect,
    Fault,
    FaultError,
    FaultKind,
    Send,
    Stall,
    effect_of,
    parse_fault,
)
from lorax_mock.testing.inprocess import LocalMock
from tests.mock.conftest import Running

_EVENTS = [b'data: {"a":1}\n\n', 'data: {"b":"é😀"}\n\n'.encode(), b'data: {"c":3}\n\n']

_IDS = [
    "overload",
    "overload:7",
    "status:503",
    "error@2",
    "error@0:overloaded",
    "incomplete@1",
    "nofinal",
    "cut@20",
    "reset@0",
    "stall@1",
    "stall@1:0.5",
    "drip:3",
    "rechunk:9",
    "crlf",
    "comments",
    "duplicate@1",
    "garbage@1",
    "oversize@1:100",
    "mime:text/html; charset=utf-8",
]


def _sent(acts: list[Act]) -> bytes:
    return b"".join(act.data for act in acts if isinstance(act, Send))


def test_every_kind_has_an_id_here() -> None:
    """Every kind of fault has an id in `_IDS`, with which the tests below try it."""
    missing = set(FaultKind) - {parse_fault(text).kind for text in _IDS}
    assert not missing, f"{', '.join(map(str, missing))}: no id in _IDS; give it one to try it with"


@pytest.mark.parametrize("kind", FaultKind)
def test_every_kind_does_something(kind: FaultKind) -> None:
    """Every kind of fault changes an answer."""
    faults = [fault for fault in map(parse_fault, _IDS) if fault.kind == kind]
    assert faults, f"{kind}: no id in _IDS to try its effect with"
    for fault in faults:
        effect = effect_of(fault)
        said = (effect.refusal, effect.page, effect.content_type)
        changed = effect.acts(_EVENTS) != Effect().acts(_EVENTS)
        assert changed or said != (None, None, None), f"{fault}: effect_of gives it no effect"


def test_the_documentation_has_every_kind() -> None:
    """docs/mock.md has a row for each kind, in its own words and order, and no other."""
    docs = (Path(__file__).parents[3] / "docs/mock.md").read_text("utf-8")
    table = docs.partition("### Faults\n")[2].partition("\n## ")[0]
    rows = [line for line in table.splitlines() if line.startswith("| `")]
    wanted = {
        kind: f"| {', '.join(f'`{one}`' for one in kind.value.ids)} | {kind.value.told} |"
        for kind in FaultKind
    }
    for kind, row in wanted.items():
        assert row in rows, (
            f"docs/mock.md does not tell of the fault {kind} what FaultKind does: {row}"
        )
    for row in rows:
        assert row in wanted.values(), f"docs/mock.md tells of a fault that is not: {row}"
    assert rows == list(wanted.values())
    for kind in FaultKind:
        assert {one.split("@")[0].split(":")[0] for one in kind.value.ids} == {str(kind)}


@pytest.mark.parametrize("text", _IDS)
def test_an_id_reads_back_as_itself(text: str) -> None:
    """A parsed id prints as it was written, so what a reply tells can be asked for again."""
    assert str(parse_fault(text)) == text


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("overlaod", "did you mean 'overload'?"),
        ("", "known are overload"),
        ("xyzzy@1", "known are overload"),
        ("cut", "should have the form cut@K"),
        ("crlf@1", "should have the form crlf"),
        ("status:200", "takes a value that matches"),
        ("nofinal:1", "takes no value"),
        ("drip:0", "takes a value that matches"),
    ],
)
def test_a_wrong_id_is_told_the_right_form(text: str, told: str) -> None:
    """A wrong id is refused with the nearest kind, the form or the value that is wanted."""
    with pytest.raises(FaultError) as caught:
        parse_fault(text)
    assert told in str(caught.value)


@pytest.mark.property
@given(st.sampled_from(["drip:1", "drip:7", "rechunk:1", "rechunk:2", "stall@1:0", "mime:a/b"]))
def test_some_faults_change_no_byte(text: str) -> None:
    """Drip, rechunk, stall and mime change when bytes come and in what pieces, and no byte."""
    assert _sent(effect_of(parse_fault(text)).acts(_EVENTS)) == b"".join(_EVENTS)


@pytest.mark.property
@given(place=st.integers(0, 80), reset=st.booleans())
def test_a_cut_is_at_its_byte(place: int, *, reset: bool) -> None:
    """A cut or reset is at its byte, also inside a character, and at the end when it is beyond."""
    kind = FaultKind.RESET if reset else FaultKind.CUT
    acts = effect_of(Fault(kind, place)).acts(_EVENTS)
    assert _sent(acts) == b"".join(_EVENTS)[:place]
    assert acts[-1] == Close(reset=reset)


def test_events_are_dropped_doubled_and_followed() -> None:
    """Faults of events drop, repeat, add or respell the events that they name."""
    first, second, third = _EVENTS
    assert _sent(effect_of(parse_fault("nofinal")).acts(_EVENTS)) == first + second
    assert (
        _sent(effect_of(parse_fault("duplicate@1")).acts(_EVENTS))
        == first + second + second + third
    )
    garbage = b"data: {not json\n\n"
    assert (
        _sent(effect_of(parse_fault("garbage@0")).acts(_EVENTS)) == garbage + first + second + third
    )
    assert _sent(effect_of(parse_fault("comments")).acts([first, third])) == (
        b":\n\n" + first + b":\n\n" + third
    )
    assert b"\n" not in _sent(effect_of(parse_fault("crlf")).acts(_EVENTS)).replace(b"\r\n", b"")


def test_an_oversize_event_is_still_its_json() -> None:
    """An oversize event is padded with white space and is still its JSON."""
    acts = effect_of(parse_fault("oversize@1:100000")).acts(_EVENTS)
    event = acts[1]
    assert isinstance(event, Send)
    assert len(event.data) > 100_000
    assert json.loads(event.data.removeprefix(b"data: ")) == {"b": "é😀"}


def test_an_error_comes_after_its_tokens() -> None:
    """An error event comes after so many tokens, and nothing after it."""
    sent = _sent(effect_of(parse_fault("error@1:overloaded")).acts(_EVENTS))
    error = b'data: {"error":"Model is overloaded","error_type":"overloaded"}\n\n'
    assert sent == _EVENTS[0] + error
    sent = _sent(effect_of(parse_fault("incomplete@0")).acts(_EVENTS))
    assert b'"error_type":"incomplete_generation"' in sent


def test_a_stall_is_silence_at_its_place() -> None:
    """A stall stands before its event, for a time or for ever."""
    assert effect_of(parse_fault("stall@1:2.5")).acts(_EVENTS)[1] == Stall(2.5)
    assert effect_of(parse_fault("stall@0")).acts(_EVENTS)[0] == Stall(None)


def test_refusals_have_lorax_words() -> None:
    """An overload refuses with LoRAX's status, and a cut refuses nothing."""
    refused = effect_of(parse_fault("overload")).refusal
    assert refused is not None
    assert refused.status == 429
    assert effect_of(parse_fault("cut@1")).refusal is None


_EACH_KIND = {
    "overload": ["overload", "overload:7"],
    "status": ["status:404", "status:503"],
    "error": ["error@0", "error@1:overloaded", "error@99"],
    "incomplete": ["incomplete@0", "incomplete@1", "incomplete@99"],
    "nofinal": ["nofinal"],
    "cut": ["cut@0", "cut@1", "cut@99999"],
    "reset": ["reset@0", "reset@1", "reset@99999"],
    "stall": ["stall@0:0.001", "stall@1:0.001", "stall@99:0.001"],
    "drip": ["drip:1", "drip:999999999"],
    "rechunk": ["rechunk:0", "rechunk:5"],
    "crlf": ["crlf"],
    "comments": ["comments"],
    "duplicate": ["duplicate@0", "duplicate@1", "duplicate@99"],
    "garbage": ["garbage@0", "garbage@1", "garbage@99"],
    "oversize": ["oversize@0:1", "oversize@1:70000", "oversize@99:5"],
    "mime": ["mime:text/html; charset=utf-8"],
}
_GENERATING = ["/", "/invocations", "/generate", "/generate_stream"]
_GENERATING_LIKE_OPENAI = ["/v1/completions", "/v1/chat/completions"]
_ANYTHING: dict[str, Any] = {
    "inputs": "reef",
    "prompt": "reef",
    "messages": [{"role": "user", "content": "reef"}],
    "model": "",
    "max_tokens": 3,
    "seed": 1,
    "parameters": {"max_new_tokens": 3},
}


def test_no_kind_of_fault_is_left_out() -> None:
    """Every kind of fault has ids in `_EACH_KIND`, with which the tests below try each route."""
    missing = {str(kind) for kind in FaultKind} - set(_EACH_KIND)
    assert not missing, f"{', '.join(missing)}: not in _EACH_KIND; no route is tried with it"
    ids = [(kind, one) for kind, several in _EACH_KIND.items() for one in several]
    assert all(str(parse_fault(one).kind) == kind for kind, one in ids)


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("path", [*_GENERATING, *_GENERATING_LIKE_OPENAI])
@pytest.mark.parametrize("kind", _EACH_KIND)
def test_every_fault_on_every_route_leaves_the_wire_in_order(
    mock: Running, kind: str, path: str, *, stream: bool
) -> None:
    """An answer with a fault has the length that it tells and leaves the connection usable, or ends it."""
    address = urlsplit(mock.url)
    for fault in _EACH_KIND[kind]:
        with closing(http.client.HTTPConnection(address.netloc, timeout=10)) as connection:
            status, body = _ask(connection, path, stream=stream)
            assert status == 200
            try:
                told = _ask(connection, path, stream=stream, fault=fault)
            except (http.client.HTTPException, OSError):
                assert kind in ("cut", "reset")
                continue
            assert told[0] == 200 or kind in ("overload", "status", "error", "incomplete")
            if kind in ("stall", "drip", "rechunk", "mime"):
                assert told == (status, body)
            if kind not in ("cut", "reset"):
                assert _ask(connection, path, stream=stream) == (status, body)
    entries = mock.http.get("/_mock/journal?wait=1", headers=_FAULTS).json()["entries"]
    assert {entry["outcome"] for entry in entries} <= {"length", "fault", "refused"}
    mock.http.delete("/_mock/journal", headers=_FAULTS)


@pytest.mark.parametrize("kind", _EACH_KIND)
def test_every_fault_in_process_is_no_bug(kind: str, caplog: pytest.LogCaptureFixture) -> None:
    """A fault in process reaches the client as a broken connection or in the body, and logs no bug."""
    with LocalMock() as local, local.client() as client:
        for fault, path in itertools.product(
            _EACH_KIND[kind], [*_GENERATING, *_GENERATING_LIKE_OPENAI]
        ):
            for stream in (False, True):
                headers = {"x-lorax-mock-fault": fault}
                try:
                    reply = client.post(path, json={**_ANYTHING, "stream": stream}, headers=headers)
                except httpx.TransportError:
                    assert kind in ("cut", "reset")
                else:
                    length = reply.headers.get("content-length", str(len(reply.content)))
                    assert int(length) == len(reply.content)
    assert not caplog.records


_FAULTS = {"x-lorax-mock-session": "every-fault"}


def _ask(
    connection: http.client.HTTPConnection, path: str, *, stream: bool, fault: str | None = None
) -> tuple[int, bytes]:
    headers = {**_FAULTS, "content-type": "application/json"}
    if fault is not None:
        headers["x-lorax-mock-fault"] = fault
    connection.request("POST", path, json.dumps({**_ANYTHING, "stream": stream}), headers)
    answer = connection.getresponse()
    return answer.status, answer.read()
