"""Probes of LoRAX's wire: silent on the mock, and on the mock with one thing wrong they name it."""

import json
import subprocess
import sys
from collections.abc import Generator

import pytest

from lorax_contracts.check import Options, Verdict, check_server
from lorax_contracts.client import Client
from lorax_contracts.probes import lorax
from lorax_contracts.session import Session
from tests.contracts.planted_lorax import PLANTED, Change, Mutating, Planted


@pytest.fixture(scope="module")
def mock() -> Generator[str]:
    """A mock LoRAX, started as a user starts it."""
    with subprocess.Popen(
        [sys.executable, "-m", "lorax_mock", "serve", "--port", "0", "--announce", "json"],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    ) as process:
        assert process.stdout is not None
        yield json.loads(process.stdout.readline())["url"]
        process.terminate()
        process.stdout.read()


def judged(base: str, change: Change) -> Verdict:
    """The checker's verdict, without exploration."""
    with Mutating(base, change) as client:
        return check_server(client, Options(kind="lorax", examples=0))


@pytest.mark.slow
def test_the_mock_as_it_is_gives_no_finding(mock: str) -> None:
    """Each probe by itself, too."""
    assert judged(mock, lambda exchange: exchange).findings == ()
    with Client(mock) as client:
        session = Session(client, wire="lorax")
        info = lorax.probe_info(session)
        assert info["max_stop_sequences"] >= 1
        lorax.probe_rules(session, info)
        lorax.probe_tokens(session, info)
        assert session.findings == []
        assert session.skipped == []


@pytest.mark.slow
@pytest.mark.parametrize("planted", PLANTED, ids=[one.name for one in PLANTED])
def test_one_thing_wrong_is_found_under_its_law(planted: Planted, mock: str) -> None:
    """The law is named, and its request can be repeated."""
    found = {one.law: one for one in judged(mock, planted.change).findings}
    assert planted.law in found
    assert found[planted.law].exchange is not None
