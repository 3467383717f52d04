"""The public model name to what LoRAX is asked for: one pure function.

LoRAX keys an adapter by its id alone and never looks at source or token again after the first load
(router/src/lib.rs:127-163, router/src/queue.rs:193): the first request's source and token win for
the life of the process. So who may use an adapter is decided here, and an id that a configured
model targets, alone or in a merge, is reachable only through that model's name. An id may have one
source only.

An id also ends up in a response header of LoRAX's streams, where a control character kills the
router (router/src/server.rs:1011): nothing but printable ASCII passes (`is_adapter_id`).
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from lorax_proxy.core.refusals import nearest
from lorax_proxy.errors import RequestRefused

__all__ = [
    "BASE_MODEL_ADAPTER_ID",
    "Adapter",
    "AllowUnlisted",
    "Base",
    "Catalogue",
    "Kind",
    "Merge",
    "Model",
    "Route",
    "Target",
    "UpstreamName",
    "is_adapter_id",
    "resolve",
    "unknown_model",
]


class AllowUnlisted(Enum):
    """Which names that no configured model has are taken for adapter ids."""

    NONE = "none"
    HUB = "hub"
    """ids of the form `org/name`, from the hub"""
    ANY = "any"
    """whatever the name says, from the sources that the operator allows"""


class Kind(Enum):
    """What an upstream is asked for: one LoRAX server cannot do both (router/src/infer.rs:1051)."""

    GENERATE = "generate"
    EMBED = "embed"


@dataclass(frozen=True, slots=True)
class Base:
    """The base model, with no adapter."""


@dataclass(frozen=True, slots=True)
class Adapter:
    """One adapter: its id, and where and with which token LoRAX first loads it."""

    id: str
    source: str | None = None
    token: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Merge:
    """Several adapters as one (`merged_adapters`, router/src/lib.rs:83)."""

    ids: tuple[str, ...]
    weights: tuple[float, ...]
    strategy: str | None = None
    density: float | None = None
    majority_sign_method: str | None = None
    source: str | None = None
    token: str | None = field(default=None, repr=False)


Target = Base | Adapter | Merge
UpstreamName = str


@dataclass(frozen=True, slots=True)
class Model:
    """A configured public name: what it targets, where, and what its requests default to."""

    name: str
    target: Target
    upstream: UpstreamName
    defaults: Mapping[str, Any] = field(default_factory=dict[str, Any])
    stop: tuple[str, ...] = ()
    template: str | None = None


@dataclass(frozen=True, slots=True)
class Catalogue:
    """Everything that a name can mean.

    Attributes:
        models: The configured models by name.
        bases: Each known upstream's kind and base model id, the default of its kind first.
        allow_unlisted: Whether other names are adapter ids.
        sources: The adapter sources that unlisted ids may come from.
    """

    models: Mapping[str, Model]
    bases: Mapping[UpstreamName, tuple[Kind, str]]
    allow_unlisted: AllowUnlisted
    sources: Sequence[str] = ("hub",)


@dataclass(frozen=True, slots=True)
class Route:
    """Where one request goes, and under which name the client knows it."""

    public_name: str
    upstream: UpstreamName
    target: Target
    model: Model | None = None


_HUB_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,95}/[A-Za-z0-9][A-Za-z0-9_.-]{0,95}")
BASE_MODEL_ADAPTER_ID = "__base_model__"
"""What LoRAX itself calls the absence of an adapter (router/src/adapter.rs:10)."""

_MAX_ID = 512
"""Longer than any path or bucket key that names an adapter; each id lives in LoRAX for ever."""


def resolve(
    name: str,
    catalogue: Catalogue,
    kind: Kind = Kind.GENERATE,
    *,
    adapter_source: str | None = None,
    merge: Merge | None = None,
) -> Route:
    """Find what a client's `model` means.

    Args:
        name: The client's `model`.
        catalogue: What is known and allowed.
        kind: Which kind of upstream the endpoint needs.
        adapter_source: The client's `adapter_source`, for an unlisted adapter.
        merge: The client's `merged_adapters`, whose ids are public names; needs the base model.

    Raises:
        RequestRefused: 404 `model_not_found`, naming the nearest known model; 400 when
            `adapter_source` or `merged_adapters` break the rules.
    """
    route = _find(name, catalogue, kind, adapter_source)
    if route is None:
        if adapter_source is not None and adapter_source not in catalogue.sources:
            raise _no_such_source(adapter_source, catalogue)
        raise unknown_model(name, _names(catalogue, kind))
    if adapter_source is not None and (
        route.model is not None or not isinstance(route.target, Adapter)
    ):
        raise RequestRefused(
            f"'adapter_source' cannot be chosen for '{_shown(name)}': it is not an unlisted adapter.",
            param="adapter_source",
            code="invalid_value",
        )
    if merge is None:
        return route
    if not isinstance(route.target, Base):
        raise RequestRefused(
            "'merged_adapters' needs the base model in 'model': name the adapters in its 'ids'.",
            param="merged_adapters",
            code="invalid_value",
        )
    return Route(name, route.upstream, _merged(merge, catalogue, kind, route.upstream), route.model)


def _find(name: str, catalogue: Catalogue, kind: Kind, source: str | None) -> Route | None:
    """The exact name first: a configured name and a base model's id may hold colons themselves."""
    model = catalogue.models.get(name)
    if model is not None:
        right_kind = _kind_of(model.upstream, catalogue) is kind
        return Route(name, model.upstream, model.target, model) if right_kind else None
    bases = _bases(catalogue, kind)
    for upstream, base in bases:
        if name in ("", base):
            return Route(name, upstream, Base())
    # `base:adapter`, as users of SGLang and vLLM write it; of two bases the longer one is meant
    for upstream, base in sorted(bases, key=lambda each: len(each[1]), reverse=True):
        if name.startswith(base + ":"):
            return _on_base(name, name.removeprefix(base + ":"), upstream, catalogue, source)
    return _unlisted(name, name, bases[0][0], catalogue, source) if bases else None


