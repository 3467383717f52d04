"""Probes of what a server may not be able to do, and must then say."""

from dataclasses import replace
from typing import Any

import pytest

from lorax_contracts.judge.answer import mapping
from lorax_contracts.probes import limits
from lorax_contracts.session import Session
from tests.contracts.detection import judged
from tests.contracts.inprocess import InProcess
from tests.contracts.planted import Deviation
from tests.contracts.probes.family import broken, each_of, session
from tests.contracts.reference import CONTEXT, Asked, Said, openai


def test_it_finds_nothing_on_a_correct_server() -> None:
    """No false alarm; what nobody gave it is said to be left out."""
    run = session()
    limits.probe_limits(run)
    assert run.findings == []
    assert [one.group for one in run.skipped] == ["keys", "long prompts"]


@each_of("OAI-ERR-010", "OAI-ERR-011")
def test_it_finds_its_own_family(deviation: Deviation) -> None:
    """Without the help of other probes."""
    assert deviation.law in broken(deviation, limits.probe_limits)


@each_of("OAI-ERR-012", "OAI-ERR-013")
def test_what_is_asked_for_only_sometimes_is_found_when_it_is(deviation: Deviation) -> None:
    """With a key, or with the context named; otherwise nobody asks."""
    assert deviation.law in judged(deviation).findings
    assert deviation.law not in broken(deviation, limits.probe_limits)


def test_a_server_that_wants_no_key_is_not_judged_for_it() -> None:
    """A made-up key is given to many: nothing is promised about it there."""
    server = InProcess(lambda asked: openai(_keyless(asked)), "made-up")
    server.base += "/v1"
    run = Session(server, wire="openai", model="acme/poet")
    run.keyed, run.context = True, CONTEXT
    limits.probe_limits(run)
    assert run.findings == []
    assert [one.group for one in run.skipped] == ["keys"]


@pytest.mark.parametrize("change", ["parts refused", "counts that tell nothing"])
def test_what_cannot_be_known_of_images_is_said(change: str) -> None:
    """The law is neither kept nor broken."""

    def answer(asked: Asked) -> Said:
        document = asked.document
        messages = document.get("messages", []) if isinstance(document, dict) else []
        if change == "parts refused" and any(isinstance(m["content"], list) for m in messages):
            error = {"message": "no parts", "type": "invalid_request_error"}
            return Said(400, document={"error": error | {"param": "messages", "code": None}})
        if isinstance(document, dict) and messages:
            # it takes pictures, and looks at none
            texts = [{**m, "content": _texts_of(m["content"])} for m in messages]
            asked = replace(asked, document={**document, "messages": texts})
        said = openai(asked)
        usage = mapping(said.document).get("usage")
        if isinstance(usage, dict):
            usage |= {"prompt_tokens": 10, "total_tokens": 10 + usage["completion_tokens"]}
        return said

    server = InProcess(answer, None)
    server.base += "/v1"
    run = Session(server, wire="openai", model="acme/poet", only="OAI-ERR-011")
    limits.probe_limits(run)
    assert run.findings == []
    assert "OAI-ERR-011" in {law for one in run.skipped for law in one.laws}


def _texts_of(content: Any) -> Any:
    if not isinstance(content, list):
        return content
    return [part for part in content if part["type"] == "text"]


def _keyless(asked: Asked) -> Asked:
    return replace(asked, headers={})
