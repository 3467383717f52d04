"""A run as a page: all of it is there, and nothing of a server's is read as the page's."""

from dataclasses import replace
from html.parser import HTMLParser

from lorax_contracts.baseline import outcome_of
from lorax_contracts.formats.report import as_html
from lorax_contracts.laws import law
from tests.contracts.formats.verdicts import family, outcome, verdict

_VOID = {"meta"}


class _Page(HTMLParser):
    """The page's elements: which are open where, and the text in them."""

    def __init__(self, text: str) -> None:
        """Read it all."""
        super().__init__()
        self.open: list[str] = []
        self.headings: list[tuple[str, str]] = []
        self.ids: set[str] = set()
        self.links: list[str] = []
        self.labels: list[str] = []
        self.scopes: list[str | None] = []
        self.code: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in _VOID:
            self.open.append(tag)
        given = dict(attrs)
        self.ids |= {given["id"] or ""} if "id" in given else set()
        self.links += [given["href"] or ""] if tag == "a" else []
        self.labels += [given["aria-labelledby"] or ""] if "aria-labelledby" in given else []
        if tag == "th":
            self.scopes.append(given.get("scope"))
        if tag in {"h1", "h2", "h3"}:
            self.headings.append((tag, ""))
        if tag == "code":
            self.code.append("")

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] in {"h1", "h2", "h3"}:
            tag, text = self.headings.pop()
            self.headings.append((tag, text + data))
        if self.open and self.open[-1] == "code":
            self.code[-1] += data


def test_each_finding_has_its_law_its_bytes_and_its_command() -> None:
    """Under a heading of its own, to which the table above links."""
    told = outcome()
    text = as_html(told)
    page = _Page(text)
    assert page.open == []
    assert page.headings[0] == ("h1", "2 broken laws: http://h/v1")
    assert [name for tag, name in page.headings if tag == "h3"] == [
        "OAI-CHAT-003 (breaks): id identifies nothing",
        f"OAI-CHAT-002 (shape): {told.new[1].message.replace(chr(0), chr(92) + 'x00')}",
    ]
    assert {one.removeprefix("#") for one in page.links} == page.ids == set(page.labels)
    assert page.scopes == ["col"] * 3
    for one in told.new:
        assert law(one.law).source.replace('"', "&quot;") in text
    assert sum(one.startswith("POST /v1/chat/completions\n") for one in page.code) == 2
    assert sum(one.startswith("200\n") for one in page.code) == 2
    assert sum(one.startswith("curl -sS -i http://h/v1/chat/completions") for one in page.code) == 2
    assert "<b>" not in text


def test_what_is_known_fixed_and_left_out_is_told() -> None:
    """Each under its heading."""
    page = _Page(as_html(outcome(compared=True)))
    names = [name for tag, name in page.headings if tag == "h2"]
    assert names == ["New findings", "Known", "Fixed", "Not judged", "Kept"]


def test_a_key_is_not_on_the_page() -> None:
    """Nor a cookie that the server set; pages are attached to public pull requests."""
    secret = "sk-very-secret"
    keyed = [
        replace(
            one,
            exchange=one.exchange
            and replace(
                one.exchange,
                request_headers={"authorization": f"Bearer {secret}", "x-api-key": secret},
                headers=(*one.exchange.headers, ("set-cookie", secret)),
            ),
        )
        for one in verdict().findings
    ]
    text = as_html(outcome_of(replace(verdict(), findings=tuple(keyed))))
    assert "authorization: (not shown)" in text
    assert secret not in text


def test_what_was_not_judged_is_not_called_kept() -> None:
    """Nor, after an early end, is anything; which the page says."""
    kept = as_html(outcome()).partition("<h2>Kept</h2>")[2]
    assert f"{len(family('OAI-CHAT')) - 2} laws" in kept
    assert "OAI-EMB-" not in kept
    assert "OAI-CHAT-010" in kept
    early = as_html(outcome_of(replace(verdict(), unfinished="9 requests are used up")))
    assert "<h2>Ended early</h2><ul>\n<li>9 requests are used up</li>" in early
    assert "<summary>0 laws</summary>" in early
