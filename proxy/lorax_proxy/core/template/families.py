"""Which built-in template a model speaks, by the name it was published under.

LoRAX tells the base model's id (`GET /info`), not its chat format. For the families below the
format is known; for anything else there is no answer, and the operator names a template. A base
model (no `-Instruct`, `-chat`, `-it` in its name) was taught no format: for it there is never an
answer either. Only the last part of the id counts, so that a mirror of a model, or a folder that
it was downloaded to, is recognised; the suffixes that quantised copies carry are looked past.
"""

import re
from collections.abc import Mapping
from functools import lru_cache
from types import MappingProxyType

from lorax_proxy.core.template.chat_template import SpecialTokens

__all__ = ["BUILTIN_TOKENS", "FAMILIES", "family_of"]


def _tokens(bos: str, eos: str, *more: str, **others: str) -> SpecialTokens:
    spellings = frozenset(t for t in (bos, eos, *more, *others.values()) if t)
    return SpecialTokens(bos, eos, MappingProxyType(others), spellings)


_LLAMA_3 = (
    *("<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>", "<|end_of_text|>"),
    *("<|eom_id|>", "<|python_tag|>", "<|finetune_right_pad_id|>"),
    *(f"<|reserved_special_token_{number}|>" for number in range(251)),
)
_LLAMA_2 = ("<unk>", "[INST]", "[/INST]", "<<SYS>>", "<</SYS>>")
_MISTRAL = ("<unk>", "[INST]", "[/INST]")
_MISTRAL_TOOLS = (
    *("[TOOL_CALLS]", "[AVAILABLE_TOOLS]", "[/AVAILABLE_TOOLS]"),
    *("[TOOL_RESULTS]", "[/TOOL_RESULTS]"),
)
_CHATML = ("<|im_start|>", "<|endoftext|>")
_QWEN_TOOLS = ("<tools>", "</tools>", "<tool_call>", "</tool_call>")
_QWEN_RESULTS = ("<tool_response>", "</tool_response>")
_GEMMA = ("<start_of_turn>", "<end_of_turn>", "<pad>", "<unk>")
_ROLES = ("<|system|>", "<|user|>", "<|assistant|>")

# What each built-in's models know: BOS, EOS, and every spelling that means more than its letters.
# Brackets and tags that are ordinary text to the tokenizer but structure to the model are among
# the spellings, since text that forges a turn is what `core.special_text` is there to prevent.
BUILTIN_TOKENS: Mapping[str, SpecialTokens] = MappingProxyType(
    {
        "chatml": _tokens("", "<|im_end|>", *_CHATML),
        "gemma-it": _tokens("<bos>", "<eos>", *_GEMMA),
        "llama-2-chat": _tokens("<s>", "</s>", *_LLAMA_2),
        "llama-3": _tokens("<|begin_of_text|>", "<|eot_id|>", *_LLAMA_3),
        "llama-3.1": _tokens("<|begin_of_text|>", "<|eot_id|>", *_LLAMA_3),
        "llama-3.2": _tokens("<|begin_of_text|>", "<|eot_id|>", *_LLAMA_3),
        "mistral-instruct": _tokens("<s>", "</s>", *_MISTRAL),
        "mistral-instruct-v0.3": _tokens("<s>", "</s>", *_MISTRAL, *_MISTRAL_TOOLS),
        "mixtral": _tokens("<s>", "</s>", *_MISTRAL),
        "phi-3": _tokens("<s>", "<|endoftext|>", *_ROLES, "<|end|>", "</s>", "<unk>"),
        # A transcript fits any base model; what its special tokens are, the operator knows.
        "plain": _tokens("", ""),
        "qwen2": _tokens("", "<|im_end|>", *_CHATML),
        "qwen2.5": _tokens("", "<|im_end|>", *_CHATML, *_QWEN_TOOLS, *_QWEN_RESULTS),
        "zephyr": _tokens("<s>", "</s>", *_ROLES, "<unk>"),
    }
)

_SIZE = r"\d+(?:\.\d+)?b"
_COPY = r"(?:-(?:awq|gptq|bnb-4bit|unsloth-bnb-4bit|hqq|eetq|exl2|fp8|int4|int8|4bit|8bit|dequantized|hf))*"

# (what the last part of the id must match in full, the built-in, a model of that family)
FAMILIES: tuple[tuple[str, str, str], ...] = (
    (rf"llama-2-{_SIZE}-chat", "llama-2-chat", "meta-llama/Llama-2-7b-chat-hf"),
    (r"codellama-(?:7|13|34)b-instruct", "llama-2-chat", "codellama/CodeLlama-7b-Instruct-hf"),
    (rf"(?:meta-)?llama-3-{_SIZE}-instruct", "llama-3", "meta-llama/Meta-Llama-3-8B-Instruct"),
    (rf"(?:meta-)?llama-3\.1-{_SIZE}-instruct", "llama-3.1", "meta-llama/Llama-3.1-8B-Instruct"),
    (rf"(?:meta-)?llama-3\.3-{_SIZE}-instruct", "llama-3.1", "meta-llama/Llama-3.3-70B-Instruct"),
    (r"(?:meta-)?llama-3\.2-[13]b-instruct", "llama-3.2", "meta-llama/Llama-3.2-3B-Instruct"),
    (
        r"mistral-7b-instruct-v0\.[12]",
        "mistral-instruct",
        "mistralai/Mistral-7B-Instruct-v0.2",
    ),
    (
        r"mistral-7b-instruct-v0\.3",
        "mistral-instruct-v0.3",
        "mistralai/Mistral-7B-Instruct-v0.3",
    ),
    (r"mixtral-8x7b-instruct-v0\.1", "mixtral", "mistralai/Mixtral-8x7B-Instruct-v0.1"),
    (rf"qwen1\.5-{_SIZE}-chat", "qwen2", "Qwen/Qwen1.5-7B-Chat"),
    (rf"qwen2-{_SIZE}-instruct", "qwen2", "Qwen/Qwen2-7B-Instruct"),
    (rf"qwen2\.5-{_SIZE}-instruct", "qwen2.5", "Qwen/Qwen2.5-7B-Instruct"),
    (rf"qwen2\.5-coder-{_SIZE}-instruct", "qwen2.5", "Qwen/Qwen2.5-Coder-7B-Instruct"),
    (rf"gemma-(?:1\.1-|2-)?{_SIZE}-it", "gemma-it", "google/gemma-2-9b-it"),
    (r"phi-3-(?:mini|medium)-(?:4k|128k)-instruct", "phi-3", "microsoft/Phi-3-mini-4k-instruct"),
    (r"phi-3\.5-mini-instruct", "phi-3", "microsoft/Phi-3.5-mini-instruct"),
    (rf"zephyr-{_SIZE}-(?:alpha|beta)", "zephyr", "HuggingFaceH4/zephyr-7b-beta"),
)

_PATTERNS = tuple((re.compile(pattern + _COPY), name) for pattern, name, _ in FAMILIES)


@lru_cache(maxsize=64)
def family_of(model_id: str) -> str | None:
    """The built-in template of a published model, or None if the table does not have it."""
    last = model_id.rstrip("/").rpartition("/")[2].lower()
    return next((name for pattern, name in _PATTERNS if pattern.fullmatch(last)), None)
