"""Which built-in template a model speaks, by the name it was published under.

LoRAX tells the base model's id (`GET /info`), not its chat format. For the families below the
format is known; for anything else there is no answer, and the operator names a template. A base
model (no `-Instruct`, `-chat`, `-it` in its name) was taught no format: for it there is never an
answer either. Only the last part of the id counts, so that a mirror of a model, or a folder that
it was downloaded to, is recognised; the suffixes that quantised copies carry are looked past.
"""

import re
from collections.abc import Mapping
from types import MappingProxyType

from lorax_proxy.core.templates import SpecialTokens

__all__ = ["BUILTIN_TOKENS", "FAMILIES", "family_of"]


def _tokens(bos: str, eos: str, *more: str, **others: str) -> SpecialTokens:
    spellings = frozenset(t for t in (bos, eos, *more, *others.values()) if t)
    return SpecialTokens(bos, eos, MappingProxyType(others), spellings)


_LLAMA_3 = (
    "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>", "<|end_of_text|>",
)  # fmt: skip
_LLAMA_3_1 = (*_LLAMA_3, "<|eom_id|>", "<|python_tag|>", "<|finetune_right_pad_id|>")

# The special tokens of each built-in's models, as their tokenizer_config.json lists them. The end
# of a turn is the template's EOS where the model ends its answers with it.
BUILTIN_TOKENS: Mapping[str, SpecialTokens] = MappingProxyType(
    {
        "chatml": _tokens("", "<|im_end|>", "<|im_start|>", "<|endoftext|>"),
        "llama-3": _tokens("<|begin_of_text|>", "<|eot_id|>", *_LLAMA_3),
    }
)

_SIZE = r"\d+(?:\.\d+)?b"
_COPY = r"(?:-(?:awq|gptq|bnb-4bit|unsloth-bnb-4bit|hqq|fp8|int4|int8|4bit|8bit|dequantized|hf))*"

# (what the last part of the id must match in full, the built-in, an example)
FAMILIES: tuple[tuple[str, str, str], ...] = (
    (rf"(?:meta-)?llama-3-{_SIZE}-instruct", "llama-3", "meta-llama/Meta-Llama-3-8B-Instruct"),
)

_PATTERNS = tuple((re.compile(pattern + _COPY), name) for pattern, name, _ in FAMILIES)


def family_of(model_id: str) -> str | None:
    """The built-in template of a published model, or None if the table does not have it."""
    last = model_id.rstrip("/").rpartition("/")[2].lower()
    return next((name for pattern, name in _PATTERNS if pattern.fullmatch(last)), None)
