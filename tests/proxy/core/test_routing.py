"""Model names: what each means, and that nothing reaches LoRAX which the operator did not allow."""

from collections.abc import Mapping

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from lorax_proxy.core.routing import (
    Adapter,
    AllowUnlisted,
    Base,
    Catalogue,
    Kind,
    Merge,
    Model,
    Route,
    is_adapter_id,
    resolve,
    unknown_model,
)
from lorax_proxy.errors import RequestRefused
from tests.strategies import texts

SUPPORT = Model("support", Adapter("acme/support", "hub", "secret"), "one")
DRAFT = Model("draft", Adapter("/adapters/draft", "local"), "one")
PLAIN = Model("plain", Base(), "one", defaults={"temperature": 0})
BLEND = Model("blend", Merge(("acme/a", "acme/b"), (1.0, 1.0)), "one")
COLON = Model("base/one:special", Adapter("acme/special"), "one")
VECTORS = Model("vectors", Base(), "vec")
SECOND = Model("second", Adapter("acme/second"), "two")
MODELS: Mapping[str, Model] = {
    model.name: model for model in (SUPPORT, DRAFT, PLAIN, BLEND, COLON, VECTORS, SECOND)
}
BASES = {
    "one": (Kind.GENERATE, "base/one"),
    "two": (Kind.GENERATE, "base/one:v2"),
    "vec": (Kind.EMBED, "base/vec"),
}


def catalogue(
    allow: AllowUnlisted = AllowUnlisted.NONE,
    sources: tuple[str, ...] = ("hub",),
    models: Mapping[str, Model] = MODELS,
) -> Catalogue:
    """A catalogue with every kind of model, on two text servers and one for embeddings."""
    return Catalogue(models, BASES, allow, sources)


HUB = catalogue(AllowUnlisted.HUB)
ANY = catalogue(AllowUnlisted.ANY, ("s3", "local"))


@pytest.mark.parametrize(
    ("name", "known", "expected"),
    [
        ("support", catalogue(), Route("support", "one", SUPPORT.target, SUPPORT)),
        ("plain", catalogue(), Route("plain", "one", Base(), PLAIN)),
        ("blend", catalogue(), Route("blend", "one", BLEND.target, BLEND)),
        ("second", catalogue(), Route("second", "two", SECOND.target, SECOND)),
        ("", catalogue(), Route("", "one", Base())),
        ("base/one", catalogue(), Route("base/one", "one", Base())),
        ("base/one:v2", catalogue(), Route("base/one:v2", "two", Base())),
        ("base/one:special", catalogue(), Route("base/one:special", "one", COLON.target, COLON)),
        ("base/one:", catalogue(), Route("base/one:", "one", Base())),
        ("base/one:base/one", catalogue(), Route("base/one:base/one", "one", Base())),
        (
            "base/one:support",
            catalogue(),
            Route("base/one:support", "one", SUPPORT.target, SUPPORT),
        ),
        ("org/name", HUB, Route("org/name", "one", Adapter("org/name", "hub"))),
        ("Org_1.a/Na-me", HUB, Route("Org_1.a/Na-me", "one", Adapter("Org_1.a/Na-me", "hub"))),
        ("0/9", HUB, Route("0/9", "one", Adapter("0/9", "hub"))),
        ("base/one:org/name", HUB, Route("base/one:org/name", "one", Adapter("org/name", "hub"))),
        ("any thing", ANY, Route("any thing", "one", Adapter("any thing", "s3"))),
    ],
)
def test_names(name: str, known: Catalogue, expected: Route) -> None:
    """A configured name, the base model in each spelling, and what is allowed unlisted."""
    assert resolve(name, known) == expected


def test_an_unlisted_adapter_goes_where_its_base_is() -> None:
    """`base:adapter` picks the server too."""
    bases = {"one": (Kind.GENERATE, "base/one"), "two": (Kind.GENERATE, "base/two")}
    known = Catalogue({}, bases, AllowUnlisted.HUB)
    assert resolve("base/two:org/name", known).upstream == "two"
    assert resolve("org/name", known).upstream == "one"


def test_the_longer_base_is_meant() -> None:
    """A base model's id may hold colons, and begin like another's."""
    known = catalogue(AllowUnlisted.ANY)
    assert resolve("base/one:v2:some", known) == Route(
        "base/one:v2:some", "two", Adapter("some", "hub")
    )
    assert resolve("base/one:v3:some", known).target == Adapter("v3:some", "hub")
    # whatever the servers are called, and in whichever order they are known
    bases = {"b": (Kind.GENERATE, "base/one"), "a": (Kind.GENERATE, "base/one:v2")}
    known = Catalogue({}, bases, AllowUnlisted.ANY)
    assert resolve("base/one:v2:some", known).upstream == "a"


