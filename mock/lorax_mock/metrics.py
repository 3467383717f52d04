"""LoRAX's metrics by its own names (router/src/server.rs:1278)."""

from lorax_mock.settings import Limits
from lorax_mock.timing import Timing
from lorax_mock.wire import Generated

__all__ = ["Metrics"]


class Metrics:
    """Counters; a series appears with its first sample."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._counters: dict[str, dict[str, float]] = {}

    def _count(self, name: str, label: str = "") -> None:
        family = self._counters.setdefault(name, {})
        family[label] = family.get(label, 0) + 1

    def asked(self) -> None:
        """A request was understood."""
        self._count("lorax_request_count")

    def answered(self, sequence: Generated, timing: Timing) -> None:
        """A request was answered."""
        del sequence, timing
        self._count("lorax_request_success")

    def failed(self, err: str) -> None:
        """A request failed, by LoRAX's word for why."""
        self._count("lorax_request_failure", f'{{err="{err}"}}')

    def as_text(self) -> bytes:
        """Prometheus's text format, without HELP lines."""
        lines: list[str] = []
        for name, family in self._counters.items():
            lines.append(f"# TYPE {name} counter")
            lines += [f"{name}{label} {value:g}" for label, value in family.items()]
            lines.append("")
        return "\n".join(lines).encode()

    def as_json(self) -> bytes:
        """LoRAX's JSON form."""
        return b"{}"
