"""One page of HTML that stands alone: nothing is loaded, and it is read in light and in dark."""

import html

__all__ = ["escaped", "page"]

_STYLE = """
:root { color-scheme: light dark; font: 16px/1.5 system-ui, sans-serif }
body { margin: 2rem auto; max-width: 70rem; padding: 0 1rem }
h1, h2, h3 { line-height: 1.25 } h3 { margin-bottom: .25rem }
table { border-collapse: collapse; margin: 1rem 0 }
.wide { overflow-x: auto }
th, td { border: 1px solid #8886; padding: .3rem .6rem; text-align: left; vertical-align: top }
td.number { text-align: right } li, td, dd { overflow-wrap: anywhere }
pre { white-space: pre-wrap; overflow-wrap: anywhere; border: 1px solid #8886; padding: .6rem }
pre, code { font: 13px/1.45 ui-monospace, monospace }
dt { font-weight: 600 } dd { margin: 0 0 .5rem 0 } summary { cursor: pointer; padding: .2rem 0 }
section { border-top: 1px solid #8886 }
.broken { background: #c4222233 } .kept { background: #22aa5533 } .none { opacity: .75 }
"""


def escaped(text: str) -> str:
    """The text as HTML, within an element or an attribute."""
    return html.escape(text, quote=True)


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
