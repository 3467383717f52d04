"""What a run asks, in order, and which laws each step can show broken.

A step is one probe. It names the rules that its replies fall under, and so the laws that it can show
broken: one law alone is judged by the steps that matter to it (`--only`). It also says how many
requests it makes of a server that keeps every law, so that a progress bar can say how far a run is.
Tests hold both against runs on planted servers.
"""

from collections.abc import Callable
from dataclasses import dataclass

from lorax_contracts import relations
from lorax_contracts.judge import (
    chat as chat_rules,
)
from lorax_contracts.judge import (
    chunks,
    completions,
    content,
    events,
    failures,
    framing,
    generate,
    generated,
    logprobs,
    openai,
    router,
    tools,
)
from lorax_contracts.judge import (
    listings as listing_rules,
)
from lorax_contracts.probes import chat, chat_options, limits, listings, lorax, refusals, streams
from lorax_contracts.rules import Rule, shown_by
from lorax_contracts.session import Session

__all__ = ["EXPLORED", "PLANS", "Step", "steps_for"]


@dataclass(frozen=True, slots=True)
class Step:
    """One probe of a plan.

    Attributes:
        name: what is being looked at, for people.
        run: the probe.
        requests: how many it makes of a server that keeps every law.
        rules: what its replies are judged by; the probe among them where it reports laws itself.
    """

    name: str
    run: Callable[[Session], object]
    requests: int
    rules: tuple[Rule, ...]

    @property
    def judges(self) -> frozenset[str]:
        """Ids of the laws that it can show broken."""
        return shown_by(*self.rules)


# What any answer of a model shows, however it came and whatever was asked for.
_SAID = (content.judge_text, content.judge_budget, content.judge_usage)
# The same of a plain chat reply, of a chat stream, and of text completions.
_REPLY = (
    openai.judge_openai,
    openai.judge_form,
    chat_rules.judge_chat,
    logprobs.judge_unasked_logprobs,
    *_SAID,
)
_STREAM = (
    *(openai.judge_openai, openai.judge_form, framing.judge_framing, chunks.judge_chunks),
    *(logprobs.judge_unasked_logprobs, *_SAID),
)
_COMPLETION = (
    *(openai.judge_openai, openai.judge_form, framing.judge_framing, content.judge_stops),
    *(completions.judge_completion, completions.judge_completion_stream, *_SAID),
)
_CALLS = (tools.judge_tools, content.judge_finish)

# What any reply of a LoRAX shows, and what its generations do.
_ROUTER = (router.judge_lorax, failures.error_misfit)
_GENERATED = (
    *(router.judge_generation_headers, router.judge_stream_form, events.judge_events),
    *(generate.judge_generate, generate.judge_seed, generated.judge_generated),
)

EXPLORED = {
    "openai": shown_by(
        *(*_REPLY, *_STREAM, *_COMPLETION, *_CALLS, logprobs.judge_logprobs, limits.failed)
    ),
    "lorax": shown_by(*_ROUTER, *_GENERATED),
}
"""What drawn requests can show, by wire."""

PLANS: dict[str, tuple[Step, ...]] = {
    "openai": (
        Step(
            "chat",
            chat.probe_chat,
            13,
            (
                *(chat.probe_chat, *_REPLY, *_STREAM, relations.two_ids),
                *(relations.cut_by_budget, relations.same_prompt_counts),
            ),
        ),
        Step(
            "streams",
            streams.probe_streams,
            7,
            (
                *(streams.probe_streams, *_STREAM, relations.same_streamed, relations.two_ids),
                relations.cut_by_budget,
            ),
        ),
        Step(
            "stop strings",
            chat.probe_stops,
            9,
            (
                *(chat.probe_stops, *_REPLY, *_STREAM, content.judge_stops),
                relations.cut_by_stop,
            ),
        ),
        Step(
            "accepted requests",
            chat.probe_accepted,
            9,
            (chat.probe_accepted, *_REPLY, *_STREAM, relations.same_streamed),
        ),
        Step(
            "log probabilities",
            chat_options.probe_logprobs,
            5,
            (chat_options.probe_logprobs, *_REPLY, *_STREAM, logprobs.judge_logprobs),
        ),
        Step(
            "tools",
            chat_options.probe_tools,
            11,
            (chat_options.probe_tools, *_REPLY, *_STREAM, *_CALLS, relations.same_streamed),
        ),
        Step(
            "structured output",
            chat_options.probe_json,
            4,
            (*_REPLY, *_STREAM, tools.judge_json, relations.same_streamed),
        ),
        Step(
            "refusals",
            refusals.probe_refusals,
            28,
            (refusals.probe_refusals, refusals.refused, openai.judge_refusal),
        ),
        Step(
            "limits",
            limits.probe_limits,
            10,
            (
                *(
                    limits.probe_limits,
                    limits.failed,
                    *_REPLY,
                    refusals.refused,
                    openai.judge_refusal,
                ),
                relations.unseen_image,
            ),
        ),
        Step(
            "models",
            listings.probe_models,
            6,
            (
                *(listings.probe_models, *_REPLY, openai.judge_refusal),
                *(listing_rules.judge_models, listing_rules.judge_model),
            ),
        ),
        Step(
            "completions",
            listings.probe_completions,
            18,
            (
                *(listings.probe_completions, *_COMPLETION, relations.same_streamed),
                *(relations.cut_by_budget, relations.cut_by_stop),
                *(refusals.refused, openai.judge_refusal),
            ),
        ),
        Step(
            "embeddings",
            listings.probe_embeddings,
            5,
            (listings.probe_embeddings, openai.judge_openai, listing_rules.judge_embeddings),
        ),
    ),
    "lorax": (
        Step(
            "info and health",
            lorax.probe_info,
            4,
            (lorax.probe_info, *_ROUTER, router.judge_info, router.judge_health),
        ),
        Step("generate", lorax.probe_generate, 39, (*_ROUTER, *_GENERATED, relations.same_native)),
        Step(
            "validation",
            lorax.probe_validation,
            42,
            (lorax.probe_validation, *_ROUTER, router.judge_stream_form),
        ),
        Step("http", lorax.probe_http, 19, (lorax.probe_http, *_ROUTER)),
        Step(
            "tokens and limits",
            lorax.probe_tokens,
            10,
            (lorax.probe_tokens, *_ROUTER, router.judge_tokens),
        ),
        Step(
            "embeddings and classes",
            lorax.probe_vectors,
            0,
            (*_ROUTER, router.judge_vectors, router.judge_classes),
        ),
    ),
}
"""The steps of a run by wire, in order."""


def steps_for(wire: str, wants: Callable[[str], bool]) -> tuple[Step, ...]:
    """The steps that can judge one of the laws that are wanted."""
    return tuple(step for step in PLANS[wire] if any(map(wants, step.judges)))
