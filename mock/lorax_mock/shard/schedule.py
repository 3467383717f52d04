"""The schedule as JSON, as a table and as a picture.

The picture has one lane for the shard and one for each job: grey while it queues, hatched by its prefill,
coloured by adapter while it decodes. SVG, because it needs no library and every browser shows it.
"""

from collections.abc import Iterable
from html import escape
from typing import Any, Final

from lorax_mock.hashing import digest
from lorax_mock.shard.jobs import Done, Span

__all__ = ["as_json", "as_svg", "as_text"]

_LANE: Final = 18
_LEFT: Final = 170
_WIDTH: Final = 1000
_KINDS: Final = {
    "download": "#b58900",
    "load": "#cb4b16",
    "offload": "#93a1a1",
    "prefill": "#268bd2",
    "decode": "#859900",
}


def as_json(spans: Iterable[Span], done: Iterable[Done]) -> dict[str, Any]:
    """Operations and jobs as JSON, in milliseconds."""
    return {
        "spans": [
            {
                "kind": span.kind,
                "start": round(span.start, 3),
                "end": round(span.end, 3),
                "adapter": span.adapter,
                "jobs": list(span.jobs),
                "steps": span.steps,
            }
            for span in spans
        ],
        "jobs": [
            {
                "id": one.job.id,
                "adapter": one.job.adapter or None,
                "arrived": round(one.job.at, 3),
                "started": round(one.started, 3),
                "first_token": round(one.first, 3),
                "finished": round(one.finished, 3),
                "tokens": one.job.tokens,
            }
            for one in done
        ],
    }


def as_text(done: Iterable[Done]) -> str:
    """A table for a terminal."""
    lines = [f"{'job':>5} {'arrived':>10} {'queued':>9} {'ttft':>9} {'finished':>10}  adapter"]
    for one in done:
        queued, ttft = one.started - one.job.at, one.first - one.job.at
        lines.append(
            f"{one.job.id:>5} {one.job.at:>10.1f} {queued:>9.1f} {ttft:>9.1f} "
            f"{one.finished:>10.1f}  {one.job.adapter or '(base model)'}"
        )
    return "\n".join([*lines, "(milliseconds of virtual time)", ""])


def as_svg(spans: Iterable[Span], done: Iterable[Done]) -> str:
    """An SVG picture; hovering over a bar tells its times."""
    operations, jobs = list(spans), list(done)
    starts = [span.start for span in operations] + [one.job.at for one in jobs]
    ends = [span.end for span in operations] + [one.finished for one in jobs]
    first = min(starts, default=0.0)
    scale = _WIDTH / max(max(ends, default=1.0) - first, 1e-9)
    height = _LANE * (len(jobs) + 3)
    out = [
        (
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{_LEFT + _WIDTH + 20}" '
            f'height="{height}" font-family="sans-serif" font-size="11">'
        ),
        _label(0, "shard"),
    ]

    def bar(lane: int, start: float, end: float, colour: str, title: str) -> str:
        return (
            f'<rect x="{_LEFT + (start - first) * scale:.2f}" y="{lane * _LANE + 4}" '
            f'width="{max((end - start) * scale, 0.5):.2f}" height="{_LANE - 6}" fill="{colour}">'
            f"<title>{escape(title)}</title></rect>"
        )

    for span in operations:
        what = f"{span.kind} {span.adapter or ''} {list(span.jobs) or ''}".strip()
        title = f"{what}: {span.start:g} to {span.end:g} ms"
        out.append(bar(0, span.start, span.end, _KINDS[span.kind], title))
    for lane, one in enumerate(jobs, 1):
        name = one.job.adapter or "base model"
        out.append(_label(lane, f"{one.job.id} {name}"))
        times = f"arrived {one.job.at:g}, first token {one.first:g}, finished {one.finished:g} ms"
        out.append(bar(lane, one.job.at, one.started, "#dddddd", f"queued; {times}"))
        out.append(bar(lane, one.started, one.first, _KINDS["prefill"], f"prefill; {times}"))
        out.append(bar(lane, one.first, one.finished, _colour(name), f"decode; {times}"))
    for place, (kind, colour) in enumerate(_KINDS.items()):
        x = _LEFT + place * 110
        y = _LANE * (len(jobs) + 2)
        out.append(f'<rect x="{x}" y="{y}" width="12" height="12" fill="{colour}"/>')
        out.append(f'<text x="{x + 16}" y="{y + 10}">{kind}</text>')
    return "\n".join([*out, "</svg>", ""])


def _label(lane: int, text: str) -> str:
    shown = text if len(text) <= 26 else f"{text[:25]}…"
    return f'<text x="4" y="{lane * _LANE + 14}">{escape(shown)}</text>'


def _colour(name: str) -> str:
    return f"hsl({digest(name)[0] * 360 // 256} 55% 55%)"
