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


@pytest.mark.parametrize(
    ("source", "adapter_id", "token", "cause"),
    [
        ("s3", "abc", None, "model_id 'abc' is too short for prefix filtering"),
        ("local", "abc", None, "model_id 'abc' is too short for prefix filtering"),
        ("local", "/no/such", None, "No valid adapter config file found: tried None and None"),
        ("s3", "bucket/no/such", None, "No valid adapter config file found: tried None and None"),
        (
            "s3",
            "no-bucket",
            None,
            (
                "Invalid model_id no-bucket. model_id should be of the form `bucket_name/model_id` "
                "if PREDIBASE_MODEL_BUCKET environment variable is not set"
            ),
        ),
        (
            "s3",
            "s3://bucket",
            None,
            (
                "Invalid model_id s3://bucket. "
                "model_id should be of the form `s3://bucket_name/model_id`"
            ),
        ),
        ("pbase", "a/1", None, "api_token must be provided to for a model of source pbase"),
        ("pbase", "a/b/1", "t", "Invalid model id a/b/1"),
        (
            "pbase",
            "a/1",
            "t",
            (
                "404 Client Error: Not Found for url: "
                "https://api.app.predibase.com/v1/models/version/name/a?version=1"
            ),
        ),
        (
            "hub",
            "/data/adapters/mine",
            None,
            (
                "Repo id must be in the form 'repo_name' or 'namespace/repo_name': "
                "'/data/adapters/mine'. Use `repo_type` argument if needed."
            ),
        ),
        (
            "hub",
            "my adapter",
            None,
            (
                "Repo id must use alphanumeric chars or '-', '_', '.', '--' and '..' are forbidden, "
                "'-' and '.' cannot start or end the name, max length is 96: 'my adapter'."
            ),
        ),
        (
            "hub",
            "a/" + "b" * 97,
            None,
            (
                "Repo id must use alphanumeric chars or '-', '_', '.', '--' and '..' are forbidden, "
                "'-' and '.' cannot start or end the name, max length is 96: 'a/" + "b" * 97 + "'."
            ),
        ),
        ("hub", "a/b--c", None, "Cannot have -- or .. in repo_id: 'a/b--c'."),
        ("hub", "a/b.git", None, "Repo_id cannot end by '.git': 'a/b.git'."),
        ("", "a/one", None, "Invalid source '' when downloading adapter 'a/one'"),
    ],
)
def test_each_source_has_its_own_words(
    source: str, adapter_id: str, token: str | None, cause: str
) -> None:
    """For ids that it cannot read, and for those it does not have."""
    said = _cause(Catalogue(_SETTINGS), token, adapter_id=adapter_id, adapter_source=source)
    assert said == cause


def test_an_adapter_is_where_it_is() -> None:
    """Another source does not have it."""
    mine = (Adapter("/data/mine", source="local"), Adapter("bucket/mine", source="s3"))
    catalogue = Catalogue(Settings(adapters=mine))
    assert "Repository Not Found" in _cause(catalogue, adapter_id="bucket/mine")
    assert _cause(catalogue, adapter_id="/data/mine").startswith("Repo id must be in the form")
    asked = GenerateParameters(adapter_id="/data/mine", adapter_source="local")
    assert catalogue.open(asked, None)[0] == "/data/mine"


def test_a_merge_is_an_adapter_of_its_own() -> None:
    """Neither do its members become known with it, nor does it come loaded with them."""
    catalogue = Catalogue(Settings())
    ids = ("acme/pirate", "acme/poet")
    half = MergedAdapters(ids, (0.5, 0.5))
    catalogue.open(GenerateParameters(merged_adapters=half), None)
    expected = "Invalid source 'ftp' when downloading adapter 'acme/pirate'"
    assert _cause(catalogue, adapter_id="acme/pirate", adapter_source="ftp") == expected
    catalogue.open(GenerateParameters(merged_adapters=half, adapter_source="ftp"), None)
    other = MergedAdapters(ids, (0.3, 0.7))
    with pytest.raises(LoraxRefusal, match="downloading adapter 'acme/pirate,acme/poet'"):
        catalogue.open(GenerateParameters(merged_adapters=other, adapter_source="ftp"), None)


def test_everything_is_downloaded_and_weighed_before_anything_is_loaded() -> None:
    """So a missing member is told before a broken one, and two may be too large together."""
    catalogue = Catalogue(
        Settings(
            adapters=(
                Adapter("a/broken", error="boom"),
                Adapter("a/half", memory=0.6),
                Adapter("a/other", memory=0.5),
            )
        )
    )

    def refusal(*ids: str) -> LoraxRefusal:
        merged = MergedAdapters(ids, (0.5,) * len(ids))
        with pytest.raises(LoraxRefusal) as caught:
            catalogue.open(GenerateParameters(merged_adapters=merged), None)
        return caught.value

    assert "Repository Not Found" in refusal("a/broken", "a/none").message
    heavy = refusal("a/half", "a/other")
    assert "Adapter a/other is larger than adapter memory reservation: " in heavy.message
    assert heavy.counted_as == "download_adapter"
    broken = refusal("a/broken", "a/half")
    assert broken.message == "Request failed during generation: Server error: boom"
    assert broken.counted_as == "load_adapter"


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
    for ids in (("__base_model__", "acme/poet"), ("__base_model__", "__base_model__")):
        merged = MergedAdapters(ids, (0.5, 0.5))
        with pytest.raises(LoraxRefusal, match="Base model adapter cannot be merged") as caught:
            Catalogue(Settings()).open(GenerateParameters(merged_adapters=merged), None)
        assert caught.value.counted_as == "load_adapter"
    alone = GenerateParameters(merged_adapters=MergedAdapters(("__base_model__",), (1.0,)))
    assert Catalogue(Settings()).open(alone, None)[0] == ""


def test_unknown_ids_may_be_let_in() -> None:
    """With a persona that bears their name."""
    catalogue = Catalogue(Settings(unknown_adapters=True))
    assert catalogue.open(GenerateParameters(adapter_id="new/one"), None)[1].name == "new/one"


def test_preloaded_adapters_are_there_and_no_other_can_be() -> None:
    """From any source, without a token; the rest is downloaded, and finds no memory reserved."""
    catalogue = Catalogue(Settings(preloaded_adapter_ids=("acme/pirate",)))
    asked = GenerateParameters(adapter_id="acme/pirate", adapter_source="elsewhere")
    assert catalogue.open(asked, None)[1].name == "acme/pirate"
    for one, words in (
        ("acme/poet", "Memory reserved for adapters is 0. Please set a memory reservation"),
        ("acme/none", "Repository Not Found"),
    ):
        with pytest.raises(LoraxRefusal, match=words) as caught:
            catalogue.open(GenerateParameters(adapter_id=one), None)
        assert caught.value.counted_as == "download_adapter"
    merged = MergedAdapters(("acme/pirate", "acme/pirate"), (0.5, 0.5))
    with pytest.raises(LoraxRefusal, match="Memory reserved"):
        catalogue.open(GenerateParameters(merged_adapters=merged), None)


def test_a_static_adapter_is_the_base_model() -> None:
    """In its voice and name; others load as ever."""
    catalogue = Catalogue(Settings(adapter_id="acme/pirate"))
    identity, persona = catalogue.open(GenerateParameters(), None)
    assert (identity, persona.name) == ("", "acme/pirate")
    assert catalogue.open(GenerateParameters(adapter_id="acme/poet"), None)[0] == "acme/poet"
