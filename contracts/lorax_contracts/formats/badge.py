"""A run as a badge: a small SVG for a README, in the form that badges have there."""

import html

from lorax_contracts.baseline import Outcome

__all__ = ["as_badge"]

_GREEN, _YELLOW, _RED, _GREY = "#2e7d32", "#8a6100", "#c62828", "#616161"
"""Each with white text on it at a contrast of 4.5 or more."""
_LABEL = "contracts"
_LETTER = 7.0
"""Pixels of an average letter of the font at this size; the text is stretched to what it is given."""


def _said(outcome: Outcome) -> tuple[str, str]:
    """Words and colour."""
    if outcome.new and outcome.compared:
        return f"{len(outcome.new)} new", _RED
    if outcome.new:
        return f"{_laws(len({one.law for one in outcome.new}))} broken", _RED
    if outcome.verdict.unfinished:
        return "ended early", _GREY
    if outcome.known:
        return f"{len(outcome.known)} known", _YELLOW
    judged = sum(not outcome.verdict.why_not(one) for one in outcome.verdict.laws)
    return (f"{_laws(judged)} kept", _GREEN) if judged else ("not judged", _GREY)


def _laws(number: int) -> str:
    return f"{number} law{'' if number == 1 else 's'}"


def as_badge(outcome: Outcome) -> str:
    """The SVG; what it says is its title, too, for who does not see it."""
    said, colour = _said(outcome)
    left, right = (round(len(text) * _LETTER) + 10 for text in (_LABEL, said))
    title = html.escape(f"{_LABEL}: {said}")
    texts = "".join(
        f'<text x="{x}" y="14" textLength="{width - 10}">{html.escape(text)}</text>'
        for text, x, width in ((_LABEL, 5, left), (said, left + 5, right))
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{left + right}" height="20" role="img"'
        f' aria-label="{title}"><title>{title}</title>'
        f'<clipPath id="r"><rect width="{left + right}" height="20" rx="3"/></clipPath>'
        f'<g clip-path="url(#r)"><rect width="{left}" height="20" fill="#444"/>'
        f'<rect x="{left}" width="{right}" height="20" fill="{colour}"/></g>'
        f'<g fill="#fff" font-family="Verdana,Geneva,DejaVu Sans,sans-serif" font-size="11">{texts}</g>'
        "</svg>\n"
    )
