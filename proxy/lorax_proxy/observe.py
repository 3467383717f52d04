"""One record a request: a log line, and the metrics that a scraper reads.

Prompts and answers are never in it; LoRAX's own words are, where they say why a request failed. The
core is silent; the shell fills the record in.
"""

import contextlib
import functools
import json
import logging
import sys
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import msgspec
import structlog
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead

from lorax_proxy.log_output import LogOutput
from lorax_proxy.log_text import as_text

__all__ = ["INSPECTOR", "QUIET", "Observer", "Record"]

_encoder = msgspec.json.Encoder(enc_hook=repr)


def _encoded(facts: Mapping[str, Any], **_: object) -> str:
    """A line of JSON in ASCII, since terminals and readers of lines take other characters for ends.

    Nearly all are of ASCII anyway, for which `json` would take twenty times as long.
    """
    try:
        line = _encoder.encode(facts)
    except UnicodeEncodeError:
        line = b"\xff"
    return line.decode() if line.isascii() else json.dumps(facts, default=repr)


_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600)
"""Seconds: from a refusal to the longest answers."""

INSPECTOR = "/_inspector"
"""The route that all of the inspector's requests are counted under."""

QUIET = frozenset({"/health", "/ready", "/metrics", INSPECTOR})
"""Routes that machines and open pages ask all day long; when one of them finds something, that has a line
of its own."""


@dataclass(slots=True)
class Record:
    """What is known of one request.

    Attributes:
        route: The route's pattern, by which requests are counted; `other` for what is none.
        begun: Unix time in seconds.
        seconds: How long it took.
        first_token: Seconds to the first event of a stream.
        error: OpenAI's error code, `client_left`, or None.
        reason: Why it failed, if that is more than the client's fault.
        upstream_status: The status of an upstream's answer that was not LoRAX's: a gateway's.
        dropped: The schema keywords that LoRAX cannot enforce, each once.
    """

    request_id: str
    method: str
    path: str
    begun: float
    route: str = "other"
    status: int = 0
    seconds: float = 0.0
    model: str | None = None
    upstream: str | None = None
    stream: bool = False
    first_token: float | None = None
    finish_reason: str | None = None
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    error: str | None = None
    reason: str | None = None
    upstream_status: int | None = None
    dropped: tuple[str, ...] = ()


