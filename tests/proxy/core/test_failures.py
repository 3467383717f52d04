"""The failure table: every way to fail has its answer, and no text chooses a status."""

import string

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from lorax_contracts import loader
from lorax_proxy.core.failures import NO_RETRY, ApiError, answer, internal, refusal, retry_after
from lorax_proxy.errors import Failure, Lost, Refused, RequestRefused
from tests.strategies import texts

SHARD = "Request failed during generation: Server error: "
NO_CONFIG = SHARD + "No valid adapter config file found: tried None and None"
HUB_404 = (
    SHARD + "404 Client Error. (Request ID: Root=1-x)\n\n"
    "Repository Not Found for url: https://hub/api/models/a/b.\n"
    "Please make sure you specified the correct `repo_id` and `repo_type`.\n"
    "If you are trying to access a private or gated repo, make sure you are authenticated."
)
HUB_401 = HUB_404.replace("404", "401")
TOO_LONG = "Input validation error: `inputs` must have less than 4095 tokens. Given: 5000"
OVER_BUDGET = (
    "Input validation error: `inputs` tokens + `max_new_tokens` must be <= 4096. "
    "Given: 4000 `inputs` tokens and 200 `max_new_tokens`"
)


def told(failure: Failure, *, has_adapter: bool = True) -> ApiError:
    """What a chat client is told."""
    return answer(failure, adapter="org/a" if has_adapter else None, prompt_param="messages")


def retries(error: ApiError) -> bool:
    """Whether the openai SDK, which obeys `x-should-retry`, would try again by itself."""
    retried = error.status in (408, 409, 429) or error.status >= 500
    return retried and NO_RETRY not in error.headers


@pytest.mark.parametrize(
    ("lost", "status", "code", "retried"),
    [
        (Lost.UNREACHABLE, 503, "upstream_unavailable", True),
        (Lost.CONNECT_TIMEOUT, 503, "upstream_unavailable", True),
        (Lost.NOT_READY, 503, "upstream_unavailable", True),
        (Lost.RENEWED, 503, "upstream_unavailable", True),
        (Lost.FIRST_EVENT_TIMEOUT, 504, "upstream_timeout", False),
        (Lost.IDLE_TIMEOUT, 504, "upstream_timeout", False),
        (Lost.TOTAL_TIMEOUT, 504, "upstream_timeout", False),
        (Lost.CUT, 502, "upstream_incomplete", False),
        (Lost.UNREADABLE, 502, "upstream_error", False),
        (Lost.OFF_FORMAT, 502, "upstream_error", False),
        (Lost.MISCOUNTED, 502, "upstream_error", False),
        (Lost.GARBLED, 502, "upstream_incomplete", False),
        (Lost.TORN, 502, "upstream_incomplete", False),
    ],
)
def test_what_was_lost(lost: Lost, *, status: int, code: str, retried: bool) -> None:
    """Each loss has a status; what had reached LoRAX is not repeated."""
    error = told(lost)
    assert (error.status, error.code, error.type) == (status, code, "server_error")
    assert lost.value in error.message
    assert retries(error) is retried
    assert any(name == "retry-after" for name, _ in error.headers) is retried


NEVER = (("x-should-retry", "false"),)

