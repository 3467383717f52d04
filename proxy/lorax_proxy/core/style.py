"""How an endpoint writes pieces: what chat and legacy completions do differently."""

from collections.abc import Sequence
from typing import Any, Protocol

from lorax_proxy.core.stream import Finished, Piece
from lorax_proxy.wire.openai_replies import ChunkWriter

__all__ = ["Style"]


class Style(Protocol):
    """Pieces to an endpoint's objects; values in, values out."""

    @property
    def whole_object(self) -> str:
        """The `object` of a whole answer."""
        ...

    @property
    def chunk_object(self) -> str:
        """The `object` of a chunk."""
        ...

    @property
    def prompt_param(self) -> str:
        """Where the client put its prompt, for errors about it."""
        ...

    def finish_reason(self, finished: Finished) -> str:
        """OpenAI's `finish_reason`."""
        ...

    def opening(self, writer: ChunkWriter, index: int) -> bytes:
        """What opens a choice's stream; empty when nothing does."""
        ...

    def chunk(self, writer: ChunkWriter, index: int, piece: Piece) -> bytes:
        """The chunk that carries one piece."""
        ...

    def frame(self, writer: ChunkWriter, index: int) -> tuple[bytes, bytes]:
        """What stands before and after the JSON of a text in the chunk of a `Text` without logprobs."""
        ...

    def folded(self, index: int, pieces: Sequence[Piece]) -> dict[str, Any]:
        """A whole choice: what its chunks add up to, the last of them `Finished`."""
        ...
