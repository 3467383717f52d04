"""LoRAX's metrics by its own names (router/src/server.rs:1278), in both of its formats.

A series appears with its first sample and no family has a HELP line, as metrics-exporter-prometheus
0.12.2 writes them; an off-the-shelf registry would show zeros, add `_total` and help texts. The JSON
form is a translation of the text, line by line, with the router's quirk kept: a name that ends in
`sum` or `count` gives that word as key, so the counter `lorax_request_count` has key `count`.
"""

from bisect import bisect_left
from collections import deque
from collections.abc import Sequence
from typing import Any, Final

import msgspec

from lorax_mock.settings import Limits
from lorax_mock.timing import Timing
from lorax_mock.wire import Generated

__all__ = ["Metrics"]

_QUANTILES: Final = (0.0, 0.5, 0.9, 0.95, 0.99, 0.999, 1.0)
_SUMMARY_SAMPLES: Final = 1024
"""Samples that a summary remembers."""


class _Histogram:
    """Counts by bucket."""

    def __init__(self, bounds: Sequence[float]) -> None:
        self._bounds = bounds
        self._counts = [0] * (len(bounds) + 1)
        self._sum = 0.0

    def add(self, value: float) -> None:
        self._counts[bisect_left(self._bounds, value)] += 1
        self._sum += value

    def lines(self, name: str) -> list[str]:
        out: list[str] = []
        total = 0
        for bound, count in zip((*map(_number, self._bounds), "+Inf"), self._counts, strict=True):
            total += count
            out.append(f'{name}_bucket{{le="{bound}"}} {total}')
        return [*out, f"{name}_sum {_number(self._sum)}", f"{name}_count {total}"]


class _Summary:
    """Quantiles of the last samples."""

    def __init__(self) -> None:
        self._samples: deque[float] = deque(maxlen=_SUMMARY_SAMPLES)
        self._count = 0
        self._sum = 0.0

    def add(self, value: float) -> None:
        self._samples.append(value)
        self._count += 1
        self._sum += value

    def lines(self, name: str) -> list[str]:
        ordered = sorted(self._samples)
        out = [
            f'{name}{{quantile="{_number(quantile)}"}} '
            f"{_number(ordered[round(quantile * (len(ordered) - 1))])}"
            for quantile in _QUANTILES
        ]
        return [*out, f"{name}_sum {_number(self._sum)}", f"{name}_count {self._count}"]


class Metrics:
    """Everything a mock counts."""

    def __init__(self, limits: Limits) -> None:
        self._durations = [0.00015 * 1.5**step for step in range(35)]
        self._inputs = [limits.max_input_length * step / 100 for step in range(1, 101)]
        self._tokens = [limits.max_total_tokens * step / 100 for step in range(1, 101)]
        self._counters: dict[str, dict[str, int]] = {}
        self._histograms: dict[str, _Histogram] = {}
        self._summaries: dict[str, _Summary] = {}

    def _count(self, name: str, label: str = "", times: int = 1) -> None:
        family = self._counters.setdefault(name, {})
        family[label] = family.get(label, 0) + times

    def _observe(self, name: str, bounds: Sequence[float], value: float) -> None:
        histogram = self._histograms.get(name)
        if histogram is None:
            histogram = self._histograms[name] = _Histogram(bounds)
        histogram.add(value)

    def asked(self) -> None:
        """A request was understood."""
        self._count("lorax_request_count")

    def validated(self, input_length: int, max_new_tokens: int) -> None:
        """A request passed the router's checks."""
        self._observe("lorax_request_input_length", self._inputs, input_length)
        self._observe("lorax_request_max_new_tokens", self._tokens, max_new_tokens)

    def batch(self, method: str, times: int = 1) -> None:
        """Forward passes that succeeded: `prefill`, `decode`, `embed` or `classify`."""
        if times:
            label = f'{{method="{method}"}}'
            self._count("lorax_batch_inference_count", label, times)
            self._count("lorax_batch_inference_success", label, times)

    def answered(self, sequence: Generated, timing: Timing) -> None:
        """A request was answered."""
        self._count("lorax_request_success")
        generated = len(sequence.tokens)
        per_token = timing.inference / generated
        for name, milliseconds in (
            ("lorax_request_duration", timing.total),
            ("lorax_request_validation_duration", timing.validation),
            ("lorax_request_queue_duration", timing.queue),
            ("lorax_request_inference_duration", timing.inference),
            ("lorax_request_mean_time_per_token_duration", per_token),
        ):
            self._observe(name, self._durations, milliseconds / 1000)
        self._observe("lorax_request_generated_tokens", self._tokens, generated)
        skipped = self._summaries.setdefault("lorax_request_skipped_tokens", _Summary())
        skipped.add(sum(token.skipped for token in sequence.tokens))

    def done(self) -> None:
        """A request without generated tokens was answered."""
        self._count("lorax_request_success")

    def failed(self, err: str) -> None:
        """A request failed, by LoRAX's word for why."""
        self._count("lorax_request_failure", f'{{err="{err}"}}')

    def _families(self) -> list[tuple[str, str, list[str]]]:
        counters = [
            (name, "counter", [f"{name}{label} {value}" for label, value in family.items()])
            for name, family in self._counters.items()
        ]
        histograms = [
            (name, "histogram", histogram.lines(name))
            for name, histogram in self._histograms.items()
        ]
        summaries = [
            (name, "summary", summary.lines(name)) for name, summary in self._summaries.items()
        ]
        return [*counters, *histograms, *summaries]

    def as_text(self) -> bytes:
        """Prometheus's text format."""
        blocks = (
            "\n".join([f"# TYPE {name} {kind}", *lines, "", ""])
            for name, kind, lines in self._families()
        )
        return "".join(blocks).encode()

    def as_json(self) -> bytes:
        """Family name to type and data."""
        out: dict[str, Any] = {}
        for family, kind, lines in self._families():
            data: list[dict[str, Any]] = []
            for line in lines:
                name, _, value = line.rpartition(" ")
                data.append({"key": _key(name), "value": float(value)})
            out[family] = {"type": kind, "data": data}
        return msgspec.json.encode(out)


def _key(name: str) -> str:
    if "{" in name:
        return name
    for word in ("sum", "count"):
        if name.endswith(word):
            return word
    return ""


def _number(value: float) -> str:
    """As Rust displays an f64: never an exponent, no fraction when there is none."""
    if value == int(value):
        return str(int(value))
    text = repr(float(value))
    return f"{value:.25f}".rstrip("0") if "e" in text else text
