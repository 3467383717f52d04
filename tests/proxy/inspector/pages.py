"""An open page of the inspector, as far as the proxy can tell: its event stream, and what it asks for."""

import asyncio
import contextlib
import json
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from typing import Any

import httpx

__all__ = ["PATIENCE", "Page", "open_page"]

PATIENCE = 10.0
"""Seconds after which a test that waits for the page's stream has failed."""


class Page:
    """An open page.

    Attributes:
        hello: What the stream said first.
        rows: What is known of each request, by its number.
    """

    def __init__(self, http: httpx.AsyncClient, response: httpx.Response) -> None:
        self.http = http
        self.headers = response.headers
        self.hello: dict[str, Any] = {}
        self.rows: dict[int, dict[str, Any]] = {}
        self._events = self._read(response)

    async def _read(self, response: httpx.Response) -> AsyncIterator[tuple[str, Any]]:
        kind = ""
        async for line in response.aiter_lines():
            name, _, value = line.partition(": ")
            if name == "event":
                kind = value
            elif name == "data":
                yield kind, json.loads(value)

    async def next(self) -> str:
        """Take the next event; returns its kind."""
        async with asyncio.timeout(PATIENCE):
            kind, told = await anext(self._events)
        if kind == "hello":
            self.hello = told
        else:
            self.rows.update({row["number"]: row for row in told})
        return kind

    async def until(self, done: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """Wait for a request of which `done` holds."""
        while True:
            for row in self.rows.values():
                if done(row):
                    return row
            await self.next()

    async def over(self, number: int = 1) -> dict[str, Any]:
        """Wait for the end of a request; returns everything that is shown of it."""
        await self.until(lambda row: row["number"] == number and row["over"])
        return await self.opened(number)

    async def opened(self, number: int) -> dict[str, Any]:
        """Everything that is shown of a request, its copies among it."""
        shown = await self.http.get(f"/_inspector/requests/{number}")
        copies = await self.http.get(f"/_inspector/requests/{number}/copies")
        assert (shown.status_code, copies.status_code) == (200, 200), shown.text
        return {**shown.json(), "copies": copies.json()}


@contextlib.asynccontextmanager
async def open_page(url: str, **headers: str) -> AsyncGenerator[Page]:
    """Open the page of a proxy, and close it with the block."""
    async with (
        httpx.AsyncClient(base_url=url, headers=headers, trust_env=False) as http,
        http.stream("GET", "/_inspector/events") as response,
    ):
        assert response.status_code == 200, await response.aread()
        page = Page(http, response)
        assert [await page.next(), await page.next()] == ["hello", "requests"]
        yield page
