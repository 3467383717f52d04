"""Whether a request may be answered at all: by its `Host`, its `Expect` and its key.

On loopback without a key, what protects the server from web pages is that a browser keeps origins
apart. A page can have its own name point to 127.0.0.1 after it was loaded (DNS rebinding), and is
then of the same origin as this server; but its requests still carry its name in `Host`.
"""

import functools
import hmac
import ipaddress
import re
from collections.abc import Collection, Iterable

from lorax_proxy.errors import RequestRefused

__all__ = ["OPEN_PATHS", "Admission", "check_local", "check_same_origin", "is_loopback"]

OPEN_PATHS = frozenset({"/health", "/ready"})
"""What needs neither key nor name: probes have none, and nothing is told there."""

_KEYLESS_PATHS = frozenset({"/docs", "/openapi.json"})
_KEYLESS_FOLDER = "/docs/"
"""What needs no key: the page that asks for one, and says nothing of what is served here."""

_CONTAINERS_NAMES = frozenset({"host.docker.internal", "host.containers.internal"})
"""What a container calls the machine that it runs on; Docker Desktop and podman lead it to loopback.
`.internal` is kept out of the public DNS, so no page can have such a name."""

_MAX_NAME = 255


class Admission:
    """Who may ask this server."""

    def __init__(
        self,
        *,
        api_key: str | None,
        hosts: Collection[str] | None = None,
        keyless: Collection[str] = (),
    ) -> None:
        """Take the rules.

        Args:
            api_key: The key that clients must send, if any.
            hosts: The names that clients may call the server by, in lower case, beside loopback's
                own; None takes every name.
            keyless: Further paths that need no key.
        """
        self._api_key = None if api_key is None else api_key.encode()
        self._hosts = None if hosts is None else frozenset(hosts)
        self._keyless = _KEYLESS_PATHS | frozenset(keyless)

    def check(self, path: str, version: str, fields: Iterable[tuple[bytes, bytes]]) -> None:
        """Refuse a request that is not to be answered.

        Args:
            path: The path without `/v1`.
            version: HTTP's version, such as `1.1`.
            fields: The request's headers, names in lower case.

        Raises:
            RequestRefused: 400 for a `Host` that is missing or doubled (RFC 9112 3.2), 417 for an
                expectation that is not `100-continue` (RFC 9110 10.1.1), 403 for a name that is not
                known, 401 for a key that is not ours.
        """
        host = authorization = None
        for name, value in fields:
            if name == b"host":
                if host is not None:
                    raise _host("The request has more than one 'Host' header.")
                host = value
            elif name == b"authorization":
                authorization = authorization or value
            elif name == b"expect" and value.lower() != b"100-continue" and version != "1.0":
                raise RequestRefused(
                    f"Nothing here meets the expectation {value[:100].decode('latin-1')!r}.",
                    status=417,
                    code="expectation_failed",
                )
        if host is None and version != "1.0":
            raise _host("The request has no 'Host' header.")
        if path in OPEN_PATHS:
            return
        if self._hosts is not None and host is not None:
            self._check_host(host.decode("latin-1"))
        if self._api_key is not None and not (
            path in self._keyless or path.startswith(_KEYLESS_FOLDER)
        ):
            self._check_key(authorization or b"")

    def _check_host(self, host: str) -> None:
        assert self._hosts is not None  # noqa: S101 - the caller looked
        name = _without_port(host).lower()
        # no name of the DNS is longer, and what is looked up is kept
        known = len(name) <= _MAX_NAME and (
            is_loopback(name) or name in _CONTAINERS_NAMES or name in self._hosts
        )
        if not known:
            raise RequestRefused(
                f"This server is not called {name[:100]!r}. If it is, its operator adds the name "
                "to 'allowed_hosts', or sets an 'api_key'. (A web page must not be able to drive "
                "this server by a name of its own.)",
                status=403,
                type="permission_error",
                code="host_not_allowed",
            )

    def _check_key(self, authorization: bytes) -> None:
        assert self._api_key is not None  # noqa: S101 - the caller looked
        scheme, _, key = authorization.partition(b" ")
        if scheme.lower() != b"bearer" or not hmac.compare_digest(key.strip(), self._api_key):
            raise RequestRefused(
                "Incorrect API key provided: this server's own key is needed, "
                "as 'Authorization: Bearer KEY'.",
                status=401,
                type="authentication_error",
                code="invalid_api_key",
                headers=(("www-authenticate", "Bearer"),),
            )


_PASSED_ON = re.compile(
    rb"forwarded|via|x-forwarded-.*|x-real-ip|x-client-ip|x-original-.*|x-envoy-.*|true-client-ip|cf-.*|"
    rb"fly-.*|fastly-.*|x-cluster-client-ip|x-amzn-.*|x-cloud-trace-context"
)
"""What those in between add to a request: it may be anybody's, wherever it comes from last."""


def check_local(peer: str, version: str, fields: Iterable[tuple[bytes, bytes]]) -> None:
    """Refuse a request that is not certainly of this machine's own user.

    Args:
        peer: The address that the connection is from.
        version: HTTP's version: proxies still speak 1.0 where no browser does.
        fields: The request's headers, names in lower case.

    Raises:
        RequestRefused: 403, with what it takes.
    """
    host = next((value.decode("latin-1") for name, value in fields if name == b"host"), "")
    name = _without_port(host).lower()
    passed_on = version == "1.0" or any(_PASSED_ON.fullmatch(name) for name, _ in fields)
    if not is_loopback(peer) or passed_on or len(name) > _MAX_NAME or not is_loopback(name):
        raise RequestRefused(
            "This is shown to this machine's own browser alone, at http://127.0.0.1 or localhost and "
            "with nobody in between. For others its operator sets an 'api_key'.",
            status=403,
            type="permission_error",
            code="not_local",
        )


def check_same_origin(fields: Iterable[tuple[bytes, bytes]]) -> None:
    """Refuse what a page of another origin asks for.

    Raises:
        RequestRefused: 403 when the browser says that it is another's, or the origin is not `Host`.
    """
    given = {name: value for name, value in fields if name in _OF_PAGES}
    site = given.get(b"sec-fetch-site", b"none")
    origin = given.get(b"origin")
    own = origin is None or origin.partition(b"://")[2] == given.get(b"host")
    if not own or site not in (b"none", b"same-origin"):
        raise RequestRefused(
            "A page of another origin must not look at this.",
            status=403,
            type="permission_error",
            code="origin_not_allowed",
        )


_OF_PAGES = frozenset({b"host", b"origin", b"sec-fetch-site"})


@functools.lru_cache(maxsize=64)
def is_loopback(host: str) -> bool:
    """Whether only this machine is called so: `localhost`, names below it, loopback addresses."""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def _without_port(host: str) -> str:
    """`localhost:8000` -> `localhost`, `[::1]:8000` -> `[::1]`."""
    name, colon, port = host.rpartition(":")
    return name if colon and (not port or port.isdecimal()) and not name.endswith(":") else host


def _host(message: str) -> RequestRefused:
    return RequestRefused(message, code="invalid_host")
