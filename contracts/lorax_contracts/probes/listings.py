"""The model list, text completions and embeddings."""

import json
from typing import Any
from urllib.parse import quote

from lorax_contracts import relations
from lorax_contracts.exchange import Exchange
from lorax_contracts.judge.answer import mapping, objects
from lorax_contracts.judge.completions import judge_completion, judge_completion_stream
from lorax_contracts.judge.listings import judge_embeddings, vector
from lorax_contracts.judge.report import shown
from lorax_contracts.probes.chat import GREEDY, accepted
from lorax_contracts.probes.refusals import refused
from lorax_contracts.rules import rule
from lorax_contracts.session import SEED, Session

__all__ = ["listed_models", "probe_completions", "probe_embeddings", "probe_models"]

_MANY = 3


def listed_models(exchange: Exchange) -> list[Any]:
    """The models of GET /v1/models; empty when it is no list."""
    try:
        return list(objects(mapping(json.loads(exchange.body)).get("data")))
    except (ValueError, RecursionError):
        return []


@rule("OAI-MODELS-001", "OAI-MODELS-003", "OAI-MODELS-004", "OAI-MODELS-005")
def probe_models(session: Session) -> None:
    """The list, each of its first models, and that they answer."""
    listed = session.ask("GET", "/models", envelope="OAI-MODELS-001")
    if listed.status != 200:
        if not listed.says_nothing:
            session.break_law("OAI-MODELS-001", f"GET /models is {listed.status}", listed)
        return
    found = False
    for model in listed_models(listed)[:_MANY]:
        name = str(model.get("id"))
        path = f"/models/{quote(name, errors='backslashreplace')}"
        one = session.ask("GET", path, envelope="OAI-MODELS-003")
        try:
            given = mapping(json.loads(one.body)).get("id")
        except (ValueError, RecursionError):
            given = None
        found = found or one.status == 200
        if one.status != 200 and not one.says_nothing:
            session.break_law("OAI-MODELS-003", f"{shown(name)} is listed, and not found", one)
        elif one.status == 200 and isinstance(given, str) and given != name:
            session.break_law("OAI-MODELS-003", f"{shown(name)} is answered as another", one)
        reply = session.ask(
            "POST",
            "/chat/completions",
            {
                "model": name,
                "messages": [{"role": "user", "content": "Hi."}],
                "max_tokens": 1,
                "seed": SEED,
            },
        )
        # A model for embeddings says so with a 4xx.
        if reply.status in {404, 424} or reply.status >= 500:
            session.break_law(
                "OAI-MODELS-005", f"{shown(name)} is listed and answers {reply.status}", reply
            )
    if found:
        _unknown(session)


def _unknown(session: Session) -> None:
    """A name that no model has, where single models can be asked for."""
    model = session.ask("GET", "/models/no-such-model-q7x", right=False)
    if model.status == 200 or model.status >= 500:
        session.break_law("OAI-MODELS-004", f"an unknown model is {model.status}", model)


@rule("OAI-COMP-006", "OAI-COMP-008")
def probe_completions(session: Session) -> None:
    """POST /v1/completions, where there is one."""

    def ask(**members: Any) -> Exchange:
        request = {"model": session.model, "prompt": "One, two, three,", "seed": SEED, **members}
        return session.ask("POST", "/completions", request)

    plain = session.ask(
        "POST", "/completions", {"model": session.model, "prompt": "One,", "max_tokens": 4}
    )
    if plain.status in {404, 405, 501}:
        rules = judge_completion, judge_completion_stream, probe_completions
        session.skip("completions", f"POST /completions is {plain.status}", *rules)
        return
    same: dict[str, Any] = {"max_tokens": 12, **GREEDY}
    first, second = ask(**same), ask(**same)
    streamed = ask(**same, stream=True, stream_options={"include_usage": True})
    session.turn()
    ask(**same, stream=True)
    repeated = relations.repeats(first, second)
    if repeated:
        session.compare(relations.same_streamed, first, streamed)
        for budget in (1, 6):
            session.compare(relations.cut_by_budget, ask(**{**same, "max_tokens": budget}), first)
    listed = ask(prompt=["One,", "Two,"], max_tokens=4)
    if listed.status != 200 and not listed.says_nothing:
        session.break_law("OAI-COMP-006", f"a list of prompts is {listed.status}", listed)
    ask(prompt=["One,", "Two,"], max_tokens=2, stream=True)
    ask(n=2, max_tokens=4)
    ask(max_tokens=4, echo=True)
    ask(max_tokens=4, echo=True, stream=True)
    if ask(max_tokens=4, logprobs=2, temperature=0).status == 200:
        none = ask(max_tokens=4, logprobs=0, temperature=0)
        accepted(session, "OAI-COMP-008", "logprobs 0", none)
    ask(max_tokens=4, echo=True, logprobs=1, temperature=0)
    ask()
    wrong = session.ask("POST", "/completions", {"model": session.model, "prompt": 5}, right=False)
    refused(session, "prompt 5", wrong)
    _stop(session, first if repeated else None, same)


def _stop(session: Session, whole: Exchange | None, same: dict[str, Any]) -> None:
    answer = relations.answer_of(whole) if whole is not None else None
    text = answer.choices[0].text if answer and 0 in answer.choices else ""
    stop = text[len(text) // 2 : len(text) // 2 + 3]
    if whole is not None and len(text) >= 8 and stop.strip():
        request = {"model": session.model, "prompt": "One, two, three,", "stop": stop, **same}
        stopped = session.ask("POST", "/completions", request)
        session.compare(relations.cut_by_stop, stopped, whole, stop=stop)


@rule("OAI-EMB-003")
def probe_embeddings(session: Session) -> None:
    """POST /v1/embeddings, if the model makes any."""

    def ask(**members: Any) -> Exchange:
        return session.ask("POST", "/embeddings", {"model": name, **members})

    first: Exchange | None = None
    for name in session.once(_embedders):
        first = session.forward(
            "POST", "/embeddings", {"model": name, "input": "Paris", "encoding_format": "float"}
        )
        if first.status in {200, 405, 501}:
            break
    else:
        status = first.status if first is not None else "not asked for"
        why = f"POST /embeddings is {status} for each model"
        session.skip("embeddings", why, judge_embeddings, probe_embeddings)
        return
    if first.status != 200:
        why = f"POST /embeddings is {first.status}"
        session.skip("embeddings", why, judge_embeddings, probe_embeddings)
        return
    first = ask(input="Paris", encoding_format="float")
    ask(input=["Paris", "Rome", ""][:2])
    packed = ask(input="Paris", encoding_format="base64")
    numbers = [_first(first, "float"), _first(packed, "base64")]
    if None not in numbers and len({len(one or ()) for one in numbers}) > 1:
        session.break_law("OAI-EMB-003", "base64 and float differ in length", packed)


def _embedders(session: Session) -> list[str]:
    """The model that is judged, and others that the list names; a model for chat makes no vectors."""
    names = [str(model.get("id")) for model in listed_models(session.forward("GET", "/models"))]
    others = [name for name in names if name != session.model]
    likely = [name for name in others if "embed" in name.lower()]
    return list(dict.fromkeys([session.model, *likely, *others]))[:_MANY]


def _first(exchange: Exchange, encoding: str) -> list[float] | None:
    rows = listed_models(exchange)
    return vector(rows[0].get("embedding"), encoding) if rows else None
