"""Two models' vocabularies, as LoRAX hands them to outlines-core.

`OutlinesLogitsProcessor.adapt_tokenizer` (server/lorax_server/utils/logits_process.py:574) gives a
Hugging Face tokenizer the four attributes that outlines-core reads. Here they are made of the files
that Mistral publishes with its own tokenizers: 32,000 tokens of a SentencePiece model with bytes to
fall back on, and 131,072 of a byte-level one.
"""

import base64
import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from importlib.metadata import distribution

from sentencepiece import SentencePieceProcessor
from tokenizers import decoders, pre_tokenizers

DATA = distribution("mistral-common").locate_file("mistral_common/data")
SPACE = "\u2581"


@dataclass(eq=False)
class Tokenizer:
    """What outlines-core reads of a tokenizer; one object is one key of its caches."""

    vocabulary: dict[str, int]
    special_tokens: set[str]
    eos_token_id: int
    convert_token_to_string: Callable[[str], str]


@cache
def tokenizer(name: str) -> Tokenizer:
    """The vocabulary called `small` or `large`."""
    return {"small": small, "large": large}[name]()


def small() -> Tokenizer:
    """32,000 tokens, as Mistral 7B has them."""
    model = SentencePieceProcessor(model_file=str(DATA / "tokenizer.model.v1"))
    decoder = decoders.Sequence(
        [
            decoders.Replace(SPACE, " "),
            decoders.ByteFallback(),
            decoders.Fuse(),
            decoders.Strip(" ", 1, 0),
        ]
    )

    def text(token: str) -> str:
        # LoRAX puts back the space that the decoder takes from the start of a text.
        lost = token.startswith(SPACE) or token == "<0x20>"
        return (" " if lost else "") + decoder.decode([token])

    pieces = {model.id_to_piece(index): index for index in range(model.vocab_size())}
    return Tokenizer(pieces, {"<unk>", "<s>", "</s>"}, model.eos_id(), text)


def large() -> Tokenizer:
    """131,072 tokens, as Mistral Nemo has them: the first thousand are special."""
    document = json.loads((DATA / "tekken_240911.json").read_text("utf-8"))
    special = document["config"]["default_num_special_tokens"]
    size = document["config"]["default_vocab_size"]
    # Hugging Face names a token by one printable letter for each of its bytes.
    letters = letters_of_bytes()
    vocabulary = {f"<SPECIAL_{index}>": index for index in range(special)}
    for token in document["vocab"][: size - special]:
        name = "".join(letters[byte] for byte in base64.b64decode(token["token_bytes"]))
        vocabulary[name] = token["rank"] + special
    decoder = decoders.ByteLevel()
    return Tokenizer(
        vocabulary,
        {f"<SPECIAL_{index}>" for index in range(special)},
        2,
        lambda token: decoder.decode([token]),
    )


def letters_of_bytes() -> dict[int, str]:
    """The letter of each byte: its own where that can be printed, else the next from U+0100."""
    alphabet = set(pre_tokenizers.ByteLevel.alphabet())
    own = {byte: chr(byte) for byte in range(256) if chr(byte) in alphabet}
    others = [byte for byte in range(256) if byte not in own]
    return own | {byte: chr(256 + place) for place, byte in enumerate(others)}
