"""Served requests that meet on the shard: LoRAX's schedule, everybody's own words."""

import asyncio
import random
import time
from collections.abc import AsyncIterator, Iterator
from typing import Any

import httpx
import pytest

from lorax_mock.errors import FatalRequest, LoraxRefusal
from lorax_mock.router.metrics import Metrics
from lorax_mock.server.batcher import Batcher
from lorax_mock.server.meeting import Meeting
from lorax_mock.server.ticket import Ticket, Work
from lorax_mock.server.watching import Watching
from lorax_mock.settings import Adapter, Costs, Limits, Settings
from lorax_mock.shard.jobs import Job
from lorax_mock.shard.schedule import as_json
from lorax_mock.shard.workload import simulate
from lorax_mock.testing.inprocess import LocalMock
from tests.mock.conftest import events

_SETTINGS = Settings(costs=Costs(prefill_token=1, step=10, adapter_download=100, adapter_load=50))


@pytest.fixture
def local() -> Iterator[LocalMock]:
    """A mock of this test's own, with round costs."""
    with LocalMock(_SETTINGS) as mock:
        yield mock


@pytest.fixture
async def http(local: LocalMock) -> AsyncIterator[httpx.AsyncClient]:
    """A client of it."""
    async with local.async_client() as client:
        yield client


def _body(inputs: str, tokens: int, adapter: str = "") -> dict[str, Any]:
    parameters = {"max_new_tokens": tokens, "ignore_eos_token": True, "details": True}
    return {"inputs": inputs, "parameters": {**parameters, "adapter_id": adapter or None}}


def _together(count: int, at: float = 0) -> dict[str, str]:
    return {"x-lorax-mock-together": f"{count}", "x-lorax-mock-at": f"{at}"}


async def _schedule(http: httpx.AsyncClient) -> dict[str, Any]:
    told: dict[str, Any] = (await http.get("/_mock/schedule")).json()
    return told


async def test_requests_that_meet_are_prefilled_and_decoded_together(
    http: httpx.AsyncClient,
) -> None:
    """Requests that meet share one prefill and each decode step, and leave when they are done."""
    asks = [("a", 3), ("a b", 5), ("a b c", 5)]
    answers = await asyncio.gather(
        *[
            http.post("/generate", json=_body(text, tokens), headers=_together(3))
            for text, tokens in asks
        ]
    )
    prompts = [answer.json()["details"]["prompt_tokens"] for answer in answers]
    told = await _schedule(http)
    first = sum(prompts)
    assert [
        (span["kind"], span["start"], span["end"], len(span["jobs"]), span["steps"])
        for span in told["spans"]
    ] == [
        ("prefill", 0, first, 3, 1),
        ("decode", first, first + 20, 3, 2),
        ("decode", first + 20, first + 40, 2, 2),
    ]
    names = ("x-queue-time", "x-time-to-first-token", "x-inference-time", "x-total-time")
    for answer, (_, tokens) in zip(answers, asks, strict=True):
        taken = first + 10 * (tokens - 1)
        assert [int(answer.headers[name]) for name in names] == [0, first, taken, taken]


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("paths", [("/generate",), ("/generate_stream", "/generate")])
async def test_what_is_served_is_what_is_simulated(seed: int, paths: tuple[str, ...]) -> None:
    """A meeting has the schedule of the same simulated workload, in whatever order its bytes came."""
    draw = random.Random(seed)
    adapters = ["", "acme/pirate", "acme/poet", "acme/sql"]
    asks = [
        (draw.randrange(0, 600, 7), draw.choice(adapters), f"say {number} " * (number % 5 + 1))
        for number in range(12)
    ]
    lengths = [draw.randint(1, 40) for _ in asks]
    jobs: list[tuple[float, str, int, int]] = []

    async def ask(http: httpx.AsyncClient, number: int) -> None:
        at, adapter, text = asks[number]
        tokens = lengths[number]
        path = paths[number % len(paths)]
        reply = await http.post(
            path, json=_body(text, tokens, adapter), headers=_together(len(asks), at)
        )
        told = reply.json() if path == "/generate" else events(reply.text)[-1]
        jobs.append((at, adapter, told["details"]["prompt_tokens"], tokens))

    with LocalMock(_SETTINGS) as mock:
        async with mock.async_client() as http:
            await asyncio.gather(*[ask(http, one) for one in draw.sample(range(12), 12)])
            served = await _schedule(http)
    workload = [
        Job(number, at, adapter, prompt, tokens, tokens)
        for number, (at, adapter, prompt, tokens) in enumerate(sorted(jobs), 1)
    ]
    shard, done = simulate(workload, _SETTINGS)
    simulated = as_json(shard.spans, done)
    assert _without_numbers(served) == _without_numbers(simulated)
    assert len(served["jobs"]) == 12


