"""The public model name to what LoRAX is asked for: one pure function.

LoRAX keys an adapter by its id alone and never looks at source or token again after the first load
(router/src/lib.rs:127-163, router/src/queue.rs:193): the first request's source and token win for
the life of the process. So who may use an adapter is decided here, and an id that a configured
model targets, alone or in a merge, is reachable only through that model's name. An id may have one
source only.

An id also ends up in a response header of LoRAX's streams, where a control character kills the
router (router/src/server.rs:1011): nothing but printable characters passes.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from lorax_proxy.core.parsing import nearest
from lorax_proxy.errors import RequestRefused

__all__ = [
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


_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]{0,95}/[A-Za-z0-9][\w.-]{0,95}", re.ASCII)
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
        raise unknown_model(name, catalogue, kind)
    if adapter_source is not None and (
        route.model is not None or not isinstance(route.target, Adapter)
    ):
        raise RequestRefused(
            f"'adapter_source' cannot be chosen for '{name}': its adapter is configured.",
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
    return Route(name, route.upstream, _merged(merge, catalogue, kind, route.upstream))


def _find(name: str, catalogue: Catalogue, kind: Kind, source: str | None) -> Route | None:
    for upstream, base in _bases(catalogue, kind):
        # `base:adapter`, as users of SGLang and vLLM write it; a configured name may hold a colon
        if name.startswith(base + ":") and name not in catalogue.models:
            inner = _find_plain(name.removeprefix(base + ":"), catalogue, kind, source)
            if inner is None or inner.upstream != upstream:
                return None
            return Route(name, upstream, inner.target, inner.model)
    return _find_plain(name, catalogue, kind, source)


def _find_plain(name: str, catalogue: Catalogue, kind: Kind, source: str | None) -> Route | None:
    model = catalogue.models.get(name)
    if model is not None:
        right_kind = _kind_of(model.upstream, catalogue) is kind
        return Route(name, model.upstream, model.target, model) if right_kind else None
    bases = _bases(catalogue, kind)
    for upstream, base in bases:
        if name in ("", base):
            return Route(name, upstream, Base())
    if bases and _unlisted_allowed(name, catalogue, source):
        return Route(name, bases[0][0], Adapter(name, source or catalogue.sources[0]))
    return None


def _bases(catalogue: Catalogue, kind: Kind) -> list[tuple[UpstreamName, str]]:
    return [(up, base) for up, (its_kind, base) in catalogue.bases.items() if its_kind is kind]


def _kind_of(upstream: UpstreamName, catalogue: Catalogue) -> Kind | None:
    entry = catalogue.bases.get(upstream)
    return entry[0] if entry else None


def _unlisted_allowed(name: str, catalogue: Catalogue, source: str | None) -> bool:
    if len(name) > _MAX_ID or not name.isprintable() or name in _targeted(catalogue):
        return False
    # LoRAX's word for "no adapter" (router/src/server.rs) must not slip through as an adapter
    if name == "__base_model__" or (source or catalogue.sources[0]) not in catalogue.sources:
        return False
    match catalogue.allow_unlisted:
        case AllowUnlisted.NONE:
            return False
        case AllowUnlisted.HUB:
            return _HUB_ID.fullmatch(name) is not None and ".." not in name
        case AllowUnlisted.ANY:
            return bool(name.strip())


def _targeted(catalogue: Catalogue) -> frozenset[str]:
    """The adapter ids that configured models own."""
    ids: set[str] = set()
    for model in catalogue.models.values():
        match model.target:
            case Adapter(id=id_):
                ids.add(id_)
            case Merge(ids=merged):
                ids.update(merged)
            case Base():
                pass
    return frozenset(ids)


def _merged(merge: Merge, catalogue: Catalogue, kind: Kind, upstream: UpstreamName) -> Merge:
    """The client's merge with its public names turned into adapter ids, one source for all."""
    adapters: list[Adapter] = []
    for position, name in enumerate(merge.ids):
        param = f"merged_adapters.ids[{position}]"
        route = _find(name, catalogue, kind, merge.source)
        if route is None:
            raise unknown_model(name, catalogue, kind, param=param)
        if not isinstance(route.target, Adapter) or route.upstream != upstream:
            raise RequestRefused(
                f"'{name}' is not a single adapter on the same server: it cannot be merged.",
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


def unknown_model(
    name: str, catalogue: Catalogue, kind: Kind, *, param: str = "model"
) -> RequestRefused:
    """OpenAI's 404 for a model that is not there, with the nearest one that is."""
    near = nearest(name, _names(catalogue, kind))
    hint = f" Did you mean `{near}`?" if near else ""
    shown = name if len(name) <= 100 else name[:97] + "..."
    return RequestRefused(
        f"The model `{shown}` does not exist or you do not have access to it.{hint}",
        status=404,
        param=param,
        code="model_not_found",
    )


def _names(catalogue: Catalogue, kind: Kind) -> Iterable[str]:
    yield from (
        name
        for name, model in catalogue.models.items()
        if _kind_of(model.upstream, catalogue) is kind
    )
    yield from (base for _, base in _bases(catalogue, kind))
