"""The recipe for LlamaIndex in docs/recipes.md, run as it stands but for the port."""

from tests.compat.pages import files, printed


def test_the_recipe_prints_the_adapters_answer(base_url: str) -> None:
    """With the adapter's name in it."""
    assert "acme/support" in printed(files("docs/recipes.md")["llamaindex.py"], base_url)
