"""LoRAX's native replies, byte for byte.

Joined from fragments rather than encoded from objects: a stream event is a few concatenations, its key
order is fixed here, and its floats are spelled as 32-bit ones once and remembered.
"""

from collections.abc import Sequence
from typing import Final

import msgspec

from lorax_mock.serde.floats import spell_f32
from lorax_mock.wire.native import Generated, PrefillToken, SimpleToken, Token

__all__ = [
    "KEEP_ALIVE",
    "encode_error",
    "encode_generate",
    "encode_stream_event",
    "encode_text",
    "encode_token",
    "encode_tokenize",
    "sse",
]

KEEP_ALIVE: Final = b":\n\n"
"""axum's comment after 15 silent seconds of a stream."""

_json: Final = msgspec.json.Encoder().encode
_BOOL: Final = {True: b"true", False: b"false"}
_LOGPROBS: dict[float, bytes] = {}
_TOKEN_HEADS: dict[tuple[int, str], bytes] = {}
_CACHE_LIMIT: Final = 200_000
"""Entries; the built-in vocabulary and its logprobs need a tenth of it."""

_EVENTS: dict[tuple[int, str, float | None, bool], bytes] = {}
"""Events of tokens without alternatives that are not the last."""

_EVENTS_LIMIT: Final = 20_000
"""Entries, of some 300 bytes each."""

_LONG: Final = 64
"""Characters of a text that is no vocabulary's, but a script's."""


def encode_text(text: str) -> bytes:
    """A JSON string as serde_json writes it: only quotes, backslashes and controls escaped."""
    return _json(text)


def _logprob(value: float | None) -> bytes:
    if value is None:
        return b"null"
    spelled = _LOGPROBS.get(value)
    if spelled is None:
        if len(_LOGPROBS) > _CACHE_LIMIT:
            _LOGPROBS.clear()
        spelled = _LOGPROBS[value] = spell_f32(value).encode()
    return spelled


def encode_token(token: Token) -> bytes:
    """`{"id","text","logprob","special","alternative_tokens"?,"skipped"}`."""
    key = (token.id, token.text)
    head = _TOKEN_HEADS.get(key)
    if head is None:
        if len(_TOKEN_HEADS) > _CACHE_LIMIT:
            _TOKEN_HEADS.clear()
        head = b'{"id":%d,"text":%b,"logprob":' % (token.id, _json(token.text))
        _TOKEN_HEADS[key] = head
    if token.alternatives is None and not token.skipped:
        tail = b',"special":true,"skipped":false}' if token.special else _PLAIN_TAIL
        return head + _logprob(token.logprob) + tail
    alternatives = b""
    if token.alternatives is not None:
        listed = b",".join(
            b'{"id":%d,"text":%b,"logprob":%b}'
            % (option_.id, _json(option_.text), _logprob(option_.logprob))
            for option_ in token.alternatives
        )
        alternatives = b',"alternative_tokens":[' + listed + b"]"
    return b'%b%b,"special":%b%b,"skipped":%b}' % (
        head,
        _logprob(token.logprob),
        _BOOL[token.special],
        alternatives,
        _BOOL[token.skipped],
    )


_PLAIN_TAIL: Final = b',"special":false,"skipped":false}'


def _prefill(tokens: tuple[PrefillToken, ...]) -> bytes:
    return b",".join(
        b'{"id":%d,"text":%b,"logprob":%b}' % (token.id, _json(token.text), _logprob(token.logprob))
        for token in tokens
    )


def _seed(seed: int | None) -> bytes:
    return b"null" if seed is None else b"%d" % seed


def encode_generate(
    best: Generated, *, details: bool, others: tuple[Generated, ...] | None = None, prompt: str = ""
) -> bytes:
    """A GenerateResponse; `prompt` is set in front of the text, `others` are best_of's losers."""
    text = _json(prompt + best.text)
    if not details:
        return b'{"generated_text":' + text + b"}"
    losers = b""
    if others is not None:
        losers = b',"best_of_sequences":[%b]' % b",".join(
            b'{"generated_text":%b,"finish_reason":"%b","generated_tokens":%d,"seed":%b,'
            b'"prefill":[%b],"tokens":[%b]}'
            % (
                _json(prompt + other.text),
                other.finish_reason.value.encode(),
                len(other.tokens),
                _seed(other.seed),
                _prefill(other.prefill),
                b",".join(map(encode_token, other.tokens)),
            )
            for other in others
        )
    return (
        b'{"generated_text":%b,"details":{"finish_reason":"%b","prompt_tokens":%d,'
        b'"generated_tokens":%d,"skipped_tokens":%d,"seed":%b,"prefill":[%b],"tokens":[%b]%b}}'
        % (
            text,
            best.finish_reason.value.encode(),
            best.prompt_tokens,
            len(best.tokens),
            sum(token.skipped for token in best.tokens),
            _seed(best.seed),
            _prefill(best.prefill),
            b",".join(map(encode_token, best.tokens)),
            losers,
        )
    )


def encode_stream_event(
    token: Token, end: Generated | None = None, *, details: bool = False, prompt: str = ""
) -> bytes:
    """One framed event; with `end` the final one, which alone holds text and details."""
    if end is None:
        if token.alternatives is not None or token.skipped or len(token.text) > _LONG:
            return _unfinished(token)
        key = (token.id, token.text, token.logprob, token.special)
        known = _EVENTS.get(key)
        if known is None:
            if len(_EVENTS) >= _EVENTS_LIMIT:
                _EVENTS.clear()
            known = _EVENTS[key] = _unfinished(token)
        return known
    told = b"null"
    if details:
        told = b'{"finish_reason":"%b","prompt_tokens":%d,"generated_tokens":%d,"seed":%b}' % (
            end.finish_reason.value.encode(),
            end.prompt_tokens,
            len(end.tokens),
            _seed(end.seed),
        )
    return b'data: {"token":%b,"generated_text":%b,"details":%b}\n\n' % (
        encode_token(token),
        _json(prompt + end.text),
        told,
    )


def _unfinished(token: Token) -> bytes:
    return b'data: {"token":%b,"generated_text":null,"details":null}\n\n' % encode_token(token)


def encode_error(message: str, error_type: str) -> bytes:
    """LoRAX's flat envelope."""
    return b'{"error":%b,"error_type":%b}' % (_json(message), _json(error_type))


def encode_tokenize(tokens: Sequence[SimpleToken]) -> bytes:
    """The reply of `/tokenize`: a bare list."""
    return b"[%b]" % b",".join(
        b'{"id":%d,"text":%b,"start":%d,"stop":%d}'
        % (token.id, _json(token.text), token.start, token.stop)
        for token in tokens
    )


def sse(payload: bytes) -> bytes:
    """One event as axum frames it: a single data line and a blank one."""
    return b"data: " + payload + b"\n\n"
