"""Where reports go."""

from pathlib import Path

import pytest

from lorax_contracts.errors import ContractsError, UnknownName
from lorax_contracts.outputs import Output, outputs_of, write_all

FORMS = ("text", "json", "html")


def test_standard_output_has_one_document_and_text_by_default(tmp_path: Path) -> None:
    """Files may be many."""
    file = tmp_path / "a:b.html"
    assert outputs_of((), FORMS) == [Output("text")]
    assert outputs_of(["json"], FORMS) == [Output("json")]
    assert outputs_of([f"html:{file}"], FORMS) == [Output("text"), Output("html", file)]
    assert outputs_of([f"html:{file}", "json"], FORMS) == [Output("html", file), Output("json")]


@pytest.mark.parametrize(
    ("given", "error", "said"),
    [
        (["jsn"], UnknownName, "the nearest is json"),
        (["json", "html"], ContractsError, "as --format html:FILE"),
        (["json:"], ContractsError, "the name of a file is missing"),
        (["json:no-such-folder/x"], ContractsError, "no-such-folder is no folder"),
    ],
)
def test_what_cannot_be_meant_is_told_before_anything_is_asked(
    given: list[str], error: type[ContractsError], said: str
) -> None:
    """A check takes a while."""
    with pytest.raises(error, match=said):
        outputs_of(given, FORMS)


def test_each_form_is_written_to_its_place(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Whatever it holds; a file that cannot be written is named."""
    write_all(
        [Output("text"), Output("json", tmp_path / "x")],
        lambda form: form if form == "text" else f"{form}\ud800",
    )
    assert (tmp_path / "x").read_bytes() == b"json\\ud800"
    assert capsys.readouterr().out.startswith("text")
    with pytest.raises(ContractsError, match="Is a directory"):
        write_all([Output("json", tmp_path)], str)


def test_one_that_cannot_be_written_keeps_no_other_from_it(tmp_path: Path) -> None:
    """A check takes a while: what can be kept of it is. All that failed is named."""
    other = tmp_path / "other"
    outputs = [Output("json", tmp_path), Output("html", other), Output("text", Path("/dev/full"))]
    with pytest.raises(ContractsError, match=r"Is a directory; /dev/full: No space left"):
        write_all(outputs, str)
    assert other.read_text() == "html"
