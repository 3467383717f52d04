"""The latency profiles: what was published, and that the mock takes that time."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import get_args

import pytest

from lorax_mock.profiles import PROFILES, PROMPT_TOKENS, ProfileName, with_profile
from lorax_mock.settings import Costs, Settings
from lorax_mock.shard.jobs import Job
from lorax_mock.shard.workload import simulate
from tests.mock.conftest import Running


@pytest.mark.parametrize("name", PROFILES)
def test_a_prompt_of_the_measured_length_takes_the_published_times(name: ProfileName) -> None:
    """To the first token, and from each token to the next; a download and a load take what they took before."""
    known = PROFILES[name]
    costs = with_profile(Costs(adapter_download=7.0, adapter_load=5.0), name)
    _, (done,) = simulate([Job(1, 0.0, "a", PROMPT_TOKENS, 11, 11)], Settings(costs=costs))
    assert done.started == 12.0
    assert done.first - done.started == pytest.approx(known.ttft, abs=0.001)
    assert (done.finished - done.first) / 10 == pytest.approx(known.tpot)


def test_every_profile_has_a_name_and_longer_prompts_take_longer() -> None:
    """And no pass is faster than a token."""
    assert set(PROFILES) == set(get_args(ProfileName))
    for name, known in PROFILES.items():
        costs = with_profile(Costs(), name)
        assert costs.first == known.tpot
        assert costs.prefill_token > 0


def test_the_docs_have_the_published_figures_with_their_source() -> None:
    """Each profile's row names the result that it was read in."""
    page = (Path(__file__).parents[2] / "docs/mock.md").read_text("utf-8")
    rows = re.findall(
        r"^\| \[`([\w-]+)`\]\(https://github\.com/\S+/results/verified/(\w+)/result\.json\)"
        r" \| (.*?) \| ([\d.]+) \| ([\d.]+) \|$",
        page,
        re.MULTILINE,
    )
    wanted = [
        (name, known.result, known.gpus, f"{known.ttft:g}", f"{known.tpot:g}")
        for name, known in PROFILES.items()
    ]
    assert rows == wanted


def test_a_running_mock_takes_them_and_what_is_said_beside_counts(
    start_mock: Callable[..., Running],
) -> None:
    """In virtual time, and after a change of the pace for real."""
    running = start_mock(
        "--profile=llama-3-8b-l4", "--prefill-token-ms=0", environment={"LORAX_MOCK_STEP_MS": "3"}
    )
    told = running.http.get("/_mock/pace").json()
    assert (told["first_ms"], told["step_ms"], told["prefill_token_ms"]) == (61.2, 3, 0)
    assert told["profiles"] == list(PROFILES)
    wanted = {"profile": "llama-3-8b-h100", "pace": "real", "step_ms": 1}
    told = running.http.put("/_mock/pace", json=wanted).json()
    assert (told["first_ms"], told["step_ms"], told["pace"]) == (7.74, 1, "real")
    reply = running.http.post(
        "/generate", json={"inputs": "a", "parameters": {"max_new_tokens": 1}}
    )
    assert reply.elapsed.total_seconds() > 0.007
    assert running.http.put("/_mock/pace", json={"profile": "h100"}).status_code == 400
