"""LoRAX's metrics by its own names (router/src/server.rs:1278), in both of its formats.

A series appears with its first sample and no family has a HELP line, as metrics-exporter-prometheus
0.12.2 writes them; an off-the-shelf registry would show zeros, add `_total` and help texts. The JSON
form is a translation of the text, line by line, with the router's quirk kept: an unlabelled name that ends
in `_sum` or `_count` gives that word as key, so the counter `lorax_request_count` has key `count`.

What batches leave behind is counted as the shard works (router/src/infer.rs:1051-1316, scheduler.rs:295-543):
sizes, durations and reasons by its steps, gauges as of its last look; durations are those of virtual time.
"""

from bisect import bisect_left
from collections import deque
from collections.abc import Sequence
from itertools import accumulate, repeat
from operator import mul
from typing import Any, Final

import msgspec

from lorax_mock.router.health import Health
from lorax_mock.settings import Limits
from lorax_mock.shard.jobs import Step
from lorax_mock.shard.scheduler import Shard
from lorax_mock.shard.timing import Timing
from lorax_mock.wire.native import Generated

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

    def add(self, value: float, times: int = 1) -> None:
        self._counts[bisect_left(self._bounds, value)] += times
        self._sum += value * times

    def lines(self, name: str, label: str) -> list[str]:
        out: list[str] = []
        total = 0
        inner = f"{label}," if label else ""
        outer = f"{{{label}}}" if label else ""
        for bound, count in zip((*map(_number, self._bounds), "+Inf"), self._counts, strict=True):
            total += count
            out.append(f'{name}_bucket{{{inner}le="{bound}"}} {total}')
        return [*out, f"{name}_sum{outer} {_number(self._sum)}", f"{name}_count{outer} {total}"]


class _Summary:
    """Quantiles of the last samples."""

    def __init__(self) -> None:
        self._samples: deque[float] = deque(maxlen=_SUMMARY_SAMPLES)
        self._count = 0
        self._sum = 0.0

    def add(self, value: float, times: int = 1) -> None:
        self._samples.extend(repeat(value, times))
        self._count += times
        self._sum += value * times

    def lines(self, name: str) -> list[str]:
        ordered = sorted(self._samples)
        out = [
            f'{name}{{quantile="{_number(quantile)}"}} '
            f"{_number(ordered[round(quantile * (len(ordered) - 1))])}"
            for quantile in _QUANTILES
        ]
        return [*out, f"{name}_sum {_number(self._sum)}", f"{name}_count {self._count}"]


