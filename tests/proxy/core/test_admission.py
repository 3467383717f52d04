"""Who may ask: hosts, expectations and keys, each with what passes beside what does not."""

from typing import Any

import pytest

from lorax_proxy.core.admission import (
    Admission,
    check_local,
    check_same_origin,
    is_loopback,
)
from lorax_proxy.errors import RequestRefused

OPEN = Admission(api_key=None)
LOCAL = Admission(api_key=None, hosts=["api.example"])


def check(
    admission: Admission, *fields: tuple[str, str], path: str = "/models", version: str = "1.1"
) -> tuple[Any, ...] | None:
    """The status and the code of a refusal, or None."""
    try:
        admission.check(path, version, [(n.encode(), v.encode("latin-1")) for n, v in fields])
    except RequestRefused as refused:
        return refused.status, refused.code
    return None


LOOPBACK = ["localhost", "app.localhost", "127.0.0.1", "127.8.9.10", "::1", "[::1]"]
STRANGERS = ["", "evil.example", "localhost.evil.example", "10.0.0.1", "[::2]", "0.0.0.0", "127.1"]


def test_loopback_has_its_own_names() -> None:
    """What browsers never ask a name server for, and addresses that leave no machine."""
    assert all(map(is_loopback, LOOPBACK))
    assert not any(map(is_loopback, STRANGERS))


HOSTS = [
    *((f"{host}{port}", None) for host in LOOPBACK if host != "::1" for port in ("", ":8000", ":")),
    ("LOCALHOST:8000", None),
    ("host.docker.internal:8000", None),
    ("host.containers.internal", None),
    ("evil.host.docker.internal", 403),
    ("api.example", None),
    ("API.example:443", None),
    ("evil.example", 403),
    ("evil.example:8000", 403),
    ("localhost.evil.example", 403),
    ("evil.example:80:localhost", 403),
    ("localhost:evil", 403),
    ("xapi.example", 403),
    ("\xe9", 403),
    ("", 403),
]


@pytest.mark.parametrize(("host", "status"), HOSTS)
def test_a_name_of_somebody_else_is_refused(host: str, status: int | None) -> None:
    """Rebinding makes a page's requests same-origin; its name in `Host` tells on it."""
    found = check(LOCAL, ("host", host))
    assert found == (None if status is None else (status, "host_not_allowed"))
    # probes are told nothing, and where every name is taken there is nothing to check
    assert check(LOCAL, ("host", host), path="/health") is None
    assert check(OPEN, ("host", host)) is None


def test_there_is_one_host() -> None:
    """RFC 9112 3.2: missing and doubled ones are 400 for every path; HTTP/1.0 had none."""
    for path in ("/models", "/health", "/nowhere"):
        assert check(OPEN, path=path) == (400, "invalid_host")
        twice = (("host", "localhost"), ("host", "localhost"))
        assert check(OPEN, *twice, path=path) == (400, "invalid_host")
        assert check(LOCAL, path=path, version="1.0") is None


def test_one_expectation_is_known() -> None:
    """In any case of letters; HTTP/1.0 knows none (RFC 9110 10.1.1)."""
    host = ("host", "localhost")
    assert check(OPEN, host, ("expect", "100-Continue")) is None
    assert check(OPEN, host, ("expect", "200-maybe")) == (417, "expectation_failed")
    assert check(OPEN, host, ("expect", "200-maybe"), version="1.0") is None


def test_a_key_is_asked_for_after_the_name() -> None:
    """And of nobody who has none to send."""
    keyed = Admission(api_key="k", hosts=[])
    host = ("host", "localhost")
    assert check(keyed, host) == (401, "invalid_api_key")
    assert check(keyed, host, ("authorization", "Bearer k")) is None
    assert check(keyed, ("host", "x"), ("authorization", "Bearer k")) == (403, "host_not_allowed")
    assert check(keyed, ("host", "x"), path="/ready") is None


def test_the_page_that_asks_for_a_key_needs_none() -> None:
    """Nor its files and its document; nothing that only begins like them, and the name is checked."""
    keyed = Admission(api_key="k", hosts=[])
    host = ("host", "localhost")
    for path in ("/docs", "/docs/static/x.js", "/openapi.json"):
        assert check(keyed, host, path=path) is None
        assert check(keyed, ("host", "x"), path=path) == (403, "host_not_allowed")
    for path in ("/docs2", "/docs.json", "/openapi.json/", "/Docs"):
        assert check(keyed, host, path=path) == (401, "invalid_api_key")


def local(peer: str, *fields: tuple[str, str], version: str = "1.1") -> bool:
    """Whether a request is certainly of this machine's own user."""
    try:
        check_local(peer, version, [(n.encode(), v.encode("latin-1")) for n, v in fields])
    except RequestRefused as refused:
        return (refused.status, refused.code) != (403, "not_local")
    return True


PASSED_ON = [
    "forwarded",
    "via",
    "x-forwarded-for",
    "x-forwarded-proto",
    "x-real-ip",
    "x-client-ip",
    "x-original-url",
    "x-envoy-external-address",
    "true-client-ip",
    "cf-ray",
    "x-amzn-trace-id",
]


def test_only_this_machines_own_user_is_local() -> None:
    """By the connection, the name, and nobody in between."""
    for host in LOOPBACK:
        named = f"[{host}]" if host == "::1" else host
        assert local("127.0.0.1", ("host", f"{named}:8000"), ("accept", "*/*"))
        assert local("::1", ("host", named))
    assert not local("192.168.0.2", ("host", "localhost"))
    assert not local("", ("host", "localhost"))
    assert not local("127.0.0.1")
    assert not local("127.0.0.1", ("host", "localhost"), version="1.0")
    for host in (*STRANGERS, "host.docker.internal", "localhost" * 60):
        assert not local("127.0.0.1", ("host", host))
    for name in PASSED_ON:
        assert not local("127.0.0.1", ("host", "localhost"), (name, "127.0.0.1"))


def same(*fields: tuple[str, str]) -> bool:
    """Whether a request may be of the server's own page."""
    try:
        check_same_origin([(n.encode(), v.encode("latin-1")) for n, v in fields])
    except RequestRefused as refused:
        return (refused.status, refused.code) != (403, "origin_not_allowed")
    return True


def test_a_page_of_another_origin_is_told_by_its_headers() -> None:
    """Browsers send them, and no page can take them away."""
    host = ("host", "localhost:8000")
    assert same(host)
    assert same(host, ("origin", "http://localhost:8000"), ("sec-fetch-site", "same-origin"))
    assert same(host, ("sec-fetch-site", "none"))
    for origin in ("null", "", "http://localhost", "http://localhost:80001", "http://evil.example"):
        assert not same(host, ("origin", origin))
    for site in ("cross-site", "same-site", "what-else"):
        assert not same(host, ("sec-fetch-site", site))


def test_a_keyless_path_still_needs_a_known_name() -> None:
    """It is for who has no key yet."""
    admission = Admission(api_key="k", hosts=[], keyless=["/_inspector/"])
    assert check(admission, ("host", "localhost"), path="/_inspector/") is None
    assert check(admission, ("host", "evil.example"), path="/_inspector/") is not None
    assert check(admission, ("host", "localhost"), path="/_inspector/events") is not None
