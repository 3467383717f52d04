"""`/embed`, `/v1/embeddings`, `/classify` and `/classify_batch`.

One permit for a whole list, the first error fails all of it (router/src/infer.rs:547-971). The order is
permit, lengths (which neither route counts as failures), the empty list, the adapter's download, the shard: a
model of another kind is found out last, as a 424. A model that classifies embeds as well: what it gives are
the logits of its first tokens (server/lorax_server/models/flash_bert.py:139, 190). Their work takes no
virtual time.
"""

from typing import Final

from lorax_mock.errors import FatalRequest, LoraxRefusal, generation
from lorax_mock.http.axum import JSON, Exchange, Header, Routes
from lorax_mock.model.encoders import (
    Entity,
    embedding,
    encode_embedding,
    encode_entities,
    entities,
    logits,
)
from lorax_mock.router.validation import adapter_ids, check_input_length, check_survivable
from lorax_mock.server.clock import aside
from lorax_mock.server.state import State
from lorax_mock.wire.native import (
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


class _Encoder:
    """The encoder's handlers."""

    def __init__(self, state: State) -> None:
        self._state = state
        self._body_bytes = state.settings.limits.body_bytes

    async def _check_lengths(self, texts: tuple[str, ...]) -> None:
        limits = self._state.settings.limits
        if not limits.fast_tokenizer:
            return
        lengths = await aside(
            sum(map(len, texts)),
            lambda: [len(self._state.tokenizer.encode(text)) for text in texts],
        )
        try:
            for length in lengths:
                check_input_length(length, 1, limits)
                self._state.metrics.counted_input(length)
        except LoraxRefusal as refusal:
            refusal.counted_as = ""  # passed on by a bare `?` (router/src/infer.rs:548)
            raise

    def _pass(self, method: str, fault: str | None) -> None:
        """Count a forward pass in health and metrics; raises LoraxRefusal when it fails."""
        refusal = self._state.health.refusal()
        if refusal is None and fault is not None:
            refusal = generation(f"Server error: {fault}")
        if refusal is not None:
            self._state.metrics.batch_failed(method)
            raise refusal
        self._state.metrics.batch(method)

    def _fetch(self, parameters: GenerateParameters) -> None:
        """Download and load the adapter; raises Refusal. Only the body's own token downloads."""
        check_survivable(parameters)
        try:
            self._state.catalogue.open(parameters, parameters.api_token)
        except LoraxRefusal as refusal:
            if self._state.settings.has_adapters or refusal.counted_as != "load_adapter":
                raise
        if adapter_ids(parameters) and not self._state.settings.has_adapters:
            # Found out when the download is done, before anything is loaded.
            raise generation(
                "Server error: Memory reserved for adapters is 0. "
                "Please set a memory reservation for adapters.",
                "download_adapter",
            )

    async def _embed_all(
        self, texts: tuple[str, ...], parameters: GenerateParameters
    ) -> list[bytes]:
        settings = self._state.settings
        with self._state.permits.hold(1):
            await self._check_lengths(texts)
            if not texts:
                raise LoraxRefusal(
                    500, "embedding_failure", "Embedding Failure", "embedding_failure"
                )
            self._fetch(parameters)
            can = settings.kind != "generate"
            self._pass("embed", None if can else "Model does not support embeddings")
            if settings.kind == "embed":
                return [encode_embedding(embedding(text, "", settings.seed)) for text in texts]
            counts = [len(self._state.tokenizer.encode(text)) for text in texts]
            return [
                encode_embedding(logits(text, count, settings.seed))
                for text, count in zip(texts, counts, strict=True)
            ]

    async def embed(self, exchange: Exchange) -> None:
        """Send the vector of one text."""
        asked: EmbedRequest = await exchange.json(EMBED_REQUEST, self._body_bytes)
        self._state.metrics.asked()
        vector = (await self._embed_all((str(asked.inputs),), asked.parameters))[0]
        await exchange.reply(200, b'{"embeddings":%b}' % vector, [JSON])

    async def compat_embed(self, exchange: Exchange) -> None:
        """Send the vectors of a text or a list, in LoRAX's shape, which is not OpenAI's."""
        asked: EmbedRequest = await exchange.json(COMPAT_EMBED_REQUEST, self._body_bytes)
        self._state.metrics.asked()
        texts = (asked.inputs,) if isinstance(asked.inputs, str) else asked.inputs
        vectors = await self._embed_all(texts, asked.parameters)
        listed = b",".join(
            b'{"index":%d,"embedding":%b,"object":"embedding"}' % (place, vector)
            for place, vector in enumerate(vectors)
        )
        await exchange.reply(200, b'{"embeddings":[%b]}' % listed, [JSON])

    async def _classify_all(self, texts: tuple[str, ...]) -> list[list[Entity]]:
        with self._state.permits.hold(1):
            await self._check_lengths(texts)
            if not texts:
                raise LoraxRefusal(
                    500,
                    "classification_failure",
                    "Classification Failure",
                    "classification_failure",
                )
            can = self._state.settings.kind == "classify"
            self._pass("classify", None if can else "Model does not support classification")
            if not self._state.settings.limits.fast_tokenizer:
                raise FatalRequest(
                    "a classification needs a fast tokenizer to find its words",
                    "router/src/infer.rs:711",
                )
            return [entities(text, self._state.settings.seed) for text in texts]

    async def classify(self, exchange: Exchange) -> None:
        """Send the entities of one text."""
        text: str = await exchange.json(CLASSIFY_REQUEST, self._body_bytes)
        self._state.metrics.asked()
        (found,) = await self._classify_all((text,))
        self._state.metrics.classified([len(found)], batch=False)
        await exchange.reply(200, encode_entities(found), [JSON, *_CLASSIFY_HEADERS])

    async def classify_batch(self, exchange: Exchange) -> None:
        """Send the entities of each of several texts."""
        texts: tuple[str, ...] = await exchange.json(CLASSIFY_BATCH_REQUEST, self._body_bytes)
        self._state.metrics.asked()
        found = await self._classify_all(texts)
        self._state.metrics.classified(list(map(len, found)), batch=True)
        listed = b",".join(map(encode_entities, found))
        await exchange.reply(200, b"[%b]" % listed, [JSON, *_CLASSIFY_HEADERS])


def encoder_routes(state: State) -> Routes:
    """Their handlers."""
    encoder = _Encoder(state)
    return {
        "/embed": {"POST": encoder.embed},
        "/v1/embeddings": {"POST": encoder.compat_embed},
        "/classify": {"POST": encoder.classify},
        "/classify_batch": {"POST": encoder.classify_batch},
    }
