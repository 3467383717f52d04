"""What was measured, as a table and as a picture."""

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape

__all__ = ["Measured", "picture", "table"]

_COLOURS = {"nginx": "#93a1a1", "lorax-proxy": "#268bd2", "lorax-proxy, all on": "#6c71c4"}
_BAR, _LEFT, _WIDTH = 22, 190, 420


@dataclass(frozen=True, slots=True)
class Measured:
    """One measurement.

    Attributes:
        micros: Processor time for one unit, in microseconds.
        rate: Units a second.
        busy: The share of one core that it took.
    """

    micros: float
    rate: float
    busy: float


Results = Mapping[tuple[str, str], Sequence[Measured]]
"""By scenario and contender, one for each round."""


def _median(rounds: Sequence[Measured]) -> float:
    return statistics.median(each.micros for each in rounds)


def _scenarios(results: Results) -> list[str]:
    return list(dict.fromkeys(scenario for scenario, _ in results))


def table(results: Results) -> list[str]:
    """Markdown: a row for each scenario and contender; ratios are those of medians."""
    lines = [
        "| | | CPU, median | least to most | beside nginx | units a second | of a core |",
        "|---|---|---|---|---|---|---|",
    ]
    for scenario in _scenarios(results):
        base = results.get((scenario, "nginx"))
        for (of, name), rounds in results.items():
            if of != scenario:
                continue
            micros = [each.micros for each in rounds]
            ratio = f"{_median(rounds) / _median(base):.1f}x" if base else "-"
            lines.append(
                f"| {scenario} | {name} | {_median(rounds):.1f} us "
                f"| {min(micros):.1f} to {max(micros):.1f} | {ratio} "
                f"| {statistics.median(each.rate for each in rounds):,.0f} "
                f"| {statistics.median(each.busy for each in rounds):.0%} |"
            )
    return lines


def picture(results: Results) -> str:
    """SVG: bars of CPU time, each scenario on a scale of its own."""
    rows: list[str] = []
    y = 8
    for scenario in _scenarios(results):
        y += 20
        rows.append(_text(8, y, f"{scenario}: CPU, us", bold=True))
        here = {name: _median(rounds) for (of, name), rounds in results.items() if of == scenario}
        most = max(here.values())
        for name, micros in here.items():
            y += _BAR
            width = max(1.0, _WIDTH * micros / most)
            rows += [
                _text(8, y, name),
                _rectangle(y - 13, width, _COLOURS[name]),
                _text(_LEFT + width + 6, y, f"{micros:.1f}"),
            ]
        y += 14
    return "\n".join(
        [
            (
                f'<svg xmlns="http://www.w3.org/2000/svg" width="{_LEFT + _WIDTH + 70}" '
                f'height="{y + 6}" font-family="sans-serif" font-size="13">'
            ),
            '<rect width="100%" height="100%" fill="white"/>',
            *rows,
            "</svg>",
            "",
        ]
    )


def _rectangle(y: float, width: float, colour: str) -> str:
    return f'<rect x="{_LEFT}" y="{y}" width="{width:.1f}" height="16" fill="{colour}"/>'


def _text(x: float, y: float, what: str, *, bold: bool = False) -> str:
    weight = ' font-weight="bold"' if bold else ""
    return f'<text x="{x:.1f}" y="{y}"{weight}>{escape(what)}</text>'