@pytest.mark.parametrize(
    ("name", "known"),
    [
        ("org/name", catalogue()),
        ("nothing", HUB),
        ("acme/support", HUB),
        ("Acme/Support", HUB),
        ("base/one:acme/support", HUB),
        ("acme/a", HUB),
        ("acme/b", ANY),
        ("/adapters/draft", ANY),
        ("base/one:second", catalogue()),
        ("base/one:blend:blend", catalogue()),
        ("vectors", catalogue()),
        ("base/vec", catalogue()),
        ("__base_model__", ANY),
        ("base/one:__base_model__", ANY),
        (" ", ANY),
        (" padded", ANY),
        ("line\nbreak", ANY),
        ("nul\x00", ANY),
        ("delete\x7f", ANY),
        ("c1\x85", ANY),
        ("héllo/x", ANY),
        ("x" * 513, ANY),
        ("org/na me", HUB),
        ("org/name/more", HUB),
        ("org/../name", HUB),
        ("org/na..me", HUB),
        ("../name", HUB),
        ("org/name\n", HUB),
        ("org/", HUB),
        ("/name", HUB),
        ("org/" + "x" * 97, HUB),
    ],
)
def test_names_that_are_nothing(name: str, known: Catalogue) -> None:
    """OpenAI's 404, whatever the reason: it does not tell what exists for others."""
    with pytest.raises(RequestRefused) as caught:
        resolve(name, known)
    error = caught.value
    assert (error.status, error.param, error.code) == (404, "model", "model_not_found")
    assert error.message.startswith("The model `")


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("suport", " Did you mean `support`?"),
        ("base/on", " Did you mean `base/one`?"),
        ("vector", ""),
        ("base/ve", " Did you mean `base/one`?"),
        ("zzz", ""),
    ],
)
def test_the_nearest_model_is_named(name: str, hint: str) -> None:
    """A typing error is told from a model that is not there."""
    with pytest.raises(RequestRefused) as caught:
        resolve(name, catalogue())
    assert caught.value.message.endswith(f"do not have access to it.{hint}")
    with pytest.raises(RequestRefused) as caught:
        resolve("", catalogue(), merge=merged(name))
    assert caught.value.message.endswith(f"do not have access to it.{hint}")
    assert str(unknown_model(name, ["base/one", "support"])) == (
        f"The model `{name}` does not exist or you do not have access to it.{hint}"
    )


def test_embeddings_see_their_own_models_only() -> None:
    """A text server answers 424 to /embed and turns unhealthy: it is never asked."""
    assert resolve("vectors", catalogue(), Kind.EMBED).upstream == "vec"
    assert resolve("", catalogue(), Kind.EMBED).target == Base()
    with pytest.raises(RequestRefused):
        resolve("support", catalogue(), Kind.EMBED)


def test_without_a_known_upstream_nothing_is_unlisted() -> None:
    """No base model, no place to send an adapter to."""
    with pytest.raises(RequestRefused):
        resolve("org/name", Catalogue({}, {}, AllowUnlisted.HUB))


@pytest.mark.parametrize(
    ("name", "source", "known", "expected"),
    [
        ("org/name", "hub", HUB, Adapter("org/name", "hub")),
        ("some/path", "local", ANY, Adapter("some/path", "local")),
        ("base/one:some/path", "local", ANY, Adapter("some/path", "local")),
        ("some/key", None, ANY, Adapter("some/key", "s3")),
    ],
)
def test_a_client_s_source(
    name: str, source: str | None, known: Catalogue, expected: Adapter
) -> None:
    """An unlisted adapter may name one of the sources that the operator allows."""
    assert resolve(name, known, adapter_source=source).target == expected


@pytest.mark.parametrize(
    ("name", "source", "known", "status", "param"),
    [
        ("org/name", "local", HUB, 400, "adapter_source"),
        ("org/name", "HUB", HUB, 400, "adapter_source"),
        ("org/name", "", HUB, 400, "adapter_source"),
        ("org/name", "hub", ANY, 400, "adapter_source"),
        ("support", "hub", HUB, 400, "adapter_source"),
        ("base/one", "hub", HUB, 400, "adapter_source"),
        ("acme/support", "hub", HUB, 404, "model"),
        ("org/name", "local", catalogue(AllowUnlisted.HUB, ("hub", "local")), 404, "model"),
    ],
)
def test_a_source_that_is_not_the_client_s_to_choose(
    name: str, source: str, known: Catalogue, status: int, param: str
) -> None:
    """Not for configured models or the base, not outside the list, and hub ids from the hub only."""
    with pytest.raises(RequestRefused) as caught:
        resolve(name, known, adapter_source=source)
    assert (caught.value.status, caught.value.param) == (status, param)


