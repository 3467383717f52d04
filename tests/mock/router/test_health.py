"""Health routes: the router's flag, and a shard that is not well."""

import itertools
from collections.abc import Iterator

import httpx
import pytest

from lorax_mock.router.health import Health, Unwell, unhealthy
from lorax_mock.settings import Limits, Settings
from lorax_mock.testing.inprocess import LocalMock

_UNHEALTHY = {"error": "unhealthy", "error_type": "healthcheck"}


@pytest.fixture
def local() -> Iterator[LocalMock]:
    """A mock of this test's own."""
    with LocalMock() as mock:
        yield mock


@pytest.fixture
def http(local: LocalMock) -> Iterator[httpx.Client]:
    """A client of it."""
    with local.client() as client:
        yield client


def _told(http: httpx.Client) -> tuple[bool, int]:
    """The flag before a check, and the check's status."""
    return http.get("/_mock/health").json()["inference_health"], http.get("/health").status_code


def _generate(http: httpx.Client, path: str = "/generate", **headers: str) -> httpx.Response:
    named = {f"x-lorax-mock-{name}": value for name, value in headers.items()}
    return http.post(path, json={"inputs": "a"}, headers=named)


@pytest.mark.parametrize(
    ("flag", "shard", "well", "after"),
    [
        (False, "well", True, True),
        (False, "failing", False, False),
        (False, "gone", False, False),
        (True, "well", True, True),
        (True, "failing", True, True),
        (True, "gone", False, True),
    ],
)
def test_the_flag_decides_what_a_check_does(
    *, flag: bool, shard: str, well: bool, after: bool
) -> None:
    """With the flag up a check asks for the shard, and with it down a pass of its own decides."""
    health = Health()
    assert health.inference is False
    health.passed(well=flag)
    health.become(shard)
    assert health.check() is well
    assert health.inference is after


def test_an_unwell_shard_refuses_and_has_three_states() -> None:
    """A failing or absent shard refuses in a shard's words, and no fourth state is taken."""
    health = Health()
    assert health.refusal() is None
    for state in ("failing", "gone"):
        health.become(state)
        refusal = health.refusal()
        assert refusal is not None
        assert refusal.message.startswith("Request failed during generation: Server error: ")
    with pytest.raises(Unwell, match="well, failing, gone, not 'ill'"):
        health.become("ill")
    assert unhealthy().status == 503


def test_a_failed_generation_is_forgotten_by_the_next_check(http: httpx.Client) -> None:
    """After a failed generation the next check's own pass puts the flag up again."""
    assert _told(http) == (False, 200)
    assert _told(http) == (True, 200)
    assert _generate(http, fault="error@0").status_code == 424
    assert _told(http) == (False, 200)
    assert "error" in _generate(http, "/generate_stream", fault="error@2").text
    assert _told(http) == (False, 200)
    assert _generate(http, fault="error@2").status_code == 424
    assert _generate(http).status_code == 200
    assert _told(http) == (True, 200)
    text = http.get("/metrics").text
    assert 'lorax_batch_inference_failure{method="prefill"} 1\n' in text
    assert 'lorax_batch_inference_failure{method="decode"} 2\n' in text
    assert 'lorax_request_failure{err="generation"} 3\n' in text


def test_what_is_no_failed_pass_leaves_the_flag_up(http: httpx.Client) -> None:
    """Refusals, overload, failed loads and cut connections leave the flag up."""
    _generate(http)
    for fault in ("overload", "incomplete@1", "error@0:overloaded", "status:503"):
        _generate(http, fault=fault)
    http.post("/generate", json={"inputs": ""})
    http.post("/generate", json={"inputs": "a", "parameters": {"adapter_id": "no/such"}})
    http.post("/generate", json={"inputs": "a", "parameters": {"adapter_id": "acme/wrong-base"}})
    assert _told(http) == (True, 200)
    assert "lorax_batch_inference_failure" not in http.get("/metrics").text


def test_a_schema_that_does_not_compile_fails_a_prefill(http: httpx.Client) -> None:
    """A client's wrong schema fails a prefill and takes the flag down."""
    _generate(http)
    form = {"type": "json_object", "schema": {"type": "nonsense"}}
    parameters = {"response_format": form}
    reply = http.post("/generate", json={"inputs": "a", "parameters": parameters})
    assert reply.status_code == 424
    assert _told(http) == (False, 200)


