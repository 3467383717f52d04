"""LoRAX's wire, wrong in one thing each: changes to what a right LoRAX says, on its way to the checker.

The laws' own sources (router file and line) say what is right; each entry here breaks one of them.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from lorax_contracts.client import Bounds, Client
from lorax_contracts.exchange import End, Exchange
from tests.contracts import native_samples, samples

__all__ = ["PLANTED", "Change", "Mutating", "Planted"]

Change = Callable[[Exchange], Exchange]


class Mutating(Client):
    """The mock through a client that changes every reply on its way."""

    def __init__(self, base: str, change: Change) -> None:
        super().__init__(base, bounds=Bounds(requests=400, seconds=60))
        self._change = change

    def ask(
        self,
        method: str,
        path: str,
        request: Any = None,
        *,
        text: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Exchange:
        """As the client, then changed."""
        return self._change(super().ask(method, path, request, text=text, headers=headers))


@dataclass(frozen=True, slots=True)
class Planted:
    """One deviation from LoRAX's wire."""

    name: str
    law: str
    change: Change


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
    return plain(lambda d: change(d["details"]) and None if "details" in d else None)


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
    """Sets a header of successful generations, or takes it away."""

    def apply(exchange: Exchange) -> Exchange:
        if exchange.status != 200 or "/generate" not in exchange.path:
            return exchange
        bare = samples.without_header(exchange, name)
        return bare if value is None else replace(bare, headers=(*bare.headers, (name, value)))

    return apply


def route(path: str, change: Callable[[Exchange], Exchange]) -> Change:
    """Changes successful replies of one path."""
    return lambda e: change(e) if e.path == path and e.status == 200 else e


def _reversed(document: Any) -> Any:
    return dict(reversed(list(document.items())))


def _text_to_json(exchange: Exchange) -> Exchange:
    if exchange.media_type != "text/plain":
        return exchange
    error = {"error": exchange.body.decode(), "error_type": "validation"}
    length = ("content-length", "9")
    return replace(
        exchange,
        headers=(("content-type", "application/json"), length, *native_samples.CORS),
        body=samples.compact(error),
    )


class HalfInfo:
    """/info loses a key from the second time on: at the first it only tells what the server is."""

    def __init__(self) -> None:
        self.asked = 0

    def __call__(self, exchange: Exchange) -> Exchange:
        """The reply, without a key once it counts."""
        self.asked += 1
        if self.asked == 1:
            return exchange
        return samples.edit(exchange, lambda d: d.pop("eager_prefill") and None)


def _last(token: Any, **changes: Any) -> None:
    token["tokens"][-1].update(changes)


