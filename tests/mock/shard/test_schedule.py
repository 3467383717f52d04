"""Schedules as JSON, table and picture."""

import xml.etree.ElementTree as ET

from lorax_mock.shard.jobs import Done, Job, Span
from lorax_mock.shard.schedule import as_json, as_svg, as_text

_SPANS = [Span("load", 0, 50, "org/<a>"), Span("prefill", 50, 60, None, (1,), 1)]
_DONE = [Done(Job(1, 0, "org/<a>", 10, 5, 3), 50, 60, 80)]


def test_json_tells_operations_and_jobs() -> None:
    """The JSON has operations and jobs in milliseconds."""
    assert as_json(_SPANS, _DONE) == {
        "spans": [
            {"kind": "load", "start": 0, "end": 50, "adapter": "org/<a>", "jobs": [], "steps": 0},
            {"kind": "prefill", "start": 50, "end": 60, "adapter": None, "jobs": [1], "steps": 1},
        ],
        "jobs": [
            {
                "id": 1,
                "adapter": "org/<a>",
                "arrived": 0,
                "started": 50,
                "first_token": 60,
                "finished": 80,
                "tokens": 3,
            }
        ],
    }


def test_the_picture_is_svg_with_a_bar_for_each() -> None:
    """The picture is valid SVG with a bar for each operation and job, whatever their names."""
    root = ET.fromstring(as_svg(_SPANS, _DONE))  # noqa: S314 - our own output
    bars = [bar for bar in root if bar.tag.endswith("rect") and len(bar)]
    assert len(bars) == 5
    assert "org/<a>" in (bars[0][0].text or "")
    assert ET.fromstring(as_svg([], [])) is not None  # noqa: S314 - our own output


def test_the_table_tells_waiting_and_first_token() -> None:
    """The table has a line for each job with its times."""
    line = as_text(_DONE).splitlines()[1].split()
    assert line == ["1", "0.0", "50.0", "60.0", "80.0", "org/<a>"]
