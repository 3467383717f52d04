"""Who may use the mock's own routes from a browser."""

import pytest

from lorax_mock.http.origin import foreign


@pytest.mark.parametrize(
    ("origin", "host", "site"),
    [
        (None, b"mock.example:8080", None),
        (None, None, None),
        (None, b"127.0.0.1:8080", b"none"),
        (b"http://127.0.0.1:8080", b"127.0.0.1:8080", b"same-origin"),
        (b"http://localhost:8080", b"LocalHost:8080", None),
        (b"http://[::1]:8080", b"[::1]:8080", None),
        (b"http://lorax:8080", b"lorax:8080", None),
        (b"http://a.localhost", b"a.localhost", None),
        (b"http://192.168.1.7:80", b"192.168.1.7:80", None),
    ],
)
def test_programs_and_the_page_itself_are_let_through(
    origin: bytes | None, host: bytes | None, site: bytes | None
) -> None:
    """A program says no origin; the page says the mock's own, under a name that nobody else can own."""
    assert foreign(origin, host, site) is None


@pytest.mark.parametrize(
    ("origin", "host", "site", "why"),
    [
        (b"http://evil.example", b"localhost:8080", None, "http://evil.example"),
        (b"http://localhost:3000", b"localhost:8080", None, "localhost:3000"),
        (b"null", b"localhost:8080", None, "null"),
        (b"http://localhost:8080", None, None, "localhost:8080"),
        (None, b"localhost:8080", b"cross-site", "another site"),
        (None, b"localhost:8080", b"same-site", "another site"),
        # a name of theirs that was made to point to this machine
        (b"http://evil.example:8080", b"evil.example:8080", b"same-origin", "anybody's name"),
        (b"http://127.0.0.1.evil.example", b"127.0.0.1.evil.example", None, "anybody's name"),
        (b"http://evil.example@x", b"evil.example@x", None, "anybody's name"),
    ],
)
def test_pages_of_other_sites_are_named(
    origin: bytes | None, host: bytes | None, site: bytes | None, why: str
) -> None:
    """By an origin that is not the host's, by what the browser says of the site, or by the host's name."""
    told = foreign(origin, host, site)
    assert told is not None
    assert why in told
