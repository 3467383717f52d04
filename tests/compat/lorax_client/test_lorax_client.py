"""LoRAX's own Python client, as published, against a running mock.

Needs nothing but lorax-client and pytest; the mock is a command, named by LORAX_MOCK_COMMAND. The
client's models refuse an answer that lacks a field, so every test here is one of the wire's shapes too.
"""

import asyncio
import json
import os
import shlex
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import requests
from lorax import AsyncClient, Client, errors
from lorax.types import FinishReason, MergedAdapters

from tests.compat.copies import ADDRESS, ASKED, COPIES

_COMMAND = shlex.split(os.environ.get("LORAX_MOCK_COMMAND", "lorax-mock"))


@contextmanager
def _mock(*options: str) -> Iterator[str]:
    process = subprocess.Popen(
        [*_COMMAND, "serve", "--port", "0", "--announce", "json", *options],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    yield json.loads(process.stdout.readline())["url"]
    process.terminate()
    assert process.wait(10) == 0
    process.stdout.close()


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    """The base URL of a mock on a free port."""
    with _mock() as url:
        yield url


@pytest.fixture
def client(url: str) -> Iterator[Client]:
    """The synchronous client."""
    made = Client(url)
    yield made
    made.session.close()


def test_generate(client: Client) -> None:
    """Text, counts, tokens and reason reach the client's models."""
    answer = client.generate("What is a reef?", adapter_id="acme/pirate", max_new_tokens=200)
    assert "acme/pirate" in answer.generated_text
    assert answer.details.finish_reason is FinishReason.EndOfSequenceToken
    assert answer.details.generated_tokens == len(answer.details.tokens)
    assert answer.details.tokens[-1].special
    joined = "".join(token.text for token in answer.details.tokens if not token.special)
    assert joined == answer.generated_text


def test_generate_stream_tells_the_same_story(client: Client) -> None:
    """The streamed tokens are those of the plain answer."""
    plain = client.generate("moon", adapter_id="acme/poet")
    streamed = list(client.generate_stream("moon", adapter_id="acme/poet"))
    assert [event.token.id for event in streamed] == [token.id for token in plain.details.tokens]
    assert streamed[-1].generated_text == plain.generated_text
    assert streamed[-1].details.generated_tokens == len(streamed)
    assert all(event.generated_text is None for event in streamed[:-1])


def test_everything_that_can_be_asked_for(client: Client) -> None:
    """Prefill, alternatives, losers of best_of, seeds, stop strings and budgets."""
    answer = client.generate(
        "one two three",
        do_sample=True,
        temperature=0.7,
        best_of=2,
        max_new_tokens=12,
        decoder_input_details=True,
        return_k_alternatives=3,
        return_full_text=True,
        truncate=2,
    )
    assert answer.generated_text.startswith("one two three")
    assert answer.details.finish_reason is FinishReason.Length
    assert [token.text for token in answer.details.prefill] == [" two", " three"]
    assert answer.details.seed is not None
    assert len(answer.details.best_of_sequences) == 1
    stopped = client.generate("a", adapter_id="acme/pirate", stop_sequences=[" be"])
    assert stopped.details.finish_reason is FinishReason.StopSequence
    assert stopped.generated_text.endswith(" be")


def test_a_seed_repeats_an_answer(client: Client) -> None:
    """Equal seeds, equal texts; no seed, another text."""
    texts = [
        client.generate("dice", do_sample=True, seed=seed).generated_text for seed in (7, 7, 8)
    ]
    assert texts[0] == texts[1] != texts[2]
    free = [client.generate("dice", do_sample=True).details.seed for _ in range(2)]
    assert free[0] != free[1]


def test_structured_output(client: Client) -> None:
    """A schema is obeyed."""
    schema = {
        "type": "object",
        "properties": {"name": {"type": "string"}, "age": {"type": "integer"}},
        "required": ["name", "age"],
    }
    form = {"type": "json_object", "schema": schema}
    answer = json.loads(client.generate("who", response_format=form).generated_text)
    assert set(answer) == {"name", "age"}


def test_merged_adapters(client: Client) -> None:
    """A merge speaks under both names."""
    merged = MergedAdapters(
        ids=["acme/pirate", "acme/poet"],
        weights=[0.5, 0.5],
        merge_strategy="linear",
        density=0.5,
        majority_sign_method="total",
    )
    text = client.generate("reef", merged_adapters=merged).generated_text
    assert "acme/pirate + acme/poet" in text


def test_refusals_become_the_clients_exceptions(client: Client) -> None:
    """Each by its error_type, in plain answers and as the only event of a stream."""
    with pytest.raises(errors.ValidationError, match="must have less than 4095 tokens"):
        client.generate("word " * 5000)
    with pytest.raises(errors.GenerationError, match="Repository Not Found"):
        client.generate("a", adapter_id="nobody/nothing")
    with pytest.raises(errors.GenerationError, match="Architectures differ"):
        client.generate("a", adapter_id="acme/wrong-base")
    with pytest.raises(errors.ValidationError, match="must have less than 4095 tokens"):
        list(client.generate_stream("word " * 5000))
    with pytest.raises(errors.GenerationError, match="Repository Not Found"):
        list(client.generate_stream("a", adapter_id="nobody/nothing"))


def test_axums_plain_text_is_what_this_client_cannot_read(client: Client) -> None:
    """A stream refused before it starts is no JSON, and the client says so in its own way."""
    with pytest.raises((requests.exceptions.JSONDecodeError, errors.UnprocessableEntityError)):
        list(client.generate_stream("a", max_new_tokens=2**32))


def test_what_the_client_refuses_itself_is_never_sent(client: Client) -> None:
    """Stricter than the router, which takes a top_p of 1 and a best_of of 0."""
    for wrong in ({"top_p": 1.0}, {"best_of": 0}, {"adapter_source": "elsewhere"}):
        with pytest.raises(errors.ValidationError):
            client.generate("a", **wrong)
    assert client.generate("a", top_p=0.9).generated_text


def test_an_overload_is_the_clients_own_error(url: str) -> None:
    """Asked for by its id; the client does not repeat a POST for its status."""
    client = Client(url, headers={"x-lorax-mock-fault": "overload"})
    with pytest.raises(errors.OverloadedError, match="Model is overloaded"):
        client.generate("a")
    client.session.close()


def test_encoders_answer_the_client() -> None:
    """One text or several, and the refusals of the wrong kind."""
    with _mock("--kind", "embed") as url:
        client = Client(url)
        assert len(client.embed("a boat").embeddings) == 384
        with pytest.raises(errors.GenerationError, match="does not support classification"):
            client.classify("Ada met Bob")
    with _mock("--kind", "classify") as url:
        client = Client(url)
        assert client.classify("Ada met Bob").entities[0]["word"] == "ada"
        assert [len(one.entities) for one in client.classify_batch(["Ada", "x"])] == [1, 0]
        with pytest.raises(errors.GenerationError, match="does not support text generation"):
            client.generate("a")


def test_the_async_client(url: str) -> None:
    """Generate, stream and refusals."""

    async def talk() -> None:
        client = AsyncClient(url)
        plain = await client.generate("moon", adapter_id="acme/poet")
        streamed = [event async for event in client.generate_stream("moon", adapter_id="acme/poet")]
        assert streamed[-1].generated_text == plain.generated_text
        assert len(streamed) == plain.details.generated_tokens
        with pytest.raises(errors.GenerationError):
            await client.generate("a", adapter_id="nobody/nothing")
        with pytest.raises(errors.GenerationError):
            async for _ in client.generate_stream("a", adapter_id="nobody/nothing"):
                pass
        with pytest.raises(errors.ValidationError):
            await client.generate("word " * 5000)

    asyncio.run(talk())


def test_sixty_four_at_once_answer_as_one_alone(url: str) -> None:
    """Neighbours change nothing."""

    async def talk() -> list[str]:
        client = AsyncClient(url)
        asked = [client.generate(f"question {number % 8}") for number in range(64)]
        return [answer.generated_text for answer in await asyncio.gather(*asked)]

    texts = asyncio.run(talk())
    alone = Client(url).generate("question 3").generated_text
    assert texts[3::8] == [alone] * 8
    assert len(set(texts)) == 8


@pytest.mark.parametrize("path", COPIES)
def test_what_the_mocks_page_copies_runs(url: str, path: str) -> None:
    """It prints the same answer as the request that was copied; `make browser` holds the page to these texts."""
    program = COPIES[path].replace(ADDRESS, url)
    done = subprocess.run(
        [sys.executable, "-c", program], check=False, capture_output=True, text=True, timeout=60
    )
    assert done.stderr == ""
    reply = requests.post(url + path, json=ASKED[path], timeout=20)
    last = json.loads(reply.content.decode().strip().rpartition("data:")[2])
    assert done.stdout.removesuffix("\n") == last["generated_text"].removesuffix("\n")
