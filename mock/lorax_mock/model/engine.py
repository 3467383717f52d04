"""(request, seed, occurrence) -> tokens: everything that decides a body, and nothing else.

What a draw may depend on is written down once, in `Identity`: the mock's seed, the prompt as the
shard sees it, the adapter, and for sampled requests the sampling parameters with their seed. What
must *not* change the text is left out of it: budgets, stop strings and details cut or show a text,
they never choose it. So one request streamed and not streamed, with a long budget and a short one,
tells the same story up to where it is cut.

Stopping follows server/lorax_server/utils/tokens.py:150-212: after each token length is tested,
then EOS, then stop strings, and those only against the end of the text so far (or the end before
one final newline, because Python's `$` matches there too).
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import chain, islice, repeat

from lorax_mock.errors import generation
from lorax_mock.hashing import Draws, digest
from lorax_mock.model.distribution import Distribution, Overflowed, distribution_for, overflows
from lorax_mock.model.personas import Persona
from lorax_mock.outlines.sample import compose
from lorax_mock.prompt.decoding import Decoder, whole_text
from lorax_mock.prompt.tokenizer import Tokenizer
from lorax_mock.router.validation import Valid
from lorax_mock.scripting.script import Reply
from lorax_mock.wire.native import Alternative, FinishReason, Generated, PrefillToken, Token

__all__ = ["Source", "divided", "generate", "pick_best", "request_key", "server_seed"]

Source = Iterator[Sequence[int]]
"""Token ids that the model would go on to produce, EOS among them, some at a time, without end."""


def request_key(valid: Valid, adapter: str, seed: int) -> bytes:
    """What a greedy text may depend on: the mock's seed, the adapter and the visible prompt."""
    prompt = b"".join(token.to_bytes(4) for token in valid.prompt)
    return digest("request", seed, adapter, prompt)


def server_seed(key: bytes, valid: Valid, occurrence: int) -> int:
    """The seed that LoRAX would have drawn for a request without one; any 64 bits."""
    return int.from_bytes(digest(key, "seed", _sampling(valid), occurrence)[:8])


def _sampling(valid: Valid) -> str:
    asked = valid.request.parameters
    return repr(
        (
            asked.do_sample,
            asked.temperature,
            asked.top_k,
            asked.top_p,
            asked.typical_p,
            asked.repetition_penalty,
            asked.frequency_penalty,
            asked.presence_penalty,
        )
    )


@dataclass(frozen=True, slots=True)
class _Ending:
    """The conditions that end a generation."""

    budget: int
    eos: frozenset[int]
    """Empty when EOS is to be ignored."""

    stops: tuple[str, ...]

    def reason(self, count: int, token: int, texts: list[str]) -> FinishReason | None:
        """The reason to end with this token; None while there is none."""
        if count >= self.budget:
            return FinishReason.LENGTH
        if token in self.eos:
            return FinishReason.EOS
        if self.stops:
            so_far = "".join(texts)
            for stop in self.stops:
                if so_far.endswith((stop, f"{stop}\n")):
                    return FinishReason.STOP
        return None

    def cut(self, source: Source) -> tuple[list[int], FinishReason | None]:
        """Ids up to the one that ends them, and why, if nobody asked for stop strings."""
        ids: list[int] = []
        ended = False
        for part in source:
            if self.eos.isdisjoint(part):
                ids += part
            else:
                ids += part[: next(n for n, token in enumerate(part, 1) if token in self.eos)]
                ended = True
            if ended or len(ids) >= self.budget:
                break
        if len(ids) >= self.budget:
            del ids[self.budget :]
            return ids, FinishReason.LENGTH
        return ids, FinishReason.EOS if ended else None


