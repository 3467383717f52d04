"""The demo that every test of this suite asks."""

from tests.compat.demo import anyio_backend, base_url, locked_url

__all__ = ["anyio_backend", "base_url", "locked_url"]
