"""A real `tokenizer.json` in place of the built-in vocabulary (the extra `tokenizers`).

It decodes without cleaning up spaces, as the configurations of most models ask for.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from lorax_mock.prompt.decoding import Decoder, Window
from lorax_mock.wire.native import SimpleToken

__all__ = ["FileTokenizer", "TokenizerError", "read_tokenizer"]

_REMADE: Final = ("LlamaTokenizer", "LlamaTokenizerFast")
"""Classes whose post-processor the router makes anew."""

_EOS_NAMES: Final = ("<|eot_id|>", "<|im_end|>", "<|endoftext|>", "<end_of_turn>", "</s>", "<eos>")


class TokenizerError(Exception):
    """The file is no tokenizer, or the library is missing; the text says what to do."""


class FileTokenizer:
    """A tokenizer of the `tokenizers` library."""

    def __init__(self, inner: Any, eos: int, ends: frozenset[int] = frozenset()) -> None:
        self._inner = inner
        self.eos = eos
        self.ends = ends or frozenset({eos})
        added = inner.get_added_tokens_decoder()
        self._special = {number for number, token in added.items() if token.special}
        first = inner.encode("", add_special_tokens=True).ids[:1]
        self.bos: int | None = first[0] if first and first[0] != eos else None
        self._size: int = inner.get_vocab_size(with_added_tokens=False)
        self._logits: int = inner.get_vocab_size(with_added_tokens=True)
        self._plain: Any = None
        """The same, with special spellings as ordinary text; made when a grammar first wants it."""

    def size(self) -> int:
        """The number of ordinary ids, which are 0 up to here."""
        return self._size

    def logits(self) -> int:
        """The number of ids, added ones included; a model may have more, which its tokenizer does not tell."""
        return self._logits

    def is_special(self, token: int) -> bool:
        """Whether an id is among the special ones."""
        return token in self._special

    def encode(self, text: str, *, special: bool = True) -> list[int]:
        """Ids of a text; `special` runs the post-processor."""
        return list(self._inner.encode(text, add_special_tokens=special).ids)

    def encode_plain(self, text: str) -> list[int]:
        """Ordinary ids of a text, special spellings included."""
        if self._plain is None:
            self._plain = type(self._inner).from_str(self._inner.to_str())
            self._plain.encode_special_tokens = True
        return list(self._plain.encode(text, add_special_tokens=False).ids)

    def decode(self, tokens: Sequence[int], *, skip_special: bool = False) -> str:
        """Text of ids."""
        text: str = self._inner.decode(list(tokens), skip_special_tokens=skip_special)
        return text

    def tokenize(self, text: str, *, special: bool = True) -> list[SimpleToken]:
        """Pieces with character offsets."""
        encoded = self._inner.encode(text, add_special_tokens=special)
        rows = zip(encoded.ids, encoded.tokens, encoded.offsets, strict=True)
        return [SimpleToken(token, piece, start, stop) for token, piece, (start, stop) in rows]

    def decoder(self, prompt: Sequence[int]) -> Decoder:
        """Turns the ids generated after a prompt into event texts."""
        return Window(self.decode, prompt)


def read_tokenizer(path: Path) -> FileTokenizer:
    """The tokenizer in a file; raises TokenizerError."""
    try:
        from tokenizers import Tokenizer  # noqa: PLC0415 - an optional extra
    except ImportError:
        raise TokenizerError(
            "--tokenizer needs the library tokenizers: install lorax-openai[tokenizers]"
        ) from None
    try:
        inner = Tokenizer.from_str(path.read_text("utf-8"))
    except OSError as error:
        raise TokenizerError(f"{path}: {error.strerror}") from None
    except Exception as error:  # noqa: BLE001 - the library raises plain Exception
        raise TokenizerError(f"{path}: no tokenizer.json: {error}") from None
    config = _config(path.with_name("tokenizer_config.json"))
    if config.get("tokenizer_class") in _REMADE:
        _remake(inner, config, path)
    names = [_spelled(config.get("eos_token")), *_EOS_NAMES]
    for name in names:
        eos = inner.token_to_id(name) if name else None
        if eos is not None:
            return FileTokenizer(inner, eos, _listed(path.with_name("generation_config.json")))
    raise TokenizerError(
        f"{path}: no EOS known; name it as eos_token in a tokenizer_config.json beside the file"
    )


def _listed(path: Path) -> frozenset[int]:
    """The EOS ids of a generation config, if they are a list: a single one does not count.

    server/lorax_server/models/flash_causal_lm.py:1068-1079
    """
    try:
        ids = json.loads(path.read_text("utf-8")).get("eos_token_id")
    except (OSError, ValueError, AttributeError):
        return frozenset()
    return (
        frozenset(one for one in ids if type(one) is int) if isinstance(ids, list) else frozenset()
    )


def _config(path: Path) -> dict[str, Any]:
    """What the file says; nothing if there is none."""
    try:
        config = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError):
        return {}
    return config if isinstance(config, dict) else {}


def _spelled(token: Any) -> str | None:
    name = token.get("content") if isinstance(token, dict) else token
    return name if isinstance(name, str) else None


def _remake(inner: Any, config: dict[str, Any], path: Path) -> None:
    """What is put around a text, as the router makes it for Llama's classes (router/src/main.rs:587)."""
    from tokenizers import processors  # noqa: PLC0415 - an optional extra

    parts = ["$A"]
    numbers: list[tuple[str, int]] = []
    for key, otherwise in (("bos_token", True), ("eos_token", False)):
        wanted = config.get(f"add_{key}")
        if not (otherwise if wanted is None else wanted):
            continue
        name = _spelled(config.get(key))
        number = None if name is None else inner.token_to_id(name)
        if name is None or number is None:
            raise TokenizerError(
                f"{path}: add_{key} is {wanted or otherwise} and no {key} is known: "
                "LoRAX's router would not start; name it in tokenizer_config.json"
            )
        parts = [name, *parts] if key == "bos_token" else [*parts, name]
        numbers.append((name, number))
    inner.post_processor = processors.TemplateProcessing(single=parts, special_tokens=numbers)
