"""The headers by which requests meet."""

import pytest

from lorax_mock.errors import LoraxRefusal
from lorax_mock.server.meeting import Meeting, read_meeting


@pytest.mark.parametrize(
    ("together", "at", "words"),
    [
        (b"0", None, "1 to 1024, not '0'"),
        (b"many", None, "not 'many'"),
        (b"1025", None, "not '1025'"),
        (None, b"5", "not absent"),
        (b"2", b"-1", "from 0 on, not '-1'"),
        (b"2", b"soon", "not 'soon'"),
        (b"2", b"inf", "not 'inf'"),
        (b"2", b"nan", "not 'nan'"),
    ],
)
def test_wrong_headers_say_what_is_wanted(
    together: bytes | None, at: bytes | None, words: str
) -> None:
    """A wrong meeting header is refused with what is wanted and what was there."""
    with pytest.raises(LoraxRefusal, match=words) as caught:
        read_meeting(together, at, session="", key=b"")
    assert caught.value.status == 400


def test_headers_that_are_right() -> None:
    """Right headers are a meeting, and no headers are none."""
    assert read_meeting(None, None, session="s", key=b"k") is None
    assert read_meeting(b"3", b"2.5", session="s", key=b"k") == Meeting("s", 3, 2.5, b"k")
    assert read_meeting(b"1024", None, session="", key=b"") == Meeting("", 1024, 0.0, b"")
