"""The recipe for LangChain in docs/recipes.md, run as it stands but for the port."""

from tests.compat.pages import files, printed


def test_the_recipe_prints_the_adapters_answer_whole_and_streamed(base_url: str) -> None:
    """Two lines, each with the adapter's name in it."""
    lines = printed(files("docs/recipes.md")["langchain.py"], base_url).splitlines()
    assert [("acme/support" in line) for line in lines] == [True, True]
