"""Legacy completions: a prompt to a plan, pieces to OpenAI's objects, and the prompt's own logprobs.

Sources: CreateCompletionRequest and CreateCompletionResponse of OpenAI's published document. A
choice's `logprobs` are four lists of one length: tokens, their log probabilities, the likeliest in
each place (the chosen one among them), and where each token's text begins in `text`.

A prompt goes to LoRAX as it is: no template, and its special-token spellings mean what they say.
"""

from collections.abc import Sequence
from typing import Any

from lorax_proxy.core.plan import Facts, Plan, end_tokens, make_plan, stop_strings
from lorax_proxy.core.routing import Route
from lorax_proxy.core.stream import Finished, Piece, Reading, Text, TokenLogprob
from lorax_proxy.errors import RequestRefused
from lorax_proxy.wire.lorax import PrefillToken
from lorax_proxy.wire.openai_replies import ChunkWriter
from lorax_proxy.wire.openai_requests import CompletionRequest

__all__ = [
    "CompletionStyle",
    "logprobs_document",
    "plan_completion",
    "prompt_count",
    "prompt_tokens",
]

_DEFAULT_BUDGET = 16
"""OpenAI's default `max_tokens` for completions."""


class CompletionStyle:
    """How a legacy completion is written (`core.style.Style`); remembers how long each text is."""

    def __init__(self, *, logprobs: bool) -> None:
        """Take whether log probabilities were asked for."""
        self._logprobs = logprobs
        self._lengths: dict[int, int] = {}

    @property
    def whole_object(self) -> str:
        """The `object` of a whole answer."""
        return "text_completion"

    @property
    def chunk_object(self) -> str:
        """The `object` of a chunk: the same."""
        return "text_completion"

    @property
    def prompt_param(self) -> str:
        """Where the client put its prompt."""
        return "prompt"

    def finish_reason(self, finished: Finished) -> str:
        """OpenAI's `finish_reason`."""
        return finished.reason

    def opening(self, writer: ChunkWriter, index: int) -> bytes:
        """Nothing opens a completion's stream."""
        del writer, index
        return b""

    def chunk(self, writer: ChunkWriter, index: int, piece: Piece) -> bytes:
        """The chunk that carries one piece."""
        text = piece.text if isinstance(piece, Text) else ""
        tokens = piece.logprobs if isinstance(piece, Text) else ()
        begin = self._lengths.get(index, 0)
        self._lengths[index] = begin + len(text)
        return writer.choice(
            {
                "index": index,
                "text": text,
                "logprobs": logprobs_document(tokens, begin) if tokens else None,
                "finish_reason": piece.reason if isinstance(piece, Finished) else None,
            }
        )

    def frame(self, writer: ChunkWriter, index: int) -> tuple[bytes, bytes]:
        """What stands before and after a text."""
        return writer.frame(
            b'{"index":%d,"text":' % index, b',"logprobs":null,"finish_reason":null}'
        )

    def folded(self, index: int, pieces: Sequence[Piece]) -> dict[str, Any]:
        """A whole choice: what its chunks add up to."""
        texts = [piece for piece in pieces if isinstance(piece, Text)]
        tokens = [token for piece in texts for token in piece.logprobs]
        ends = [piece for piece in pieces if isinstance(piece, Finished)]
        return {
            "index": index,
            "text": "".join(piece.text for piece in texts),
            "logprobs": logprobs_document(tokens, 0) if self._logprobs else None,
            "finish_reason": ends[-1].reason,
        }


def logprobs_document(tokens: Sequence[TokenLogprob], begin: int) -> dict[str, Any]:
    """The `logprobs` of CreateCompletionResponse; `begin` is where the first token's text begins."""
    offsets: list[int] = []
    for token in tokens:
        offsets.append(begin)
        begin += len(token.text)
    return {
        "tokens": [token.text for token in tokens],
        "token_logprobs": [token.logprob for token in tokens],
        "top_logprobs": [_top(token) for token in tokens],
        "text_offset": offsets,
    }