def _without_numbers(told: dict[str, Any]) -> Any:
    """Jobs that come at the same time have their order by what they ask."""
    jobs = {job["id"]: {**job, "id": 0} for job in told["jobs"]}
    spans = [
        {**span, "jobs": sorted((jobs[number] for number in span["jobs"]), key=repr)}
        for span in told["spans"]
    ]
    return spans, sorted(jobs.values(), key=repr)


async def test_neighbours_change_times_and_never_words(http: httpx.AsyncClient) -> None:
    """A request in a batch has the body that it has alone."""
    bodies = [
        {"inputs": f"word {number}", "parameters": {"details": True, "adapter_id": adapter}}
        for number in range(6)
        for adapter in ("acme/pirate", "acme/poet")
    ]
    alone = [(await http.post("/generate", json=body)).content for body in bodies]
    together = await asyncio.gather(
        *[http.post("/generate", json=body, headers=_together(12)) for body in bodies]
    )
    assert [answer.content for answer in together] == alone


async def test_best_of_shares_a_batch_with_itself(http: httpx.AsyncClient) -> None:
    """The sequences of a best_of are separate requests to the shard, the first one earlier."""
    body = _body("a", 4)
    body["parameters"] |= {"best_of": 2, "do_sample": True}
    for headers in ({}, _together(1)):
        await http.post("/_mock/reset")
        await http.post("/generate", json=body, headers=headers)
        spans = (await _schedule(http))["spans"]
        kinds = [(span["kind"], len(span["jobs"])) for span in spans]
        assert kinds == [("prefill", 1), ("prefill", 1), ("decode", 2)]
    metrics = (await http.get("/metrics")).text
    assert 'lorax_batch_concat{reason="backpressure"} 2' in metrics


@pytest.mark.parametrize("path", ["/generate", "/generate_stream"])
async def test_a_temperature_of_0_beside_another_says_token_0(
    http: httpx.AsyncClient, path: str
) -> None:
    """A temperature of 0 beside another gives token 0 from their shared pass on, and alone it is greedy."""
    asked = {"temperature": 0.0, "max_new_tokens": 40, "details": True, "return_k_alternatives": 2}
    zero = {"inputs": "Why?", "parameters": asked}
    warm = {"inputs": "Why?", "parameters": {"temperature": 0.7, "max_new_tokens": 3}}
    alone, _ = await asyncio.gather(
        http.post(path, json=zero, headers=_together(2)),
        http.post("/generate", json=_body("a", 40), headers=_together(2)),
    )
    shared, _ = await asyncio.gather(
        http.post(path, json=zero, headers=_together(2)),
        http.post("/generate", json=warm, headers=_together(2, at=45)),
    )
    by_chance, _ = await asyncio.gather(
        http.post(path, json=zero), http.post("/generate", json=warm)
    )
    assert by_chance.content == alone.content
    told = []
    for answer in (alone, shared):
        if path == "/generate":
            reply = answer.json()
            told.append((reply["details"]["tokens"], reply["generated_text"], reply["details"]))
        else:
            stream = events(answer.text)
            last = stream[-1]
            told.append(([one["token"] for one in stream], last["generated_text"], last["details"]))
    (usual, text, _), (tokens, spoiled, details) = told
    place = next(place for place, token in enumerate(tokens) if token["logprob"] is None)
    assert 2 < place < len(usual)
    assert tokens[:place] == usual[:place]
    assert [(token["id"], token["logprob"]) for token in tokens[place:]] == [(0, None)] * (
        40 - place
    )
    assert [one["id"] for one in tokens[-1]["alternative_tokens"]] == [0, 1]
    assert (details["finish_reason"], details["generated_tokens"]) == ("length", 40)
    assert spoiled == "".join(token["text"] for token in tokens)
    assert spoiled[:5] == text[:5]


