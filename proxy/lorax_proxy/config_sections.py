"""The sections of the configuration file: an upstream, a model, a merge of adapters.

Each is judged when it is read, whatever it is for: an id that would kill LoRAX, a default that
would make every request wrong, or an address that leads nowhere stops the start, not a client.
"""

from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, field_validator
from pydantic import model_validator as validates_model

from lorax_proxy.core.merging import MAX_WEIGHT
from lorax_proxy.core.parsing import read_request
from lorax_proxy.core.refusals import nearest
from lorax_proxy.core.routing import BASE_MODEL_ADAPTER_ID, is_adapter_id
from lorax_proxy.errors import RequestRefused
from lorax_proxy.wire.lorax import as_f32
from lorax_proxy.wire.openai_requests import ChatRequest, CompletionRequest, EmbeddingRequest

__all__ = ["AdapterSource", "MergeSettings", "ModelSettings", "UpstreamSettings"]

AdapterSource = Literal["hub", "s3", "local", "pbase"]
"""router/client/src/client.rs:334; another value fails at download."""


class _Closed(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class UpstreamSettings(_Closed):
    """One LoRAX server: `[[upstream]]`."""

    url: str
    """Its address, such as http://127.0.0.1:3000."""
    name: str = "default"
    """What models call it."""
    kind: Literal["generate", "embed"] = "generate"
    """What it does: one LoRAX server cannot do both (router/src/infer.rs:1051)."""
    token_env: str | None = None
    """The variable with a token for a gateway in front of it, sent as `Authorization: Bearer`. LoRAX
    itself asks for none, and would take it for an adapter's (router/src/server.rs:675)."""
    adds_bos: bool = True
    """Whether /generate puts BOS before a prompt; used only where /tokenize cannot tell."""
    text_only: bool | None = None
    """Whether the model reads no images. Unless true, `![](...)` in a message is refused, since
    vision models fetch that address from the GPU's host."""
    default_max_tokens: int | None = Field(default=None, ge=1, le=2**31 - 1)
    """The budget of chat requests that name none. Without one LoRAX reserves memory for the rest of
    the context (router/src/validation.rs), which collapses concurrency: set it."""

    vocabulary_size: int | None = Field(default=None, ge=1, le=2**31 - 1)
    """How many tokens the model chooses from (`vocab_size` in its `config.json`); known from
    `--tokenizer` too. A `top_k` above it would end LoRAX, so while it is unknown 1000 is the most."""

    @field_validator("url")
    @classmethod
    def _url(cls, url: str) -> str:
        if not url.startswith(("http://", "https://")):
            raise ValueError("must start with http:// or https://")
        try:
            parts = urlsplit(url)
            port = parts.port
        except ValueError:
            raise ValueError("must name a host, and a port up to 65535 or none") from None
        if not parts.hostname or port == 0 or not url.isprintable() or " " in url:
            raise ValueError("must name a host, and a port up to 65535 or none")
        if parts.username is not None or parts.query or parts.fragment:
            # LoRAX takes no credentials; in an address they would end up in logs
            raise ValueError("must hold no user, query or fragment")
        return url.rstrip("/")


def _adapter_id(text: str) -> str:
    if not is_adapter_id(text):
        raise ValueError("must be 1 to 512 printable ASCII characters without blanks around them")
    if text == BASE_MODEL_ADAPTER_ID:
        raise ValueError("is LoRAX's word for no adapter: leave `adapter` out for the base model")
    return text


AdapterId = Annotated[str, AfterValidator(_adapter_id)]


class MergeSettings(_Closed):
    """Several adapters under one name: `[model.merge]` (router/src/lib.rs:83)."""

    ids: list[AdapterId] = Field(min_length=1)
    weights: list[Annotated[float, Field(ge=-MAX_WEIGHT, le=MAX_WEIGHT)]] | None = None
    strategy: Literal["linear", "ties", "dare_linear", "dare_ties"] = "linear"
    density: float | None = Field(default=None, gt=0, le=1)
    majority_sign_method: Literal["total", "frequency"] | None = None

    @validates_model(mode="after")
    def _fits(self) -> Self:
        if self.weights is not None and len(self.weights) != len(self.ids):
            raise ValueError(f"weights: {len(self.ids)} ids need as many weights")
        if self.strategy != "linear" and not as_f32(self.density or 0):
            # LoRAX's default of 0 prunes every weight
            raise ValueError(f"density: strategy {self.strategy} needs one, above 0 and up to 1")
        return self


_REQUESTS: Mapping[type[BaseModel], Mapping[str, Any]] = {
    ChatRequest: {"model": "", "messages": [{"role": "user", "content": ""}]},
    CompletionRequest: {"model": "", "prompt": ""},
    EmbeddingRequest: {"model": "", "input": ""},
}
"""The request types that a model's defaults go into, each with its least request."""

_NO_DEFAULT = {
    *("model", "messages", "prompt", "input"),
    # how an answer is read is the client's choice, and who may use which adapter is the router's
    *("stream", "stream_options", "adapter_source", "merged_adapters"),
}


class ModelSettings(_Closed):
    """One public model name: `[[model]]`. Without `adapter` and `merge` it is the base model."""

    name: str = Field(min_length=1)
    upstream: str | None = None
    """The name of its upstream; the first of kind `generate` by default."""
    adapter: AdapterId | None = None
    """A LoRAX adapter id."""
    source: AdapterSource | None = None
    """Where the adapter comes from; LoRAX's own default when absent."""
    token_env: str | None = None
    """The environment variable that holds the adapter's download token."""
    merge: MergeSettings | None = None
    chat_template: str | None = None
    """A built-in's name, a file or a model folder; the global one by default."""
    stop: list[Annotated[str, Field(min_length=1)]] = Field(default_factory=list[str])
    """Stop strings that every request to it has."""
    defaults: dict[str, Any] = Field(default_factory=dict[str, Any])
    """Request parameters for what a client leaves out."""

    @field_validator("defaults")
    @classmethod
    def _defaults(cls, defaults: dict[str, Any]) -> dict[str, Any]:
        """Judge each default as a request with it would be judged, before any client sends one."""
        for name, value in defaults.items():
            kinds = [kind for kind in _REQUESTS if name in kind.model_fields]
            if name in _NO_DEFAULT or not kinds:
                known = {name for kind in _REQUESTS for name in kind.model_fields} - _NO_DEFAULT
                near = nearest(name, known)
                hint = f"; did you mean {near!r}?" if near else ""
                raise ValueError(f"no parameter {name!r} that may have a default{hint}")
            for kind in kinds:
                try:
                    read_request(kind, {**_REQUESTS[kind], name: value})
                except RequestRefused as error:
                    raise ValueError(error.message) from None
        return defaults

    @validates_model(mode="after")
    def _one_target(self) -> Self:
        if self.adapter is not None and self.merge is not None:
            raise ValueError("a model has either `adapter` or `merge`, not both")
        return self