# what failed -> all that the client is told
ANSWERS: list[tuple[Failure, ApiError]] = [
    (
        Lost.UNREACHABLE,
        ApiError(
            503,
            "LoRAX could not be reached.",
            "server_error",
            None,
            "upstream_unavailable",
            (("retry-after", "2"),),
        ),
    ),
    (
        Lost.CONNECT_TIMEOUT,
        ApiError(
            503,
            "LoRAX did not accept a connection in time.",
            "server_error",
            None,
            "upstream_unavailable",
            (("retry-after", "2"),),
        ),
    ),
    (
        Lost.NOT_READY,
        ApiError(
            503,
            "LoRAX is not known yet: its /info has not answered.",
            "server_error",
            None,
            "upstream_unavailable",
            (("retry-after", "2"),),
        ),
    ),
    (
        Lost.FIRST_EVENT_TIMEOUT,
        ApiError(
            504, "LoRAX sent nothing in time.", "server_error", None, "upstream_timeout", NEVER
        ),
    ),
    (
        Lost.IDLE_TIMEOUT,
        ApiError(
            504,
            "LoRAX fell silent in the middle of its answer.",
            "server_error",
            None,
            "upstream_timeout",
            NEVER,
        ),
    ),
    (
        Lost.TOTAL_TIMEOUT,
        ApiError(
            504,
            "LoRAX took longer than this proxy allows.",
            "server_error",
            None,
            "upstream_timeout",
            NEVER,
        ),
    ),
    (
        Lost.CUT,
        ApiError(
            502,
            "LoRAX ended its answer before it was complete.",
            "server_error",
            None,
            "upstream_incomplete",
            NEVER,
        ),
    ),
    (
        Lost.UNREADABLE,
        ApiError(
            502,
            "LoRAX sent what is not LoRAX's protocol.",
            "server_error",
            None,
            "upstream_error",
            NEVER,
        ),
    ),
    (
        Refused(200, "overloaded", "Model is overloaded"),
        ApiError(
            429,
            "LoRAX is overloaded: it serves as many requests at once as it may.",
            "rate_limit_error",
            None,
            "rate_limit_exceeded",
            (("retry-after", "1"),),
        ),
    ),
    (
        # LoRAX's own words, and the hint of a gateway on the way
        Refused(429, "overloaded", "Model is overloaded", "9"),
        ApiError(
            429,
            "LoRAX is overloaded: it serves as many requests at once as it may.",
            "rate_limit_error",
            None,
            "rate_limit_exceeded",
            (("retry-after", "9"),),
        ),
    ),
    (
        Refused(424, "generation", NO_CONFIG),
        ApiError(
            404,
            "The model `org/a` could not be loaded: "
            "No valid adapter config file found: tried None and None",
            "invalid_request_error",
            "model",
            "model_not_found",
            NEVER,
            adapter_failed=True,
        ),
    ),
    (
        Refused(424, "generation", SHARD + "This model does not support adapter loading."),
        ApiError(
            502,
            "The model `org/a` cannot be used: This model does not support adapter loading.",
            "server_error",
            "model",
            "adapter_load_failed",
            NEVER,
        ),
    ),
    (
        Refused(500, "incomplete_generation", "Incomplete generation"),
        ApiError(
            502,
            "LoRAX ended its answer before it was complete.",
            "server_error",
            None,
            "upstream_incomplete",
            NEVER,
        ),
    ),
    (
        Refused(413, None, "length limit exceeded"),
        ApiError(
            400,
            "The upstream answered 413: the request is larger than it accepts. LoRAX takes bodies "
            "of up to 2 MiB, a gateway before it perhaps less.",
            "invalid_request_error",
            "messages",
            "context_length_exceeded",
            (),
            413,
        ),
    ),
    (
        Refused(422, "validation", TOO_LONG),
        ApiError(
            400,
            "This model takes prompts of up to 4095 tokens. However, your prompt has 5000 tokens. "
            "Please shorten it.",
            "invalid_request_error",
            "messages",
            "context_length_exceeded",
        ),
    ),
    (
        Refused(422, "validation", OVER_BUDGET),
        ApiError(
            400,
            "This model's maximum context length is 4096 tokens. However, you requested 4200 "
            "tokens (4000 in the prompt, 200 in the completion). Please reduce the length of "
            "either.",
            "invalid_request_error",
            "messages",
            "context_length_exceeded",
        ),
    ),
    (
        Refused(422, "validation", " `seed` is wrong\n"),
        ApiError(400, "`seed` is wrong", "invalid_request_error", None, "invalid_value", ()),
    ),
    (
        Refused(422, "validation", " "),
        ApiError(
            400,
            "LoRAX refused the request without a word.",
            "invalid_request_error",
            None,
            "invalid_value",
        ),
    ),
    (
        Refused(424, "generation", SHARD + "CUDA out of memory"),
        ApiError(
            502,
            "LoRAX failed: CUDA out of memory",
            "server_error",
            None,
            "upstream_error",
            NEVER,
        ),
    ),
    (
        Refused(404, None, ""),
        ApiError(
            502,
            "The upstream answered 404, without an error of LoRAX's.",
            "server_error",
            None,
            "upstream_error",
            NEVER,
            404,
        ),
    ),
    (
        Refused(401, None, " who are you? \n"),
        ApiError(
            502,
            "The upstream answered 401, without an error of LoRAX's: who are you?",
            "server_error",
            None,
            "upstream_error",
            NEVER,
            401,
        ),
    ),
    (
        Refused(503, None, "<html><h1>503</h1></html>", "17"),
        ApiError(
            503,
            "The upstream answered 503, without an error of LoRAX's.",
            "server_error",
            None,
            "upstream_unavailable",
            (("retry-after", "17"),),
            503,
        ),
    ),
    (
        Refused(503, None, ""),
        ApiError(
            503,
            "The upstream answered 503, without an error of LoRAX's.",
            "server_error",
            None,
            "upstream_unavailable",
            (("retry-after", "2"),),
            503,
        ),
    ),
    (
        Refused(429, None, "slow down", "30"),
        ApiError(
            429,
            "The upstream answered 429, without an error of LoRAX's: slow down",
            "rate_limit_error",
            None,
            "rate_limit_exceeded",
            (("retry-after", "30"),),
            429,
        ),
    ),
    (
        Refused(429, None, ""),
        ApiError(
            429,
            "The upstream answered 429, without an error of LoRAX's.",
            "rate_limit_error",
            None,
            "rate_limit_exceeded",
            (("retry-after", "1"),),
            429,
        ),
    ),
    (
        Refused(504, None, "", "5"),
        ApiError(
            504,
            "The upstream answered 504, without an error of LoRAX's.",
            "server_error",
            None,
            "upstream_timeout",
            NEVER,
            504,
        ),
    ),
    (
        Refused(200, None, ""),
        ApiError(
            502,
            "LoRAX failed: no cause was given.",
            "server_error",
            None,
            "upstream_error",
            NEVER,
        ),
    ),
]


