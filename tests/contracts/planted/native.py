"""LoRAX's wire, wrong in one thing each: changes to what a right LoRAX says, on its way to the checker.

The laws' own sources (router file and line) say what is right; each entry here breaks one of them.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from lorax_contracts import loader
from lorax_contracts.exchange import End, Exchange
from tests.contracts import native_samples, samples
from tests.contracts.planted.changes import (
    Change,
    details,
    errors,
    header,
    plain,
    route,
    stream_bytes,
    streamed,
)

__all__ = ["PLANTED", "Planted"]


@dataclass(frozen=True, slots=True)
class Planted:
    """One deviation from LoRAX's wire.

    Attributes:
        kind: what the right LoRAX that it changes is for: `generate`, `embed` or `classify`.
        also: other laws whose sentence the deviation makes untrue, each with how.
    """

    name: str
    law: str
    change: Change
    kind: str = "generate"
    also: Mapping[str, str] = field(default_factory=dict[str, str], hash=False)


def _reversed(document: Any) -> Any:
    return dict(reversed(list(document.items())))


def _text_to_json(exchange: Exchange) -> Exchange:
    return _as_json(exchange, 422) if exchange.media_type == "text/plain" else exchange


def _as_json(exchange: Exchange, status: int) -> Exchange:
    """A refusal in LoRAX's own envelope."""
    error = {"error": "Input validation error: no", "error_type": "validation"}
    body = samples.compact(error)
    length = ("content-length", str(len(body)))
    headers = (("content-type", "application/json"), length, *native_samples.CORS)
    return replace(exchange, status=status, headers=headers, body=body)


def _out_of_memory(exchange: Exchange) -> Exchange:
    """A prompt and a budget beyond the limit were let through, and the shard had no room for them."""
    if b"`max_new_tokens` must be <=" not in exchange.body:
        return exchange
    told = "Request failed during generation: Server error: CUDA out of memory"
    failed = _as_json(exchange, 424)
    return samples.replace_body(
        failed, samples.compact({"error": told, "error_type": "generation"})
    )


def _refused_as_status(exchange: Exchange) -> Exchange:
    refused = exchange.path == "/generate_stream" and b'data: {"error"' in exchange.body
    return _as_json(exchange, 422) if refused else exchange


def _other_words_in_streams(exchange: Exchange) -> Exchange:
    if exchange.media_type != "text/event-stream":
        return exchange
    return replace(exchange, body=exchange.body.replace(b"must be", b"has to be"))


def _after_an_error(exchange: Exchange) -> Exchange:
    """An error between two events of one generation."""
    parameters = exchange.asked.get("parameters") or {}
    if exchange.media_type != "text/event-stream" or "return_k_alternatives" not in parameters:
        return exchange
    error = {"error": "Incomplete generation", "error_type": "incomplete_generation"}
    return samples.edit_events(exchange, lambda events: [events[0], error, *events[1:]])


_REFUSALS: Mapping[str, str] = {
    name: rule["text"]
    for rule in loader.table("lorax/validation")["rule"]
    for name in rule["parameters"]
    if len(rule["parameters"]) == 1
}


def _last_first(exchange: Exchange) -> Exchange:
    """Names the last of several parameters that are out of range."""
    parameters = exchange.asked.get("parameters") or {}
    named = [name for name in _REFUSALS if name in parameters and name != "max_new_tokens"]
    if exchange.status != 422 or exchange.path != "/generate" or len(named) < 2:
        return exchange
    said = "Input validation error: " + re.sub(r"\{.*?\}", "9", _REFUSALS[named[-1]])
    return samples.edit(exchange, lambda d: d.update(error=said))


def _strict_fields(exchange: Exchange) -> Exchange:
    if "unknown" not in exchange.asked:
        return exchange
    begins = b"Failed to deserialize the JSON body into the target type: "
    body = begins + b"unknown field `unknown`"
    headers = (("content-type", "text/plain; charset=utf-8"), *native_samples.CORS)
    return replace(exchange, status=422, headers=headers, body=body)


def _uncounted_eos(facts: Any) -> None:
    if facts["finish_reason"] == "eos_token":
        facts["generated_tokens"] -= 1


def _unframed(exchange: Exchange) -> Exchange:
    """JSON without its length."""
    if exchange.media_type != "application/json":
        return exchange
    return samples.without_header(exchange, "content-length")


def _openai_vectors(exchange: Exchange) -> Exchange:
    vector = {"object": "embedding", "index": 0, "embedding": [0.5]}
    return samples.edit(exchange, lambda _: {"object": "list", "data": [vector]})


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
        details(_uncounted_eos),
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
        also={"LORAX-GEN-012": "the stream ends without it"},
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
    Planted("a status for a stream's refusal", "LORAX-STREAM-010", _refused_as_status),
    Planted("other words for a stream's refusal", "LORAX-ERR-005", _other_words_in_streams),
    Planted("events after an error", "LORAX-STREAM-005", _after_an_error),
    Planted("the last wrong parameter named", "LORAX-ERR-004", _last_first),
    Planted("unknown fields refused", "LORAX-ERR-006", _strict_fields),
    Planted("JSON of no stated length", "LORAX-HTTP-001", _unframed),
    Planted(
        "OpenAI's shape of embeddings",
        "LORAX-EMB-001",
        route("/embed", _openai_vectors),
        kind="embed",
    ),
    Planted(
        "classes under a key",
        "LORAX-CLS-001",
        route("/classify", lambda e: samples.edit(e, lambda d: {"entities": d})),
        kind="classify",
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
        route(
            "/info",
            lambda e: samples.edit(e, lambda d: {k: d[k] for k in d if k != "eager_prefill"}),
        ),
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
        "a budget over the limit that ends in the shard",
        "LORAX-INFO-002",
        errors(_out_of_memory),
        also={"LORAX-ERR-003": "a budget over the limit is out of range"},
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
        "/tokenize never adds special tokens",
        "LORAX-TOK-003",
        route(
            "/tokenize",
            lambda e: samples.edit(e, lambda d: [t for t in d if t["stop"] or not t["text"]]),
        ),
    ),
)
