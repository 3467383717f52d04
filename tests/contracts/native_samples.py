"""Right answers of LoRAX's own routes, as exchanges; `samples` has the ways to make them wrong."""

from dataclasses import replace
from typing import Any

from lorax_contracts import transcripts
from lorax_contracts.exchange import Exchange
from tests.contracts import samples

__all__ = ["CORS", "generate", "info", "tokenize"]

CORS = (
    ("access-control-allow-origin", "*"),
    ("vary", "origin, access-control-request-method, access-control-request-headers"),
)


def generate() -> Exchange:
    """A native reply with alternatives and a length that a header states."""
    exchange = samples.lorax("chat_plain")

    def widen(reply: Any) -> None:
        for token in reply["details"]["tokens"]:
            skipped = token.pop("skipped")
            token["alternative_tokens"] = [
                {"id": token["id"], "text": token["text"], "logprob": -0.25},
                {"id": 9, "text": "?", "logprob": -2.5},
            ]
            token["skipped"] = skipped

    parameters = {**exchange.asked["parameters"], "return_k_alternatives": 2}
    exchange = samples.asking(samples.edit(exchange, widen), parameters=parameters)
    return replace(
        exchange, headers=(*exchange.headers, ("content-length", str(len(exchange.body))))
    )


def tokenize() -> Exchange:
    """A tokenized text with a special token and a character of two tokens."""
    body = samples.compact(
        [
            {"id": 1, "text": "<s>", "start": 0, "stop": 0},
            {"id": 5, "text": "▁Hi", "start": 0, "stop": 2},
            {"id": 6, "text": "<0xC3>", "start": 2, "stop": 3},
            {"id": 7, "text": "<0xA9>", "start": 2, "stop": 3},
        ]
    )
    return Exchange(
        method="POST",
        path="/tokenize",
        request={"inputs": "Hié"},
        status=200,
        headers=(*samples.JSON, ("content-length", str(len(body))), *CORS),
        body=body,
    )


def info() -> Exchange:
    """LoRAX's /info."""
    exchange = transcripts.world()[0].exchange()
    length = ("content-length", str(len(exchange.body)))
    return replace(exchange, headers=(*exchange.headers, length))
