"""A server's address as people type it: with or without a scheme, a route, a query."""

from urllib.parse import parse_qsl, urlsplit

from lorax_contracts.curl import is_secret
from lorax_contracts.errors import CannotRun

__all__ = ["address"]

_ROUTES = ("/chat/completions", "/completions", "/embeddings", "/models")


def address(url: str) -> tuple[str, str]:
    """The address as scheme, host and path without a last slash, and its query.

    What stands behind the prefix of an API is left out: people paste the address that they post to.

    Raises:
        CannotRun: it is no address of a web server, or has a password or key in it.
    """
    try:
        parts = urlsplit(url if "://" in url else f"http://{url}")
        known = parts.scheme in {"http", "https"} and parts.hostname and parts.port != 0
    except ValueError as error:
        raise CannotRun(f"{url!r}: {error}") from error
    if not known or not (url.isprintable() and " " not in url):
        raise CannotRun(f"{url!r} is not an address such as http://localhost:8000/v1")
    if "@" in parts.netloc:
        raise CannotRun(
            "the address holds a user name or password, and would be printed with every finding;"
            " give a key with OPENAI_API_KEY or --api-key"
        )
    named = [name for name, _ in parse_qsl(parts.query, True) if is_secret(name.lower())]
    if named:
        raise CannotRun(
            f"the address holds {named[0]!r} in its query, and would be printed with every finding;"
            " give a key with OPENAI_API_KEY or --api-key"
        )
    path = parts.path.rstrip("/")
    for route in _ROUTES:
        path = path.removesuffix(route)
    return f"{parts.scheme}://{parts.netloc}{path}", f"?{parts.query}" if parts.query else ""
