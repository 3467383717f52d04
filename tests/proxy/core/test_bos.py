"""What `/generate` adds to a prompt, learned from two lists of tokens."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lorax_proxy.core.bos import Bos, bos_of
from lorax_proxy.wire.lorax import SimpleToken

BOS, EOS = SimpleToken(1, "<s>"), SimpleToken(2, "</s>")
A, B = SimpleToken(10, "▁a"), SimpleToken(11, "b")


@pytest.mark.parametrize(
    ("special", "plain", "expected"),
    [
        ([BOS, A], [A], Bos("<s>", appends_eos=False)),
        ([A], [A], Bos("", appends_eos=False)),
        ([BOS, A, EOS], [A], Bos("<s>", appends_eos=True)),
        ([A, EOS], [A], Bos("", appends_eos=True)),
        ([SimpleToken(3, "[gMASK]"), BOS, A], [A], Bos("[gMASK]<s>", appends_eos=False)),
        ([BOS, B], [A], Bos("<s>", appends_eos=False)),
        ([B, A], [B], Bos("", appends_eos=True)),
        ([A], [A, B], Bos("", appends_eos=False)),
        ([], [], Bos("", appends_eos=False)),
        ([], [A], Bos("", appends_eos=False)),
    ],
)
def test_the_difference(
    special: Sequence[SimpleToken], plain: Sequence[SimpleToken], expected: Bos
) -> None:
    """BOS in front, EOS behind, several, none, and a text that is cut otherwise beside BOS."""
    assert bos_of(special, plain) == expected


_tokens = st.lists(st.sampled_from([A, B]), min_size=1, max_size=3)
_added = st.lists(st.sampled_from([BOS, EOS]), max_size=2)


@pytest.mark.property
@given(_added, _tokens, _added)
def test_what_was_added_is_found(
    before: list[SimpleToken], text: list[SimpleToken], after: list[SimpleToken]
) -> None:
    """Whatever stands around the text's own tokens is what was added."""
    expected = Bos("".join(token.text for token in before), appends_eos=bool(after))
    assert bos_of([*before, *text, *after], text) == expected
