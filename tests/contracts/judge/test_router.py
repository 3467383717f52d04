"""LoRAX's frame of every reply, broken in one place at a time."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from lorax_contracts.exchange import Exchange
from tests.contracts import native_samples, samples
from tests.contracts.judge.cases import Case, each_case

CASES: tuple[Case, ...] = (
    ("LORAX-HTTP-001", "not JSON", lambda: samples.replace_body(native_samples.generate(), b"no")),
    (
        "LORAX-HTTP-001",
        "another content type",
        lambda: replace(
            native_samples.generate(),
            headers=(("content-type", "text/html"), *native_samples.generate().headers),
        ),
    ),
    (
        "LORAX-HTTP-001",
        "no length",
        lambda: samples.without_header(native_samples.generate(), "content-length"),
    ),
    (
        "LORAX-HTTP-002",
        "no CORS",
        lambda: samples.without_header(native_samples.generate(), "access-control-allow-origin"),
    ),
    (
        "LORAX-HTTP-003",
        "other words",
        lambda: replace(
            native_samples.generate(),
            status=422,
            headers=(("content-type", "text/plain"),),
            body=b"bad",
        ),
    ),
    ("LORAX-HTTP-005", "a body", lambda: replace(native_samples.generate(), path="/health")),
    ("LORAX-HTTP-006", "cut", lambda: samples.cut(native_samples.generate())),
    (
        "LORAX-HEAD-001",
        "missing",
        lambda: samples.without_header(native_samples.generate(), "x-queue-time"),
    ),
    (
        "LORAX-HEAD-001",
        "no number",
        lambda: replace(
            native_samples.generate(),
            headers=(("x-queue-time", "2.5"), *native_samples.generate().headers),
        ),
    ),
    (
        "LORAX-HEAD-002",
        "too early",
        lambda: replace(
            samples.lorax("chat_stream"),
            headers=(("x-total-time", "2"), *samples.lorax("chat_stream").headers),
        ),
    ),
    (
        "LORAX-HEAD-002",
        "buffering",
        lambda: samples.without_header(samples.lorax("chat_stream"), "x-accel-buffering"),
    ),
    (
        "LORAX-HEAD-004",
        "no adapter named",
        lambda: samples.without_header(native_samples.generate(), "x-adapter-id"),
    ),
    (
        "LORAX-HEAD-004",
        "for the base model",
        lambda: replace(
            samples.lorax("chat_base_model_greedy"),
            headers=(("x-adapter-id", "a"), *samples.lorax("chat_base_model_greedy").headers),
        ),
    ),
    (
        "LORAX-HEAD-005",
        "on an error",
        lambda: replace(
            samples.lorax("error_overloaded"),
            headers=(("x-model-id", "a"), *samples.lorax("error_overloaded").headers),
        ),
    ),
    (
        "LORAX-ERR-001",
        "another envelope",
        lambda: samples.edit(
            samples.lorax("error_overloaded"), lambda _: {"error": {"message": "no"}}
        ),
    ),
    (
        "LORAX-ERR-001",
        "another order",
        lambda: samples.edit(
            samples.lorax("error_overloaded"), lambda d: dict(reversed(list(d.items())))
        ),
    ),
    (
        "LORAX-ERR-002",
        "another status",
        lambda: replace(samples.lorax("error_overloaded"), status=503),
    ),
    (
        "LORAX-ERR-002",
        "other words",
        lambda: samples.edit(samples.lorax("error_overloaded"), lambda d: d.update(error="busy")),
    ),
    (
        "LORAX-STREAM-010",
        "an error status for a stream",
        lambda: replace(samples.lorax("error_overloaded"), path="/generate_stream"),
    ),
    (
        "LORAX-STREAM-010",
        "no stream",
        lambda: replace(native_samples.generate(), path="/generate_stream"),
    ),
    (
        "LORAX-TOK-001",
        "another order",
        lambda: samples.edit(
            native_samples.tokenize(), lambda d: [dict(reversed(list(one.items()))) for one in d]
        ),
    ),
    (
        "LORAX-TOK-001",
        "stop missing",
        lambda: samples.edit(native_samples.tokenize(), lambda d: d[0].pop("stop") and None),
    ),
    (
        "LORAX-TOK-002",
        "bytes for characters",
        lambda: samples.edit(native_samples.tokenize(), lambda d: d[-1].update(stop=4)),
    ),
    (
        "LORAX-TOK-002",
        "text left out",
        lambda: samples.edit(native_samples.tokenize(), lambda d: d[:2]),
    ),
    (
        "LORAX-INFO-001",
        "a key missing",
        lambda: samples.edit(native_samples.info(), lambda d: d.pop("eager_prefill") and None),
    ),
    (
        "LORAX-EMB-001",
        "OpenAI's shape",
        lambda: replace(samples.edit(native_samples.info(), lambda _: {"data": []}), path="/embed"),
    ),
    (
        "LORAX-CLS-001",
        "no list",
        lambda: replace(
            samples.edit(native_samples.info(), lambda _: {"data": []}), path="/classify"
        ),
    ),
)


@pytest.mark.parametrize(
    ("name", "law"),
    [
        ("x-compute-time", {"LORAX-HEAD-005"}),
        ("x-adapter-id", {"LORAX-HEAD-005"}),
        ("x-request-id", set()),
        ("x-envoy-upstream-service-time", set()),
    ],
)
def test_an_error_lacks_the_headers_of_an_answer_and_no_others(name: str, law: set[str]) -> None:
    """What a gateway adds is not LoRAX's."""
    refused = samples.lorax("error_overloaded")
    marked = replace(refused, headers=((name, "1"), *refused.headers))
    assert samples.found(marked, strict=True) - samples.found(refused, strict=True) == law


def test_only_an_unknown_path_may_be_404_without_words() -> None:
    """A route that LoRAX has tells its error as ever."""
    lost = replace(samples.lorax("error_overloaded"), status=404, body=b"Not Found")
    unknown = replace(lost, path="/no-such-path")
    assert "LORAX-HTTP-001" in samples.found(replace(lost, path="/generate"), kind="lorax")
    assert "LORAX-HTTP-001" not in samples.found(unknown, kind="lorax")


@each_case(CASES)
def test_one_broken_promise_is_found_under_its_law(
    law: str, what: str, broken: Callable[[], Exchange]
) -> None:
    """The law is named when, and only because, its promise is broken."""
    assert law in samples.found(broken(), strict=True), what


@pytest.mark.parametrize(
    "right", [native_samples.generate, native_samples.tokenize, native_samples.info]
)
def test_a_right_answer_breaks_no_law(right: Callable[[], Exchange]) -> None:
    """No false alarm where every promise is kept."""
    assert samples.found(right(), strict=True) == set()


def test_framework_texts_are_known_by_their_first_words() -> None:
    """Columns and numbers differ between versions; the beginning does not."""
    exchange = replace(
        native_samples.generate(),
        status=422,
        headers=(("content-type", "text/plain; charset=utf-8"), *native_samples.CORS),
        body=b"Failed to deserialize the JSON body into the target type: missing field `inputs`",
    )
    assert samples.found(exchange) == set()