PLANTED: tuple[Planted, ...] = (
    Planted("a key too many", "LORAX-GEN-001", plain(lambda d: d.update(model="x"))),
    Planted(
        "keys in another order",
        "LORAX-GEN-002",
        details(lambda d: d.update(finish_reason=d.pop("finish_reason"))),
    ),
    Planted(
        "details always left out", "LORAX-GEN-003", plain(lambda d: d.pop("details", None) and None)
    ),
    Planted(
        "EOS not counted",
        "LORAX-GEN-004",
        details(
            lambda d: (
                d["finish_reason"] == "eos_token"
                and d.update(generated_tokens=d["generated_tokens"] - 1)
            )
        ),
    ),
    Planted(
        "length reported as eos_token",
        "LORAX-GEN-005",
        details(lambda d: d["finish_reason"] == "length" and d.update(finish_reason="eos_token")),
    ),
    Planted(
        "the EOS in generated_text",
        "LORAX-GEN-006",
        plain(lambda d: d.update(generated_text=d["generated_text"] + "</s>")),
    ),
    Planted(
        "stop string trimmed",
        "LORAX-GEN-006",
        plain(
            lambda d: (
                (
                    d.get("details", {}).get("finish_reason") == "stop_sequence"
                    and d.update(generated_text=d["generated_text"][:-1])
                )
                or None
            )
        ),
    ),
    Planted(
        "stop_sequence without a stop string",
        "LORAX-GEN-007",
        details(
            lambda d: d["finish_reason"] == "eos_token" and d.update(finish_reason="stop_sequence")
        ),
    ),
    Planted(
        "a seed for greedy answers",
        "LORAX-GEN-008",
        details(lambda d: d["seed"] is None and d.update(seed=1)),
    ),
    Planted(
        "probabilities for logarithms", "LORAX-GEN-009", details(lambda d: _last(d, logprob=0.5))
    ),
    Planted(
        "alternatives least likely first",
        "LORAX-GEN-010",
        details(
            lambda d: [
                t["alternative_tokens"].reverse() for t in d["tokens"] if "alternative_tokens" in t
            ]
        ),
    ),
    Planted(
        "an object on /",
        "LORAX-GEN-011",
        route(
            "/",
            lambda e: samples.edit(e, lambda d: d[0]) if e.media_type == "application/json" else e,
        ),
    ),
    Planted(
        "streams say something else",
        "LORAX-GEN-012",
        streamed(lambda d: d[0]["token"].update(id=0)),
    ),
    Planted(
        "events without details",
        "LORAX-STREAM-001",
        streamed(lambda d: [e.pop("details") for e in d] and None),
    ),
    Planted(
        "no space after data:",
        "LORAX-STREAM-002",
        stream_bytes(lambda b: b.replace(b"data: ", b"data:")),
    ),
    Planted(
        "[DONE] at the end", "LORAX-STREAM-003", stream_bytes(lambda b: b + b"data: [DONE]\n\n")
    ),
    Planted(
        "no final event",
        "LORAX-STREAM-004",
        streamed(lambda d: d[-1].update(generated_text=None, details=None)),
    ),
    Planted(
        "skipped_tokens in a stream's details",
        "LORAX-STREAM-001",
        streamed(
            lambda d: (d[-1]["details"] and d[-1]["details"].update(skipped_tokens=0)) or None
        ),
    ),
    Planted(
        "details in streams unasked",
        "LORAX-STREAM-006",
        streamed(
            lambda d: d[-1].update(
                details=d[-1]["details"]
                or {
                    "finish_reason": "length",
                    "prompt_tokens": 1,
                    "generated_tokens": len(d),
                    "seed": None,
                }
            )
        ),
    ),
    Planted(
        "another text in the final event",
        "LORAX-STREAM-007",
        streamed(lambda d: d[-1].update(generated_text=d[-1]["generated_text"] + "!")),
    ),
    Planted(
        "another count in the final event",
        "LORAX-STREAM-008",
        streamed(
            lambda d: (d[-1]["details"] and d[-1]["details"].update(generated_tokens=99)) or None
        ),
    ),
    Planted(
        "event keys in another order",
        "LORAX-STREAM-009",
        streamed(lambda d: [_reversed(e) for e in d]),
    ),
    Planted(
        "a status for a stream's refusal",
        "LORAX-ERR-005",
        lambda e: replace(e, status=422) if b'data: {"error"' in e.body else e,
    ),
    Planted(
        "times in a stream's headers",
        "LORAX-HEAD-002",
        lambda e: (
            replace(e, headers=(*e.headers, ("x-total-time", "1")))
            if e.media_type == "text/event-stream"
            else e
        ),
    ),
    Planted("fractions of milliseconds", "LORAX-HEAD-001", header("x-queue-time", "0.5")),
    Planted("a total of its own", "LORAX-HEAD-003", header("x-total-tokens", "1")),
    Planted("an adapter named for the base model", "LORAX-HEAD-004", header("x-adapter-id", "a/b")),
    Planted("bytes for characters", "LORAX-HEAD-006", header("x-compute-characters", "1")),
    Planted(
        "x- headers on errors",
        "LORAX-HEAD-005",
        errors(lambda e: replace(e, headers=(*e.headers, ("x-model-id", "a")))),
    ),
    Planted(
        "OpenAI's envelope",
        "LORAX-ERR-001",
        errors(lambda e: samples.edit(e, lambda d: {"error": {"message": d["error"]}})),
    ),
    Planted("400 for validation", "LORAX-ERR-002", errors(lambda e: replace(e, status=400))),
    Planted(
        "other words",
        "LORAX-ERR-003",
        errors(lambda e: replace(e, body=e.body.replace(b"must be", b"has to be"))),
    ),
    Planted("JSON for the framework's texts", "LORAX-HTTP-003", _text_to_json),
    Planted("no CORS", "LORAX-HTTP-002", lambda e: samples.without_header(e, "vary")),
    Planted(
        "a body for health", "LORAX-HTTP-005", route("/health", lambda e: replace(e, body=b"ok"))
    ),
    Planted(
        "a body for an unknown path",
        "LORAX-HTTP-004",
        lambda e: replace(e, body=b"not found") if e.status == 404 else e,
    ),
    Planted(
        "a cut stream",
        "LORAX-HTTP-006",
        lambda e: (
            replace(e, body=e.body[:-30], end=End.CUT) if e.media_type == "text/event-stream" else e
        ),
    ),
    Planted(
        "/info without a key",
        "LORAX-INFO-001",
        route("/info", HalfInfo()),
    ),
    Planted(
        "a limit that is not /info's",
        "LORAX-INFO-002",
        route(
            "/info",
            lambda e: samples.edit(e, lambda d: d.update(max_total_tokens=64, max_input_length=63)),
        ),
    ),
    Planted(
        "byte offsets of tokens",
        "LORAX-TOK-002",
        route(
            "/tokenize", lambda e: samples.edit(e, lambda d: (d and d[-1].update(stop=99)) or None)
        ),
    ),
    Planted(
        "tokens without offsets",
        "LORAX-TOK-001",
        route(
            "/tokenize", lambda e: samples.edit(e, lambda d: [t.pop("stop") for t in d] and None)
        ),
    ),
    Planted(
        "another count of prompt tokens",
        "LORAX-TOK-003",
        plain(lambda d: ("details" in d and d["details"].update(prompt_tokens=77)) or None),
    ),
)
