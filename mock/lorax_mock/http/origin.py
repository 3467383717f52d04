"""Who may use the mock's own routes from a browser: pages of the mock itself, and nobody else's.

A mock listens without a key, and any web page can make a browser send requests to it. LoRAX's routes are open to all
pages, because LoRAX's are; the mock's own show prompts and change what is answered. A program sends no `Origin`
and is let through. So is a page that reads under a stranger's name for this address: it looks like a program. It
changes nothing, since browsers send an `Origin` with all but GET and HEAD.
"""

import ipaddress
import re
from typing import Final

__all__ = ["foreign"]

_HOST: Final = re.compile(r"(?:\[(?P<six>[0-9a-fA-F:.]+)\]|(?P<name>[\w.-]+))(?::\d+)?", re.ASCII)


def foreign(origin: bytes | None, host: bytes | None, site: bytes | None) -> str | None:
    """Why a request is another site's, by its `Origin`, `Host` and `Sec-Fetch-Site` headers; None if it is not."""
    if site in (b"cross-site", b"same-site"):
        return "it comes from a page of another site"
    if origin is None:
        return None
    named = (host or b"").decode("latin-1").lower()
    asker = origin.decode("latin-1").lower()
    if asker.partition("://")[2] != named:
        return f"it comes from a page of {asker}"
    if not _is_near(named):
        # another site's name that was made to point here would come so far
        return f"{named} may be anybody's name; open the page by an address, or by localhost"
    return None


def _is_near(host: str) -> bool:
    """Whether nobody from outside can own that name: an address, localhost, or a name without a dot."""
    match = _HOST.fullmatch(host)
    if match is None:
        return False
    name = match["six"] or match["name"]
    if "." not in name and ":" not in name:
        return True
    if name.endswith(".localhost"):
        return True
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
