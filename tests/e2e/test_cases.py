"""Small requests that other servers got wrong, each with its right answer: `cases.yaml` has them.

`make cases` replays them on a fresh demo, proxy and mock; add a row to the file when somebody
reports a fault.
"""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from lorax_contracts.recording import lint
from lorax_mock.plugin import MockServer

CASES: list[dict[str, Any]] = yaml.safe_load(Path(__file__).with_name("cases.yaml").read_text())


@pytest.fixture(scope="module")
def proxy(base_url: str) -> Iterator[httpx.Client]:
    """The demo's proxy; paths are whole, `/v1` included."""
    with httpx.Client(base_url=base_url.removesuffix("/v1"), timeout=30) as client:
        yield client


@pytest.fixture(scope="module")
def mock(lorax_mock_server: MockServer) -> Iterator[httpx.Client]:
    """A mock alone."""
    with httpx.Client(base_url=lorax_mock_server.url, timeout=30) as client:
        yield client


def at(document: Any, pointer: str) -> Any:
    """The value that an RFC 6901 pointer names."""
    for step in pointer.split("/")[1:]:
        document = document[int(step)] if isinstance(document, list) else document[step]
    return document


def agrees(value: Any, wanted: Any) -> bool:
    """Whether a value is what the case says: equal, or with `~`, text that has the pattern."""
    if isinstance(wanted, dict) and isinstance(value, dict):
        return wanted.keys() == value.keys() and all(agrees(value[k], wanted[k]) for k in wanted)
    if isinstance(wanted, str) and wanted.startswith("~"):
        return re.search(wanted[1:], str(value)) is not None
    return bool(value == wanted) and type(value) is type(wanted)


def path_and_body(case: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    """Where a case goes and what is sent, with what its row leaves out."""
    path = case.get("path", "/v1/chat/completions")
    usual: dict[str, Any] = {}
    if case.get("to") != "mock":
        usual["model"] = "acme/support"
        if path.endswith("chat/completions"):
            usual["messages"] = [{"role": "user", "content": "Is the ferry to Bergen on time?"}]
    return path, {**usual, **case["body"]}


@pytest.mark.parametrize("case", CASES, ids=lambda case: str(case["name"]))
def test_a_reported_case_is_answered_right(
    case: dict[str, Any], proxy: httpx.Client, mock: httpx.Client
) -> None:
    """Status, the named values and the named documents are as the case says; no law is broken."""
    path, body = path_and_body(case)
    response = (mock if case.get("to") == "mock" else proxy).post(path, json=body)
    assert response.status_code == case["status"], response.text[:400]
    document = response.json()
    for pointer, wanted in case.get("has", {}).items():
        assert agrees(at(document, pointer), wanted), f"{pointer}: {at(document, pointer)!r}"
    for pointer, wanted in case.get("json", {}).items():
        assert agrees(json.loads(at(document, pointer)), wanted), at(document, pointer)
    if case.get("lint", True) and response.status_code == 200:
        assert lint(response.content, request=body) == []


@pytest.mark.parametrize(
    "case", [case for case in CASES if case.get("to") != "mock"], ids=lambda case: str(case["name"])
)
def test_a_reported_case_is_streamed_as_it_is_answered(
    case: dict[str, Any], proxy: httpx.Client
) -> None:
    """The same request streamed has the same status, and its stream breaks no law."""
    path, body = path_and_body(case)
    body["stream"] = True
    response = proxy.post(path, json=body)
    assert response.status_code == case["status"], response.text[:400]
    if response.status_code == 200:
        assert response.text.endswith("data: [DONE]\n\n")
        assert case.get("lint", True) is False or lint(response.content, request=body) == []
