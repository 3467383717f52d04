"""What a test can say to a mock, whatever the way to it."""

from collections.abc import Callable

import httpx
import pytest

from lorax_mock.testing.mock_server import MockServer
from tests.mock.conftest import Running


def test_rules_faults_and_journal(start_mock: Callable[..., Running]) -> None:
    """The handle sets rules and faults, reads the journal, and forgets them by a reset."""
    running = start_mock()
    with httpx.Client(base_url=running.url) as http:
        server = MockServer(running.url, "m", [], http)
        server.script("rules: [{reply: {text: one}}]")
        assert http.post("/generate", json={"inputs": "a"}).json() == {"generated_text": "one"}
        server.faults("overload:60", "overload")
        assert [http.post("/generate", json={"inputs": "a"}).status_code for _ in "abc"] == [
            429,
            429,
            200,
        ]
        assert [entry["fault"] for entry in server.journal] == [
            None,
            "overload:60",
            "overload",
            None,
        ]
        assert "told to wait 60 s" in server.manners[0]
        server.reset()
        assert server.journal == []
        with pytest.raises(ValueError, match="did you mean 'rules'"):
            server.script({"rulse": []})
