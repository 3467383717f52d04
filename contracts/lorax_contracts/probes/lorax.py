"""LoRAX's native wire: replies, streams, refusals, tokenizer, limits."""

import json
import re
from collections.abc import Mapping
from itertools import pairwise
from typing import Any

from lorax_contracts import loader, relations, sse
from lorax_contracts.exchange import Exchange
from lorax_contracts.judge.answer import mapping
from lorax_contracts.judge.events import judge_events
from lorax_contracts.judge.generate import judge_generate, judge_seed
from lorax_contracts.judge.generated import judge_generated
from lorax_contracts.judge.router import (
    judge_classes,
    judge_generation_headers,
    judge_tokens,
    judge_vectors,
)
from lorax_contracts.rules import rule
from lorax_contracts.session import Session

__all__ = [
    "PROMPT",
    "probe_generate",
    "probe_http",
    "probe_info",
    "probe_tokens",
    "probe_validation",
    "probe_vectors",
]

PROMPT = "Once upon a time"
_WORDS = "Input validation error: "


def _generate(
    session: Session, parameters: Mapping[str, Any], path: str = "/generate", inputs: str = PROMPT
) -> Exchange:
    given = {**({"adapter_id": session.model} if session.model else {}), **parameters}
    return session.ask("POST", path, {"inputs": inputs, "parameters": given})


def _info(session: Session) -> Mapping[str, Any]:
    """What /info says; empty when it says nothing."""
    return mapping(_document(session.ask("GET", "/info")))


def _refusal(session: Session) -> Exchange | None:
    """The answer to the smallest generation if it is a refusal: the model is no text generator."""
    first = _generate(session, {"max_new_tokens": 1}, inputs="Hi")
    if first.status == 200:
        return None
    session.skip(
        "generation",
        f"POST /generate is {first.status} for this model",
        judge_events,
        judge_generate,
        judge_generated,
        judge_generation_headers,
        judge_seed,
        relations.same_native,
        "LORAX-ERR-006",
        "LORAX-INFO-002",
        "LORAX-TOK-003",
    )
    return first


def _generates(session: Session) -> bool:
    """Whether the model generates text; an encoder's refusals are no broken promise."""
    return session.once(_refusal) is None


@rule("LORAX-HTTP-005")
def probe_info(session: Session) -> None:
    """/info and health."""
    session.once(_info)
    for path in ("/health", "/ping", "/"):
        health = session.ask("GET", path)
        if health.status != 200:
            session.break_law("LORAX-HTTP-005", f"GET {path} is {health.status}", health)


def probe_generate(session: Session) -> None:
    """Plain replies and streams of the same requests."""
    if not _generates(session):
        return
    shapes: tuple[dict[str, Any], ...] = (
        {"max_new_tokens": 12, "details": True},
        {"max_new_tokens": 12},
        {"max_new_tokens": 1, "details": True},
        {"max_new_tokens": 8, "details": True, "do_sample": True, "seed": 42},
        {"max_new_tokens": 6, "details": True, "return_k_alternatives": 3},
        {"max_new_tokens": 6, "details": True, "return_full_text": True},
        {"max_new_tokens": 20, "details": True, "ignore_eos_token": True},
        {"max_new_tokens": 8, "details": True, "temperature": 0.7, "top_k": 5, "seed": 3},
        {"max_new_tokens": 200, "details": True},
    )
    for parameters in shapes:
        first = _generate(session, parameters)
        second = _generate(session, parameters)
        streamed = _generate(session, parameters, "/generate_stream")
        session.compare(relations.same_native, first, second)
        if not relations.same_native(first, second):
            session.compare(relations.same_native, first, streamed)
    _generate(session, {"max_new_tokens": 3, "decoder_input_details": True})
    for path in ("/", "/invocations"):
        _generate(session, {"max_new_tokens": 3, "details": True}, path)
    session.ask(
        "POST",
        "/",
        {"inputs": PROMPT, "parameters": {"max_new_tokens": 3, "details": True}, "stream": True},
    )
    _stops(session)


