"""The ways to change what a right LoRAX says on its way to the checker, one part of it at a time."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from lorax_contracts.exchange import Exchange
from tests.contracts import samples

__all__ = ["Change", "details", "errors", "header", "plain", "route", "stream_bytes", "streamed"]

Change = Callable[[Exchange], Exchange]


def plain(change: Callable[[Any], Any]) -> Change:
    """Changes the JSON of whole native replies."""

    def apply(exchange: Exchange) -> Exchange:
        if exchange.status != 200 or exchange.media_type != "application/json":
            return exchange
        if b'"generated_text"' not in exchange.body or not exchange.path.endswith("/generate"):
            return exchange
        return samples.edit(exchange, change)

    return apply


def details(change: Callable[[Any], Any]) -> Change:
    """Changes the details of whole native replies that have them."""

    def apply(reply: Any) -> None:
        if "details" in reply:
            change(reply["details"])

    return plain(apply)


def streamed(change: Callable[[list[Any]], Any]) -> Change:
    """Changes the events of native streams that end well."""

    def apply(exchange: Exchange) -> Exchange:
        if exchange.media_type != "text/event-stream" or b'"error_type"' in exchange.body:
            return exchange
        return samples.edit_events(exchange, change)

    return apply


def stream_bytes(change: Callable[[bytes], bytes]) -> Change:
    """Changes the bytes of native streams."""
    return lambda exchange: (
        replace(exchange, body=change(exchange.body))
        if exchange.media_type == "text/event-stream"
        else exchange
    )


def errors(change: Callable[[Exchange], Exchange]) -> Change:
    """Changes LoRAX's own refusals."""
    return lambda exchange: (
        change(exchange)
        if exchange.status >= 400 and exchange.media_type == "application/json"
        else exchange
    )


def header(name: str, value: str | None) -> Change:
    """Sets a header of successful whole generations, or takes it away."""

    def apply(exchange: Exchange) -> Exchange:
        if exchange.status != 200 or exchange.path != "/generate":
            return exchange
        bare = samples.without_header(exchange, name)
        return bare if value is None else replace(bare, headers=(*bare.headers, (name, value)))

    return apply


def route(path: str, change: Callable[[Exchange], Exchange]) -> Change:
    """Changes successful replies of one path."""
    return lambda e: change(e) if e.path == path and e.status == 200 else e
