"""What the shard makes of an adapter's files."""

import pytest

from lorax_mock.lora import Adapter, architecture_of, merge_fault


@pytest.mark.parametrize(
    ("model_id", "architecture"),
    [
        ("meta-llama/Meta-Llama-3.1-8B-Instruct", "LlamaForCausalLM"),
        ("mistralai/Mistral-7B-v0.1", "MistralForCausalLM"),
        ("mistralai/Mixtral-8x7B-v0.1", "MixtralForCausalLM"),
        ("Qwen/Qwen2.5-7B", "Qwen2ForCausalLM"),
        ("google/gemma-2-9b", "Gemma2ForCausalLM"),
        ("google/gemma-7b", "GemmaForCausalLM"),
        ("microsoft/Phi-3-mini-4k-instruct", "Phi3ForCausalLM"),
        ("acme/unheard-of", None),
    ],
)
def test_a_name_tells_the_architecture(model_id: str, architecture: str | None) -> None:
    """A model's name tells the architecture that its configuration would."""
    assert architecture_of(model_id) == architecture


def test_the_adapters_architecture_comes_first() -> None:
    """The refusal tells the adapter's architecture first, then the server's."""
    adapter = Adapter("a/b", base_model="mistralai/Mistral-7B-v0.1")
    assert adapter.load_fault("google/gemma-7b") == (
        "Adapter 'a/b' is not compatible with model 'google/gemma-7b'. Architectures differ: "
        "['MistralForCausalLM'] != ['GemmaForCausalLM']. "
        "Use --model-id 'mistralai/Mistral-7B-v0.1' instead."
    )
    assert "!= ['LlamaForCausalLM']" in str(adapter.load_fault("acme/unheard-of"))


@pytest.mark.parametrize(
    "adapter",
    [
        Adapter("a/b", base_model="meta-llama/Llama-2-7b-hf"),
        Adapter("a/b", base_model="acme/out-of-reach"),
        Adapter("a/b", base_model="meta-llama/m", architecture="X", peft_type="PROMPT_TUNING"),
        Adapter("a/b", architecture="X"),
    ],
)
def test_a_base_model_that_may_fit_is_taken(adapter: Adapter) -> None:
    """An adapter loads whose base model is of the same architecture, unknown, the very same, or not named."""
    assert adapter.load_fault("meta-llama/m") is None


def test_an_architecture_may_be_told_where_the_name_does_not() -> None:
    """An architecture that the adapter tells is believed where the name tells none."""
    adapter = Adapter("a/b", base_model="acme/unheard-of", architecture="X")
    assert "Architectures differ: ['X'] != ['LlamaForCausalLM']" in str(adapter.load_fault("m"))


@pytest.mark.parametrize(
    ("adapter_id", "source", "folder"),
    [
        ("a/b", "hub", "/data/models--a--b/snapshots/0"),
        ("/mine", "local", "/mine"),
        ("mine/b", "local", "/data/mine/b"),
        ("bucket/a/b", "s3", "/data/models--a--b/snapshots"),
        ("s3://bucket/a", "s3", "/data/models--a/snapshots"),
    ],
)
def test_a_corrupt_file_is_told_where_it_is(adapter_id: str, source: str, folder: str) -> None:
    """A corrupt file is told with its place in the shard's cache or in its folder."""
    adapter = Adapter(adapter_id, source=source, weights="corrupt")
    expected = f"Header extends past end of file: {folder}/adapter_model.safetensors"
    assert adapter.download_fault() == expected


def test_a_merge_wants_one_rank_and_one_shape() -> None:
    """A merge fails on unequal ranks and shapes, and weights without layers have no shape."""
    small, large, wide = Adapter("s", rank=8), Adapter("l"), Adapter("w", weights="misshapen")
    nameless = Adapter("n", weights="misnamed")
    assert merge_fault([large, large, nameless]) is None
    assert merge_fault([wide, wide]) is None
    assert merge_fault([small, nameless]) == (
        "unable to merge adapters, lora configs have different ranks: {8, 16}"
    )
    assert merge_fault([nameless, large, wide]) == (
        "stack expects each tensor to be equal size, "
        "but got [16, 4096] at entry 0 and [16, 2048] at entry 1"
    )
