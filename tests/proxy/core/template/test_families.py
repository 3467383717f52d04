"""The table from models to built-in templates: what is in it, and what never is."""

from pathlib import Path

import pytest

from lorax_proxy.core.template.budget import Limits
from lorax_proxy.core.template.families import BUILTIN_TOKENS, FAMILIES, family_of


@pytest.mark.parametrize(("example", "name"), [(example, name) for _, name, example in FAMILIES])
def test_every_row_knows_its_example(example: str, name: str) -> None:
    """The model that a row names is found by it, with or without its organisation."""
    assert family_of(example) == name
    assert family_of(example.rpartition("/")[2]) == name
    assert family_of(f"/models/{example.upper()}/") == name
    assert family_of(f"someone/{example.rpartition('/')[2]}-AWQ") == name
    assert name in BUILTIN_TOKENS


@pytest.mark.parametrize(
    "model",
    [
        "meta-llama/Meta-Llama-3-8B",
        "meta-llama/Llama-3.1-8B",
        "meta-llama/Llama-2-7b-hf",
        "mistralai/Mistral-7B-v0.1",
        "mistralai/Mixtral-8x7B-v0.1",
        "Qwen/Qwen2.5-7B",
        "google/gemma-2-9b",
        "microsoft/phi-2",
        "meta-llama/Llama-3.2-11B-Vision-Instruct",
        "microsoft/Phi-3-small-8k-instruct",
        "google/gemma-3-4b-it",
        "meta-llama/Llama-4-8B-Instruct",
        "someone/Llama-3.1-8B-Instruct-roleplay",
        "someone/my-Llama-3.1-8B-Instruct",
        "gpt2",
        "",
        "/",
    ],
)
def test_what_is_not_in_the_table_is_not_guessed(model: str) -> None:
    """Base models, later generations and derived models have no answer."""
    assert family_of(model) is None


def test_the_documentation_lists_every_built_in_and_limit() -> None:
    """docs/templates.md is what operators choose from."""
    text = (Path(__file__).parents[4] / "docs" / "templates.md").read_text("utf-8")
    for name in BUILTIN_TOKENS:
        assert f"| `{name}` |" in text
    limits = Limits()
    for number in (limits.steps, limits.characters, limits.output):
        assert f"{number:,}" in text
    for number in (limits.steps_per_input, limits.characters_per_input, limits.output_per_input):
        assert f" {number}" in text


@pytest.mark.parametrize("name", sorted(BUILTIN_TOKENS))
def test_the_named_tokens_are_among_the_spellings(name: str) -> None:
    """Text that spells BOS or EOS is looked for too."""
    tokens = BUILTIN_TOKENS[name]
    assert {t for t in (tokens.bos_token, tokens.eos_token) if t} <= tokens.spellings
