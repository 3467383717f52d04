"""Whether the model answers, as the router's health routes tell it (router/src/health.rs:150).

A flag says whether the last forward pass succeeded: a prefill, a decode, an embedding or a classification
(router/src/infer.rs:1265-1437); adapters that fail to download or load leave it alone. Before the first pass
it is down. While it is up a health check only asks whether the shard is there. While it is down the check
runs a pass of its own, past the queue and uncounted, and the flag is what that pass came to. So one failed
request is forgotten by the next check, and a shard whose passes fail is told unhealthy only after one did.
"""

from typing import Final, Literal, get_args

from lorax_mock.errors import LoraxRefusal, generation

__all__ = ["Health", "ShardState", "Unwell", "unhealthy"]

ShardState = Literal["well", "failing", "gone"]
"""`failing`: the shard is there and every pass fails. `gone`: nothing reaches it."""

_WORDS: Final[dict[str, str]] = {
    "failing": "Server error: CUDA error: an illegal memory access was encountered",
    "gone": "Server error: transport error",
}
"""Representative: in life they are the exception's and the transport's own."""


class Unwell(Exception):
    """The name is no state of a shard; the text lists the states."""


class Health:
    """The flag, and the shard behind it."""

    def __init__(self) -> None:
        self.inference = False
        """The router's flag."""

        self.shard: ShardState = "well"

    def passed(self, *, well: bool) -> None:
        """Note whether a forward pass has succeeded."""
        self.inference = well

    def check(self) -> bool:
        """Whether a health route answers 200; it may set the flag."""
        if self.inference:
            return self.shard != "gone"
        self.inference = self.shard == "well"
        return self.inference

    def refusal(self) -> LoraxRefusal | None:
        """The refusal that a forward pass fails with; None if it succeeds."""
        words = _WORDS.get(self.shard)
        return None if words is None else generation(words)

    def become(self, state: object) -> None:
        """Put the shard into a state; raises Unwell."""
        for known in get_args(ShardState):
            if state == known:
                self.shard = known
                return
        raise Unwell(f"a shard is {', '.join(get_args(ShardState))}, not {state!r}")


def unhealthy() -> LoraxRefusal:
    """The 503 of a health route."""
    return LoraxRefusal(503, "healthcheck", "unhealthy", "")