class Metrics:
    """Everything a mock counts; forward passes it tells to the health flag, as the router does beside each count."""

    def __init__(self, limits: Limits, health: Health | None = None) -> None:
        self._health = health or Health()
        # Multiplied in the router's order (router/src/server.rs:1505-1534): `le` tells the last bit.
        self._durations = list(accumulate(repeat(1.5, 35), mul, initial=0.0001))[1:]
        self._inputs = [limits.max_input_length / 100 * step for step in range(1, 101)]
        self._tokens = [limits.max_total_tokens / 100 * step for step in range(1, 101)]
        self._sizes = [float(size) for size in range(1, 1025)]
        self._counters: dict[str, dict[str, int]] = {}
        self._histograms: dict[str, dict[str, _Histogram]] = {}
        self._summaries: dict[str, _Summary] = {}
        self.shard: Shard | None = None
        """Where the gauges are read."""

    def _count(self, name: str, label: str = "", times: int = 1) -> None:
        family = self._counters.setdefault(name, {})
        family[label] = family.get(label, 0) + times

    def _observe(
        self, name: str, bounds: Sequence[float], value: float, label: str = "", times: int = 1
    ) -> None:
        family = self._histograms.setdefault(name, {})
        histogram = family.get(label)
        if histogram is None:
            histogram = family[label] = _Histogram(bounds)
        histogram.add(value, times)

    def asked(self) -> None:
        """Count a request that was understood."""
        self._count("lorax_request_count")

    def validated(self, input_length: int | None, max_new_tokens: int) -> None:
        """Count a request that passed the router's checks; without a fast tokenizer its length is None."""
        if input_length is not None:
            self.counted_input(input_length)
        self._observe("lorax_request_max_new_tokens", self._tokens, max_new_tokens)

    def counted_input(self, length: int) -> None:
        """Count a text whose tokens the router found few enough (router/src/validation.rs:171)."""
        self._observe("lorax_request_input_length", self._inputs, length)

    def classified(self, outputs: Sequence[int], *, batch: bool) -> None:
        """Count an answered classification, by its entities for each text (router/src/server.rs:1911-2026)."""
        self.done()
        for name in ("", "_validation", "_queue", "_inference"):
            self._observe(f"lorax_request{name}_duration", self._durations, 0.0)
        if batch:
            self._sample("lorax_request_input_count", len(outputs))
        for count in outputs:
            self._sample("lorax_request_classify_output_count", count)

    def _sample(self, name: str, value: float, times: int = 1) -> None:
        summary = self._summaries.get(name)
        if summary is None:
            summary = self._summaries[name] = _Summary()
        summary.add(value, times)

    def batch(self, method: str, times: int = 1) -> None:
        """Count a forward pass that succeeded outside the shard's time: `embed` or `classify`."""
        if times:
            self._observe("lorax_batch_next_size", self._sizes, 1, times=times)
            self._passed(method, 0.0, times)

    def _passed(self, method: str, seconds: float, times: int) -> None:
        self._health.passed(well=True)
        label = f'method="{method}"'
        self._count("lorax_batch_inference_count", label, times)
        self._count("lorax_batch_inference_success", label, times)
        self._observe("lorax_batch_inference_duration", self._durations, seconds, label, times)

    def batch_failed(self, method: str) -> None:
        """Count a forward pass that failed."""
        self._health.passed(well=False)
        label = f'method="{method}"'
        self._count("lorax_batch_inference_count", label)
        self._count("lorax_batch_inference_failure", label)

    def ran(self, step: Step) -> None:
        """Count what the shard did in a step."""
        for _ in step.dropped:
            self.failed("dropped")
        if not step.steps:
            return
        if step.kind == "prefill":
            ended = sum(len(failed.jobs) for failed in step.failed)
            self._observe("lorax_batch_next_size", self._sizes, len(step.jobs) + ended)
            if step.concat is not None:
                self._count("lorax_batch_concat", f'reason="{step.concat}"')
        if step.failed:
            self.batch_failed(step.kind)
            if not step.jobs:
                return
        self._passed(step.kind, step.milliseconds / 1000, step.steps)
        # of each token of each request (router/src/infer.rs:1549), and nothing speculates here
        self._sample("lorax_request_skipped_tokens", 0.0, len(step.jobs) * step.steps)

    def answered(self, sequence: Generated, timing: Timing) -> None:
        """Count a request that was answered with tokens."""
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

    def done(self) -> None:
        """Count a request that was answered without generated tokens."""
        self._count("lorax_request_success")

    def failed(self, err: str) -> None:
        """Count a request that failed, under LoRAX's word for why."""
        self._count("lorax_request_failure", f'err="{err}"')

    def _families(self) -> list[tuple[str, str, list[str]]]:
        counters = [
            (
                name,
                "counter",
                [f"{name}{_braces(label)} {value}" for label, value in family.items()],
            )
            for name, family in self._counters.items()
        ]
        gauges = [
            (name, "gauge", [f"{name} {value}"])
            for name, value in self._gauges().items()
            if value is not None
        ]
        histograms = [
            (
                name,
                "histogram",
                [
                    line
                    for label, histogram in family.items()
                    for line in histogram.lines(name, label)
                ],
            )
            for name, family in self._histograms.items()
        ]
        summaries = [
            (name, "summary", summary.lines(name)) for name, summary in self._summaries.items()
        ]
        return [*counters, *gauges, *histograms, *summaries]

    def _gauges(self) -> dict[str, int | None]:
        if self.shard is None:
            return {}
        return {
            "lorax_batch_current_size": self.shard.batch_size,
            "lorax_batch_current_max_tokens": self.shard.batch_max_tokens,
            "lorax_queue_length": self.shard.queue_length,
        }

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
        if name.endswith(f"_{word}"):
            return word
    return ""


def _braces(label: str) -> str:
    return f"{{{label}}}" if label else ""


def _number(value: float) -> str:
    """As Rust displays an f64: never an exponent, no fraction when there is none."""
    if value == int(value):
        return str(int(value))
    text = repr(float(value))
    return f"{value:.25f}".rstrip("0") if "e" in text else text
