"""The forms in which a run is told, and one function that writes each of them.

All say the same: what is broken, the worst first, and what could not be judged. Each is text; where it
goes is the command's matter.
"""

from collections.abc import Callable, Mapping
from enum import Enum

from lorax_contracts.baseline import Outcome
from lorax_contracts.formats.annotations import as_github
from lorax_contracts.formats.badge import as_badge
from lorax_contracts.formats.documents import as_json, as_junit
from lorax_contracts.formats.markdown import as_markdown
from lorax_contracts.formats.report import as_html
from lorax_contracts.formats.text import as_text

__all__ = ["Format", "written"]


class Format(Enum):
    """What `--format` takes."""

    TEXT = "text"
    JSON = "json"
    JUNIT = "junit"
    GITHUB = "github"
    HTML = "html"
    MARKDOWN = "markdown"
    BADGE = "badge"


_WRITERS: Mapping[Format, Callable[[Outcome], str]] = {
    Format.TEXT: as_text,
    Format.JSON: as_json,
    Format.JUNIT: as_junit,
    Format.GITHUB: as_github,
    Format.HTML: as_html,
    Format.MARKDOWN: as_markdown,
    Format.BADGE: as_badge,
}


def written(form: Format, outcome: Outcome) -> str:
    """The outcome in that form, with a last line end; "" where there is nothing to say."""
    return _WRITERS[form](outcome)
