"""The few exceptions that the proxy raises, one class for each thing a caller does differently.

ProxyError
├── RequestRefused      the client asked for what cannot be answered: 4xx, the request never left us
├── UpstreamError       LoRAX, or the way to it, failed: core.failures says what the client is told
├── SettingsInvalid     the operator's configuration is wrong: one line on the terminal, exit 2
└── (core.template.chat_template, core.schema.lowered and core.tools.grammar add their own, each with its place and reason)
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lorax_proxy.core.failures import Failure

__all__ = ["ProxyError", "RequestRefused", "SettingsInvalid", "UpstreamError"]


class ProxyError(Exception):
    """The root of every exception that this package raises on purpose."""


class RequestRefused(ProxyError):
    """The client's request cannot be answered, and the client can mend it.

    Attributes:
        message: What is wrong, where, and what would be right.
        status: The HTTP status, 4xx.
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
        failure: What happened, as a value that `core.failures` turns into an answer.
    """

    def __init__(self, failure: "Failure") -> None:
        super().__init__(str(failure))
        self.failure = failure


class SettingsInvalid(ProxyError):
    """The configuration is wrong; the message names the key, the value and what is allowed."""