OWN_TOKEN = Model("own", Adapter("acme/own", "hub", "another secret"), "one")
OWN_SOURCE = Model("bucket", Adapter("acme/bucket", "s3", "secret"), "one")
NOT_MINE = "'adapter_source' cannot be chosen for '{}': it is not an unlisted adapter."
NO_SUCH_SOURCE = "Invalid value for 'adapter_source': '{}'. Supported values are: 'hub', 'local'."
NEEDS_BASE = "'merged_adapters' needs the base model in 'model': name the adapters in its 'ids'."
NOT_SINGLE = "'{}' is not a single adapter on the same server: it cannot be merged."
NOT_SHARED = "The adapters of one merge must share their source and token."


@pytest.mark.parametrize(
    ("name", "source", "ids", "param", "message"),
    [
        ("support", "hub", (), "adapter_source", NOT_MINE.format("support")),
        ("org/x", "x", (), "adapter_source", NO_SUCH_SOURCE.format("x")),
        ("org/x", "x" * 100, (), "adapter_source", NO_SUCH_SOURCE.format("x" * 100)),
        ("org/x", "x" * 101, (), "adapter_source", NO_SUCH_SOURCE.format("x" * 97 + "...")),
        ("support", None, ("support",), "merged_adapters", NEEDS_BASE),
        ("", None, ("blend",), "merged_adapters.ids[0]", NOT_SINGLE.format("blend")),
        ("", None, ("support", "draft"), "merged_adapters.ids", NOT_SHARED),
        ("", None, ("support", "own"), "merged_adapters.ids", NOT_SHARED),
        ("", None, ("support", "bucket"), "merged_adapters.ids", NOT_SHARED),
    ],
)
def test_what_a_client_may_not_choose_is_told_in_full(
    name: str, source: str | None, ids: tuple[str, ...], param: str, message: str
) -> None:
    """And neither another's token nor another's source is ever used for an adapter."""
    models = {**MODELS, "own": OWN_TOKEN, "bucket": OWN_SOURCE}
    known = catalogue(sources=("hub", "local"), models=models)
    with pytest.raises(RequestRefused) as caught:
        resolve(name, known, adapter_source=source, merge=merged(*ids) if ids else None)
    error = caught.value
    assert (error.status, error.param, error.code) == (400, param, "invalid_value")
    assert error.message == message


def test_a_model_on_an_unknown_upstream_is_nothing_yet() -> None:
    """Until a server has said what it serves, no request can be meant for it."""
    far = Model("far", Adapter("acme/far"), "elsewhere")
    with pytest.raises(RequestRefused) as caught:
        resolve("far", catalogue(models={"far": far}))
    assert caught.value.code == "model_not_found"


def test_tokens_are_not_printed() -> None:
    """Routes end up in logs and tracebacks."""
    merge = Merge(("a",), (1.0,), token="secret")
    for value in (Adapter("a", token="secret"), merge, SUPPORT, Route("x", "one", merge)):
        assert "secret" not in repr(value)


def test_what_is_not_configured_is_left_open() -> None:
    """LoRAX has its own defaults, and so has every request."""
    merge, model = Merge(("a",), (1.0,)), Model("m", Base(), "one")
    assert Adapter("a") == Adapter("a", source=None, token=None)
    assert (merge.strategy, merge.density, merge.majority_sign_method) == (None, None, None)
    assert (merge.source, merge.token) == (None, None)
    assert (model.defaults, model.stop, model.template) == ({}, (), None)


def test_choices_are_spelled_as_in_the_configuration() -> None:
    """These words stand in people's files."""
    assert [each.value for each in AllowUnlisted] == ["none", "hub", "any"]
    assert [each.value for each in Kind] == ["generate", "embed"]


def merged(*ids: str, source: str | None = None) -> Merge:
    """A client's merge of these names."""
    return Merge(ids, tuple(1.0 for _ in ids), "ties", 0.5, "total", source)


def test_a_client_s_merge_names_public_models() -> None:
    """Its ids become adapter ids, with the source and token that they are configured with."""
    route = resolve("base/one", catalogue(), merge=merged("support"))
    assert route == Route(
        "base/one",
        "one",
        Merge(("acme/support",), (1.0,), "ties", 0.5, "total", "hub", "secret"),
    )
    assert resolve("plain", catalogue(), merge=merged("support")).model is PLAIN
    route = resolve("", HUB, merge=merged("org/a", "org/b"))
    assert isinstance(route.target, Merge)
    assert (route.target.ids, route.target.source) == (("org/a", "org/b"), "hub")


