"""A run as a job's summary."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from lorax_contracts.baseline import outcome_of
from lorax_contracts.formats.markdown import as_markdown, fenced, plain
from tests.contracts.formats.verdicts import outcome, verdict


def test_it_has_a_table_of_findings_and_each_in_full() -> None:
    """The worst first; bytes and command are in blocks of code."""
    lines = as_markdown(outcome()).splitlines()
    assert lines[0] == "## lorax-contracts: 2 broken laws"
    rows = [one for one in lines if one.startswith("| ")]
    assert [one.split(" | ")[:2] for one in rows[1:]] == [
        ["| breaks", "OAI-CHAT-003"],
        ["| shape", "OAI-CHAT-002"],
    ]
    assert (
        sum(one == "</details>" for one in lines) == sum(one == "<details>" for one in lines) == 2
    )
    assert sum(one.startswith("curl ") for one in lines) == 2
    assert "- embeddings: POST /embeddings is 404" in lines
    assert "1 breaks: usual clients fail; 1 shape: " in "\n".join(lines)


def test_what_is_known_and_fixed_is_listed() -> None:
    """And only what is new is in the table."""
    text = as_markdown(outcome(compared=True))
    assert "## lorax-contracts: 1 new, 1 known, 1 fixed, 1 not judged" in text
    assert "### Known\n\n- OAI-CHAT-002: " in text
    assert "### Fixed\n\n- OAI-CHAT-010: refusal is missing\n" in text
    assert text.count("<details>") == 1


@given(st.text(st.sampled_from("ab`|<>&*_#[]()!~@\\\n\r\x1b\u2028é:/h"), max_size=12))
def test_no_text_is_more_than_text(text: str) -> None:
    """Whatever a server says: no row, element, link or block begins or ends with it."""
    assert not set("`|<>*#[]!~@\\\n\r\x1b\u2028") & set(plain(text).replace("&#", ""))
    fence, *inside, end = fenced(text)
    assert fence == end
    assert fence not in "\n".join(inside)


def test_plain_words_stay_readable() -> None:
    """What needs no escape has none."""
    assert plain("top_logprobs: 3 of 4 (a, b); it's") == "top_logprobs: 3 of 4 (a, b); it's"


def test_an_early_end_is_told() -> None:
    """Above everything that was found by then."""
    early = as_markdown(outcome_of(replace(verdict(), unfinished="9 requests are used up")))
    assert "\n\n**The check ended early:** 9 requests are used up\n\n" in early


def test_no_address_or_name_becomes_a_link() -> None:
    """GitHub makes links of these wherever they stand, of names and numbers even behind an escape."""
    said = plain("see www.evil.example, WWW.x, me@evil.example, @team, #12, http://h")
    assert "www." not in said.lower()
    assert "//" not in said
    for sign in ("&#64;", "&#35;"):
        assert all(part.startswith("&#8203;") for part in said.split(sign)[1:])
    assert said.replace("&#46;", ".").startswith("see www.evil.example")