class Observer:
    """Takes every request's record."""

    def __init__(
        self,
        log_level: str = "info",
        *,
        log_format: Literal["auto", "text", "json"] = "auto",
        shared: Path | None = None,
    ) -> None:
        """Begin to count.

        Args:
            log_level: The least that is logged.
            log_format: Lines for people or for programs; `auto` is `text` on a terminal.
            shared: The folder where the processes of one server keep what they count, so that each can
                tell the sum; `PROMETHEUS_MULTIPROC_DIR` must have named it when this was imported.
        """
        self.registry = CollectorRegistry()
        self._shared = shared
        self._level: int = logging.getLevelNamesMapping()[log_level.upper()]
        text = log_format == "text" or (log_format == "auto" and sys.stderr.isatty())
        dropped = Counter(
            "lorax_proxy_log_lines_dropped",
            "Lines that were not logged because nobody read the log.",
            registry=self.registry,
        )
        self._output = LogOutput(
            sys.stderr,
            dropped=dropped.inc,
            recovered=lambda lines: self.warn("log_lines_dropped", lines=lines),
        )
        self._log: structlog.typing.FilteringBoundLogger = structlog.wrap_logger(
            self._output,
            processors=[
                structlog.processors.add_log_level,
                structlog.processors.TimeStamper(fmt="%H:%M:%S", utc=False)
                if text
                else structlog.processors.TimeStamper(fmt="iso", utc=True),
                structlog.processors.format_exc_info,
                as_text if text else structlog.processors.JSONRenderer(_encoded),
            ],
            wrapper_class=structlog.make_filtering_bound_logger(self._level),
        ).bind()
        self._requests = Counter(
            "lorax_proxy_requests_total",
            "Requests by path, status and error code.",
            ("path", "status", "error"),
            registry=self.registry,
        )
        self._seconds = Histogram(
            "lorax_proxy_request_seconds",
            "Time to the end of an answer.",
            ("path", "stream"),
            buckets=_BUCKETS,
            registry=self.registry,
        )
        self._first = Histogram(
            "lorax_proxy_first_token_seconds",
            "Time to the first event of a stream.",
            buckets=_BUCKETS,
            registry=self.registry,
        )
        tokens = Counter(
            "lorax_proxy_tokens_total",
            "Tokens by direction.",
            ("direction",),
            registry=self.registry,
        )
        self._prompt_tokens = tokens.labels("prompt")
        self._completion_tokens = tokens.labels("completion")
        # to find a series by its labels takes longer than to count in it; routes, statuses and
        # error codes are ours, so there are some dozens
        self._series = functools.cache(self._find_series)
        self._up = Gauge(
            "lorax_proxy_upstream_up",
            "Whether an upstream answered when it was last asked what it is.",
            ("upstream",),
            registry=self.registry,
            # of those who asked it, one that had no answer
            multiprocess_mode="livemin",
        )
        self._changes = Counter(
            "lorax_proxy_upstream_changes_total",
            "Times that an upstream was found to be another one: model, version or limits.",
            ("upstream",),
            registry=self.registry,
        )
        self.under_way = 0
        self._told: list[tuple[Gauge, Callable[[], float]]] = []
        self._tell_by(
            "lorax_proxy_active_requests",
            "Requests whose answer is under way.",
            lambda: self.under_way,
        )
        self.refused_connections = Counter(
            "lorax_proxy_refused_connections",
            "Connections beyond max_connections or max_connections_per_peer.",
            registry=self.registry,
        )

    def _tell_by(self, name: str, what: str, value: Callable[[], float]) -> None:
        gauge = Gauge(name, what, registry=self.registry, multiprocess_mode="livesum")
        if self._shared is None:
            gauge.set_function(value)
        else:
            self._told.append((gauge, value))

    def holds(self, *, connections: Callable[[], int], body_bytes: Callable[[], int]) -> None:
        """Take what tells how many connections are open, and how many bytes of bodies are in memory."""
        self._tell_by("lorax_proxy_connections", "Open connections of clients.", connections)
        self._tell_by(
            "lorax_proxy_buffered_body_bytes", "Bytes of requests' bodies in memory.", body_bytes
        )

    def publish(self) -> None:
        """Write down what this process holds, for the others of its server: they cannot ask."""
        for gauge, value in self._told:
            gauge.set(value())

    def upstream_up(self, name: str, *, up: bool) -> None:
        """An upstream told what it is, or did not."""
        self._up.labels(name).set(up)

    def upstream_changed(self, name: str) -> None:
        """An upstream is another one now."""
        self._changes.labels(name).inc()

    def _find_series(
        self, route: str, status: int, error: str | None, streamed: object
    ) -> tuple[Counter, Histogram]:
        return (
            self._requests.labels(route, str(status), error or ""),
            self._seconds.labels(route, str(streamed).lower()),
        )

    def done(self, record: Record) -> None:
        """A request is over."""
        count, seconds = self._series(record.route, record.status, record.error, record.stream)
        count.inc()
        seconds.observe(record.seconds)
        if record.first_token is not None:
            self._first.observe(record.first_token)
        if record.prompt_tokens is not None:
            self._prompt_tokens.inc(record.prompt_tokens)
        if record.completion_tokens is not None:
            self._completion_tokens.inc(record.completion_tokens)
        if record.reason is not None:
            level = logging.WARNING
        elif record.route in QUIET:
            level = logging.DEBUG
        else:
            level = logging.INFO
        if level < self._level:
            return
        facts = {
            "method": record.method,
            "path": record.path,
            "status": record.status,
            "ms": round(record.seconds * 1000, 1),
            "request_id": record.request_id,
            "model": record.model,
            "finish_reason": record.finish_reason,
            "prompt_tokens": record.prompt_tokens,
            "completion_tokens": record.completion_tokens,
            "error": record.error,
            "reason": record.reason,
            "upstream_status": record.upstream_status,
            "not_enforced": ",".join(record.dropped) or None,
        }
        self._log.log(level, "request", **{name: v for name, v in facts.items() if v is not None})

    def bug(self, record: Record, error: BaseException) -> None:
        """An exception of ours that nothing expected: the only place where it is told."""
        self._log.error("bug", request_id=record.request_id, exc_info=error)

    def trouble(self, message: str, error: BaseException | None) -> None:
        """Something that went wrong outside of every request."""
        self._log.error("trouble", message=message, exc_info=error)

    @contextlib.contextmanager
    def taking_over(self, *loggers: str) -> Generator[None]:
        """Put what libraries log, by their loggers' names, into the same lines as ours."""
        handler = _Foreign(self)
        found = [logging.getLogger(name) for name in loggers]
        before = [(logger.level, logger.propagate) for logger in found]
        for logger in found:
            logger.addHandler(handler)
            logger.setLevel(logging.WARNING)
            logger.propagate = False
        try:
            yield
        finally:
            for logger, (level, propagate) in zip(found, before, strict=True):
                logger.removeHandler(handler)
                logger.setLevel(level)
                logger.propagate = propagate

    def note(self, event: str, **facts: object) -> None:
        """Something that an operator wants to know."""
        self._log.info(event, **facts)

    def warn(self, event: str, **facts: object) -> None:
        """Something that an operator should mend."""
        self._log.warning(event, **facts)

    def metrics(self) -> bytes:
        """The metrics in Prometheus' text format: the sum over all processes of the server.

        What others hold is as of their last `publish`.
        """
        if self._shared is None:
            return generate_latest(self.registry)
        self.publish()
        together = CollectorRegistry()
        MultiProcessCollector(together, str(self._shared))  # type: ignore[no-untyped-call]  # theirs
        return generate_latest(together)

    def forget(self, pid: int) -> None:
        """A process of the server is dead: what it has counted stays, what it held is gone."""
        if self._shared is not None:
            mark_process_dead(pid, str(self._shared))  # type: ignore[no-untyped-call]  # theirs

    def flush(self) -> None:
        """Write the lines that wait, and keep no thread."""
        self._output.flush()


class _Foreign(logging.Handler):
    """Takes what a library logs."""

    def __init__(self, observer: Observer) -> None:
        super().__init__(logging.WARNING)
        self._observer = observer

    def emit(self, record: logging.LogRecord) -> None:
        cause = record.exc_info[1] if record.exc_info else None
        message = record.getMessage().strip()
        if record.levelno >= logging.ERROR:
            self._observer.trouble(message, cause)
        else:
            self._observer.warn(record.name, message=message)
