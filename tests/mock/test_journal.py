"""What the journal remembers."""

import json

from lorax_mock.errors import FatalRequest, validation
from lorax_mock.journal import Journal
from lorax_mock.wire import GenerateRequest


def test_an_entry_tells_request_and_fate() -> None:
    """Open until it is answered, left or refused."""
    journal = Journal()
    first = journal.begin("/generate", GenerateRequest("a"))
    before = journal.settled
    first.refused(validation("x"))
    second = journal.begin("/generate_stream", GenerateRequest("b"))
    second.left(3)
    third = journal.begin("/generate", GenerateRequest("c"))
    third.refused(FatalRequest("why", "where.rs:1"))
    journal.note("by the way")
    assert (before, journal.settled) == (False, True)
    told = json.loads(journal.as_json())
    assert [entry["outcome"] for entry in told["entries"]] == ["refused", "client_left", "refused"]
    assert [entry["status"] for entry in told["entries"]] == [422, 200, 500]
    assert told["entries"][0]["error_type"] == "validation"
    assert told["entries"][1]["tokens"] == 3
    assert told["entries"][2]["notes"] == ["would end a real LoRAX: why (where.rs:1)"]
    assert told["notes"] == ["by the way"]
    assert told["entries"][1]["inputs"] == "b"