@pytest.mark.parametrize(
    ("name", "merge", "status", "param"),
    [
        ("support", merged("support"), 400, "merged_adapters"),
        ("blend", merged("support"), 400, "merged_adapters"),
        ("", merged("acme/support"), 404, "merged_adapters.ids[0]"),
        ("", merged("support", "org/x\n"), 404, "merged_adapters.ids[1]"),
        ("", merged("support", "base/one"), 400, "merged_adapters.ids[1]"),
        ("", merged("blend"), 400, "merged_adapters.ids[0]"),
        ("", merged("second"), 400, "merged_adapters.ids[0]"),
        ("", merged("support", "draft"), 400, "merged_adapters.ids"),
        ("", merged("org/a", source="s3"), 404, "merged_adapters.ids[0]"),
    ],
)
def test_merges_that_break_the_rules(name: str, merge: Merge, status: int, param: str) -> None:
    """Only single adapters of one server, each by a name that the client may use, of one source."""
    with pytest.raises(RequestRefused) as caught:
        resolve(name, HUB, merge=merge)
    assert (caught.value.status, caught.value.param) == (status, param)


_ids = st.sampled_from(
    ["acme/support", "ACME/support", "acme/a", "/adapters/draft", "org/x", "org/x\n", "", "ü"]
)
_names = st.one_of(
    st.sampled_from(sorted(MODELS)),
    _ids,
    texts,
    st.text("acme/suport:base\n\x00. ", max_size=15),
    st.builds("{}:{}".format, st.sampled_from(["base/one", "base/one:v2"]), _ids | texts),
)


@pytest.mark.property
@given(
    name=_names,
    allow=st.sampled_from(AllowUnlisted),
    sources=st.sampled_from([("hub",), ("local", "hub")]),
    kind=st.sampled_from(Kind),
    source=st.none() | st.sampled_from(["hub", "local", "s3", "", "x\n"]),
    ids=st.none() | st.lists(_names, min_size=1, max_size=3),
)
@example("base/one:acme/support", AllowUnlisted.ANY, ("hub",), Kind.GENERATE, None, None)
@example("", AllowUnlisted.ANY, ("hub",), Kind.GENERATE, None, ["acme/support"])
def test_no_name_gets_around_the_operator(
    name: str,
    allow: AllowUnlisted,
    sources: tuple[str, ...],
    kind: Kind,
    source: str | None,
    ids: list[str] | None,
) -> None:
    """Owned ids only by their names, sources only from the list, and every id one LoRAX survives."""
    merge = None if ids is None else Merge(tuple(ids), tuple(1.0 for _ in ids), source=source)
    known = catalogue(allow, sources)
    try:
        route = resolve(name, known, kind, adapter_source=None if merge else source, merge=merge)
    except RequestRefused as error:
        assert error.status in (400, 404)  # noqa: PT017 - either outcome may be right
        return
    owned = {"acme/support", "/adapters/draft", "acme/a", "acme/b", "acme/special", "acme/second"}
    asked = [name] if ids is None else ids
    assert BASES[route.upstream][0] is kind
    match route.target:
        case Base():
            return
        case Adapter():
            targets: tuple[str, ...] = (route.target.id,)
        case Merge():
            targets = route.target.ids
    for each in targets:
        assert is_adapter_id(each)
        if each.casefold() in owned:
            names = {
                model.name
                for model in MODELS.values()
                if (isinstance(model.target, Adapter) and model.target.id == each)
                or (isinstance(model.target, Merge) and each in model.target.ids)
            }
            spelled = {a.removeprefix("base/one:v2:").removeprefix("base/one:") for a in asked}
            assert names & (spelled | set(asked))
        else:
            assert allow is not AllowUnlisted.NONE
            assert route.target.source in sources
            assert route.target.token is None


@pytest.mark.parametrize("text", ["a", "s3://b/c", "x" * 512, "with space", "~!@#$%^&*()"])
def test_ids_that_lorax_survives(text: str) -> None:
    """Printable ASCII up to the limit."""
    assert is_adapter_id(text)


@pytest.mark.parametrize("text", ["", "x" * 513, " x", "x ", "x\n", "é", "\x7f"])
def test_ids_that_lorax_does_not_survive(text: str) -> None:
    """Nor is no id an id."""
    assert not is_adapter_id(text)
