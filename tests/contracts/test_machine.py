"""The stateful machine: silent on servers that keep requests apart, loud on those that do not."""

from collections.abc import Generator

import pytest
from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, run_state_machine_as_test

from lorax_contracts.machine import Driver, machine_for
from tests.contracts.http_server import over_http
from tests.contracts.processes import ProxyProcess, mock_process
from tests.contracts.reference import MODELS, Asked, Said, openai

FEW = settings(max_examples=8, stateful_step_count=12, deadline=None, database=None)


def driven(url: str) -> type[RuleBasedStateMachine]:
    """The machine on an address."""
    return machine_for(lambda: Driver(url, MODELS, ["acme/gone"]))


def personal(asked: Asked) -> Said:
    """The reference, each model with an answer of its own."""
    wanted = asked.document if isinstance(asked.document, dict) else {}
    if wanted.get("model") in MODELS:
        asked.document = {**wanted, "seed": MODELS.index(wanted["model"])}
    return openai(asked)


class Forgetful:
    """Answers every fifth request as the other model would: what a shared cache does."""

    def __init__(self) -> None:
        self.asked = 0

    def __call__(self, asked: Asked) -> Said:
        """The wrong model's answer, now and then."""
        wanted = asked.document if isinstance(asked.document, dict) else {}
        if wanted.get("model") in MODELS:
            self.asked += 1
            if self.asked % 5 == 0:
                asked.document = {**wanted, "model": MODELS[wanted["model"] == MODELS[0]]}
        return personal(asked)


@pytest.mark.slow
def test_a_correct_server_passes() -> None:
    """Whatever is interleaved."""
    with over_http(personal) as url:
        run_state_machine_as_test(driven(url), settings=FEW)


@pytest.mark.slow
def test_one_adapter_that_answers_for_all_is_found_where_they_differ() -> None:
    """It says the same each time, and so does every other: only that they differ shows it."""

    def machine(url: str) -> type[RuleBasedStateMachine]:
        return machine_for(lambda: Driver(url, MODELS, ["acme/gone"]), distinct=True)

    with over_http(personal) as url:
        run_state_machine_as_test(machine(url), settings=FEW)
    with over_http(openai) as url, pytest.raises(AssertionError, match="all say"):
        run_state_machine_as_test(machine(url), settings=FEW)


def test_nothing_is_asked_before_the_first_run() -> None:
    """A test module may be imported before its server runs."""
    asked: list[str] = []

    def make() -> Driver:
        asked.append("made")
        return Driver("http://127.0.0.1:1", MODELS)

    machine_for(make)
    assert asked == []


@pytest.mark.slow
def test_an_answer_of_another_adapter_is_found() -> None:
    """The machine learned what each says."""
    with over_http(Forgetful()) as url, pytest.raises(BaseException) as raised:  # noqa: PT011 - Hypothesis groups what it finds
        run_state_machine_as_test(driven(url), settings=FEW)
    assert "before" in str(raised.value) or "Flaky" in repr(raised.value)


@pytest.mark.slow
def test_an_adapter_that_should_fail_and_answers_is_found() -> None:
    """A name that cannot be served must be refused."""

    def anybody(asked: Asked) -> Said:
        if isinstance(asked.document, dict) and "model" in asked.document:
            asked.document = {**asked.document, "model": MODELS[0]}
        return openai(asked)

    with over_http(anybody) as url, pytest.raises(AssertionError, match="was answered"):
        run_state_machine_as_test(driven(url), settings=FEW)


@pytest.fixture(scope="module")
def proxy() -> Generator[str]:
    """The proxy in front of the mock, both as users start them."""
    with mock_process() as mock, ProxyProcess(mock) as running:
        yield running.url


@pytest.mark.slow
def test_our_own_programs_pass(proxy: str) -> None:
    """Adapters loaded, failing and interleaved, streams left half-read."""
    adapters = ["acme/poet", "acme/pirate", "acme/sql"]
    machine = machine_for(lambda: Driver(proxy, adapters, ["nobody/nothing"]))
    run_state_machine_as_test(machine, settings=FEW)