async def test_the_base_model_is_an_adapter_to_the_loader(http: httpx.AsyncClient) -> None:
    """The base model is sent away for another adapter, and reloaded as the next request says."""
    other = _body("a", 1, "acme/pirate")
    wrong = _body("a", 1)
    wrong["parameters"]["adapter_source"] = "zz"
    for _ in range(2):
        assert (await http.post("/generate", json=wrong)).status_code == 424
    for body in (_body("a", 1), wrong, other):
        assert (await http.post("/generate", json=body)).status_code == 200
    told = [(await http.post("/generate", json=wrong)).json()["error"] for _ in range(2)]
    assert [text.partition("Server error: ")[2] for text in told] == [
        "Invalid source 'zz' when loading adapter '__base_model__'",
        "Invalid source 'zz' when downloading adapter '__base_model__'",
    ]
    for body in (_body("a", 1), wrong):
        assert (await http.post("/generate", json=body)).status_code == 200


async def test_an_adapter_that_cannot_be_loaded_again_is_forgotten() -> None:
    """A failed reload takes its time, and the next request downloads anew."""
    with LocalMock(_SETTINGS) as mock:
        async with mock.async_client() as http:
            for adapter in ("acme/pirate", "acme/poet"):
                await http.post("/generate", json=_body("a", 1, adapter))
            wrong = _body("a", 1, "acme/pirate")
            wrong["parameters"]["adapter_source"] = "local"
            await http.post("/generate", json=wrong)
            await http.post("/generate", json=_body("a", 1, "acme/pirate"))
            spans = [span for span in (await _schedule(http))["spans"] if span["adapter"]]
    pirate = [span["kind"] for span in spans if span["adapter"] == "acme/pirate"]
    assert pirate == ["download", "load", "offload", "load", "download", "load"]


async def test_weights_of_a_wrong_shape_fail_their_prefill() -> None:
    """Weights of a wrong shape fail their prefill, and those without a layer answer as the base model."""
    adapters = (Adapter("a/wide", weights="misshapen"), Adapter("a/nameless", weights="misnamed"))
    with LocalMock(Settings(adapters=adapters)) as mock:
        async with mock.async_client() as http:
            wide = [await http.post("/generate", json=_body("a", 9, "a/wide")) for _ in range(2)]
            answers = [
                (await http.post("/generate", json=_body("a", 9, name))).content
                for name in ("", "a/nameless")
            ]
            told = (await http.get("/metrics")).text
    expected = "Request failed during generation: Server error: "
    assert [answer.json()["error"] for answer in wide] == [expected] * 2
    assert answers[0] == answers[1]
    assert 'lorax_batch_inference_failure{method="prefill"} 2' in told


_BANANA = {"response_format": {"type": "json_object", "schema": {"type": "banana"}}}


def _failing(inputs: str, **parameters: Any) -> dict[str, Any]:
    return {"inputs": inputs, "parameters": parameters or _BANANA}


async def test_a_prefill_that_raises_ends_all_its_requests(http: httpx.AsyncClient) -> None:
    """A prefill that raises ends all its requests with that text, and the next are answered."""
    asks = [_body("a", 3), _failing("b", top_k=200_000), _body("c", 3)]
    answers = await asyncio.gather(
        *[http.post("/generate", json=ask, headers=_together(3)) for ask in asks]
    )
    cause = "Server error: index 128256 is out of bounds for dimension 1 with size 128256"
    for answer in answers:
        assert answer.status_code == 424
        assert answer.json()["error"] == f"Request failed during generation: {cause}"
    told = await http.get("/metrics")
    assert 'lorax_batch_inference_failure{method="prefill"} 1' in told.text
    assert 'lorax_request_failure{err="generation"} 3' in told.text
    assert "lorax_batch_next_size_sum 3" in told.text
    assert (await http.post("/generate", json=asks[0])).status_code == 200


