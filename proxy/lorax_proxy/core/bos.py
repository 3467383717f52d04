"""Whether `/generate` puts special tokens around a prompt, learned from `/tokenize`.

`/generate` always tokenises with special tokens added, and there is no switch
(router/src/lib.rs:341); a chat template writes its own BOS. So a rendered prompt is sent without
the leading BOS, or the model sees it twice. `/tokenize` is the same tokenizer
(router/src/server.rs:2042): the tokens that only the call with special tokens has are what is added.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from lorax_proxy.wire.lorax import SimpleToken

__all__ = ["Bos", "bos_of"]


@dataclass(frozen=True, slots=True)
class Bos:
    """What is added: the spelling in front, and whether anything comes behind."""

    spelling: str
    appends_eos: bool


def bos_of(with_special: Sequence[SimpleToken], without: Sequence[SimpleToken]) -> Bos:
    """Compare one text's tokens with and without special tokens."""
    plain = [token.id for token in without]
    for start in range(len(with_special) - len(plain) + 1):
        if [token.id for token in with_special[start : start + len(plain)]] == plain:
            return Bos(
                "".join(token.text for token in with_special[:start]),
                appends_eos=start + len(plain) < len(with_special),
            )
    # the added tokens changed how the text itself is cut: what the text alone never has was added
    added = with_special[0] if with_special and with_special[0].id not in plain else None
    return Bos(added.text if added else "", appends_eos=False)
