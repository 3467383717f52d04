"""The dialect of the automaton behind LoRAX's grammars."""

import pytest

from lorax_mock.outlines.regex import Class, Look, PatternError, Quantified, Sequence, parse


def _letter(char: str) -> Class:
    return Class(((ord(char), ord(char)),))


@pytest.mark.parametrize(
    ("pattern", "part"),
    [
        ("a??", Quantified(_letter("a"), 0, 1)),
        ("a{2}{3}", Quantified(Quantified(_letter("a"), 2, 2), 3, 3)),
        ("a{,2}", Quantified(_letter("a"), 0, 2)),
        ("a{}", Quantified(_letter("a"), 0, 0)),
        ("\\07", _letter("\x07")),
        ("\\101", _letter("A")),
        ("[\\1]", Class(((1, 1),))),
        ("[^]", Class((), negated=True)),
        ("[^\\D]", Class(((0x30, 0x39),))),
        ("[a-]", Class(((0x61, 0x61), (0x2D, 0x2D)))),
        ("(?=a)", Look(Sequence((_letter("a"),)), behind=False, negated=False)),
        ("(?<!a)", Look(Sequence((_letter("a"),)), behind=True, negated=True)),
    ],
)
def test_what_others_read_otherwise(pattern: str, part: Class | Quantified | Look) -> None:
    """Lazy marks, braces, octal numbers and brackets are read as interegular reads them."""
    assert parse(pattern) == Sequence((part,))


def test_a_brace_behind_a_repeated_group_is_text() -> None:
    """A brace behind a repeated group is text; only single characters are repeated twice."""
    assert parse("(a){2}{3}") == Sequence(
        (Quantified(Sequence((_letter("a"),)), 2, 2), *map(_letter, "{3}"))
    )


def test_a_third_mark_is_text_or_a_fault() -> None:
    """`a?+` is two marks; a brace after them is text, a star is none."""
    twice = Quantified(Quantified(_letter("a"), 0, 1), 1, None)
    assert parse("a?+{") == Sequence((twice, _letter("{")))
    with pytest.raises(PatternError):
        parse("a?+*")


def test_a_negated_class_inside_a_class_is_spelled_out() -> None:
    """A negated class inside a class is every other character up to the end of Unicode."""
    assert parse("[\\Wa]") == Sequence(
        (
            Class(
                (
                    *((0, 0x2F), (0x3A, 0x40), (0x5B, 0x5E), (0x60, 0x60), (0x7B, 0x10FFFF)),
                    (0x61, 0x61),
                )
            ),
        )
    )


@pytest.mark.parametrize(
    ("pattern", "text"),
    [
        ("(a", ""),
        ("a)", ""),
        ("[a", ""),
        ("*a", ""),
        ("{x}a{x}", ""),
        ("(?<n>a)", ""),
        ("\\", ""),
        ("\\e", ""),
        ("[\\e]", ""),
        ("\\0", ""),
        ("\\x4", ""),
        ("a(?i-s)", ""),
        ("(?P<>a)", ""),
        ("(a)\\1", "Group references are not implemented"),
        ("(?P<n>a)(?P=n)", "Group references are not implemented"),
        ("(?(1)a|b)", "Conditional matching is not implemented"),
        ("\\p{L}", "regex module unicode properties are not supported."),
        ("\\u00e9", "regex module unicode properties are not supported."),
        ("\\bword", "Escape \\b is not implemented"),
        ("^a", "'^'"),
        ("a$|b", "'$'"),
        ("[z-a]", "Invalid Character-range: z-a"),
        ("[a-\\d]", "Invalid Character-range: a-\\d"),
        ("(?x)a", "Flag x is not implemented"),
        ("a(?#b)", "'NoneType' object has no attribute 'simplify'"),
        ("...(?>abcdef)", "Unknown group-extension: '>' (Context: '(?>abcde'"),
    ],
)
def test_what_cannot_be_read_is_refused_in_the_parsers_words(pattern: str, text: str) -> None:
    """A pattern that cannot be read is refused in the parser's words, which are often none."""
    with pytest.raises(PatternError) as caught:
        parse(pattern)
    assert str(caught.value) == text
    assert not caught.value.late
