"""Which adapter answers, and the words in which others do not."""

import pytest

from lorax_mock.adapters import Catalogue
from lorax_mock.errors import LoraxRefusal
from lorax_mock.settings import Adapter, Settings
from lorax_mock.wire import GenerateParameters, MergedAdapters

_SETTINGS = Settings(adapters=(Adapter("a/one"), Adapter("a/private", token="secret")))


def _cause(
    catalogue: Catalogue,
    token: str | None = None,
    *,
    adapter_id: str,
    adapter_source: str | None = None,
) -> str:
    asked = GenerateParameters(adapter_id=adapter_id, adapter_source=adapter_source)
    with pytest.raises(LoraxRefusal) as caught:
        catalogue.open(asked, token)
    assert caught.value.status == 424
    return caught.value.message.removeprefix("Request failed during generation: Server error: ")


@pytest.mark.parametrize("name", [None, "", "__base_model__"])
def test_the_base_model_has_three_names(name: str | None) -> None:
    """And none of them is its own id."""
    identity, persona = Catalogue(_SETTINGS).open(GenerateParameters(adapter_id=name), None)
    assert (identity, persona.name) == ("", _SETTINGS.model_id)


def test_the_base_models_own_id_is_no_adapter() -> None:
    """It is looked up as one, and has no adapter config."""
    cause = _cause(Catalogue(_SETTINGS), adapter_id=_SETTINGS.model_id)
    assert cause.startswith("No valid adapter config file found: tried None and /data/")


def test_sources_are_checked_at_the_first_load_alone() -> None:
    """Once loaded, an adapter is known by its id, whatever source or token comes along."""
    catalogue = Catalogue(_SETTINGS)
    wrong = GenerateParameters(adapter_id="a/one", adapter_source="ftp")
    expected = "Invalid source 'ftp' when downloading adapter 'a/one'"
    assert _cause(catalogue, adapter_id="a/one", adapter_source="ftp") == expected
    catalogue.open(GenerateParameters(adapter_id="a/one", adapter_source="HUB"), None)
    assert catalogue.open(wrong, None)[0] == "a/one"


def test_a_private_adapter_needs_its_token_once() -> None:
    """Afterwards anybody may use it, as in LoRAX."""
    catalogue = Catalogue(_SETTINGS)
    assert "401 Client Error" in _cause(catalogue, adapter_id="a/private")
    assert "404 Client Error" in _cause(catalogue, "EMPTY", adapter_id="a/private")
    catalogue.open(GenerateParameters(adapter_id="a/private"), "secret")
    catalogue.open(GenerateParameters(adapter_id="a/private"), None)
    assert catalogue.loaded == ["a/private"]


def test_short_paths_and_missing_folders_have_their_own_words() -> None:
    """For the sources that read them."""
    catalogue = Catalogue(_SETTINGS)
    cause = _cause(catalogue, adapter_id="abc", adapter_source="s3")
    assert cause == "model_id 'abc' is too short for prefix filtering"
    cause = _cause(catalogue, adapter_id="/no/such", adapter_source="local")
    assert cause == "No valid adapter config file found: tried None and None"


def test_merges_are_identified_by_everything() -> None:
    """Ids, weights and method; one id alone is that adapter."""
    catalogue = Catalogue(Settings())
    ids = ("acme/pirate", "acme/poet")
    half = GenerateParameters(merged_adapters=MergedAdapters(ids, (0.5, 0.5)))
    third = GenerateParameters(merged_adapters=MergedAdapters(ids, (0.3, 0.7)))
    single = GenerateParameters(merged_adapters=MergedAdapters(ids[:1], (0.3,)))
    assert catalogue.open(half, None)[0] != catalogue.open(third, None)[0]
    assert catalogue.open(half, None)[1].name == "acme/pirate + acme/poet (linear)"
    assert catalogue.open(single, None)[0] == "acme/pirate"


def test_the_base_model_cannot_be_merged() -> None:
    """Its id among the ids fails the load."""
    merged = MergedAdapters(("__base_model__", "acme/poet"), (0.5, 0.5))
    with pytest.raises(LoraxRefusal, match="Base model adapter cannot be merged"):
        Catalogue(Settings()).open(GenerateParameters(merged_adapters=merged), None)


def test_unknown_ids_may_be_let_in() -> None:
    """With a persona that bears their name."""
    catalogue = Catalogue(Settings(unknown_adapters=True))
    assert catalogue.open(GenerateParameters(adapter_id="new/one"), None)[1].name == "new/one"
