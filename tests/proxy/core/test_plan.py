"""What every text request becomes: LoRAX's parameters, and the shield before it."""

from typing import Any

import pytest

from lorax_proxy.core.parsing import read_request
from lorax_proxy.core.plan import (
    Facts,
    Plan,
    adapter_ids,
    make_plan,
    stop_strings,
    target_parameters,
)
from lorax_proxy.core.routing import Adapter, Base, Merge, Model, Route
from lorax_proxy.core.stream import Reading
from lorax_proxy.errors import RequestRefused
from lorax_proxy.wire.openai_requests import SamplingRequest

FACTS = Facts("base", "fp", max_stop_sequences=2, text_only=True)
ROUTE = Route("m", "default", Base())
MERGE = Merge(("a", "b"), (0.5, 0.5), "ties", 0.5)


def request(**given: Any) -> SamplingRequest:
    """A request with these parameters."""
    return read_request(SamplingRequest, {"model": "m", **given})


def planned(reading: Reading | None = None, facts: Facts = FACTS, **given: Any) -> Plan:
    """The plan for one prompt."""
    extra = {name: given.pop(name) for name in ("tries", "echo", "schema") if name in given}
    budget = given.pop("budget", 5)
    return make_plan(
        request(**given),
        ROUTE,
        facts,
        prompts=[given.pop("prompt", "p")] if "prompt" in given else ["p"],
        prompt_param="prompt",
        budget=budget,
        reading=reading or Reading(),
        **extra,
    )


def test_details_are_always_asked_for() -> None:
    """Finish reasons and usage come with them only (the wire's default is false)."""
    assert planned().requests[0].parameters.details


def test_as_many_stops_are_sent_as_lorax_takes() -> None:
    """They are a backstop: all of them are matched here."""
    plan = planned(Reading(stops=("a", "b", "c")))
    assert plan.requests[0].parameters.stop == ("a", "b")
    assert plan.reading.stops == ("a", "b", "c")
    assert plan.token_stream
    assert not planned().token_stream


def test_seeds_count_up_and_greedy_needs_none() -> None:
    """Each choice has a seed of its own; a greedy answer is the same whatever the seed."""
    seeds = [each.parameters.seed for each in planned(n=3, seed=2**64 - 1).requests]
    assert seeds == [2**64 - 1, 0, 1]
    assert planned(seed=1, temperature=0).requests[0].parameters.seed is None


def test_a_zero_budget_asks_for_nothing() -> None:
    """LoRAX refuses it (router/src/validation.rs), and the answer is known."""
    plan = planned(budget=0, n=2)
    assert (plan.requests, plan.choices) == ((), 2)


def test_the_schema_is_sent_as_lorax_reads_it() -> None:
    """At the top level of `response_format`, whatever its type says."""
    sent = planned(schema={"type": "object"}).requests[0].parameters.response_format
    assert sent is not None
    assert (sent.type, sent.schema) == ("json_object", {"type": "object"})


def test_image_markdown_is_not_sent_to_a_model_that_may_see() -> None:
    """Vision models fetch it from the GPU's host (router/src/validation.rs:601)."""
    seeing = Facts("base", "fp", max_stop_sequences=2, text_only=False)
    with pytest.raises(RequestRefused) as caught:
        make_plan(
            request(),
            ROUTE,
            seeing,
            prompts=["a", "x![](http://h/x.png)"],
            prompt_param="prompt",
            budget=1,
            reading=Reading(),
        )
    assert caught.value.param == "prompt"


def test_stop_strings_of_the_request_and_of_its_model() -> None:
    """The client's first, each once."""
    model = Model("m", Base(), "default", stop=("x", "y"))
    route = Route("m", "default", Base(), model)
    assert stop_strings(request(stop="y"), route) == ("y", "x")
    assert stop_strings(request(), ROUTE) == ()


@pytest.mark.parametrize(
    ("stop", "param"), [("", "stop"), (["a", ""], "stop[1]"), ("x" * 1001, "stop")]
)
def test_stops_that_cannot_be_matched_are_refused(stop: Any, param: str) -> None:
    """An empty one is everywhere, and one without bound would hold everything back."""
    with pytest.raises(RequestRefused) as caught:
        stop_strings(request(stop=stop), ROUTE)
    assert caught.value.param == param


def test_targets_as_lorax_names_them() -> None:
    """The base model is named by naming nothing."""
    assert target_parameters(Base()) == {}
    assert target_parameters(Adapter("org/a", "hub", "secret")) == {
        "adapter_id": "org/a",
        "adapter_source": "hub",
        "api_token": "secret",
    }
    merged = target_parameters(MERGE)["merged_adapters"]
    assert (merged.ids, merged.weights, merged.density) == (("a", "b"), (0.5, 0.5), 0.5)
    assert [adapter_ids(t) for t in (Base(), Adapter("a"), MERGE)] == [(), ("a",), ("a", "b")]