@pytest.mark.parametrize(("failure", "error"), ANSWERS)
def test_a_failure_is_told_in_full(failure: Failure, error: ApiError) -> None:
    """Word for word: people search for these, and clients branch on the rest."""
    assert told(failure) == error


def test_without_an_adapter_none_can_be_missing() -> None:
    """Then the same words are somebody else's, and no model of the client's is to blame."""
    error = told(Refused(424, "generation", NO_CONFIG), has_adapter=False)
    assert (error.status, error.code, error.param) == (502, "upstream_error", None)


@pytest.mark.parametrize("type_", ["generation", "validation"])
def test_long_causes_are_cut_at_600_characters(type_: str) -> None:
    """What fits is passed on whole."""
    whole, cut = "a" * 600, "a" * 601
    assert told(Refused(424, type_, whole)).message.endswith(whole)
    message = told(Refused(424, type_, cut)).message
    assert message.endswith("a" * 597 + "...")
    assert "a" * 598 not in message


def test_ten_thousand_characters_are_looked_at() -> None:
    """A known message may be that long, and not longer."""
    known = SHARD + "No valid adapter config file found: tried None and "
    longest = known.ljust(10_000, "x")
    assert told(Refused(424, "generation", longest)).status == 404
    assert told(Refused(424, "generation", longest + "x")).status == 502


def test_every_loss_has_an_answer() -> None:
    """A new member that nobody answers breaks here, not at a client."""
    assert {told(lost).status for lost in Lost} == {502, 503, 504}


