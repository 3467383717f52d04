"""From the answers that LoRAX gave to those that the client gets: chosen, echoed and counted.

`best_of` asks more often than it returns; LoRAX's own is not used (`core.plan`). A zero budget asks for
nothing, or, when the prompt's log probabilities are wanted, for a token that is thrown away.
"""

from collections.abc import Sequence

import msgspec

from lorax_proxy.core.plan import Plan
from lorax_proxy.core.stream import Finished, Piece, Text
from lorax_proxy.core.text_completion import prompt_tokens
from lorax_proxy.wire.lorax import PrefillToken

__all__ = ["Whole", "count_generated", "count_prompts", "select", "unasked"]


class Whole(msgspec.Struct, frozen=True):
    """One LoRAX request's whole answer.

    Attributes:
        pieces: The choice's pieces; the last is `Finished`.
        headers: LoRAX's headers.
        prefill: The prompt's tokens, if they were asked for.
        mean_logprob: The mean log probability of its tokens, by which `best_of` chooses.
    """

    pieces: Sequence[Piece]
    headers: Sequence[tuple[str, str]] = ()
    prefill: Sequence[PrefillToken] = ()
    mean_logprob: float = 0.0

    @property
    def end(self) -> Finished:
        """How the choice ended."""
        last = self.pieces[-1]
        assert isinstance(last, Finished)  # noqa: S101 - what makes an answer whole
        return last


def unasked(plan: Plan) -> list[Whole]:
    """The answers to a zero budget, which LoRAX refuses (router/src/validation.rs): empty ones."""
    return [Whole([Finished("length", 0, None)])] * (len(plan.prompts) * plan.choices)


def select(plan: Plan, every: Sequence[Whole], bos: str | None) -> list[Whole]:
    """The answers that are returned, prompt by prompt, as the client sees them.

    Args:
        plan: What was asked.
        every: Every answer, prompt by prompt.
        bos: What `/generate` puts before a prompt; `core.text_completion.prompt_tokens` says why.
    """
    tries = len(every) // len(plan.prompts)
    selected: list[Whole] = []
    for number, prompt in enumerate(plan.prompts):
        mine = every[number * tries : (number + 1) * tries]
        if plan.choices < tries:
            # the likeliest by token, the first of equals: how LoRAX chooses, and OpenAI
            mine = sorted(mine, key=lambda answer: -answer.mean_logprob)[: plan.choices]
        selected += [_echoed(plan, prompt, answer, bos) for answer in mine]
    return selected


def _echoed(plan: Plan, prompt: str, answer: Whole, bos: str | None) -> Whole:
    if plan.discard:
        answer = Whole(
            [Finished("length", 0, answer.end.prompt_tokens)], answer.headers, answer.prefill
        )
    if not plan.echo:
        return answer
    tokens = prompt_tokens(prompt, answer.prefill, bos) if plan.score else ()
    return Whole([Text(prompt, tokens), *answer.pieces], answer.headers)


def count_prompts(plan: Plan, ends: Sequence[Finished]) -> list[int | None]:
    """Each prompt's tokens as LoRAX told them with any of its answers, None where it did not.

    It does not tell when we stopped it, or when its model does not count (causal_lm.py:689).
    """
    tries = len(ends) // len(plan.prompts)
    return [
        next(
            (
                end.prompt_tokens
                for end in ends[number * tries : (number + 1) * tries]
                if end.prompt_tokens
            ),
            None,
        )
        for number in range(len(plan.prompts))
    ]


def count_generated(plan: Plan, ends: Sequence[Finished]) -> int:
    """The tokens that were generated for the client, those of answers that were not chosen too."""
    return 0 if plan.discard else sum(end.completion_tokens for end in ends)
