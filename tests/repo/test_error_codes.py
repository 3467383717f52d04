"""docs/errors.md explains every code that the proxy can send, and no other."""

from pathlib import Path

from tests.repo.error_codes import explained, sent
from tests.repo.tree import ROOT


def test_every_code_is_explained_with_its_status() -> None:
    """A new one needs its row; one that is gone leaves none behind."""
    page = explained((ROOT / "docs/errors.md").read_text("utf-8"))
    codes = sent(ROOT)
    assert sorted(page) == sorted(codes)
    for code, statuses in codes.items():
        assert statuses <= page[code], f"{code} is sent with {sorted(statuses)}"


def test_codes_are_found_wherever_an_error_is_made(tmp_path: Path) -> None:
    """By name, by place, by default, and both of two; what is no error's is not one."""
    source = (
        'RequestRefused("x", code="a")\nRequestRefused("x", status=404, code=s if more else "b")\n'
        'ApiError(502, "x", "t", "p", "c")\nApiError(status, "x", "t", code="d")\n'
        'def _bad(text, status=400, code="e"): ...\n_bad("x", 431, "f")\nother(code="g")\n'
    )
    (tmp_path / "proxy/lorax_proxy").mkdir(parents=True)
    (tmp_path / "proxy/lorax_proxy/x.py").write_text(source, "utf-8")
    found = {code: sorted(statuses) for code, statuses in sent(tmp_path).items()}
    assert found == {"a": [400], "b": [404], "c": [502], "d": [], "e": [], "f": [431]}


def test_rows_are_read_with_all_their_statuses() -> None:
    """The code first, then its statuses; headings and prose are none."""
    page = "| code | status | x |\n|---|---|---|\n| `a_b` | 400, 502 | `c` | d |\n`e` | 1 |\n"
    assert explained(page) == {"a_b": frozenset({400, 502})}
