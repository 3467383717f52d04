"""The refusals a LoRAX router can utter.

    Refusal
    ├── LoraxRefusal      LoRAX's own JSON envelope: a status, an `error` and an `error_type`
    ├── FrameworkRefusal  axum's plain text, spoken before LoRAX's code runs
    └── FatalRequest      a real LoRAX would not have survived this; the mock says so instead

Texts and statuses: router/src/server.rs:1736 and router/src/infer.rs:1710.
"""

__all__ = [
    "FatalRequest",
    "FrameworkRefusal",
    "LoraxRefusal",
    "Refusal",
    "generation",
    "incomplete",
    "no_fast_tokenizer",
    "overloaded",
    "validation",
]


class Refusal(Exception):
    """Base of every answer other than the one asked for."""


class LoraxRefusal(Refusal):
    """An answer in LoRAX's envelope; in a stream it travels as an event under status 200."""

    def __init__(self, status: int, error_type: str, message: str, counted_as: str) -> None:
        super().__init__(message)
        self.status = status
        self.error_type = error_type
        self.message = message
        self.counted_as = counted_as
        """The `err` label of `lorax_request_failure`; empty if it is not counted."""


class FrameworkRefusal(Refusal):
    """Plain text from the web framework, never the JSON envelope."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status
        self.text = text


class FatalRequest(Refusal):
    """A request that ends a real LoRAX process: every panic aborts (Cargo.toml, `panic = "abort"`)."""

    def __init__(self, reason: str, source: str) -> None:
        super().__init__(reason)
        self.reason = reason
        self.source = source
        """LoRAX file and line that would have panicked."""


def validation(text: str, counted_as: str = "validation") -> LoraxRefusal:
    """422 for a parameter or prompt that LoRAX's validation turns down."""
    return LoraxRefusal(422, "validation", f"Input validation error: {text}", counted_as)


def generation(cause: str, counted_as: str = "generation") -> LoraxRefusal:
    """424 for a failure in the shard; `cause` usually starts with `Server error: `."""
    message = f"Request failed during generation: {cause}"
    return LoraxRefusal(424, "generation", message, counted_as)


def overloaded() -> LoraxRefusal:
    """429 when no concurrency permit is left; LoRAX gives no `retry-after`."""
    return LoraxRefusal(429, "overloaded", "Model is overloaded", "overloaded")


def incomplete() -> LoraxRefusal:
    """500 when the shard's channel closed before a final token."""
    return LoraxRefusal(500, "incomplete_generation", "Incomplete generation", "incomplete")


def no_fast_tokenizer() -> LoraxRefusal:
    """404 of `/tokenize` on a model that has only a slow tokenizer."""
    text = "No fast tokenizer or tokenizer.json for this model"
    return LoraxRefusal(404, "no fast tokenizer", text, "")