def _on_base(
    public: str, name: str, upstream: UpstreamName, catalogue: Catalogue, source: str | None
) -> Route | None:
    """What a name means on the upstream that its base model names."""
    model = catalogue.models.get(name)
    if model is not None:
        right_upstream = model.upstream == upstream
        return Route(public, upstream, model.target, model) if right_upstream else None
    if name in ("", catalogue.bases[upstream][1]):
        return Route(public, upstream, Base())
    return _unlisted(public, name, upstream, catalogue, source)


def _unlisted(
    public: str, id_: str, upstream: UpstreamName, catalogue: Catalogue, source: str | None
) -> Route | None:
    """The adapter with that id, where the operator allows ids that no configured model has."""
    chosen = catalogue.sources[0] if source is None else source
    allowed = chosen in catalogue.sources and _id_allowed(id_, chosen, catalogue)
    return Route(public, upstream, Adapter(id_, chosen)) if allowed else None


def _id_allowed(id_: str, source: str, catalogue: Catalogue) -> bool:
    # LoRAX's word for "no adapter" must not slip through as an adapter
    if not is_adapter_id(id_) or id_ == BASE_MODEL_ADAPTER_ID:
        return False
    # folded, since the hub finds a repository in any spelling of its letters
    if id_.casefold() in _targeted(catalogue):
        return False
    match catalogue.allow_unlisted:
        case AllowUnlisted.NONE:
            return False
        case AllowUnlisted.HUB:
            return source == "hub" and _HUB_ID.fullmatch(id_) is not None and ".." not in id_
        case AllowUnlisted.ANY:
            return True


def is_adapter_id(text: str) -> bool:
    """Whether LoRAX survives the text as an adapter id.

    It becomes a response header's value, which a failed conversion turns into a panic
    (router/src/server.rs:1011): printable ASCII is what the conversion promises to take.
    """
    return (
        0 < len(text) <= _MAX_ID and text.isascii() and text.isprintable() and text == text.strip()
    )


def _bases(catalogue: Catalogue, kind: Kind) -> list[tuple[UpstreamName, str]]:
    return [(up, base) for up, (its_kind, base) in catalogue.bases.items() if its_kind is kind]


def _kind_of(upstream: UpstreamName, catalogue: Catalogue) -> Kind | None:
    entry = catalogue.bases.get(upstream)
    return entry[0] if entry else None


def _targeted(catalogue: Catalogue) -> frozenset[str]:
    """The adapter ids that configured models own, in one spelling."""
    ids: set[str] = set()
    for model in catalogue.models.values():
        match model.target:
            case Adapter(id=id_):
                ids.add(id_)
            case Merge(ids=merged):
                ids.update(merged)
            case Base():
                pass
    return frozenset(id_.casefold() for id_ in ids)


def _merged(merge: Merge, catalogue: Catalogue, kind: Kind, upstream: UpstreamName) -> Merge:
    """The client's merge with its public names turned into adapter ids, one source for all."""
    adapters: list[Adapter] = []
    for position, name in enumerate(merge.ids):
        param = f"merged_adapters.ids[{position}]"
        route = _find(name, catalogue, kind, merge.source)
        if route is None:
            raise unknown_model(name, _names(catalogue, kind), param=param)
        if not isinstance(route.target, Adapter) or route.upstream != upstream:
            raise RequestRefused(
                f"'{_shown(name)}' is not a single adapter on the same server: it cannot be merged.",
                param=param,
                code="invalid_value",
            )
        adapters.append(route.target)
    if len({(adapter.source, adapter.token) for adapter in adapters}) > 1:
        raise RequestRefused(
            "The adapters of one merge must share their source and token.",
            param="merged_adapters.ids",
            code="invalid_value",
        )
    return Merge(
        ids=tuple(adapter.id for adapter in adapters),
        weights=merge.weights,
        strategy=merge.strategy,
        density=merge.density,
        majority_sign_method=merge.majority_sign_method,
        source=adapters[0].source,
        token=adapters[0].token,
    )


def unknown_model(name: str, known: Iterable[str], *, param: str = "model") -> RequestRefused:
    """OpenAI's 404 for a model that is not there, with the nearest one that is."""
    near = nearest(name, known)
    hint = f" Did you mean `{near}`?" if near else ""
    return RequestRefused(
        f"The model `{_shown(name)}` does not exist or you do not have access to it.{hint}",
        status=404,
        param=param,
        code="model_not_found",
    )


def _no_such_source(source: str, catalogue: Catalogue) -> RequestRefused:
    return RequestRefused(
        f"Invalid value for 'adapter_source': '{_shown(source)}'. Supported values are: "
        f"{', '.join(repr(each) for each in catalogue.sources)}.",
        param="adapter_source",
        code="invalid_value",
    )


def _shown(name: str) -> str:
    return name if len(name) <= 100 else name[:97] + "..."


def _names(catalogue: Catalogue, kind: Kind) -> Iterable[str]:
    yield from (
        name
        for name, model in catalogue.models.items()
        if _kind_of(model.upstream, catalogue) is kind
    )
    yield from (base for _, base in _bases(catalogue, kind))