def _top(token: TokenLogprob) -> dict[str, float] | None:
    """The likeliest tokens with the chosen one, which OpenAI always adds; null in a prompt."""
    if token.top is None or token.logprob is None:
        return None
    return {**dict(token.top), token.text: token.logprob}


def plan_completion(request: CompletionRequest, route: Route, facts: Facts) -> Plan:
    """Plan a legacy completion.

    Raises:
        RequestRefused: 400 for what cannot be asked.
    """
    n = request.n or 1
    best_of = request.best_of or 1
    if best_of > n and request.stream:
        raise RequestRefused(
            "Invalid 'best_of': the best is known at the end only, so it cannot be streamed.",
            param="best_of",
            code="invalid_value",
        )
    if request.best_of and best_of < n:
        raise RequestRefused(
            f"Invalid 'best_of': it must be at least 'n', which is {n}.",
            param="best_of",
            code="invalid_value",
        )
    logprobs = request.logprobs
    if logprobs is None:
        logprobs = request.return_k_alternatives
    if request.echo and logprobs is not None and request.truncate is not None:
        raise RequestRefused(
            "Invalid 'truncate': a prompt that is cut cannot be echoed with its logprobs.",
            param="truncate",
            code="invalid_value",
        )
    return make_plan(
        request,
        route,
        facts,
        prompts=_prompts(request),
        prompt_param="prompt",
        budget=_DEFAULT_BUDGET if request.max_tokens is None else request.max_tokens,
        reading=Reading(
            stops=stop_strings(request, route), logprobs=logprobs, ends=end_tokens(request)
        ),
        tries=best_of,
        echo=bool(request.echo),
    )


def prompt_count(request: CompletionRequest) -> int:
    """How many prompts there are; token arrays, which are refused, count as one."""
    prompt = request.prompt
    if not isinstance(prompt, list) or not prompt or not isinstance(prompt[0], str):
        return 1
    return len(prompt)


def _prompts(request: CompletionRequest) -> list[str]:
    prompt = request.prompt
    prompts = [prompt] if isinstance(prompt, str) else prompt
    texts = [text for text in prompts or () if isinstance(text, str)]
    if prompts and len(texts) < len(prompts):
        raise RequestRefused(
            "Unsupported 'prompt': token numbers belong to a tokenizer that you cannot see; "
            "send text.",
            param="prompt",
            code="unsupported_parameter",
        )
    if not texts or not all(texts):
        raise RequestRefused(
            "Invalid 'prompt': it must be a text that is not empty, or a list of such texts.",
            param="prompt",
            code="invalid_value",
        )
    return texts


def prompt_tokens(
    prompt: str, prefill: Sequence[PrefillToken], bos: str | None
) -> tuple[TokenLogprob, ...]:
    """The prompt's tokens with their log probabilities; their texts join to the prompt.

    The first one's is null, as OpenAI's is: the BOS before it is LoRAX's, and nobody asked for it.

    LoRAX decodes each token of a prompt by itself (server/lorax_server/models/flash_causal_lm.py),
    so that the parts of a split character are U+FFFD and some leading spaces are lost. Each token
    therefore gets the part of the prompt that it stands for: nothing for an incomplete character,
    the whole of it with the token behind it.

    Args:
        prompt: The prompt as sent.
        prefill: LoRAX's `details.prefill`.
        bos: The spelling of the BOS that LoRAX put in front, which is dropped.
    """
    if prefill and bos and prefill[0].text == bos:
        prefill = prefill[1:]
    texts: list[str] = []
    position = 0
    for token in prefill:
        piece = token.text
        found = -1
        if piece.strip("\ufffd"):
            # what is skipped are spaces that decoding lost, or characters that were split
            found = prompt.find(piece, position, position + len(piece) + _SKIPPED)
        end = position if found < 0 else found + len(piece)
        texts.append(prompt[position:end])
        position = end
    if texts:
        texts[-1] += prompt[position:]
    return tuple(
        TokenLogprob(text, token.logprob if position else None, None)
        for position, (text, token) in enumerate(zip(texts, prefill, strict=True))
    )


_SKIPPED = 16
"""Characters of a prompt that tokens before may stand for without showing it."""
