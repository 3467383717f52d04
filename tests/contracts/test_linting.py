"""Recordings from files."""

import json
from pathlib import Path

import pytest

from lorax_contracts.errors import ContractsError
from lorax_contracts.linting import linted, report
from tests.contracts import samples

STREAM = samples.golden("chat_stream").body


@pytest.fixture
def files(tmp_path: Path) -> tuple[str, str]:
    """A right stream, and one that breaks two laws, the lesser one first."""
    right, broken = tmp_path / "right.sse", tmp_path / "broken.sse"
    right.write_bytes(STREAM)
    changed = STREAM.replace(b'"chat.completion.chunk"', b'"chunk"')
    broken.write_bytes(changed.replace(b"data: [DONE]\n\n", b""))
    return str(right), str(broken)


def test_the_worst_comes_first(files: tuple[str, str]) -> None:
    """In the order of every report."""
    right, broken = map(linted, files)
    assert right == []
    assert [one.law for one in broken] == ["OAI-STREAM-003", "OAI-STREAM-019"]


def test_a_file_is_named_where_there_are_several(files: tuple[str, str]) -> None:
    """And where it has a finding."""
    right, broken = files
    alone = {broken: linted(broken)}
    both = {right: linted(right), **alone}
    assert report("text", alone).startswith("OAI-STREAM-003  (breaks)")
    assert report("text", both).startswith(f"{broken}:\nOAI-STREAM-003")
    assert "file" not in json.loads(report("json", alone))[0]
    assert {one["file"] for one in json.loads(report("json", both))} == {broken}
    for found in (alone, both):
        lines = report("github", found).splitlines()
        assert [one.partition(",")[0] for one in lines] == [f"::error file={broken}"] * 2
    for form in ("text", "json", "github"):
        assert right not in report(form, both)


def test_what_cannot_be_read_is_named(tmp_path: Path, files: tuple[str, str]) -> None:
    """A file that is not there, one that is no recording, a request that is none."""
    empty, none = tmp_path / "empty", tmp_path / "request.json"
    empty.touch()
    none.write_text("{")
    for file, request, said in (
        (str(tmp_path / "gone"), None, "gone: No such file"),
        (str(empty), None, "empty: the recording is empty"),
        (files[0], none, "request.json: not JSON"),
    ):
        with pytest.raises(ContractsError, match=said):
            linted(file, request=request)