def generate(
    valid: Valid,
    persona: Persona,
    tokenizer: Tokenizer,
    key: bytes,
    *,
    seed: int,
    reply: Reply | None = None,
) -> Generated:
    """One sequence; `seed` counts only if the request samples, `reply` replaces the persona.

    Raises LoraxRefusal (424) for what the shard raises in the first forward pass.
    """
    parameters = valid.request.parameters
    if valid.samples:
        key = digest(key, "sampled", _sampling(valid), seed)
    forced = valid.schema is not None
    source = _tokens(valid, persona, tokenizer, key)
    spelled: tuple[str, ...] = ()
    if reply is not None:
        spelled = reply.tokens
        _check_top_k(valid, tokenizer)
        source = _scripted(reply, tokenizer, source)
    distribution = distribution_for(parameters, samples=valid.samples, forced=forced)
    if reply is None and overflows(parameters, samples=valid.samples, forced=forced):
        distribution = Overflowed()
        source = _first_of_the_infinite(valid, source)
    chances = zip(
        Draws(key, "confidence"), Draws(key, "luck") if valid.samples else repeat(0), strict=False
    )
    ending = _Ending(
        valid.max_new_tokens,
        frozenset() if parameters.ignore_eos_token else tokenizer.ends,
        parameters.stop,
    )
    decoder = tokenizer.decoder(valid.prompt)
    if spelled or ending.stops or parameters.return_k_alternatives is not None:
        tokens, finish = _one_by_one(
            zip(chain.from_iterable(source), chances, strict=False),
            spelled,
            ending,
            distribution,
            tokenizer,
            decoder,
            alternatives=parameters.return_k_alternatives,
        )
    else:
        # The same tokens, a fifth of the time: nothing depends on what was said before.
        ids, finish = ending.cut(source)
        logprobs = [
            logprob
            for _, logprob in map(distribution.choices.__getitem__, islice(chances, len(ids)))
        ]
        special = {token for token in set(ids) if tokenizer.is_special(token)}
        specials = map(special.__contains__, ids)
        tokens = list(map(Token, ids, decoder.feed_all(ids), logprobs, specials))
    if finish is None:
        # Only a scripted reply with a reason of its own comes to an end by itself.
        finish = FinishReason.LENGTH if reply is None else reply.finish or FinishReason.EOS
    prefill: tuple[PrefillToken, ...] = ()
    if parameters.decoder_input_details:
        prefill = _prefill(valid.prompt, tokenizer, key, distribution)
    if spelled:
        whole = "".join(token.text for token in tokens if not token.special)
    else:
        whole = _whole(valid, tokenizer, tokens)
    return Generated(
        whole,
        finish,
        len(valid.prompt),
        seed if valid.samples else None,
        prefill,
        tokens,
    )


def _one_by_one(
    source: Iterator[tuple[int, tuple[int, int]]],
    spelled: tuple[str, ...],
    ending: _Ending,
    distribution: Distribution,
    tokenizer: Tokenizer,
    decoder: Decoder,
    *,
    alternatives: int | None,
) -> tuple[list[Token], FinishReason | None]:
    """Tokens up to the one that ends them, and why; `source` are ids, each with its two draws."""
    texts: list[str] = []
    tokens: list[Token] = []
    for token, (certainty, luck) in source:
        own = len(tokens) < len(spelled)
        text = spelled[len(tokens)] if own else decoder.feed(token)
        texts.append(text)
        rank, logprob = distribution.choices[certainty, luck]
        listed = None
        if alternatives is not None:
            # The shard decodes each as if it followed the chosen token, the chosen one as well.
            shown = text if own else decoder.peek(token)
            listed = tuple(
                Alternative(one, shown if one == token else decoder.peek(one), its)
                for one, its in _likeliest(
                    tokenizer.size(), distribution, token, certainty, rank=rank, count=alternatives
                )
            )
        tokens.append(Token(token, text, logprob, tokenizer.is_special(token), listed))
        finish = ending.reason(len(tokens), token, texts)
        if finish is not None:
            return tokens, finish
    return tokens, None


def divided(answer: Generated, start: int, valid: Valid, tokenizer: Tokenizer) -> Generated:
    """The answer if its logits are divided by a temperature of 0 from token `start` on.

    They are infinite then, as all logits of the made-up model are positive, and greedy decoding takes the
    first: token 0, without a logprob, until the budget ends. Nothing else is looked for.
    """
    decoder = tokenizer.decoder(valid.prompt)
    tokens = list(answer.tokens[:start])
    for token in tokens:
        decoder.feed(token.id)
    count, size, distribution = (
        valid.request.parameters.return_k_alternatives,
        tokenizer.size(),
        Overflowed(),
    )
    while len(tokens) < valid.max_new_tokens:
        text = decoder.feed(0)
        listed = None
        if count is not None:
            ranked = _likeliest(size, distribution, 0, 0, rank=0, count=count)
            listed = tuple(Alternative(one, decoder.peek(one), None) for one, _ in ranked)
        tokens.append(Token(0, text, None, tokenizer.is_special(0), listed))
    text = _whole(valid, tokenizer, tokens)
    return replace(answer, text=text, tokens=tokens, finish_reason=FinishReason.LENGTH)


def _whole(valid: Valid, tokenizer: Tokenizer, tokens: list[Token]) -> str:
    return whole_text(
        partial(tokenizer.decode, skip_special=True),
        valid.prompt,
        [token.id for token in tokens],
    )


