"""`/embed`, `/v1/embeddings`, `/classify` and `/classify_batch`.

One permit for a whole list, the first error fails all of it (router/src/infer.rs). On a model of
another kind the shard's refusal is a 424.
"""

from collections.abc import Awaitable, Callable
from contextlib import AbstractContextManager
from typing import Any, Final, Protocol

from lorax_mock.axum import JSON, Exchange, Header
from lorax_mock.encoders import embedding, encode_embedding, encode_entities, entities
from lorax_mock.errors import LoraxRefusal, generation
from lorax_mock.metrics import Metrics
from lorax_mock.serde import Kind
from lorax_mock.settings import Settings
from lorax_mock.tokenizer import Tokenizer
from lorax_mock.validation import adapter_ids, check_input_length
from lorax_mock.wire import (
    CLASSIFY_BATCH_REQUEST,
    CLASSIFY_REQUEST,
    COMPAT_EMBED_REQUEST,
    EMBED_REQUEST,
    EmbedRequest,
    GenerateParameters,
)

__all__ = ["encoder_routes"]

_CLASSIFY_HEADERS: Final[tuple[Header, ...]] = (
    (b"x-compute-type", b"gpu+optimized"),
    (b"x-compute-time", b"0"),
    (b"x-validation-time", b"0"),
    (b"x-queue-time", b"0"),
    (b"x-inference-time", b"0"),
)


class _App(Protocol):
    """What these routes need of the shell."""

    settings: Settings
    tokenizer: Tokenizer
    metrics: Metrics

    async def read(self, exchange: Exchange, kind: Kind) -> Any: ...

    def permits(self, count: int) -> AbstractContextManager[None]: ...


class _Encoder:
    """The encoder's handlers."""

    def __init__(self, app: _App) -> None:
        self._app = app

    def _check(self, texts: tuple[str, ...], kind: str, words: str) -> None:
        limits = self._app.settings.limits
        for text in texts:
            check_input_length(len(self._app.tokenizer.encode(text)), 1, limits)
        if self._app.settings.kind != kind and texts:
            raise generation(f"Server error: Model does not support {words}")

    def _embed_all(self, texts: tuple[str, ...], parameters: GenerateParameters) -> list[bytes]:
        settings = self._app.settings
        with self._app.permits(1):
            self._check(texts, "embed", "embeddings")
            if adapter_ids(parameters):
                raise generation(
                    "Server error: Memory reserved for adapters is 0. "
                    "Please set a memory reservation for adapters.",
                    "load_adapter",
                )
            if not texts:
                raise LoraxRefusal(
                    500, "embedding_failure", "Embedding Failure", "embedding_failure"
                )
            self._app.metrics.batch("embed")
            return [encode_embedding(embedding(text, "", settings.seed)) for text in texts]

    async def embed(self, exchange: Exchange) -> None:
        """One text, one vector."""
        asked: EmbedRequest = await self._app.read(exchange, EMBED_REQUEST)
        self._app.metrics.asked()
        vector = self._embed_all((str(asked.inputs),), asked.parameters)[0]
        await exchange.reply(200, b'{"embeddings":%b}' % vector, [JSON])

    async def compat_embed(self, exchange: Exchange) -> None:
        """A text or a list; not OpenAI's shape."""
        asked: EmbedRequest = await self._app.read(exchange, COMPAT_EMBED_REQUEST)
        self._app.metrics.asked()
        texts = (asked.inputs,) if isinstance(asked.inputs, str) else asked.inputs
        vectors = self._embed_all(texts, asked.parameters)
        listed = b",".join(
            b'{"index":%d,"embedding":%b,"object":"embedding"}' % (place, vector)
            for place, vector in enumerate(vectors)
        )
        await exchange.reply(200, b'{"embeddings":[%b]}' % listed, [JSON])

    def _classify_all(self, texts: tuple[str, ...]) -> list[bytes]:
        with self._app.permits(1):
            self._check(texts, "classify", "classification")
            if not texts:
                raise LoraxRefusal(
                    500,
                    "classification_failure",
                    "Classification Failure",
                    "classification_failure",
                )
            self._app.metrics.batch("classify")
            seed = self._app.settings.seed
            return [encode_entities(entities(text, seed)) for text in texts]

    async def classify(self, exchange: Exchange) -> None:
        """One text, a list of entities."""
        text: str = await self._app.read(exchange, CLASSIFY_REQUEST)
        self._app.metrics.asked()
        found = self._classify_all((text,))[0]
        self._app.metrics.done()
        await exchange.reply(200, found, [JSON, *_CLASSIFY_HEADERS])

    async def classify_batch(self, exchange: Exchange) -> None:
        """Several texts, a list of lists."""
        texts: tuple[str, ...] = await self._app.read(exchange, CLASSIFY_BATCH_REQUEST)
        self._app.metrics.asked()
        found = self._classify_all(texts)
        self._app.metrics.done()
        await exchange.reply(200, b"[%b]" % b",".join(found), [JSON, *_CLASSIFY_HEADERS])


def encoder_routes(app: _App) -> dict[str, dict[str, Callable[[Exchange], Awaitable[None]]]]:
    """Path and method to handler."""
    encoder = _Encoder(app)
    return {
        "/embed": {"POST": encoder.embed},
        "/v1/embeddings": {"POST": encoder.compat_embed},
        "/classify": {"POST": encoder.classify},
        "/classify_batch": {"POST": encoder.classify_batch},
    }