@pytest.mark.parametrize("path", ["/health", "/ping", "/"])
def test_a_failing_shard_is_unhealthy_after_a_pass_has_failed(
    local: LocalMock, http: httpx.Client, path: str
) -> None:
    """A failing shard is unhealthy after one failed pass, and healthy once it is well."""
    _generate(http)
    local.shard("failing")
    assert http.get(path).status_code == 200
    failed = _generate(http)
    assert (failed.status_code, failed.json()["error_type"]) == (424, "generation")
    reply = http.get(path)
    assert (reply.status_code, reply.json()) == (503, _UNHEALTHY)
    assert http.head(path).status_code == 503
    assert "error" in _generate(http, "/generate_stream").text
    local.shard("well")
    assert http.get(path).status_code == 200
    assert _generate(http).status_code == 200


def test_a_shard_that_is_gone_is_unhealthy_at_once(local: LocalMock, http: httpx.Client) -> None:
    """A shard that is gone is unhealthy at once, until the mock is reset."""
    _generate(http)
    local.shard("gone")
    assert http.get("/health").status_code == 503
    assert _generate(http).json()["error"].endswith("Server error: transport error")
    local.reset()
    assert _told(http) == (False, 200)
    _generate(http)
    local.reset()
    assert _told(http) == (False, 200)


def test_startup_runs_a_request(http: httpx.Client) -> None:
    """The startup probe is on the schedule and in the batches, and not among the requests asked."""
    assert http.get("/startup").status_code == 200
    assert [job["tokens"] for job in http.get("/_mock/schedule").json()["jobs"]] == [1]
    text = http.get("/metrics").text
    assert "lorax_batch_next_size_count 1\n" in text
    assert "lorax_request_count" not in text
    assert http.get("/_mock/journal").json()["entries"] == []


@pytest.mark.parametrize(
    ("kind", "path", "body"),
    [
        ("embed", "/embed", {"inputs": "a"}),
        ("embed", "/v1/embeddings", {"model": "m", "input": ["a", "b"]}),
        ("classify", "/classify", {"inputs": "a"}),
        ("classify", "/classify_batch", {"inputs": ["a", "b"]}),
    ],
)
def test_encoders_fail_on_a_failing_shard(kind: str, path: str, body: dict[str, object]) -> None:
    """An encoder's failed and good passes take the flag down and up as generations do."""
    with LocalMock(Settings(kind=kind)) as mock, mock.client() as http:
        assert http.post(path, json=body).status_code == 200
        assert _told(http) == (True, 200)
        mock.shard("failing")
        assert http.post(path, json=body).status_code == 424
        assert _told(http) == (False, 503)
        mock.shard("well")
        assert http.post(path, json=body).status_code == 200
        assert _told(http) == (True, 200)


@pytest.mark.parametrize("kind", ["embed", "classify"])
def test_startup_of_an_encoder_does_what_it_can(kind: str) -> None:
    """The startup probe of a classifier classifies and embeds, of an embedder it embeds."""
    with LocalMock(Settings(kind=kind)) as mock, mock.client() as http:
        assert http.get("/startup").status_code == 200
        passes = http.get("/metrics").text
        mock.shard("failing")
        assert http.get("/startup").status_code == 500
    assert ('method="classify"' in passes) == (kind == "classify")
    assert 'method="embed"' in passes


def test_startup_fails_with_500(local: LocalMock, http: httpx.Client) -> None:
    """The startup probe fails with 500 whatever the reason, in that reason's envelope."""
    local.shard("failing")
    reply = http.get("/startup")
    assert (reply.status_code, reply.json()["error_type"]) == (500, "generation")
    with (
        LocalMock(Settings(limits=Limits(max_concurrent_requests=1))) as full,
        full.client() as other,
    ):
        full.faults("stall@0")
        with other.stream("POST", "/generate_stream", json={"inputs": "a"}):
            reply = next(
                one for one in (other.get("/startup") for _ in itertools.count()) if one.is_error
            )
    assert (reply.status_code, reply.json()["error_type"]) == (500, "overloaded")


@pytest.mark.parametrize(
    "body", ["", "[]", '{"shard": 1}', '{"shard": "ill"}', '{"shrad": "gone"}']
)
def test_a_wrong_state_is_refused(http: httpx.Client, body: str) -> None:
    """A wrong shard state is a 400 with the form that is wanted."""
    reply = http.put("/_mock/health", content=body)
    assert reply.status_code == 400
    assert '{"shard": "failing"} is what is wanted' in reply.json()["error"]


def test_a_wrong_state_is_a_value_error(local: LocalMock) -> None:
    """A test that names a wrong shard state gets a ValueError."""
    with pytest.raises(ValueError, match="not 'ill'"):
        local.shard("ill")