@pytest.mark.parametrize(
    ("failure", "status", "code", "param"),
    [
        (Refused(422, "validation", TOO_LONG), 400, "context_length_exceeded", "messages"),
        (Refused(422, "validation", OVER_BUDGET), 400, "context_length_exceeded", "messages"),
        (
            Refused(422, "validation", "Input validation error: `top_k` must be strictly positive"),
            400,
            "invalid_value",
            None,
        ),
        (Refused(429, "overloaded", "Model is overloaded"), 429, "rate_limit_exceeded", None),
        (Refused(200, "overloaded", "Model is overloaded"), 429, "rate_limit_exceeded", None),
        (Refused(424, "generation", NO_CONFIG), 404, "model_not_found", "model"),
        (Refused(424, "generation", HUB_404), 404, "model_not_found", "model"),
        (Refused(424, "generation", HUB_401), 404, "model_not_found", "model"),
        (Refused(424, "generation", SHARD + "CUDA out of memory"), 502, "upstream_error", None),
        (Refused(424, "generation", SHARD), 502, "upstream_error", None),
        (
            Refused(500, "incomplete_generation", "Incomplete generation"),
            502,
            "upstream_incomplete",
            None,
        ),
        (
            Refused(413, None, "Failed to buffer the request body: length limit exceeded"),
            400,
            "context_length_exceeded",
            "messages",
        ),
        (Refused(413, "odd", "x"), 502, "upstream_error", None),
        (Refused(429, None, "slow down"), 429, "rate_limit_exceeded", None),
        (Refused(503, None, "restarting"), 503, "upstream_unavailable", None),
        (Refused(504, None, ""), 504, "upstream_timeout", None),
        *((Refused(s, None, ""), 502, "upstream_error", None) for s in (204, 302, 401, 403, 404)),
        (Refused(422, None, TOO_LONG), 502, "upstream_error", None),
        (Refused(200, "odd", TOO_LONG), 502, "upstream_error", None),
    ],
)
def test_what_lorax_refused(failure: Refused, status: int, code: str, param: str | None) -> None:
    """The type decides, with a real status also where LoRAX sent 200."""
    error = told(failure)
    assert (error.status, error.code, error.param) == (status, code, param)
    assert retries(error) is (status in (429, 503))


@pytest.mark.parametrize("entry", loader.table("lorax/errors")["error"])
def test_every_error_type_of_lorax_has_an_answer(entry: dict[str, object]) -> None:
    """None of LoRAX's own types is answered as an unknown success, a 500, or without a word."""
    type_, message = str(entry["type"]), "Some text"
    error = told(Refused(424, type_, message))
    expected = {"validation": 400, "overloaded": 429}.get(type_, 502)
    assert error.status == expected
    assert error.message


@pytest.mark.parametrize(
    "cause",
    [
        (
            "Adapter 'a/b' is not compatible with model 'm'. Architectures differ: ['X'] != ['Y']. "
            "Use --model-id 'n' instead."
        ),
        "Adapter a/b is larger than adapter memory reservation: 10 / 5 bytes",
        "Memory reserved for adapters is 0. Please set a memory reservation for adapters.",
        "This model does not support dynamic adapter loading. Please initialize with --adapter-id.",
        "This model does not support adapter loading.",
        (
            "Adapter X is not ready for use. Current status: Training.Please wait until the adapter "
            "has completed training."
        ),
        "unable to merge adapters, lora configs have different ranks: {8, 16}",
        "unable to merge adapters, lora configs have no target modules",
        "Base model adapter cannot be merged.",
        "stack expects each tensor to be equal size, but got [8, 64] at entry 0 and [8, 32] at entry 1",
        (
            "Cannot load a Medusa adapter dynamically with a different number of heads (3) "
            "from the default speculative tokens (2)."
        ),
        # safetensors 0.4.2, and its words from 0.6 on
        *(
            f"Error while deserializing header: {kind}"
            for kind in (
                *("HeaderTooSmall", "HeaderTooLarge", "InvalidHeaderLength", "InvalidHeader"),
                *("InvalidHeaderDeserialization", "MetadataIncompleteBuffer", "TensorInvalidInfo"),
                *("header too large", "incomplete metadata, file not fully covered"),
            )
        ),
        "Header extends past end of file: /data/a/adapter_model.safetensors",
        "No .safetensors weights found for model a/b and revision None.",
        "No local weights found in /data/a with extension .safetensors",
        "Adapter a/1 is not yet available",
        "Unable to locate credentials",
        "Partial credentials found in env, missing: AWS_SECRET_ACCESS_KEY",
        "An error occurred (403) when calling the HeadObject operation: Forbidden",
        "An error occurred (AccessDenied) when calling the ListObjectsV2 operation: Access Denied",
    ],
)
def test_an_adapter_that_cannot_be_used(cause: str) -> None:
    """The operator's to mend: 502 with LoRAX's words; without an adapter it is any other failure."""
    error = told(Refused(424, "generation", SHARD + cause))
    assert (error.status, error.code, error.param) == (502, "adapter_load_failed", "model")
    assert cause in error.message
    assert told(Refused(424, "generation", SHARD + cause), has_adapter=False).code == (
        "upstream_error"
    )


