r"""Special tokens spelled out in a client's text, and what becomes of them.

LoRAX tokenises the prompt as one text, and a tokenizer reads `<|eot_id|>` as the end of a turn
whoever wrote it: the template, or a user who pastes a log, or a document that wants to give
orders. There is no escape in that language. So before a template sees any text of the client, each
spelling in it is handled by one of three policies:

split
    One space goes in after the spelling's first character: `< |eot_id|>`. A space, because
    every vocabulary has it, no tokenizer's normaliser drops it (zero-width characters are dropped
    by some), the model reads on as before, and whoever reads an echo of it sees what happened.
    Nothing else changes.
refuse
    The request is refused, naming the place.
allow
    The text passes as it is, for clients that write their own control tokens.

A spelling of one character cannot be split, and one of white space alone is ordinary text that
some tokenizers list (Gemma's line breaks); neither is looked for.

What this cannot see is a spelling that comes together only later. So it must run on the texts
that the template will see: after text parts are joined and after the JSON in a call's arguments is
parsed (`core.messages` does both), where escapes such as `\u003c` become characters.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Any, Literal

import msgspec

from lorax_proxy.errors import ProxyError

__all__ = ["SpecialText", "SpecialTextFound", "SpecialTextPolicy"]

SpecialTextPolicy = Literal["split", "refuse", "allow"]

# The first of these that is in no spelling goes in; a spelling with a space in it is rare.
_SEPARATORS = (" ", "\u200b", "\u2060", "\u00b7")

_encode = msgspec.json.Encoder().encode

_PLAIN_KEY = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")


class SpecialTextFound(ProxyError):
    """A client's text spells a special token, and the policy is to refuse it.

    Attributes:
        path: Where, such as ``messages[0].content``.
        spelling: The special token.
    """

    def __init__(self, path: str, spelling: str) -> None:
        super().__init__(
            f"{path} contains {spelling!r}, which the model reads as a special token; "
            "write it differently (this server is set to refuse it: special_tokens)"
        )
        self.path = path
        self.spelling = spelling


class SpecialText:
    """One model's special-token spellings and what to do with them; immutable, made once.

    Args:
        spellings: Every special token's text.
        policy: What happens to a spelling in a client's text.
    """

    __slots__ = ("_encoded", "_pattern", "_policy", "_separator", "_spellings")

    def __init__(self, spellings: Iterable[str], policy: SpecialTextPolicy) -> None:
        known = {s for s in spellings if len(s) > 1 and not s.isspace()}
        self._spellings = tuple(sorted(known))
        self._pattern = re.compile(_any_of(self._spellings) or r"(?!)")
        # the same for bytes of JSON, in which each character is written by itself
        encoded = [_encode(spelling)[1:-1].decode("latin-1") for spelling in self._spellings]
        self._encoded = re.compile((_any_of(encoded) or r"(?!)").encode("latin-1"))
        self._policy = policy
        self._separator = next(
            (c for c in _SEPARATORS if not any(c in s for s in self._spellings)), _SEPARATORS[0]
        )

    @property
    def spellings(self) -> tuple[str, ...]:
        """The spellings that are looked for, sorted."""
        return self._spellings

    def guard(self, value: Any, path: str) -> Any:
        """`value`, a JSON value of the client's, as the template may see it.

        Args:
            value: Messages, tools, documents, template arguments: anything JSON can hold. Keys of
                objects are texts too. It is not changed; an untouched part is returned as it is.
            path: What to call it in a refusal, such as ``messages``.

        Raises:
            SpecialTextFound: The policy is to refuse, and a text spells a special token.
        """
        if not value or self._policy == "allow" or not self._spellings or self._is_clean(value):
            return value
        return self._walk(value, path)

    def _is_clean(self, value: Any) -> bool:
        """Whether no text spells a special token: nearly always, and told by one search of the whole.

        In the JSON of a value that holds a spelling stands the spelling's JSON. The reverse may not be
        so; then each text is looked at.
        """
        try:
            return self._encoded.search(_encode(value)) is None
        except (TypeError, ValueError, RecursionError):
            return False

    def _walk(self, value: Any, path: str) -> Any:
        if isinstance(value, str):
            return self._text(value, path)
        if isinstance(value, Mapping):
            return {
                (self._text(key, path) if isinstance(key, str) else key): self._walk(
                    item, _child(path, key)
                )
                for key, item in value.items()
            }
        if isinstance(value, list | tuple):
            return [self._walk(item, f"{path}[{index}]") for index, item in enumerate(value)]
        return value

    def _text(self, text: str, path: str) -> str:
        found = self._pattern.search(text)
        if found is None:
            return text
        if self._policy == "refuse":
            raise SpecialTextFound(path, found.group())
        # Spellings may overlap, and breaking one may leave the other: again, until none is left.
        # Each round takes at least one away, and no spelling holds the separator.
        while found is not None:
            text = self._pattern.sub(self._broken, text)
            found = self._pattern.search(text)
        return text

    def _broken(self, found: re.Match[str]) -> str:
        spelling = found.group()
        return f"{spelling[0]}{self._separator}{spelling[1:]}"


def _any_of(texts: Iterable[str]) -> str:
    """A pattern for any of `texts`, the longest that fits; "" for none or the empty text.

    Letter by letter, as a tree: Llama 3 reserves 251 tokens that begin alike, and trying each of
    them at every `<|` of a long text took eighty times as long.
    """
    branches: dict[str, list[str]] = {}
    ends = False
    for text in texts:
        ends = ends or not text
        if text:
            branches.setdefault(text[0], []).append(text[1:])
    written = [re.escape(letter) + _any_of(rest) for letter, rest in branches.items()]
    if len(written) == 1 and not ends:
        return written[0]
    return f"(?:{'|'.join(written)}){'?' if ends else ''}" if written else ""


def _child(path: str, key: Any) -> str:
    return f"{path}.{key}" if _PLAIN_KEY.match(str(key)) else f"{path}[{str(key)!r}]"
