"""The plan: what one law needs is asked and no more, and its counts are true."""

from contextlib import closing

import pytest

from lorax_contracts.check import Options, check_server
from lorax_contracts.laws import all_laws
from lorax_contracts.plan import PLANS, Step, steps_for
from lorax_contracts.probes.chat import steady, steady_stream
from lorax_contracts.session import Session
from tests.contracts.inprocess import Changed, InProcess, Recorded
from tests.contracts.reference import openai


@pytest.mark.parametrize("step", PLANS["openai"], ids=[step.name for step in PLANS["openai"]])
def test_a_step_makes_the_requests_that_it_says(step: Step) -> None:
    """Of a server that keeps every law, once what several steps share was asked for."""
    server = InProcess(openai)
    server.base += "/v1"
    session = Session(server, wire="openai", model="acme/poet", strict=True)
    if step.name != "chat":
        session.once(steady)
    if step.name not in {"chat", "streams"}:
        session.once(steady_stream)
    begun = server.requests
    step.run(session)
    assert server.requests - begun == step.requests
    assert session.findings == []


def test_the_steps_of_a_lorax_make_the_requests_that_they_say() -> None:
    """What several steps share is asked for by the first of them."""
    with closing(Recorded()) as recorded:
        server = Changed(recorded, lambda exchange: exchange)
        session = Session(server, wire="lorax", strict=True)
        for step in PLANS["lorax"]:
            begun = server.requests
            step.run(session)
            assert server.requests - begun == step.requests, step.name
        assert session.findings == []


@pytest.mark.parametrize(
    ("law", "names"),
    [
        ("OAI-EMB-001", ["embeddings"]),
        ("OAI-TOOL-004", ["tools"]),
        ("OAI-JSON-002", ["structured output"]),
        ("OAI-MODELS-004", ["models"]),
        ("OAI-ERR-004", ["refusals", "limits", "completions"]),
        ("OAI-ACCEPT-009", ["accepted requests"]),
        ("LORAX-TOK-002", ["tokens and limits"]),
        ("LORAX-GEN-007", ["generate"]),
    ],
)
def test_what_does_not_matter_to_a_law_is_not_asked(law: str, names: list[str]) -> None:
    """The steps for one law, by name."""
    wire = all_laws()[law].wire
    assert [step.name for step in steps_for(wire, law.__eq__)] == names


def test_one_law_costs_a_few_requests() -> None:
    """And none for the exploration, where that cannot show it."""
    verdict = check_server(InProcess(openai), Options(only="OAI-EMB-001"))
    assert verdict.requests <= 8
    assert len(steps_for("openai", lambda _: True)) == len(PLANS["openai"])
