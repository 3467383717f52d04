"""docs/llms.txt lists the pages that there are, and the navigation leaves none out."""

from pathlib import Path

from tests.repo.llms import rendered, sections
from tests.repo.tree import ROOT

SITE = """\
site_name: s
site_description: D.
nav:
  - Home: index.md
  - More:
      - One: a/one.md
      - {Deep: [{Two: two.md}]}
"""


def test_the_list_is_what_the_pages_say() -> None:
    """`make docs` would change nothing."""
    written = (ROOT / "docs/llms.txt").read_text("utf-8")
    assert written == rendered(ROOT), "docs/llms.txt is stale: run make docs"


def test_the_navigation_has_every_page_once() -> None:
    """The site's builder would say it too, but not before `make docs`."""
    pages = [page for _, pages in sections(ROOT) for page in pages]
    docs = ROOT / "docs"
    there = {path.relative_to(docs).as_posix() for path in docs.rglob("*.md")}
    assert sorted(pages) == sorted(there)


def test_a_page_is_told_by_its_title_and_first_sentence(tmp_path: Path) -> None:
    """Behind tables, pictures and blocks; links are text, line ends blanks."""
    (tmp_path / "docs/a").mkdir(parents=True)
    (tmp_path / "mkdocs.yml").write_text(SITE, "utf-8")
    (tmp_path / "docs/index.md").write_text("# Home\n\nOne [link](x.md)\nhere. Two.\n", "utf-8")
    (tmp_path / "docs/a/one.md").write_text(
        "# One\n\n```sh\nx\n```\n\n| t |\n\n`x` is it.\n", "utf-8"
    )
    (tmp_path / "docs/two.md").write_text(
        "# Two\n\n![p](p.png)\n\n## More\n\nAt 1.5 x: y\n", "utf-8"
    )
    assert rendered(tmp_path) == (
        "# s\n\n> D.\n\n## Home\n\n- [Home](index.md): One link here.\n\n## More\n\n"
        "- [One](a/one.md): `x` is it.\n- [Two](two.md): At 1.5 x: y\n"
    )
