"""One record a request: a log line, and the metrics that a scraper reads.

Prompts and answers are never in it. The core is silent; the shell fills the record in.
"""

import contextlib
import logging
import sys
from collections.abc import Generator
from dataclasses import dataclass

import structlog
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from lorax_proxy.log_output import LogOutput

__all__ = ["Observer", "Record"]

_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600)
"""Seconds: from a refusal to the longest answers."""


@dataclass(slots=True)
class Record:
    """What is known of one request.

    Attributes:
        route: The route's pattern, by which requests are counted; `other` for what is none.
        begun: Unix time in seconds.
        seconds: How long it took.
        first_token: Seconds to the first visible piece of a stream.
        error: OpenAI's error code, `client_left`, or None.
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
    upstream_status: int | None = None
    dropped: tuple[str, ...] = ()


class Observer:
    """Takes every request's record."""

    def __init__(self, log_level: str = "info") -> None:
        self.registry = CollectorRegistry()
        level: int = logging.getLevelNamesMapping()[log_level.upper()]
        dropped = Counter(
            "lorax_proxy_log_lines_dropped",
            "Lines that were not logged because nobody read the log.",
            registry=self.registry,
        )
        self._log = structlog.wrap_logger(
            LogOutput(
                sys.stderr,
                dropped=dropped.inc,
                recovered=lambda lines: self.warn("log_lines_dropped", lines=lines),
            ),
            processors=[
                structlog.processors.add_log_level,
                structlog.processors.TimeStamper(fmt="iso", utc=True),
                structlog.processors.format_exc_info,
                structlog.dev.ConsoleRenderer(colors=True)
                if sys.stderr.isatty()
                else structlog.processors.JSONRenderer(),
            ],
            wrapper_class=structlog.make_filtering_bound_logger(level),
        )
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
            "Time to the first visible piece of a stream.",
            buckets=_BUCKETS,
            registry=self.registry,
        )
        self._tokens = Counter(
            "lorax_proxy_tokens_total",
            "Tokens by direction.",
            ("direction",),
            registry=self.registry,
        )
        self._up = Gauge(
            "lorax_proxy_upstream_up",
            "Whether an upstream answered when it was last asked what it is.",
            ("upstream",),
            registry=self.registry,
        )
        self._changes = Counter(
            "lorax_proxy_upstream_changes_total",
            "Times that an upstream was found to be another one: model, version or limits.",
            ("upstream",),
            registry=self.registry,
        )
        self.active = Gauge(
            "lorax_proxy_active_requests",
            "Requests whose answer is under way.",
            registry=self.registry,
        )

        self.connections = Gauge(
            "lorax_proxy_connections",
            "Open connections of clients.",
            registry=self.registry,
        )
        self.body_bytes = Gauge(
            "lorax_proxy_buffered_body_bytes",
            "Bytes of requests' bodies in memory.",
            registry=self.registry,
        )
        self.refused_connections = Counter(
            "lorax_proxy_refused_connections",
            "Connections beyond max_connections or max_connections_per_peer.",
            registry=self.registry,
        )

    def upstream_up(self, name: str, *, up: bool) -> None:
        """An upstream told what it is, or did not."""
        self._up.labels(name).set(up)

    def upstream_changed(self, name: str) -> None:
        """An upstream is another one now."""
        self._changes.labels(name).inc()

    def done(self, record: Record) -> None:
        """A request is over."""
        route = record.route
        self._requests.labels(route, str(record.status), record.error or "").inc()
        self._seconds.labels(route, str(record.stream).lower()).observe(record.seconds)
        if record.first_token is not None:
            self._first.observe(record.first_token)
        if record.prompt_tokens is not None:
            self._tokens.labels("prompt").inc(record.prompt_tokens)
        if record.completion_tokens is not None:
            self._tokens.labels("completion").inc(record.completion_tokens)
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
            "upstream_status": record.upstream_status,
            "not_enforced": ",".join(record.dropped) or None,
        }
        self._log.info("request", **{name: v for name, v in facts.items() if v is not None})

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
        """The metrics in Prometheus' text format."""
        return generate_latest(self.registry)


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