def _stops(session: Session) -> None:
    whole = relations.native_text(_generate(session, {"max_new_tokens": 16, "details": True}))
    text = whole[0] if whole else ""
    for stop in {text[len(text) // 2 : len(text) // 2 + 2], text[-2:], "zq"} - {""}:
        parameters = {"max_new_tokens": 16, "details": True, "stop": [stop]}
        _generate(session, parameters)
        _generate(session, parameters, "/generate_stream")


def _filled(text: str, info: Mapping[str, Any]) -> str:
    return re.sub(r"\{info\.(\w+)\}", lambda match: str(info.get(match.group(1))), text)


def _says(document: Any, text: str) -> bool:
    """Whether an error has these words, whatever its numbers."""
    said = str(mapping(document).get("error", ""))
    words = re.split(r"\{info\.\w+\}|\{n\}", _WORDS + text)
    return re.fullmatch(r"\d+".join(map(re.escape, words)), said) is not None


def _limits(document: Any, text: str, info: Mapping[str, Any]) -> bool:
    """Whether the limits that an error names are those of /info."""
    said = str(mapping(document).get("error", ""))
    pattern = re.escape(_WORDS + _filled(text, info)).replace(re.escape("{n}"), r"\d+")
    return re.fullmatch(pattern, said) is not None


def _document(exchange: Exchange) -> Any:
    try:
        return json.loads(exchange.body)
    except (ValueError, RecursionError):
        return None


@rule("LORAX-ERR-003", "LORAX-ERR-004", "LORAX-ERR-005", "LORAX-INFO-002")
def probe_validation(session: Session) -> None:
    """Every refusal of a parameter, its words, its place in the order, and its form in a stream."""
    info = session.once(_info)
    rules: list[Mapping[str, Any]] = loader.table("lorax/validation")["rule"]
    usable = [
        refusal
        for refusal in rules
        if refusal["name"] != "stop" or int(info.get("max_stop_sequences", 4)) < 11
    ]
    right: list[Mapping[str, Any]] = []
    for refusal in usable:
        parameters = {"max_new_tokens": 1, **refusal["parameters"]}
        request = {"inputs": PROMPT, "parameters": parameters}
        plain = session.ask("POST", "/generate", request)
        wanted = _WORDS + _filled(refusal["text"], info)
        if plain.status != 422 or not _says(_document(plain), refusal["text"]):
            session.break_law("LORAX-ERR-003", f"{refusal['name']}: 422 {wanted!r}", plain)
            continue
        right.append(refusal)
        if info and not _limits(_document(plain), refusal["text"], info):
            session.break_law("LORAX-INFO-002", f"/info says {wanted!r}", plain)
        streamed = session.ask("POST", "/generate_stream", request)
        events = sse.read(streamed.body).data
        good = (
            streamed.status == 200 and len(events) == 1 and _says(events[0].value, refusal["text"])
        )
        if not good:
            session.break_law("LORAX-ERR-005", f"{refusal['name']} in a stream", streamed)
    _order(session, right)
    empty = session.ask("POST", "/generate", {"inputs": "", "parameters": {"max_new_tokens": 1}})
    if not _says(_document(empty), "`inputs` cannot be empty"):
        session.break_law("LORAX-ERR-003", "empty inputs are refused in those words", empty)


def _order(session: Session, refusals: list[Mapping[str, Any]]) -> None:
    """Of two that are refused in the right words each, the earlier one is named."""
    simple = [
        refusal
        for refusal in refusals
        if len(refusal["parameters"]) == 1 and "merged" not in str(refusal)
    ]
    for earlier, later in pairwise(simple):
        if set(earlier["parameters"]) & set(later["parameters"]):
            continue
        parameters = {"max_new_tokens": 1, **later["parameters"], **earlier["parameters"]}
        both = session.ask("POST", "/generate", {"inputs": PROMPT, "parameters": parameters})
        if not _says(_document(both), earlier["text"]):
            session.break_law(
                "LORAX-ERR-004", f"{earlier['name']} is checked before {later['name']}", both
            )


@rule("LORAX-HTTP-003", "LORAX-HTTP-004", "LORAX-ERR-006")
def probe_http(session: Session) -> None:
    """Bodies that do not parse, unknown paths, unknown fields, nulls."""
    texts: tuple[tuple[bytes, dict[str, str], int], ...] = (
        (b"{", {}, 400),
        (b"", {}, 400),
        (b'{"inputs":"a",}', {}, 400),
        (b"{}", {}, 422),
        (b'{"inputs":1}', {}, 422),
        (b'{"inputs":"a","parameters":{"max_new_tokens":-1}}', {}, 422),
        (b'{"inputs":"a","parameters":{"stop":"x"}}', {}, 422),
        (b'{"inputs":"a"}', {"content-type": "text/plain"}, 415),
    )
    for body, headers, status in texts:
        for path in ("/generate", "/generate_stream"):
            exchange = session.ask("POST", path, text=body, headers=headers)
            if exchange.status != status or exchange.media_type != "text/plain":
                session.break_law("LORAX-HTTP-003", f"a plain text {status}", exchange)
    for method, path, status in (("GET", "/no-such-path", 404), ("GET", "/generate", 405)):
        exchange = session.ask(method, path)
        if exchange.status != status or exchange.body:
            session.break_law("LORAX-HTTP-004", f"{status} with an empty body", exchange)
    if not _generates(session):
        return
    loose = {
        "inputs": PROMPT,
        "unknown": 1,
        "parameters": {
            "max_new_tokens": 1,
            "unknown": 1,
            "temperature": None,
            "seed": None,
            "best_of": None,
            "adapter_id": None,
            "response_format": None,
        },
    }
    exchange = session.ask("POST", "/generate", loose)
    if exchange.status != 200:
        session.break_law("LORAX-ERR-006", "unknown fields and nulls are let in", exchange)


@rule("LORAX-TOK-003", "LORAX-INFO-002")
def probe_tokens(session: Session) -> None:
    """/tokenize, and the limits that count with it."""
    info = session.once(_info)
    for text in (PROMPT, "é 日本 😀 x", ""):
        for special in (True, False):
            session.ask("POST", "/tokenize", {"inputs": text, "add_special_tokens": special})
    tokens = session.ask("POST", "/tokenize", {"inputs": PROMPT})
    counted = _document(tokens)
    if tokens.status != 200 or not isinstance(counted, list):
        session.skip("tokenizer", f"POST /tokenize is {tokens.status}", judge_tokens, probe_tokens)
        return
    if not _generates(session):
        return
    reply = session.ask(
        "POST",
        "/generate",
        {"inputs": PROMPT, "parameters": {"max_new_tokens": 1, "details": True}},
    )
    stated = mapping(mapping(_document(reply)).get("details")).get("prompt_tokens")
    if isinstance(stated, int) and stated not in {len(counted), 0}:
        session.break_law(
            "LORAX-TOK-003", f"prompt_tokens {stated}, /tokenize {len(counted)}", reply
        )
    total = info.get("max_total_tokens")
    if isinstance(total, int):
        over = session.ask(
            "POST",
            "/generate",
            {"inputs": PROMPT, "parameters": {"max_new_tokens": total - len(counted) + 1}},
        )
        if over.status != 422:
            session.break_law("LORAX-INFO-002", f"one token over {total} is {over.status}", over)
    most = info.get("max_stop_sequences")
    if isinstance(most, int) and 0 < most < 64:
        stops = [f"stop{number}" for number in range(most)]
        parameters = {"max_new_tokens": 1, "stop": stops}
        allowed = session.ask("POST", "/generate", {"inputs": PROMPT, "parameters": parameters})
        if allowed.status != 200:
            session.break_law(
                "LORAX-INFO-002", f"{most} stop strings are {allowed.status}", allowed
            )


def probe_vectors(session: Session) -> None:
    """Embeddings and classification, where the model is for them.

    A text model is not asked: it would answer 424 and count itself unhealthy
    (router/src/health.rs:150), and a checker only reads.
    """
    if _generates(session):
        why = "a text model would count itself unhealthy when asked"
        session.skip("embeddings and classes", why, judge_vectors, judge_classes)
        return
    text = {"inputs": "Paris is in France."}
    for group, judged_by, path, request in (
        ("embeddings", judge_vectors, "/embed", text),
        ("embeddings", judge_vectors, "/v1/embeddings", {"model": "m", "input": ["Paris", "Rome"]}),
        ("classes", judge_classes, "/classify", text),
        ("classes", judge_classes, "/classify_batch", {"inputs": ["Paris", "Rome"]}),
    ):
        reply = session.ask("POST", path, request)
        if reply.status != 200:
            session.skip(group, f"POST {path} is {reply.status} for this model", judged_by)
