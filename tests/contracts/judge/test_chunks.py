"""A stream of chunks, broken in one place at a time."""

from collections.abc import Callable

import pytest

from lorax_contracts.exchange import Exchange
from tests.contracts import samples
from tests.contracts.judge.cases import Case, each_case

CASES: tuple[Case, ...] = (
    (
        "OAI-STREAM-001",
        "a member of another type",
        lambda: samples.edit_events(
            samples.golden("chat_stream"), lambda d: d[1].update(system_fingerprint=1)
        ),
    ),
    (
        "OAI-STREAM-006",
        "id changes",
        lambda: samples.edit_events(
            samples.golden("chat_stream"), lambda d: d[2].update(id="chatcmpl-9")
        ),
    ),
    (
        "OAI-STREAM-007",
        "created changes",
        lambda: samples.edit_events(
            samples.golden("chat_stream"), lambda d: d[2].update(created=1700000001)
        ),
    ),
    (
        "OAI-STREAM-007",
        "created 0",
        lambda: samples.edit_events(
            samples.golden("chat_stream"), lambda d: [one | {"created": 0} for one in d]
        ),
    ),
    (
        "OAI-STREAM-008",
        "model null as text",
        lambda: samples.edit_events(
            samples.golden("chat_stream"), lambda d: [one | {"model": "null"} for one in d]
        ),
    ),
    (
        "OAI-STREAM-008",
        "model changes",
        lambda: samples.edit_events(
            samples.golden("chat_stream"), lambda d: d[2].update(model="acme/base-7b")
        ),
    ),
    (
        "OAI-STREAM-009",
        "no role",
        lambda: samples.edit_events(
            samples.golden("chat_stream"),
            lambda d: d[0]["choices"][0]["delta"].pop("role") and None,
        ),
    ),
    (
        "OAI-STREAM-010",
        "role repeated",
        lambda: samples.edit_events(
            samples.golden("chat_stream"),
            lambda d: d[2]["choices"][0]["delta"].update(role="assistant"),
        ),
    ),
    (
        "OAI-STREAM-005",
        "finish reason lost",
        lambda: samples.edit_events(
            samples.golden("chat_stream"), lambda d: d[-1]["choices"][0].update(finish_reason=None)
        ),
    ),
    (
        "OAI-STREAM-005",
        "no chunk",
        lambda: samples.replace_body(samples.golden("chat_stream"), b"data: [DONE]\n\n"),
    ),
    (
        "OAI-STREAM-011",
        "text after it",
        lambda: samples.edit_events(samples.golden("chat_stream"), lambda d: d.append(d[2])),
    ),
    (
        "OAI-STREAM-011",
        "finish reason twice",
        lambda: samples.edit_events(samples.golden("chat_stream"), lambda d: d.append(d[-1])),
    ),
    (
        "OAI-STREAM-012",
        "text with it",
        lambda: samples.edit_events(
            samples.golden("chat_stream"),
            lambda d: d[-1]["choices"][0]["delta"].update(content="!"),
        ),
    ),
    (
        "OAI-STREAM-013",
        "usage unasked",
        lambda: samples.edit_events(
            samples.golden("chat_stream"),
            lambda d: d[-1].update(
                usage={"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}
            ),
        ),
    ),
    (
        "OAI-STREAM-014",
        "usage missing",
        lambda: samples.edit_events(
            samples.golden("chat_stream_usage"), lambda d: d.pop() and None
        ),
    ),
    (
        "OAI-STREAM-014",
        "usage on the finish chunk",
        lambda: samples.edit_events(
            samples.golden("chat_stream_usage"), lambda d: d[-2].update(usage=d.pop()["usage"])
        ),
    ),
    (
        "OAI-STREAM-015",
        "usage not null before",
        lambda: samples.edit_events(
            samples.golden("chat_stream_usage"), lambda d: d[1].update(usage=d[-1]["usage"])
        ),
    ),
    (
        "OAI-STREAM-015",
        "usage absent before",
        lambda: samples.edit_events(
            samples.golden("chat_stream_usage"), lambda d: d[1].pop("usage") and None
        ),
    ),
    (
        "OAI-STREAM-018",
        "a choice missing",
        lambda: samples.asking(samples.golden("chat_stream"), n=2),
    ),
    (
        "OAI-STREAM-018",
        "an index too high",
        lambda: samples.edit_events(
            samples.golden("chat_stream"), lambda d: d[2]["choices"][0].update(index=1)
        ),
    ),
    (
        "OAI-STREAM-028",
        "a chunk without choices",
        lambda: samples.edit_events(
            samples.golden("chat_stream"), lambda d: d.insert(1, d[1] | {"choices": []})
        ),
    ),
    (
        "OAI-STREAM-028",
        "a last chunk without choices, unasked",
        lambda: samples.edit_events(
            samples.golden("chat_stream"), lambda d: d.append(d[1] | {"choices": []})
        ),
    ),
    (
        "OAI-STREAM-001",
        "content that is a number",
        lambda: samples.edit_events(
            samples.golden("chat_stream"), lambda d: d[2]["choices"][0]["delta"].update(content=5)
        ),
    ),
    (
        "OAI-STREAM-019",
        "object of the plain reply",
        lambda: samples.edit_events(
            samples.golden("chat_stream"), lambda d: d[1].update(object="chat.completion")
        ),
    ),
    (
        "OAI-STREAM-021",
        "id null as text",
        lambda: samples.edit_events(
            samples.golden("chat_stream"), lambda d: [one | {"id": "null"} for one in d]
        ),
    ),
    (
        "OAI-STREAM-022",
        "another word",
        lambda: samples.edit_events(
            samples.golden("chat_stream"),
            lambda d: d[-1]["choices"][0].update(finish_reason="eos_token"),
        ),
    ),
    (
        "OAI-STREAM-020",
        "no id",
        lambda: samples.edit_events(
            samples.tool_stream(),
            lambda d: d[1]["choices"][0]["delta"]["tool_calls"][0].pop("id") and None,
        ),
    ),
    (
        "OAI-STREAM-020",
        "name repeated",
        lambda: samples.edit_events(
            samples.tool_stream(),
            lambda d: d[2]["choices"][0]["delta"]["tool_calls"][0]["function"].update(
                name="weather"
            ),
        ),
    ),
)


@each_case(CASES)
def test_one_broken_promise_is_found_under_its_law(
    law: str, what: str, broken: Callable[[], Exchange]
) -> None:
    """The law is named when, and only because, its promise is broken."""
    assert samples.found(broken(), strict=True) - {"OAI-HTTP-003"} == {law}, what


@pytest.mark.parametrize(
    "right", [samples.tool_stream, lambda: samples.golden("chat_stream_usage")]
)
def test_a_right_answer_breaks_no_law(right: Callable[[], Exchange]) -> None:
    """No false alarm where every promise is kept."""
    assert samples.found(right(), strict=True) <= {"OAI-HTTP-003"}


def test_what_openai_itself_sends_is_let_in() -> None:
    """Its own answers have a null that the schema forgot, and keys that come and go."""
    stream = samples.edit_events(
        samples.golden("chat_stream"),
        lambda d: [one | {"system_fingerprint": None, "obfuscation": "ab"} for one in d],
    )
    assert samples.found(stream) == set()


def test_the_end_of_a_cut_stream_is_not_judged_twice() -> None:
    """A reset is one finding, not five about what never came."""
    broken = samples.found(samples.cut(samples.golden("chat_stream")))
    assert broken == {"OAI-HTTP-004"}
