"""The page that stands alone."""

from html.parser import HTMLParser

from lorax_contracts.formats.page import escaped, page


class _Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.seen: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append((tag, dict(attrs)))


def test_it_loads_nothing_and_says_its_language_and_title() -> None:
    """In light and in dark."""
    text = page("a <b> & c", "<p>x</p>", style="p { color: red }")
    reader = _Tags()
    reader.feed(text)
    tags = [tag for tag, _ in reader.seen]
    assert not {"script", "link", "img", "iframe"} & set(tags)
    assert ("html", {"lang": "en"}) in reader.seen
    assert "color-scheme: light dark" in text
    assert "url(" not in text
    assert "@import" not in text
    assert text.count("a &lt;b&gt; &amp; c") == 2
    assert "p { color: red }" in text
    assert "b" not in tags


def test_a_quotation_mark_ends_no_attribute() -> None:
    """Both of them."""
    assert not {'"', "'", "<", ">"} & set(escaped("\"'<>"))
