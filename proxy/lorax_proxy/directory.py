"""The upstreams, models and templates that a running proxy knows, and how a request finds its own.

The rules are `core.routing`'s; this module adds what only a running proxy has: the base model ids
that `/info` told, and the templates that were loaded.
"""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any, assert_never

import msgspec
from msgspec.structs import replace

from lorax_proxy.config import ModelSettings, Settings, token_of
from lorax_proxy.core.chat_plan import PreparedTemplate
from lorax_proxy.core.plan import Facts
from lorax_proxy.core.routing import (
    Adapter,
    AllowUnlisted,
    Base,
    Catalogue,
    Kind,
    Merge,
    Model,
    Route,
    Target,
    resolve,
)
from lorax_proxy.core.template.families import family_of
from lorax_proxy.errors import Lost, Refused, RequestRefused, UpstreamError
from lorax_proxy.observe import Observer
from lorax_proxy.readiness import News, Upstream
from lorax_proxy.template_files import load_special_tokens, load_template

__all__ = ["Directory", "Found"]


_REMEMBERED = 1024
"""Names whose meaning is remembered: the models that one proxy commonly serves, a few times over."""


class Found(msgspec.Struct, frozen=True):
    """Where a request goes, and what is known of that upstream."""

    route: Route
    upstream: Upstream
    facts: Facts
    epoch: int


