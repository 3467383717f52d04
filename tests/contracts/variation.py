"""One lawful way in which a server may differ from the reference, and servers that do."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from tests.contracts.reference import Asked, Said, openai

__all__ = ["Variation", "unusual"]


@dataclass(frozen=True, slots=True)
class Variation:
    """One lawful way to differ.

    Attributes:
        name: what the server does.
        source: who does so, or what allows it.
        shape: changes what is said, in place.
        plain: writes the JSON of a plain reply.
        stream: changes the bytes of a stream.
        answer: answers a request by itself, or None.
    """

    name: str
    source: str
    shape: Callable[[Asked, Said], None] | None = None
    plain: Callable[[Any], bytes] | None = None
    stream: Callable[[bytes], bytes] | None = None
    answer: Callable[[Asked], Said | None] | None = None


def unusual(variations: Iterable[Variation]) -> Callable[[Asked], Said]:
    """The correct server with all of these."""
    chosen = tuple(variations)

    def answer(asked: Asked) -> Said:
        for one in chosen:
            own = one.answer(asked) if one.answer else None
            if own is not None:
                return own
        said = openai(asked)
        for one in chosen:
            if one.shape is not None:
                one.shape(asked, said)
        if said.chunks is None:
            for one in chosen:
                if one.plain is not None:
                    said.raw = one.plain(said.document)
            return said
        for one in chosen:
            if one.stream is not None:
                said.raw = one.stream(said.body())
        return said

    return answer
