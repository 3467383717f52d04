"""An adapter's files: whether the shard can load them, and the words in which it refuses.

What LoRAX looks at, and when (server/lorax_server/utils/adapter.py, utils/sources/source.py:84-135):

* at the download, whether the weights begin as a safetensors file does;
* at a load, whether the base model that the adapter names has the server's architecture, and then the rest of the
  file. A base model that it cannot look up, or no name, is taken for the right one. `peft_type` is never looked at;
* at a merge, whether ranks agree, and then shapes;
* weights that no layer is called for are left out, with a warning: the base model answers;
* shapes nobody compares with the model's: they are found out by the first forward pass.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

__all__ = ["SOURCES", "WEIGHTS", "Adapter", "architecture_of", "merge_fault"]

SOURCES: Final = ("hub", "s3", "local", "pbase")
"""Where adapters come from (proto/generate.proto:375)."""

WEIGHTS: Final = ("sound", "corrupt", "truncated", "misshapen", "misnamed")
"""What may be wrong with a weight file."""

_ARCHITECTURES: Final = (
    ("mixtral", "MixtralForCausalLM"),
    ("mistral|zephyr", "MistralForCausalLM"),
    ("qwen-?2|qwen1\\.5", "Qwen2ForCausalLM"),
    ("gemma-?2", "Gemma2ForCausalLM"),
    ("gemma", "GemmaForCausalLM"),
    ("phi-?3", "Phi3ForCausalLM"),
    ("phi", "PhiForCausalLM"),
    ("falcon", "FalconForCausalLM"),
    ("bloom", "BloomForCausalLM"),
    ("gpt-?2", "GPT2LMHeadModel"),
    ("llama|vicuna", "LlamaForCausalLM"),
)
"""What models with these words in their names are, the more special ones first."""

_HIDDEN: Final = 4096
"""Columns of the model's matrices, and so of an adapter's that fits."""


def architecture_of(model_id: str) -> str | None:
    """The architecture of a model, told from its name as its configuration would; None for an unknown one."""
    for words, architecture in _ARCHITECTURES:
        if re.search(words, model_id, re.IGNORECASE):
            return architecture
    return None


@dataclass(frozen=True, slots=True)
class Adapter:
    """A LoRA adapter that the mock knows."""

    id: str
    voice: str = "adapter"
    """Which of the built-in manners of speaking it has."""

    source: str = "hub"
    """Where it is; asked for from elsewhere, it is missing."""

    error: str | None = None
    """The shard's message when the adapter cannot load; None when it can."""

    token: str | None = None
    """The `api_token` that its download needs."""

    memory: float = 0.01
    """Its share of the memory set aside for adapters; more than 1 never loads."""

    load_ms: float | None = None
    """What a load takes, if not what it takes in general."""

    base_model: str | None = None
    """The model that it names as its own; None for no name, which fits any."""

    architecture: str | None = None
    """Of that model, where its name does not tell."""

    rank: int = 16
    weights: str = "sound"
    """One of `WEIGHTS`."""

    peft_type: str = "LORA"
    """Whatever it is, LoRAX loads it as LoRA."""

    @property
    def speaks(self) -> bool:
        """Whether any of its weights has a layer."""
        return self.weights != "misnamed"

    def download_fault(self) -> str | None:
        """The words in which its download fails; None if it does not."""
        if self.weights != "corrupt":
            return None
        return f"Header extends past end of file: {self._folder()}/adapter_model.safetensors"

    def load_fault(self, model_id: str) -> str | None:
        """The words in which a load onto that model fails; None if it does not."""
        if self.error is not None:
            return self.error
        if self.base_model is not None and self.base_model != model_id:
            own = self.architecture or architecture_of(self.base_model)
            # The built-in tokenizer, and so the model without a telling name, is a Llama's.
            server = architecture_of(model_id) or "LlamaForCausalLM"
            if own is not None and own != server:
                return (
                    f"Adapter '{self.id}' is not compatible with model '{model_id}'. "
                    f"Architectures differ: ['{own}'] != ['{server}']. "
                    f"Use --model-id '{self.base_model}' instead."
                )
        if self.weights == "truncated":
            return "Error while deserializing header: MetadataIncompleteBuffer"
        return None

    def pass_fault(self) -> str | None:
        """The words in which a forward pass with it fails; None if it does not.

        None at all: it is a bare assertion (server/lorax_server/utils/ops/sgmv_shrink.py:142).
        """
        return "" if self.weights == "misshapen" else None

    def _folder(self) -> str:
        match self.source:
            case "local":
                return self.id if self.id.startswith("/") else f"/data/{self.id}"
            case "s3":
                _, _, path = self.id.removeprefix("s3://").partition("/")
                return f"/data/models--{path.replace('/', '--')}/snapshots"
            case _:
                return f"/data/models--{self.id.replace('/', '--')}/snapshots/0"


def merge_fault(adapters: Sequence[Adapter]) -> str | None:
    """The words in which a merge of these fails; None if it does not.

    server/lorax_server/utils/merges/strategies.py:27,190-199
    """
    ranks = {adapter.rank for adapter in adapters}
    if len(ranks) > 1:
        return f"unable to merge adapters, lora configs have different ranks: {ranks}"
    shapes = [
        [one.rank, _HIDDEN // 2 if one.weights == "misshapen" else _HIDDEN]
        for one in adapters
        if one.speaks
    ]
    for place, shape in enumerate(shapes):
        if shape != shapes[0]:
            return (
                "stack expects each tensor to be equal size, "
                f"but got {shapes[0]} at entry 0 and {shape} at entry {place}"
            )
    return None