def _tokens(valid: Valid, persona: Persona, tokenizer: Tokenizer, key: bytes) -> Source:
    draws = Draws(key, "text")
    prompt = valid.request.inputs
    if valid.request.parameters.truncate is not None:
        prompt = tokenizer.decode(valid.prompt, skip_special=True)
    document = None
    if valid.schema is not None:
        spoken = persona.speak(prompt, Draws(key, "strings"), sampled=valid.samples)

        def words() -> str:
            return next(spoken)[0].strip()

        document = compose(valid.schema, draws, words)
    _check_top_k(valid, tokenizer)
    if document is not None:
        yield tokenizer.encode_plain(document)
        yield (tokenizer.eos,)
    for sentence, done in persona.speak(prompt, draws, sampled=valid.samples):
        yield tokenizer.encode(sentence, special=False)
        if done:
            yield (tokenizer.eos,)


def _check_top_k(valid: Valid, tokenizer: Tokenizer) -> None:
    """Raises LoraxRefusal as the shard does for more tokens than the model tells apart.

    It cuts such a number to the vocabulary's size, and then looks at that place, one past the last
    (server/lorax_server/utils/logits_process.py:309-317). Those are the words of a CPU; on a GPU the same
    look-up is a device-side assert, after which that shard can do nothing more.
    """
    top_k, most = valid.request.parameters.top_k, tokenizer.logits()
    if top_k is not None and top_k > most:
        raise generation(
            f"Server error: index {most} is out of bounds for dimension 1 with size {most}"
        )


def _first_of_the_infinite(valid: Valid, source: Source) -> Source:
    """The one token that is chosen, without end, where logits have overflowed.

    Probabilities of which one is infinite are all NaN, and the first of equals is token 0. Greedy decoding
    looks at the logits instead: those of the prompt's tokens are infinite, and the first is the lowest id.
    """
    next(source)  # the pass itself may raise
    yield from repeat((0 if valid.samples else min(valid.prompt),))


def _scripted(reply: Reply, tokenizer: Tokenizer, beyond: Source) -> Source:
    """The reply's tokens, then EOS and what the model would say after it, unless it just ends."""
    if reply.text is not None:
        yield tokenizer.encode(reply.text, special=False)
    for text in reply.tokens:
        yield (tokenizer.encode(text, special=False) or [0])[:1]
    if reply.finish is None:
        yield (tokenizer.eos,)
        yield from beyond


def _likeliest(
    size: int, distribution: Distribution, chosen: int, confidence: int, *, rank: int, count: int
) -> list[tuple[int, float | None]]:
    """The top `count` with their logprobs, best first; the chosen token is at its rank among them.

    Those that a mask forbids are all equal, and the shard's sort is stable: they come last, by their ids
    (server/lorax_server/models/flash_causal_lm.py:1701).
    """
    count = min(count, size)
    listed: list[tuple[int, float | None]] = []
    other = (chosen * 31 + confidence) % size
    for place in range(count):
        logprob = distribution.logprob(confidence, place)
        if logprob is None:
            break
        if place == rank:
            listed.append((chosen, logprob))
            continue
        other = (other + 1) % size
        if other == chosen:
            other = (other + 1) % size
        listed.append((other, logprob))
    if len(listed) < count:
        allowed = {one for one, _ in listed}
        forbidden = -1
        while len(listed) < count:
            forbidden += 1
            if forbidden not in allowed:
                listed.append((forbidden, None))
    return listed


def _prefill(
    prompt: tuple[int, ...], tokenizer: Tokenizer, key: bytes, distribution: Distribution
) -> tuple[PrefillToken, ...]:
    draws = Draws(key, "prefill")
    return tuple(
        PrefillToken(
            token,
            tokenizer.decode([token]),
            None if place == 0 else distribution.logprob(draws.byte(), 0),
        )
        for place, token in enumerate(prompt)
    )


def pick_best(candidates: list[Generated]) -> tuple[Generated, tuple[Generated, ...]]:
    """best_of's winner by mean logprob, the first of equals, and the rest in their order.

    What is no number, or minus infinity, is above nothing (router/src/infer.rs:1024-1042).
    """

    def mean(candidate: Generated) -> float:
        logprobs = [token.logprob for token in candidate.tokens]
        known = [logprob for logprob in logprobs if logprob is not None]
        return sum(known) / len(known) if len(known) == len(logprobs) else -math.inf

    best = max(range(len(candidates)), key=lambda place: mean(candidates[place]))
    return candidates[best], tuple(candidates[:best] + candidates[best + 1 :])
