"""Model lists and embeddings."""

import base64
import math
import re
import struct
from collections.abc import Mapping
from typing import Any

from lorax_contracts.exchange import Exchange
from lorax_contracts.judge.answer import objects
from lorax_contracts.judge.identity import Places, fit
from lorax_contracts.judge.report import Report
from lorax_contracts.rules import rule

__all__ = ["judge_embeddings", "judge_model", "judge_models", "vector"]

# What a client reads; the rest of the schema is a matter of shape.
_LIST_PLACES: Places = ((re.compile(r"^(/data(/\d+(/id)?)?)? "), "OAI-MODELS-001"),)
_MODEL_PLACES: Places = ((re.compile(r"^(/id)? "), "OAI-MODELS-003"),)
_EMBEDDING_PLACES: Places = (
    (re.compile(r"^/data/\d+/index "), "OAI-EMB-002"),
    (re.compile(r"^(/data(/\d+(/embedding)?)?)? "), "OAI-EMB-001"),
)


@rule("OAI-MODELS-001", "OAI-MODELS-002", "OAI-MODELS-006")
def judge_models(document: Any, report: Report) -> None:
    """Judges GET /v1/models."""
    fit("openai/model_list", document, _LIST_PLACES, "OAI-MODELS-006", report)
    if isinstance(document, Mapping):
        ids = [str(model.get("id")) for model in objects(document.get("data"))]
        if len(set(ids)) != len(ids):
            report.add("OAI-MODELS-002", "an id is listed twice", at="/data", seen=ids)


@rule("OAI-MODELS-003", "OAI-MODELS-006")
def judge_model(document: Any, report: Report) -> None:
    """Judges GET /v1/models/{id}."""
    fit("openai/model", document, _MODEL_PLACES, "OAI-MODELS-006", report)


def vector(value: Any, encoding: Any) -> list[float] | None:
    """An embedding in the encoding that was asked for; None when it is not in it."""
    if encoding == "base64":
        if not isinstance(value, str):
            return None
        try:
            packed = base64.b64decode(value, validate=True)
        except ValueError:  # no base64, or not even ASCII
            return None
        if len(packed) % 4:
            return None
        return [number for (number,) in struct.iter_unpack("<f", packed)]
    if not isinstance(value, list):
        return None
    return [_number(n) for n in value if isinstance(n, int | float)]


def _number(value: int | float) -> float:
    try:
        return float(value)
    except OverflowError:  # JSON has integers that no float holds
        return math.inf


@rule("OAI-EMB-001", "OAI-EMB-002", "OAI-EMB-003", "OAI-EMB-004", "OAI-EMB-005")
def judge_embeddings(exchange: Exchange, document: Any, report: Report) -> None:
    """Judges the decoded reply of POST /v1/embeddings."""
    fit("openai/embedding_list", document, _EMBEDDING_PLACES, "OAI-EMB-005", report)
    if not isinstance(document, Mapping):
        return
    entries = objects(document.get("data"))
    given = exchange.asked.get("input")
    many = len(given) if isinstance(given, list) and given and isinstance(given[0], str) else 1
    indexes = [entry.get("index") for entry in entries]
    if exchange.request is not None and indexes != list(range(many)):
        report.add(
            "OAI-EMB-002", f"{many} inputs, and these indexes came", at="/data", seen=indexes
        )
    encoding = exchange.asked.get("encoding_format") or "float"
    vectors = [vector(entry.get("embedding"), encoding) for entry in entries]
    if any(one is None for one in vectors):
        report.add(
            "OAI-EMB-003",
            f"an embedding is not in {encoding}, which was asked for",
            at="/data",
            seen=entries,
        )
        return
    lengths = [len(one or ()) for one in vectors]
    if len(set(lengths)) > 1 or 0 in lengths:
        report.add("OAI-EMB-004", "lengths differ, or are zero", at="/data", seen=lengths)
    if any(not math.isfinite(number) for one in vectors for number in one or ()):
        report.add("OAI-EMB-004", "a number is not finite", at="/data")