@pytest.mark.parametrize("path", ["/generate", "/generate_stream"])
@pytest.mark.parametrize("failing", [_failing("b"), _failing("b", top_k=128_257)])
async def test_a_prefill_that_raises_while_others_decode_would_end_lorax(
    http: httpx.AsyncClient, path: str, failing: dict[str, Any]
) -> None:
    """A prefill that raises ends those of its session that decode with a mock_refusal after their tokens."""
    running, joining = await asyncio.gather(
        http.post(path, json=_body("a", 30), headers=_together(2)),
        http.post("/generate", json=failing, headers=_together(2, at=35)),
    )
    assert joining.status_code == 500
    told = joining.json()
    assert told["error_type"] == "mock_refusal"
    assert "router/src/infer.rs:1490" in told["error"]
    assert "a prefill failed while others were decoding: Request failed during" in told["error"]
    if path == "/generate":
        assert (running.status_code, running.json()) == (500, told)
    else:
        *tokens, last = events(running.text)
        assert 3 < len(tokens) < 30
        assert last == told


async def test_a_prefill_that_raises_ends_nobody_of_another_session() -> None:
    """A prefill that raises leaves requests of other sessions whole."""
    batcher = Batcher(_SETTINGS, Metrics(Limits()))
    error = LoraxRefusal(424, "generation", "boom", "generation")
    runs = [Work("", 5, 4000, 4000, session=name) for name in "xy"]
    running = [batcher.submit([work])[0] for work in runs]
    await asyncio.gather(*[ticket.more(0) for ticket in running])
    bad, good = (
        batcher.submit([work])[0]
        for work in (Work("", 5, 9, 1, error=error, session="x"), Work("", 5, 9, 9, session="y"))
    )
    for ticket in (running[0], bad):
        with pytest.raises(FatalRequest, match="boom"):
            await ticket.whole()
    for ticket in (running[1], good):
        done = await ticket.whole()
        assert done is not None
        assert ticket.there == ticket.work.tokens


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 2, 0)])
async def test_who_comes_at_the_same_time_is_ordered_by_what_it_asks(
    order: tuple[int, int, int],
) -> None:
    """Requests that meet at the same time are ordered by what they ask, also where a prefill holds one."""
    limits = Limits(max_batch_prefill_tokens=10, eager_prefill=True)
    batcher = Batcher(Settings(limits=limits, costs=_SETTINGS.costs), Metrics(limits))
    asks = [(b"a", Work("", 6, 2, 2)), (b"b", Work("", 7, 2, 2)), (b"b", Work("", 8, 3, 3))]
    tickets = {
        place: batcher.submit([asks[place][1]], Meeting("", 3, 0.0, asks[place][0]))[0]
        for place in order
    }
    done = [await tickets[place].whole() for place in range(3)]
    assert [one.started for one in done if one] == [0, 6, 6 + 7]


async def test_requests_that_never_meet_are_refused() -> None:
    """Requests that wait in vain for others are refused with how many came."""
    batcher = Batcher(_SETTINGS, Metrics(Limits()), meet_seconds=0.01)
    meeting = Meeting("", 3, 0.0, b"")
    tickets = [batcher.submit([Work("", 1, 1, 1)], meeting)[0] for _ in range(2)]
    for ticket in tickets:
        with pytest.raises(LoraxRefusal, match=r"waited 0\.01 s for 3 requests, 2 came"):
            await ticket.whole()
    alone = batcher.submit([Work("", 1, 1, 1)])[0]
    assert await alone.whole() is not None
    assert batcher.renew()


async def test_sessions_meet_among_themselves() -> None:
    """Requests meet others of their session that wait for as many as they do."""
    batcher = Batcher(_SETTINGS, Metrics(Limits()))

    def come(session: str, count: int) -> Ticket:
        return batcher.submit([Work("", 1, 1, 1)], Meeting(session, count, 0.0, b""))[0]

    x, y, other = come("x", 2), come("y", 2), come("x", 3)
    await asyncio.sleep(0)
    assert [one.entered for one in (x, y, other)] == [False, False, False]
    assert not batcher.renew()
    also = come("x", 2)
    first, second = await x.whole(), await also.whole()
    assert first is not None
    assert second is not None
    assert first.started == second.started
    assert [one.entered for one in (y, other)] == [False, False]


