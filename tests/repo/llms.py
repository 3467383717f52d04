"""docs/llms.txt: the documentation's pages in one list, for programs that read Markdown (llmstxt.org).

`python -m tests.repo.llms` prints it; `make docs` writes it. The order and the sections are the
navigation's, a page is told by its title and the first sentence under it.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from tests.repo.tree import ROOT

__all__ = ["rendered", "sections"]


def sections(root: Path) -> Iterator[tuple[str, list[str]]]:
    """The navigation of mkdocs.yml: each section's name and its pages, as paths below docs/."""
    for entry in _site(root)["nav"]:
        ((name, pages),) = entry.items()
        yield name, [pages] if isinstance(pages, str) else [*_pages(pages)]


def rendered(root: Path) -> str:
    """The file's text."""
    site = _site(root)
    lines = [f"# {site['site_name']}", "", f"> {site['site_description']}"]
    for name, pages in sections(root):
        lines += ["", f"## {name}", ""]
        for page in pages:
            title, told = _told((root / "docs" / page).read_text("utf-8"))
            lines.append(f"- [{title}]({page}): {told}")
    return "\n".join(lines) + "\n"


def _pages(entries: list[dict[str, Any]]) -> Iterator[str]:
    for entry in entries:
        for page in entry.values():
            yield from [page] if isinstance(page, str) else _pages(page)


def _site(root: Path) -> dict[str, Any]:
    site: dict[str, Any] = yaml.safe_load((root / "mkdocs.yml").read_text("utf-8"))
    return site


def _told(page: str) -> tuple[str, str]:
    """A page's title, and its first sentence without links."""
    title, text = re.findall(r"\A# (.+)\n+(?s:(.*))", page)[0]
    paragraph = next(
        each
        for each in re.split(r"\n\n+", text)
        if not each.startswith(("#", "|", "```", "<", "!"))
    )
    plain = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", " ".join(paragraph.split()))
    return title, re.split(r"(?<=\.)\s", plain)[0]


if __name__ == "__main__":
    print(rendered(ROOT), end="")  # noqa: T201 - what the program is for
