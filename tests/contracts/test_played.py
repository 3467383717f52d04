"""Golden transcripts played on both programs, started as users start them.

The proxy gets LoRAX's side from a script, byte for byte, and must ask and answer as recorded. The mock
gets what the proxy asks, and must answer as LoRAX does: other words, every law kept.
"""

import http.client
import json
from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lorax_contracts import loader, strategies, transcripts
from lorax_contracts.exchange import End, Exchange
from lorax_contracts.judge import judge
from lorax_contracts.strategies import Fault, FaultPlan
from lorax_contracts.transcripts import Call, Reply, Request
from tests.contracts.player import Upstream, ask, play, warm
from tests.contracts.processes import ProxyProcess, mock_process

NAMES = loader.transcript_names()


@pytest.fixture(scope="module")
def upstream() -> Iterator[Upstream]:
    """A scripted LoRAX."""
    with Upstream() as running:
        yield running


@pytest.fixture(scope="module")
def proxy(upstream: Upstream) -> Iterator[str]:
    """The proxy's address; its usual adapter has answered once."""
    with ProxyProcess(upstream.url) as running:
        warm(running.url, upstream)
        yield running.url


@pytest.fixture(scope="module")
def mock() -> Iterator[str]:
    """The mock's address."""
    with mock_process() as url:
        yield url


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_the_proxy_speaks_as_recorded(name: str, proxy: str, upstream: Upstream) -> None:
    """What it asks LoRAX and what it tells the client are the transcript's, byte for byte.

    A difference that is meant is taken over by `python -m tests.contracts.regenerate`.
    """
    transcript = transcripts.load(name)
    played = play(transcript, proxy, upstream)
    if played.transcript != transcript:  # requests are compared as JSON, and shown as text
        assert transcripts.render(played.transcript) == transcripts.render(transcript)
    assert "x-request-id" in played.headers


def _post(base: str, request: Request) -> Exchange:
    where = urlsplit(base)
    connection = http.client.HTTPConnection(where.hostname or "", where.port, timeout=30)
    body = json.dumps(request.json).encode()
    connection.request(request.method, request.path, body, {"content-type": "application/json"})
    reply = connection.getresponse()
    exchange = Exchange(
        method=request.method,
        path=request.path,
        request=request.json,
        status=reply.status,
        headers=tuple((name.lower(), value) for name, value in reply.getheaders()),
        body=reply.read(),
    )
    connection.close()
    return exchange


@pytest.mark.slow
@pytest.mark.parametrize("name", [n for n in NAMES if transcripts.load(n).calls])
def test_the_mock_answers_what_the_proxy_asks_as_lorax_does(name: str, mock: str) -> None:
    """Every law of LoRAX's wire holds for the mock's answer to the proxy's very request."""
    for call in transcripts.load(name).calls:
        assert judge(_post(mock, call.request), strict=True) == []


@pytest.mark.slow
@pytest.mark.property
@given(plan=strategies.fault_plans(), stream=st.booleans())
def test_no_fault_of_lorax_is_called_an_answer(
    plan: FaultPlan, stream: bool, proxy: str, upstream: Upstream
) -> None:
    """Whatever goes wrong behind it, the proxy says so by a status or an error event, lawfully."""
    native = transcripts.load("chat_stream").calls[0].reply
    if plan.fault is Fault.STATUS:
        said = Reply(plan.status, {"content-type": "application/json"}, plan.body())
    else:
        end = End.CUT if plan.fault is Fault.CUT else End.COMPLETE
        said = Reply(200, native.headers, plan.body(), end)
    upstream.expect((Call(Request("POST", "/generate_stream"), said),))
    request = {
        "model": "acme/poet",
        "messages": [{"role": "user", "content": "Hi"}],
        # A stop string that does not come: folded from a stream where none is asked for.
        **({"stream": True} if stream else {"stop": ["\u2603\u2603"]}),
    }
    status, headers, body, end = ask(proxy, Request("POST", "/v1/chat/completions", request))
    exchange = Exchange(
        method="POST",
        path="/v1/chat/completions",
        request=request,
        status=status,
        headers=tuple(headers.items()),
        body=body,
        end=end,
    )
    answered = status == 200 and (b"[DONE]" in body or not stream)
    assert answered == (plan.fault in {Fault.NONE, Fault.RECHUNKED})
    assert judge(exchange, strict=True) == []