@pytest.mark.parametrize(
    "cause",
    [
        (
            "Repo id must be in the form 'repo_name' or 'namespace/repo_name': 'a/b/c'. "
            "Use `repo_type` argument if needed."
        ),
        (
            "Repo id must use alphanumeric chars or '-', '_', '.', '--' and '..' are forbidden, "
            "'-' and '.' cannot start or end the name, max length is 96: 'a/-b'."
        ),
        "Cannot have -- or .. in repo_id: 'a--b'.",
        "Repo_id cannot end by '.git': 'a/b.git'.",
        (
            "Invalid model_id a. model_id should be of the form `bucket_name/model_id` "
            "if PREDIBASE_MODEL_BUCKET environment variable is not set"
        ),
        "Invalid model_id s3://a. model_id should be of the form `s3://bucket_name/model_id`",
    ],
)
def test_a_name_that_no_adapter_can_have(cause: str) -> None:
    """No such model, like one that is merely missing; around other text it is any other failure."""
    error = told(Refused(424, "generation", SHARD + cause))
    assert (error.status, error.code, error.param) == (404, "model_not_found", "model")
    assert cause in error.message
    for other in (f"{SHARD}x {cause}", f"{SHARD}{cause}\nmore", cause):
        assert told(Refused(424, "generation", other)).code == "upstream_error"


def test_lengths_are_told_as_numbers() -> None:
    """What the client needs to shorten its prompt by."""
    assert (
        "4095 tokens. However, your prompt has 5000"
        in told(Refused(422, "validation", TOO_LONG)).message
    )
    assert (
        "4200 tokens (4000 in the prompt, 200 in the completion)"
        in told(Refused(422, "validation", OVER_BUDGET)).message
    )


@pytest.mark.parametrize(
    "message",
    [
        f"{SHARD}prompt said: No valid adapter config file found: tried None and None",
        f"x {NO_CONFIG}",
        f"{NO_CONFIG}\nand more",
        f"{SHARD}Could not translate the instance '{NO_CONFIG}' to a regular expression",
        f"{SHARD}'{HUB_404}'",
        f"{SHARD}404 Client Error\n\nSomething else: Repository Not Found for url: x",
        f"{TOO_LONG} tokens",
        f" {TOO_LONG}",
        "Input validation error: `inputs` must have less than 4095 tokens. Given: " + "9" * 5000,
        "Input validation error: `inputs` must have less than ٤ tokens. Given: ٥",
        OVER_BUDGET + "\n",
    ],
)
@pytest.mark.parametrize("type_", ["generation", "validation", "odd", None])
def test_text_inside_a_message_chooses_no_status(message: str, type_: str | None) -> None:
    """Only a whole message of LoRAX's own is taken for what it says."""
    error = told(Refused(424, type_, message))
    assert error.status == (400 if type_ == "validation" else 502)
    assert error.code in ("invalid_value", "upstream_error")