async def test_a_wrong_header_is_answered_400(http: httpx.AsyncClient) -> None:
    """A wrong meeting header is a 400 over the wire."""
    reply = await http.post("/generate", json=_body("a", 1), headers={"x-lorax-mock-together": "x"})
    assert (reply.status_code, reply.json()["error_type"]) == (400, "mock_together")


async def test_what_no_batch_can_hold_is_not_waited_for() -> None:
    """A request that no batch can hold fails with the limits, and others go on."""
    limits = Limits(max_batch_prefill_tokens=10)
    batcher = Batcher(Settings(limits=limits), Metrics(limits))
    huge = batcher.submit([Work("", 11, 1, 1)])[0]
    with pytest.raises(RuntimeError, match="max_batch_prefill_tokens 10"):
        await huge.whole()
    assert await batcher.submit([Work("", 10, 1, 1)])[0].whole() is not None


async def test_the_shard_goes_on_without_who_left() -> None:
    """A client that leaves ends its sequence with the next token, and the others get all of theirs."""
    metrics = Metrics(Limits())
    batcher = Batcher(_SETTINGS, metrics)
    leaving, staying = batcher.submit([Work("", 1, 40, 40), Work("", 1, 40, 40)])
    await leaving.more(0)
    leaving.drop()
    leaving.drop()
    assert await leaving.whole() is None
    done = await staying.whole()
    assert done is not None
    assert done.finished == 2 + 39 * 10
    assert b'lorax_request_failure{err="dropped"} 1\n' in metrics.as_text()
    await asyncio.sleep(0)
    assert batcher.renew()
    staying.drop()
    assert batcher.shard.idle


async def test_a_stream_that_is_left_leaves_the_shard(
    http: httpx.AsyncClient, local: LocalMock
) -> None:
    """A stream whose client leaves leaves the shard, with a pace or without."""
    script = {"rules": [{"when": {"stream": True}, "fault": "stall@3"}]}
    local.script(script)
    async with http.stream("POST", "/generate_stream", json=_body("a", 4000)) as reply:
        await anext(reply.aiter_bytes())
    assert local.journal[0]["outcome"] == "client_left"
    assert (await http.post("/generate", json=_body("b", 2))).status_code == 200


async def test_a_reset_gives_a_new_shard(http: httpx.AsyncClient) -> None:
    """A reset makes adapters cold and the schedule empty, and a session's reset does not."""

    async def queued() -> str:
        reply = await http.post("/generate", json=_body("a", 1, "acme/pirate"))
        return reply.headers["x-queue-time"]

    assert [await queued(), await queued()] == ["150", "0"]
    await http.post("/_mock/reset", headers={"x-lorax-mock-session": "mine"})
    assert await queued() == "0"
    await http.post("/_mock/reset")
    assert (await _schedule(http)) == {"spans": [], "jobs": []}
    assert await queued() == "150"


async def test_a_reset_forgets_what_was_asked_before(http: httpx.AsyncClient) -> None:
    """A reset begins the seeds that the server chooses anew, a session's reset its own."""
    body = {"inputs": "a", "parameters": {"do_sample": True, "details": True}}

    async def seeds(session: str, count: int) -> list[int]:
        headers = {"x-lorax-mock-session": session} if session else {}
        replies = [await http.post("/generate", json=body, headers=headers) for _ in range(count)]
        return [reply.json()["details"]["seed"] for reply in replies]

    row = await seeds("", 4)
    assert len(set(row)) == 4
    assert await seeds("mine", 2) == row[:2]
    await http.post("/_mock/reset", headers={"x-lorax-mock-session": "mine"})
    assert await seeds("mine", 1) == row[:1]
    await http.post("/_mock/reset")
    assert await seeds("", 4) == row
    assert await seeds("mine", 2) == row[:2]


_PACED = Settings(costs=Costs(0.0, step=4, adapter_download=30, adapter_load=10, paced=True))