class Directory:
    """Where a request finds its upstream, its target and its template."""

    def __init__(
        self, settings: Settings, upstreams: Sequence[Upstream], observer: Observer
    ) -> None:
        """Load what the settings name.

        Raises:
            SettingsInvalid: When a token's variable is not set.
            ProxyError: When a template cannot be loaded.
        """
        self.upstreams: Mapping[str, Upstream] = {upstream.name: upstream for upstream in upstreams}
        self._settings = settings
        self._observer = observer
        for upstream in upstreams:
            upstream.tell = self._tell
            observer.upstream_up(upstream.name, up=False)
        default = next((u.name for u in upstreams if u.kind is Kind.GENERATE), upstreams[0].name)
        self.models: Mapping[str, Model] = {
            model.name: _model(model, default) for model in settings.model
        }
        self._templates: dict[str, PreparedTemplate] = {}
        # what names mean, until an upstream tells something new
        self._routes: dict[tuple[str, Kind, str | None], Route] = {}
        chosen = settings.chat_template or (str(settings.tokenizer) if settings.tokenizer else None)
        self._global_template = chosen
        for name in {chosen, *(model.template for model in self.models.values())}:
            if name is not None:
                self._templates[name] = self._load(name)

    async def find(
        self,
        name: str,
        kind: Kind = Kind.GENERATE,
        *,
        adapter_source: str | None = None,
    ) -> Found:
        """What a request's `model` means, and what is known of its upstream.

        Raises:
            RequestRefused: When there is no such model, or no upstream of that kind.
            UpstreamError: `NOT_READY` while its upstream is not known.
        """
        route = self._routes.get((name, kind, adapter_source))
        if route is None:
            route = await self._find_route(name, kind, adapter_source)
            if len(self._routes) >= _REMEMBERED:
                self._routes.clear()
            self._routes[name, kind, adapter_source] = route
        upstream = self.upstreams[route.upstream]
        facts = await upstream.ready()
        return Found(route, upstream, facts, upstream.epoch)

    async def _find_route(self, name: str, kind: Kind, adapter_source: str | None) -> Route:
        """What a name means; asks upstreams that are not known yet, if they might say it."""
        if not any(upstream.kind is kind for upstream in self.upstreams.values()):
            raise RequestRefused(
                f"This server has no upstream of kind '{kind.value}'.",
                status=404,
                param="model",
                code="model_not_found",
            )
        configured = self.models.get(name)
        if configured is not None:
            await self.upstreams[configured.upstream].ready()
        try:
            return self._route(name, kind, adapter_source)
        except UpstreamError:
            refused = await self._learn(kind)
            try:
                return self._route(name, kind, adapter_source)
            except UpstreamError as error:
                raise refused or error from None

    def merged(self, found: Found, name: str, merge: Merge) -> Found:
        """The same place with adapters that the client merges.

        Args:
            found: What `name` means without them.
            name: The request's `model`.
            merge: The adapters.

        Raises:
            RequestRefused: When the name is no base model's, or an id is not the client's to name.
        """
        return replace(found, route=self._route(name, Kind.GENERATE, None, merge))

    def _route(
        self, name: str, kind: Kind, source: str | None, merge: Merge | None = None
    ) -> Route:
        """Where a name leads, unless an upstream that is not known yet might say otherwise.

        A name that nobody has may be its base model; and what goes to the default upstream must not
        go to another one, with another base model, because the default is away.
        """
        unknown = [u.name for u in self.upstreams.values() if u.kind is kind and u.facts is None]
        catalogue = self.catalogue()
        try:
            route = resolve(name, catalogue, kind, adapter_source=source, merge=merge)
        except RequestRefused as refused:
            if unknown and refused.code == "model_not_found":
                raise UpstreamError(Lost.NOT_READY) from refused
            raise
        default = next(u.name for u in self.upstreams.values() if u.kind is kind)
        base = catalogue.bases[route.upstream][1]
        named = route.model is not None or name == base or name.startswith(f"{base}:")
        if not named and route.upstream != default:
            raise UpstreamError(Lost.NOT_READY)
        return route

    async def _learn(self, kind: Kind) -> UpstreamError | None:
        """Ask every upstream of a kind that is not known yet; return what one said in place of it."""
        return await _ask(
            [u for u in self.upstreams.values() if u.kind is kind and u.facts is None]
        )

    async def begun(self) -> None:
        """Wait until each upstream has been asked once: whether it answers, and what it serves."""
        await _ask([u for u in self.upstreams.values() if u.is_new])

    def catalogue(self) -> Catalogue:
        """Everything that a name can mean now."""
        return Catalogue(
            models=self.models,
            bases={
                name: (upstream.kind, upstream.facts.model_id)
                for name, upstream in self.upstreams.items()
                if upstream.facts is not None
            },
            allow_unlisted=AllowUnlisted(self._settings.unlisted),
            sources=self._settings.unlisted_sources,
        )

    def template(self, route: Route, facts: Facts) -> PreparedTemplate:
        """The chat template of a route: its model's own, the global one, or its family's.

        Raises:
            RequestRefused: 500 `chat_template_missing`, since only the operator can mend it: no
                template is ever guessed.
        """
        own = route.model.template if route.model else None
        name = own or self.default_template(facts)
        if name is None:
            raise RequestRefused(
                f"No chat template is known for the base model '{facts.model_id}'. Set one with "
                "--chat-template NAME|FILE, --tokenizer FOLDER or the model's 'chat_template'; "
                "/v1/completions works without.",
                status=500,
                type="server_error",
                code="chat_template_missing",
            )
        if name not in self._templates:
            self._templates[name] = self._load(name)
        return self._templates[name]

    def _tell(self, upstream: Upstream, news: News, cause: str) -> None:
        """Tell the operator what a question to an upstream brought."""
        self._routes.clear()
        observer, name, facts = self._observer, upstream.name, upstream.facts
        observer.upstream_up(name, up=upstream.answers)
        match news:
            case News.LOST:
                event = "upstream_not_ready" if facts is None else "upstream_lost"
                observer.warn(event, upstream=name, url=upstream.settings.url, cause=cause)
                return
            case News.CHANGED:
                observer.upstream_changed(name)
                model = facts.model_id if facts else None
                observer.warn("upstream_changed", upstream=name, model=model, before=cause)
            case News.BACK:
                observer.note("upstream_back", upstream=name)
                return
            case News.READY:
                observer.note("upstream_ready", upstream=name, model=facts and facts.model_id)
            case _:
                assert_never(news)
        if facts is not None:
            self._announce(upstream, facts)

    def _announce(self, upstream: Upstream, facts: Facts) -> None:
        """Say which template the chats of an upstream get."""
        if upstream.kind is not Kind.GENERATE:
            return
        template = self.default_template(facts)
        if template is None:
            self._observer.warn("chat_template_missing", model=facts.model_id)
        else:
            self._observer.note("chat_template", model=facts.model_id, template=template)
        if facts.appends_eos:
            self._observer.warn("tokenizer_appends_eos", model=facts.model_id, chat="refused")

    def default_template(self, facts: Facts) -> str | None:
        """The template of a base model's chats, if one is known."""
        return self._global_template or family_of(facts.model_id)

    def _load(self, name: str) -> PreparedTemplate:
        """A template, tried in a child process first if it is a stranger's."""
        settings = self._settings
        tokens = None
        if settings.tokenizer is not None and name == settings.chat_template:
            # the template is from elsewhere; the model and its special tokens are the folder's
            tokens = load_special_tokens(settings.tokenizer)
        return PreparedTemplate.of(
            load_template(name, special_tokens=tokens), settings.special_tokens
        )

    def listed(self) -> list[str]:
        """The public model names, base models first."""
        bases = [base for _, base in self.catalogue().bases.values()]
        return list(dict.fromkeys((*bases, *self.models)))

    async def aclose(self) -> None:
        """Close every connection."""
        for upstream in self.upstreams.values():
            await upstream.aclose()


async def _ask(unknown: Sequence[Upstream]) -> UpstreamError | None:
    """Ask upstreams that are not known yet; return what one said in place of its facts."""
    results = await asyncio.gather(*(u.ready() for u in unknown), return_exceptions=True)
    for result in results:
        if isinstance(result, BaseException) and not isinstance(result, UpstreamError):
            raise result
    failures = (each for each in results if isinstance(each, UpstreamError))
    return next((each for each in failures if isinstance(each.failure, Refused)), None)


def _model(settings: ModelSettings, default_upstream: str) -> Model:
    return Model(
        name=settings.name,
        target=_target(settings, token_of(settings)),
        upstream=settings.upstream or default_upstream,
        defaults=dict[str, Any](settings.defaults),
        stop=tuple(settings.stop),
        template=settings.chat_template,
    )


def _target(settings: ModelSettings, token: str | None) -> Target:
    if settings.adapter is not None:
        return Adapter(settings.adapter, settings.source, token)
    merge = settings.merge
    if merge is None:
        return Base()
    return Merge(
        ids=tuple(merge.ids),
        weights=tuple(merge.weights or [1.0] * len(merge.ids)),
        strategy=merge.strategy,
        density=merge.density,
        majority_sign_method=merge.majority_sign_method,
        source=settings.source,
        token=token,
    )
