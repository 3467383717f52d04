"""The few exceptions that the proxy raises, one class for each thing a caller does differently.

ProxyError
├── RequestRefused      the request is not answered: mostly 4xx, and 500 where only the operator can mend it
├── UpstreamError       LoRAX, or the way to it, failed: core.failures says what the client is told
├── SettingsInvalid     the operator's configuration is wrong: one line on the terminal, exit 2
└── (core.template.chat_template, core.schema.lowered and core.tools.grammar add their own, each with its place and reason)
"""

from dataclasses import dataclass
from enum import Enum

__all__ = [
    "Failure",
    "Lost",
    "ProxyError",
    "Refused",
    "RequestRefused",
    "SettingsInvalid",
    "UpstreamError",
]


class Lost(Enum):
    """A failure of the way to LoRAX, or of an answer that did not arrive whole."""

    UNREACHABLE = "could not be reached"
    CONNECT_TIMEOUT = "did not accept a connection in time"
    NOT_READY = "is not known yet: its /info has not answered"
    RENEWED = "may be another server now, and was not asked"
    FIRST_EVENT_TIMEOUT = "sent nothing in time"
    IDLE_TIMEOUT = "fell silent in the middle of its answer"
    TOTAL_TIMEOUT = "took longer than this proxy allows"
    CUT = "ended its answer before it was complete"
    UNREADABLE = "sent what is not LoRAX's protocol"
    OFF_FORMAT = "ended its answer without the document that its format asks for"
    MISCOUNTED = "sent other tokens than it counted"
    GARBLED = "lost characters of its answer's text; asked for without a stream, they are in it"
    TORN = (
        "lost the first characters of its answer, and with the last one cut in two also the whole "
        "text; asked for without a stream and with another number of tokens, they are in it"
    )


@dataclass(frozen=True, slots=True)
class Refused:
    """An answer that is an error: LoRAX's envelope, or somebody else's words (`type` is None).

    `retry_after` is the answer's `Retry-After`, if it has one that may be passed on.
    """

    status: int
    type: str | None
    message: str
    retry_after: str | None = None

    def __str__(self) -> str:
        return f"{self.status} {self.type}: {self.message}"


Failure = Lost | Refused


class ProxyError(Exception):
    """The root of every exception that this package raises on purpose."""


class RequestRefused(ProxyError):
    """The request is not answered, in OpenAI's words.

    Attributes:
        message: What is wrong, where, and what would be right.
        status: The HTTP status: 4xx for what the client can mend, 500 for what the operator must.
        type: OpenAI's error type, most often ``invalid_request_error``.
        param: The offending parameter as a path (``messages[0].content``), if there is one.
        code: OpenAI's error code, if one fits.
        headers: Headers that belong to this refusal, such as ``allow`` of a 405.
    """

    def __init__(
        self,
        message: str,
        *,
        status: int = 400,
        type: str = "invalid_request_error",  # noqa: A002 - OpenAI's own name for the field
        param: str | None = None,
        code: str | None = None,
        headers: tuple[tuple[str, str], ...] = (),
    ) -> None:
        super().__init__(message)
        self.message = message
        self.status = status
        self.type = type
        self.param = param
        self.code = code
        self.headers = headers


class UpstreamError(ProxyError):
    """LoRAX answered with a failure, or could not be reached or understood.

    Attributes:
        failure: What happened: a value that `core.failures` turns into an answer.
    """

    def __init__(self, failure: Failure) -> None:
        super().__init__(str(failure))
        self.failure = failure


class SettingsInvalid(ProxyError):
    """The configuration is wrong; each line of the message names a key, the value and what is allowed."""
