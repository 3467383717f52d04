"""The limits on clients' connections: sizes, counts and times, before a request is one.

They hold before the key is looked at, because whoever has none can open connections all the same.
Each has its reason beside it, and a test at its edge (tests/proxy/test_http1.py, test_door.py).
"""

from typing import Annotated

from pydantic import BaseModel, Field

__all__ = ["ClientLimits", "Seconds"]

Seconds = Annotated[float, Field(gt=0, allow_inf_nan=False)]


class ClientLimits(BaseModel):
    """Sizes, times and counts of connections; part of the settings."""

    max_request_line_bytes: int = Field(default=8 * 1024, ge=256)
    """The longest request line, else 414: nginx's buffer for one. The longest path here is a model's
    name."""
    max_header_bytes: int = Field(default=32 * 1024, ge=1024)
    """The largest block of request headers, else 431: what nginx takes. SDKs send 1 KiB; tokens that
    gateways add are the rest."""
    max_headers: int = Field(default=100, ge=10)
    """The most request headers, else 431: as many as LoRAX's own server takes (hyper)."""
    client_header_timeout: Seconds = 10
    """Seconds until a new connection, or a request that has begun, has sent its headers (408). They
    fit one packet."""
    client_body_timeout: Seconds = 15
    """Seconds of silence inside a request's body (408). After as many, the body must also have come
    at 1 KiB a second, so that a trickle ends too."""
    client_idle_timeout: Seconds = 75
    """Seconds that an unused connection is kept: longer than the 60 that load balancers commonly
    keep theirs, or they would send a request into a closing one."""
    client_write_timeout: Seconds = 60
    """Seconds in which a client takes nothing of its answer, until it is left: it holds a place in
    LoRAX. nginx's, too."""
    max_connections: int = Field(default=16384, ge=1)
    """The most connections at once, else 503; fewer where the process may open fewer files. A kept
    one takes about 10 KB."""
    max_connections_per_peer: int | None = Field(default=None, ge=1)
    """The most connections from one address, else 503; by default three quarters of all, because
    behind a load balancer every client has its address."""
    max_buffered_body_bytes: int = Field(default=512 * 1024 * 1024, ge=1)
    """The most bytes of requests' bodies at once, over all connections, else 503. A body is kept until
    its answer is complete: 5,000 conversations of 100 KB fit, and what is left of a machine with
    1 GB is for reading them."""