async def test_paced_requests_meet_as_they_come() -> None:
    """A paced request joins a stream that runs, and both tick together and not early."""
    # before it is sent: on a busy machine the first tokens may be there before the answer's head is read
    began = asyncio.get_running_loop().time()
    with LocalMock(_PACED) as mock:
        async with (
            mock.async_client() as http,
            http.stream("POST", "/generate_stream", json=_body("a", 30)) as reply,
        ):
            parts = reply.aiter_text()
            first = await anext(parts)
            joined = await http.post("/generate", json=_body("b", 5))
            rest = [part async for part in parts]
            took = asyncio.get_running_loop().time() - began
            told = await _schedule(http)
    assert len(events(first + "".join(rest))) == 30
    assert took >= 28 * 4 / 1000
    assert any(span["jobs"] == [1, 2] for span in told["spans"])
    assert 0 <= int(joined.headers["x-queue-time"]) <= 20 * 4
    assert joined.elapsed.total_seconds() * 1000 >= int(joined.headers["x-total-time"]) - 5


async def test_nothing_is_told_before_its_time() -> None:
    """With a pace a first token comes when its prefill is over."""
    with LocalMock(Settings(costs=Costs(0.0, first=40, paced=True))) as mock:
        async with mock.async_client() as http:
            reply = await http.post("/generate", json=_body("a", 1))
    assert reply.headers["x-time-to-first-token"] == "40"
    assert reply.elapsed.total_seconds() >= 0.04


async def test_a_late_shard_has_no_newcomers_from_its_future() -> None:
    """A shard that is late gives nobody a negative queue time."""
    batcher = Batcher(_PACED, Metrics(Limits()))
    first = batcher.submit([Work("", 1, 40, 40)])[0]
    await first.more(0)
    late = time.perf_counter() + 0.06
    while time.perf_counter() < late:
        pass  # the loop stands still
    second = batcher.submit([Work("", 1, 2, 2)])[0]
    done = await second.whole()
    assert done is not None
    assert done.job.at <= done.started
    first.drop()


async def test_paced_meetings_keep_their_times() -> None:
    """In a paced meeting later requests come at their time and do not stop the others."""
    with LocalMock(_PACED) as mock:
        async with mock.async_client() as http:
            early, late = await asyncio.gather(
                http.post("/generate", json=_body("a", 3), headers=_together(2)),
                http.post("/generate", json=_body("b", 3), headers=_together(2, 40)),
            )
            told = await _schedule(http)
    assert late.elapsed.total_seconds() >= 0.04 + 2 * 0.004 - 0.001
    arrived = {job["id"]: job["arrived"] for job in told["jobs"]}
    assert arrived[2] - arrived[1] >= 40 - 1
    assert int(early.headers["x-queue-time"]) == 0


async def test_a_paced_download_that_fails_takes_its_time() -> None:
    """A paced download that fails takes its time and stalls the shard."""
    with LocalMock(_PACED) as mock:
        async with mock.async_client() as http:
            failed = await http.post("/generate", json=_body("a", 3, "no/such"))
    assert failed.status_code == 424
    assert failed.elapsed.total_seconds() >= 0.03


async def test_a_paced_client_that_leaves_before_its_answer_is_dropped() -> None:
    """A paced client that leaves while it waits is dropped, and journal and metrics tell it."""
    with LocalMock(_PACED) as mock:
        async with mock.async_client() as http:
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.02):
                    await http.post("/generate", json=_body("a", 500))
            answered = await http.post("/generate", json=_body("b", 3))
            text = (await http.get("/metrics")).text
        outcomes = [entry["outcome"] for entry in mock.journal]
    assert answered.status_code == 200
    assert outcomes == ["client_left", "length"]
    assert 'lorax_request_failure{err="dropped"} 1\n' in text


async def test_an_open_page_is_told_each_operation_once() -> None:
    """Those of a load that fails, too, also when the operations before took no time."""
    watching = Watching()
    costs = Costs(prefill_token=0, step=0, adapter_download=5, adapter_load=3)
    batcher = Batcher(Settings(costs=costs), Metrics(Limits()), watching=watching)
    page = watching.enter()
    await batcher.submit([Work("a", 5, 2, 2)])[0].whole()
    await batcher.fail("b", loading=True)
    told = [
        (event["what"], event["adapter"], event["start"], event["end"])
        for event in page.take()
        if event["kind"] == "spent"
    ]
    assert told == [
        *(("download", "a", 0, 5), ("load", "a", 5, 8), ("prefill", None, 8, 8)),
        *(("decode", None, 8, 8), ("download", "b", 8, 13), ("load", "b", 13, 16)),
    ]
