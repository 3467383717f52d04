"""One page of HTML that stands alone: nothing is loaded, and it is read in light and in dark."""

import html

__all__ = ["escaped", "page", "wide"]

_STYLE = """
:root { color-scheme: light dark; font: 16px/1.5 system-ui, sans-serif;
  --back: #fff; --text: #1c1c1c; --faint: #595959; --line: #bbb; --link: #0b57d0;
  --broken: #fbdcdc; --kept: #d9f2e1 }
@media (prefers-color-scheme: dark) { :root {
  --back: #131313; --text: #e8e8e8; --faint: #a8a8a8; --line: #555; --link: #8ab4f8;
  --broken: #4a1d1d; --kept: #143d24 } }
body { background: var(--back); color: var(--text);
  margin: 2rem auto; max-width: 70rem; padding: 0 1rem; overflow-wrap: anywhere }
a { color: var(--link) }
h1, h2, h3 { line-height: 1.25 } h3 { margin-bottom: .25rem }
.wide { overflow-x: auto } .wide * { overflow-wrap: normal }
table { border-collapse: collapse; margin: 1rem 0 } caption { text-align: left }
th, td { border: 1px solid var(--line); padding: .3rem .6rem; text-align: left; vertical-align: top }
pre { white-space: pre-wrap; border: 1px solid var(--line); padding: .6rem }
pre, code { font: 13px/1.45 ui-monospace, monospace }
dt { font-weight: 600 } dd { margin: 0 0 .5rem 0 } summary { cursor: pointer; padding: .2rem 0 }
section { border-top: 1px solid var(--line) }
.broken { background: var(--broken) } .kept { background: var(--kept) } .none { color: var(--faint) }
"""


def escaped(text: str) -> str:
    """The text as HTML, within an element or an attribute."""
    return html.escape(text, quote=True)


def wide(title: str, table: str) -> str:
    """A table that scrolls where it is wider than the window, by keyboard too; `title` is read out."""
    name = escaped(title)
    return f'<div class="wide" tabindex="0" role="region" aria-label="{name}">{table}</div>'


def page(title: str, *body: str, style: str = "") -> str:
    """The whole document.

    Args:
        title: of the page, and its first heading.
        body: HTML.
        style: rules beyond the usual.
    """
    return "\n".join(
        [
            '<!doctype html><html lang="en"><head><meta charset="utf-8">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            f"<title>{escaped(title)}</title><style>{_STYLE}{style}</style></head><body><main>",
            f"<h1>{escaped(title)}</h1>",
            *body,
            "</main></body></html>\n",
        ]
    )