@pytest.mark.property
@given(
    st.sampled_from(["generation", "odd", None]),
    texts
    | st.sampled_from([NO_CONFIG, TOO_LONG]).flatmap(
        lambda known: st.builds("{}{}{}".format, texts.filter(bool), st.just(known), texts)
    ),
    st.sampled_from([200, 400, 413, 422, 424, 429, 500, 503]),
    st.booleans(),
)
def test_any_other_text_is_a_502(
    type_: str | None,
    message: str,
    status: int,
    has_adapter: bool,
) -> None:
    """Whatever a message quotes, in whichever status it came."""
    error = told(Refused(status, type_, message), has_adapter=has_adapter)
    own = {413: 400, 429: 429, 503: 503} if type_ is None else {}
    assert error.status == own.get(status, 502)
    assert error.upstream_status == (status if type_ is None and status != 200 else None)


@pytest.mark.parametrize(
    ("value", "passed"),
    [
        ("0", True),
        ("120", True),
        ("Fri, 31 Dec 1999 23:59:59 GMT", True),
        ("", False),
        ("-1", False),
        ("1.5", False),
        ("12345678901", False),
        ("soon", False),
        ("120\r\nx: y", False),
        ("\u0661", False),
    ],
)
def test_a_wait_passes_if_it_is_one(value: str, *, passed: bool) -> None:
    """Seconds or a date: a header is no place for a stranger's text."""
    headers = [("content-type", "text/html"), ("retry-after", value)]
    assert retry_after(headers) == (value if passed else None)
    assert retry_after([]) is None


@pytest.mark.property
@example(Refused(422, "validation", " "), True)
@example(Refused(422, "generation", ""), True)
@given(
    st.sampled_from(Lost)
    | st.builds(
        Refused,
        status=st.integers(200, 599),
        type=st.none() | st.sampled_from(["validation", "generation", "overloaded"]) | texts,
        message=texts | st.sampled_from([NO_CONFIG, HUB_404, TOO_LONG, OVER_BUDGET]),
    ),
    st.booleans(),
)
def test_any_failure_has_a_whole_answer(
    failure: Failure,
    has_adapter: bool,
) -> None:
    """A status that is an error, a message, a type; nothing that reached LoRAX is tried again."""
    error = told(failure, has_adapter=has_adapter)
    assert 400 <= error.status <= 599
    assert error.message.strip()
    assert error.type
    if retries(error):
        assert error.status in (429, 503)
        assert any(name == "retry-after" for name, _ in error.headers)


def test_hostile_length_costs_no_time() -> None:
    """A message of megabytes is looked at by no pattern, and passed on cut."""
    message = SHARD + "Adapter '" + "' is not compatible with model '" * 50_000
    error = told(Refused(424, "generation", message))
    assert error.code == "upstream_error"
    assert len(error.message) < 700
    assert len(told(Refused(422, "validation", message)).message) < 700


def test_a_bug_of_ours_tells_nothing_but_its_id() -> None:
    """The envelope that even our own mistakes get."""
    error = internal("req-1")
    assert (error.status, error.type, error.code) == (500, "server_error", "internal_error")
    assert error.message == (
        "The proxy failed to answer this request. Its log has the cause under req-1."
    )
    assert not retries(error)


def test_what_an_error_does_not_say_is_null() -> None:
    """OpenAI's envelope has all four keys, and an answer all its headers."""
    error = ApiError(500, "m", "t")
    assert (error.param, error.code, error.headers) == (None, None, ())


def test_our_refusals_keep_all_they_say() -> None:
    """Status, type, param, code and headers of a refusal reach the answer."""
    refused = RequestRefused(
        "no", status=405, type="t", param="p", code="c", headers=(("allow", "POST"),)
    )
    assert refusal(refused) == ApiError(405, "no", "t", "p", "c", (("allow", "POST"),))


def test_a_refusal_prints_as_what_happened() -> None:
    """The log line of a failure names status, type and LoRAX's words."""
    assert str(Refused(424, "generation", "x")) == "424 generation: x"
    assert all(set(lost.value) <= set(string.printable) for lost in Lost)
