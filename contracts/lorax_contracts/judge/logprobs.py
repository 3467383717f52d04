"""Log probabilities of a chat answer: there when asked for, adding up to the text, and credible."""

import math
import re
import sys
from collections.abc import Mapping
from itertools import pairwise
from typing import Any

from lorax_contracts.exchange import Exchange
from lorax_contracts.judge.answer import Choice, mapping, objects
from lorax_contracts.judge.report import Report
from lorax_contracts.rules import rule

__all__ = ["judge_logprobs", "judge_unasked_logprobs", "not_a_logprob", "token_bytes"]

# Rounding of 32-bit floats, and of the tenth decimal that some servers print.
_SLACK = 1e-3


def not_a_logprob(value: Any) -> bool:
    """Whether a number cannot be the logarithm of a probability."""
    if not isinstance(value, int | float) or isinstance(value, bool):
        return True
    # JSON has integers that no float holds.
    return not -sys.float_info.max <= value <= _SLACK


def _bytes(entry: Mapping[str, Any]) -> bytes:
    listed = entry.get("bytes")
    if isinstance(listed, list):
        return bytes(b for b in listed if isinstance(b, int) and 0 <= b < 256)
    return str(entry.get("token", "")).encode("utf-8", "surrogatepass")


def token_bytes(logprobs: Any) -> bytes | None:
    """The bytes of all tokens, joined; None where any token came without them."""
    entries = objects(mapping(logprobs).get("content"))
    if not entries or any(not isinstance(entry.get("bytes"), list) for entry in entries):
        return None
    return b"".join(_bytes(entry) for entry in entries)


def _alternatives(entry: Mapping[str, Any], asked: Any, at: str, report: Report) -> None:
    top = objects(entry.get("top_logprobs"))
    values = [item.get("logprob") for item in top]
    if any(not_a_logprob(value) for value in values):
        report.add("OAI-LOGP-003", "an alternative is no log probability", at=at, seen=values)
        return
    numbers = [float(value) for value in values if isinstance(value, int | float)]
    distinct = {str(item.get("token")) + str(item.get("bytes")) for item in top}
    if len(distinct) == len(top) and sum(math.exp(min(n, 0)) for n in numbers) > 1 + 0.02:
        report.add("OAI-LOGP-003", "the alternatives' mass passes 1", at=at, seen=values)
    most = asked if isinstance(asked, int) and not isinstance(asked, bool) else 0
    # The sampled token may be appended when it is not among the first.
    if len(top) > (most + 1 if most else 0):
        report.add(
            "OAI-LOGP-004", f"{len(top)} alternatives, {most} were asked for", at=at, seen=values
        )
    ranked = numbers[:most] if most else numbers
    if any(after > before + _SLACK for before, after in pairwise(ranked)):
        report.add("OAI-LOGP-004", "alternatives are not most likely first", at=at, seen=values)


def _broken_alike(joined: bytes, text: str, loose: bool) -> bool:  # noqa: FBT001 - one caller
    """Whether the model wrote bytes that are no UTF-8, and the text stands for them."""
    try:
        joined.decode("utf-8")
    except UnicodeDecodeError:
        # How many U+FFFD stand for a run of bytes is the decoder's choice.
        said, shown = (
            re.sub("\ufffd+", "\ufffd", one) for one in (joined.decode("utf-8", "replace"), text)
        )
        return said.startswith(shown.rstrip("\ufffd")) if loose else said == shown
    return False


@rule("OAI-LOGP-005")
def judge_unasked_logprobs(exchange: Exchange, choice: Choice, report: Report) -> None:
    """Judges one choice of a request that did not ask for them; silent when it is not known."""
    content = mapping(choice.logprobs).get("content")
    unasked = exchange.request is not None and exchange.asked.get("logprobs") is not True
    if unasked and isinstance(content, list) and content:
        at = f"/choices/{choice.index}/logprobs"
        report.add("OAI-LOGP-005", "logprobs came unasked", at=at, seen=content[0])


@rule("OAI-LOGP-001", "OAI-LOGP-002", "OAI-LOGP-003", "OAI-LOGP-004")
def judge_logprobs(exchange: Exchange, choice: Choice, report: Report) -> None:
    """Judges one choice of a request that asked for them."""
    if exchange.asked.get("logprobs") is not True:
        return
    at = f"/choices/{choice.index}/logprobs"
    content = mapping(choice.logprobs).get("content")
    if not isinstance(content, list) or (not content and choice.text):
        # A call's arguments are not content, and have none.
        if choice.text:
            report.add(
                "OAI-LOGP-001",
                "logprobs were asked for and did not come",
                at=at,
                seen={"logprobs": choice.logprobs},
            )
        return
    entries = objects(content)
    joined = b"".join(_bytes(entry) for entry in entries)
    text = choice.text.encode("utf-8", "surrogatepass")
    # Servers differ about tokens that a stop string or the budget cut.
    loose = bool(exchange.asked.get("stop")) or choice.finish == "length"
    same = joined.startswith(text.removesuffix(b"\xef\xbf\xbd")) if loose else joined == text
    if not same and not choice.calls and not _broken_alike(joined, choice.text, loose):
        report.add("OAI-LOGP-002", "the tokens' bytes are not the content", at=at, seen=joined)
    for place, entry in enumerate(entries):
        where = f"{at}/content/{place}"
        if not_a_logprob(entry.get("logprob")):
            report.add("OAI-LOGP-003", "no log probability", at=where, seen=entry)
        _alternatives(entry, exchange.asked.get("top_logprobs"), where, report)
