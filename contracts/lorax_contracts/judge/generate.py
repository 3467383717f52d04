"""A native reply that came whole."""

from collections.abc import Mapping
from typing import Any

from lorax_contracts import schemas
from lorax_contracts.exchange import Exchange, Route
from lorax_contracts.judge.answer import mapping, objects
from lorax_contracts.judge.generated import Generated, judge_generated, parameters_of, samples
from lorax_contracts.judge.report import Report
from lorax_contracts.rules import rule

__all__ = ["judge_generate", "judge_seed"]


@rule("LORAX-GEN-008")
def judge_seed(exchange: Exchange, details: Mapping[str, Any], report: Report) -> None:
    """Judges whether a seed is named exactly when one was used."""
    parameters = parameters_of(exchange)
    sampled = samples(parameters)
    seed = details.get("seed")
    if exchange.request is None or sampled is None or "seed" not in details:
        return
    wanted = parameters.get("seed")
    if (seed is not None) != sampled:
        report.add("LORAX-GEN-008", f"sampled: {sampled}", at="/details/seed", seen=seed)
    elif sampled and wanted is not None and seed != wanted and not details.get("best_of_sequences"):
        report.add("LORAX-GEN-008", f"the request's seed is {wanted}", seen=seed)


def _numbers(exchange: Exchange, details: Mapping[str, Any], report: Report) -> None:
    stated = {
        key: count
        for key in ("x-prompt-tokens", "x-generated-tokens", "x-total-tokens")
        if (count := exchange.count(key)) is not None
    }
    if len(stated) == 3 and stated["x-total-tokens"] != (
        stated["x-prompt-tokens"] + stated["x-generated-tokens"]
    ):
        report.add("LORAX-HEAD-003", "the total is not the sum", seen=stated)
    for header, key in (
        ("x-prompt-tokens", "prompt_tokens"),
        ("x-generated-tokens", "generated_tokens"),
    ):
        if key in details and header in stated and details[key] != stated[header]:
            report.add("LORAX-HEAD-003", f"details say {details[key]}", at=header, seen=stated)
    inputs = exchange.asked.get("inputs")
    characters = exchange.header("x-compute-characters")
    if isinstance(inputs, str) and characters is not None and characters != str(len(inputs)):
        report.add(
            "LORAX-HEAD-006",
            f"inputs has {len(inputs)} characters",
            at="x-compute-characters",
            seen=characters,
        )


@rule(
    "LORAX-GEN-001",
    "LORAX-GEN-002",
    "LORAX-GEN-003",
    "LORAX-GEN-004",
    "LORAX-GEN-005",
    "LORAX-GEN-006",
    "LORAX-GEN-011",
    "LORAX-HEAD-003",
    "LORAX-HEAD-006",
)
def judge_generate(exchange: Exchange, document: Any, report: Report) -> None:
    """Judges the decoded reply of a 200 that is no stream."""
    listed = exchange.route is Route.COMPAT_GENERATE
    if isinstance(document, list) != listed:
        report.add("LORAX-GEN-011", "a list of one" if listed else "no list", seen=document)
        return
    name = "lorax/compat_generate_response" if listed else "lorax/generate_response"
    misfits = schemas.validate(name, document)
    for misfit in misfits:
        report.add("LORAX-GEN-001", misfit.message, at=misfit.at, seen=misfit.seen)
    for at in schemas.misordered(name, document):
        report.add("LORAX-GEN-002", "keys in another order", at=at, seen=document)
    if misfits:
        return
    reply = document[0] if listed else document
    parameters = parameters_of(exchange)
    known = exchange.request is not None
    details = mapping(reply.get("details"))
    asked = bool(parameters.get("details") or parameters.get("decoder_input_details"))
    if known and ("details" in reply) != asked:
        what = "were asked for and did not come" if asked else "came unasked"
        report.add("LORAX-GEN-003", f"details {what}", seen=list(reply))
    prefill = details.get("prefill")
    if known and prefill and not parameters.get("decoder_input_details"):
        report.add("LORAX-GEN-003", "prefill came unasked", at="/details/prefill", seen=prefill)
    _numbers(exchange, details, report)
    if details:
        judge_seed(exchange, details, report)
    sequences = [
        (reply, details),
        *((one, one) for one in objects(details.get("best_of_sequences"))),
    ]
    for holder, facts in sequences:
        judge_generated(
            exchange,
            Generated(
                text=str(holder["generated_text"]),
                tokens=objects(facts.get("tokens")),
                count=facts.get("generated_tokens"),
                finish=facts.get("finish_reason"),
                text_law="LORAX-GEN-006",
                count_law="LORAX-GEN-004",
                finish_law="LORAX-GEN-005",
            ),
            report,
        )
