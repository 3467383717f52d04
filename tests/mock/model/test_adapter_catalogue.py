"""Which adapter answers, and the words in which others do not."""

import re

import pytest

from lorax_mock.errors import LoraxRefusal
from lorax_mock.model.adapter_catalogue import AdapterCatalogue
from lorax_mock.model.personas import VOICES
from lorax_mock.settings import Adapter, Settings
from lorax_mock.wire.native import GenerateParameters, MergedAdapters

_SETTINGS = Settings(adapters=(Adapter("a/one"), Adapter("a/private", token="secret")))


def _cause(
    catalogue: AdapterCatalogue,
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
    """Null, the empty string and `__base_model__` are the base model, its own id is not."""
    identity, persona = AdapterCatalogue(_SETTINGS).open(GenerateParameters(adapter_id=name), None)
    assert (identity, persona.name) == ("", _SETTINGS.model_id)


def test_the_base_models_own_id_is_no_adapter() -> None:
    """The base model's own id is looked up as an adapter, which has no adapter config."""
    cause = _cause(AdapterCatalogue(_SETTINGS), adapter_id=_SETTINGS.model_id)
    assert cause.startswith("No valid adapter config file found: tried None and /data/")


def test_sources_are_checked_at_the_first_load_alone() -> None:
    """A loaded adapter is known by its id, whatever source or token comes along."""
    catalogue = AdapterCatalogue(_SETTINGS)
    wrong = GenerateParameters(adapter_id="a/one", adapter_source="ftp")
    expected = "Invalid source 'ftp' when downloading adapter 'a/one'"
    assert _cause(catalogue, adapter_id="a/one", adapter_source="ftp") == expected
    catalogue.open(GenerateParameters(adapter_id="a/one", adapter_source="HUB"), None)
    assert catalogue.open(wrong, None)[0] == "a/one"


def test_a_private_adapter_needs_its_token_once() -> None:
    """A private adapter loads with its token alone, and then answers anybody, as in LoRAX."""
    catalogue = AdapterCatalogue(_SETTINGS)
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
        ("s3", "bucket/no/such", None, "Unable to locate credentials"),
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
    """Each source has its own words for ids that it cannot read and for those it does not have."""
    said = _cause(AdapterCatalogue(_SETTINGS), token, adapter_id=adapter_id, adapter_source=source)
    assert said == cause


def test_a_server_with_an_adapter_in_a_bucket_has_credentials() -> None:
    """A server that has one adapter in a bucket looks for others there, and does not find them."""
    catalogue = AdapterCatalogue(Settings(adapters=(Adapter("bucket/mine", source="s3"),)))
    cause = _cause(catalogue, adapter_id="bucket/other", adapter_source="s3")
    assert cause == "No valid adapter config file found: tried None and None"


def test_an_adapter_is_where_it_is() -> None:
    """An adapter of one source is missing in every other."""
    mine = (Adapter("/data/mine", source="local"), Adapter("bucket/mine", source="s3"))
    catalogue = AdapterCatalogue(Settings(adapters=mine))
    assert "Repository Not Found" in _cause(catalogue, adapter_id="bucket/mine")
    assert _cause(catalogue, adapter_id="/data/mine").startswith("Repo id must be in the form")
    asked = GenerateParameters(adapter_id="/data/mine", adapter_source="local")
    assert catalogue.open(asked, None)[0] == "/data/mine"


def test_a_merge_is_an_adapter_of_its_own() -> None:
    """A merge does not make its members known, and known members do not load a merge."""
    catalogue = AdapterCatalogue(Settings())
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
    """A missing member is told before a broken one, and two members may be too large together."""
    catalogue = AdapterCatalogue(
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
    """A merge's identity has its ids, weights and method; one id alone is that adapter."""
    catalogue = AdapterCatalogue(Settings())
    ids = ("acme/pirate", "acme/poet")
    half = GenerateParameters(merged_adapters=MergedAdapters(ids, (0.5, 0.5)))
    third = GenerateParameters(merged_adapters=MergedAdapters(ids, (0.3, 0.7)))
    single = GenerateParameters(merged_adapters=MergedAdapters(ids[:1], (0.3,)))
    assert catalogue.open(half, None)[0] != catalogue.open(third, None)[0]
    assert catalogue.open(half, None)[1].name == "acme/pirate + acme/poet (linear)"
    assert catalogue.open(single, None)[0] == "acme/pirate"


def test_the_base_model_cannot_be_merged() -> None:
    """A merge that has the base model's id fails to load."""
    for ids in (("__base_model__", "acme/poet"), ("__base_model__", "__base_model__")):
        merged = MergedAdapters(ids, (0.5, 0.5))
        with pytest.raises(LoraxRefusal, match="Base model adapter cannot be merged") as caught:
            AdapterCatalogue(Settings()).open(GenerateParameters(merged_adapters=merged), None)
        assert caught.value.counted_as == "load_adapter"
    alone = GenerateParameters(merged_adapters=MergedAdapters(("__base_model__",), (1.0,)))
    assert AdapterCatalogue(Settings()).open(alone, None)[0] == ""


@pytest.mark.parametrize("adapter_id", [None, "a/one"])
def test_source_and_token_count_whenever_an_adapter_becomes_active(adapter_id: str | None) -> None:
    """Source and token count at the first request and after an adapter was sent away, and never while it is active."""
    catalogue = AdapterCatalogue(_SETTINGS)
    wrong = GenerateParameters(adapter_id=adapter_id, adapter_source="zz")
    right = GenerateParameters(adapter_id=adapter_id)
    name = adapter_id or "__base_model__"

    def refused(*, idle: bool) -> tuple[str, str]:
        with pytest.raises(LoraxRefusal) as caught:
            catalogue.open(wrong, None, idle=idle)
        return caught.value.message.partition("Server error: ")[2], caught.value.counted_as

    download = (f"Invalid source 'zz' when downloading adapter '{name}'", "download_adapter")
    assert refused(idle=False) == download
    catalogue.open(right, None)
    catalogue.open(wrong, None)
    load = (f"Invalid source 'zz' when loading adapter '{name}'", "load_adapter")
    assert refused(idle=True) == load
    # the failure has made it unknown
    assert refused(idle=False) == download


def test_an_adapter_is_looked_for_anew_when_it_is_loaded_again() -> None:
    """A reload looks where that request says, with its token, whatever was found before."""
    catalogue = AdapterCatalogue(_SETTINGS)
    mine = GenerateParameters(adapter_id="a/private")
    catalogue.open(mine, "secret")
    catalogue.open(mine, "secret", idle=True)
    for asked, token, words in (
        (mine, None, "401 Client Error"),
        (
            GenerateParameters(adapter_id="a/private", adapter_source="local"),
            "secret",
            "tried None",
        ),
    ):
        catalogue.open(mine, "secret")
        with pytest.raises(LoraxRefusal, match=words) as caught:
            catalogue.open(asked, token, idle=True)
        assert caught.value.counted_as == "load_adapter"


_FAULTY = Settings(
    adapters=(
        Adapter("a/one", "pirate"),
        Adapter("a/corrupt", weights="corrupt"),
        Adapter("a/cut", weights="truncated"),
        Adapter("a/misshapen", weights="misshapen"),
        Adapter("a/misnamed", weights="misnamed"),
        Adapter("a/small", rank=8),
        Adapter("a/banana", peft_type="BANANA"),
        Adapter("a/falcon", base_model="tiiuae/falcon-7b"),
    )
)


@pytest.mark.parametrize(
    ("ids", "words", "counted"),
    [
        (("a/corrupt",), "Header extends past end of file: /data/", "download_adapter"),
        (("a/falcon", "a/corrupt"), "Header extends past end", "download_adapter"),
        (("a/cut",), "Error while deserializing header", "load_adapter"),
        (("a/falcon",), "Architectures differ: ['FalconForCausalLM'] != [", "load_adapter"),
        (("a/one", "a/cut"), "Error while deserializing header", "load_adapter"),
        (("a/one", "a/small"), "unable to merge adapters, lora configs have", "load_adapter"),
        (("a/one", "a/misshapen"), "stack expects each tensor", "load_adapter"),
    ],
)
def test_faulty_files_fail_where_lorax_finds_them_out(
    ids: tuple[str, ...], words: str, counted: str
) -> None:
    """The download refuses a bad beginning, the load a bad rest, the merge unequal ranks and shapes."""
    merged = MergedAdapters(ids, (1.0,) * len(ids))
    with pytest.raises(LoraxRefusal, match=re.escape(words)) as caught:
        AdapterCatalogue(_FAULTY).open(GenerateParameters(merged_adapters=merged), None)
    assert (caught.value.status, caught.value.counted_as) == (424, counted)


def test_weights_that_no_layer_is_called_for_are_left_out() -> None:
    """Misnamed weights load and change nothing, so the base model, or the rest of the merge, answers."""
    catalogue = AdapterCatalogue(_FAULTY)
    assert catalogue.open(GenerateParameters(adapter_id="a/misnamed"), None) == (
        "a/misnamed",
        catalogue.base,
    )
    merged = MergedAdapters(("a/misnamed", "a/one"), (1.0, 1.0))
    persona = catalogue.open(GenerateParameters(merged_adapters=merged), None)[1]
    assert persona.voices == (VOICES["pirate"],)
    assert catalogue.open(GenerateParameters(adapter_id="a/banana"), None)[1].name == "a/banana"


def test_shapes_are_found_out_by_the_first_pass() -> None:
    """Weights of a wrong shape load, and the first forward pass fails without a word."""
    catalogue = AdapterCatalogue(_FAULTY)
    asked = GenerateParameters(adapter_id="a/misshapen")
    catalogue.open(asked, None)
    with pytest.raises(LoraxRefusal) as caught:
        catalogue.check_pass(asked)
    assert caught.value.message == "Request failed during generation: Server error: "
    catalogue.check_pass(GenerateParameters(adapter_id="a/one"))
    catalogue.check_pass(GenerateParameters())


def test_unknown_ids_may_be_let_in() -> None:
    """Where unknown adapters are let in, an unlisted id answers with a persona of its name."""
    catalogue = AdapterCatalogue(Settings(unknown_adapters=True))
    assert catalogue.open(GenerateParameters(adapter_id="new/one"), None)[1].name == "new/one"


def test_preloaded_adapters_are_there_and_no_other_can_be() -> None:
    """Preloaded adapters need a source that is one and no token; any other finds no memory reserved."""
    catalogue = AdapterCatalogue(Settings(preloaded_adapter_ids=("acme/pirate",)))
    assert catalogue.loaded == ["acme/pirate"]
    words = "Invalid source 'elsewhere' when downloading adapter 'acme/pirate'"
    assert _cause(catalogue, adapter_id="acme/pirate", adapter_source="elsewhere") == words
    asked = GenerateParameters(adapter_id="acme/pirate", adapter_source="local")
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
    """A static adapter answers for the base model in its own voice and name, and others load as ever."""
    catalogue = AdapterCatalogue(Settings(adapter_id="acme/pirate"))
    identity, persona = catalogue.open(GenerateParameters(), None)
    assert (identity, persona.name) == ("", "acme/pirate")
    assert catalogue.open(GenerateParameters(adapter_id="acme/poet"), None)[0] == "acme/poet"
