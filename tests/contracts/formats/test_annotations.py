"""A run as workflow commands, read back as GitHub's runner reads them."""

import json
import re
from dataclasses import replace
from xml.etree import ElementTree as ET

from lorax_contracts.baseline import outcome_of
from lorax_contracts.comparison import Judged, compared
from lorax_contracts.formats.annotations import annotations, as_github
from lorax_contracts.formats.documents import as_json, as_junit
from lorax_contracts.formats.text import as_text
from lorax_contracts.judge import judge
from tests.contracts import samples
from tests.contracts.formats.verdicts import outcome, verdict

_COMMAND = re.compile(r"::(?P<level>error|warning|notice) (?P<properties>[^:]*)::(?P<data>.*)")


def read(line: str) -> tuple[str, dict[str, str], str]:
    """Level, properties and message: actions/runner, ActionCommand.TryParseV2.

    A line that is no such command is one of the first version, as TryParse reads it, if `##[` is in it.
    """
    assert "##[" not in line
    found = _COMMAND.fullmatch(line)
    assert found is not None, line
    properties = dict(one.split("=", 1) for one in found["properties"].split(","))
    data = found["data"].replace("%0D", "\r").replace("%0A", "\n").replace("%25", "%")
    return found["level"], {name: _plain(value) for name, value in properties.items()}, data


def _plain(value: str) -> str:
    for escape, plain in (("%0D", "\r"), ("%0A", "\n"), ("%3A", ":"), ("%2C", ","), ("%25", "%")):
        value = value.replace(escape, plain)
    return value


def test_each_finding_is_one_command_and_the_worst_is_first() -> None:
    """Its law and severity are the title; what was seen cannot begin another command."""
    lines = as_github(outcome()).splitlines()
    assert [read(one)[:2] for one in lines] == [
        ("error", {"title": "OAI-CHAT-003 (breaks)"}),
        ("error", {"title": "OAI-CHAT-002 (shape)"}),
    ]
    message = read(lines[1])[2].splitlines()
    assert message[0].endswith(" at /object")
    assert message[1] == r'seen      "\u0000<b>|`odd`::"'
    assert message[2].startswith("promised ")
    assert message[3].startswith("repeat    curl ")


def test_what_is_known_is_a_notice_and_an_early_end_a_warning() -> None:
    """Ten errors are shown of a step: what is known must not take the place of what is new."""
    known = outcome_of(replace(verdict(), unfinished="100% of 3: used, up"), outcome().kept)
    levels = [read(one)[0] for one in as_github(known).splitlines()]
    assert levels == ["error", "error", "warning"]
    assert read(as_github(known).splitlines()[-1])[2] == "100% of 3: used, up"
    levels = [read(one)[0] for one in as_github(outcome(compared=True)).splitlines()]
    assert levels == ["error", "notice"]


def test_a_recording_is_named() -> None:
    """So that the annotation stands at the file, however it is called."""
    (line, _) = annotations(outcome().new, file="a,b:100%.sse")
    assert line.startswith("::error file=a%2Cb%3A100%25.sse,title=")
    assert read(line)[1]["file"] == "a,b:100%.sse"


def test_no_words_of_a_server_are_a_command_of_the_first_version() -> None:
    """Which the runner takes from anywhere in a line, whatever form the line has."""
    body = samples.edit(
        samples.golden("chat_plain"), lambda d: d.update(id="null", object="##[error]x")
    )
    asked = samples.asking(body, user="##[add-mask]a")
    findings = tuple(judge(asked))
    told = outcome_of(replace(verdict(), findings=findings, model="##[group]m"))
    for line in (as_github(told) + as_text(told)).splitlines():
        assert "##[" not in line
        assert "[error]x" in line or "OAI-CHAT-002" not in line
    for text in (as_json(told), as_junit(told), compared("json", [Judged("##[x]", told.verdict)])):
        assert "##[" not in text
    assert json.loads(as_json(told))["model"] == "##[group]m"
    suite = ET.fromstring(as_junit(told))  # noqa: S314 - our own
    messages = [one.get("message") or "" for one in suite.iter("failure")]
    assert any("[error]x" in one for one in messages)
