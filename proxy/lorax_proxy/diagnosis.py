"""What `lorax-proxy config --check` and `--probe` find: in the settings, and at the servers behind them.

The settings have been read, so each is right by itself. What is left is whether what they name is
there: variables, templates, servers, adapters. Everything is looked at, whatever fails first.
"""

from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass
from enum import Enum

from lorax_proxy.app import make_upstreams
from lorax_proxy.config import ModelSettings, Settings, UpstreamSettings, token_of
from lorax_proxy.core.plan import adapter_ids, target_parameters
from lorax_proxy.core.routing import Kind
from lorax_proxy.directory import Directory, Found
from lorax_proxy.errors import ProxyError, Refused, RequestRefused, UpstreamError
from lorax_proxy.observe import Observer
from lorax_proxy.readiness import Upstream, cause
from lorax_proxy.template_files import load_template
from lorax_proxy.wire.lorax import GenerateParameters, GenerateRequest, encode, encode_embed

__all__ = ["Finding", "Level", "examine", "probe"]


class Level(Enum):
    """What a finding means for the operator."""

    OK = "ok"
    NOTE = "note"
    """Works, and would be better otherwise."""
    FAULT = "fault"
    """Requests will fail."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at."""

    level: Level
    text: str


def examine(settings: Settings) -> Iterator[Finding]:
    """What the settings name and is not there; nothing is asked of a server."""
    if not settings.upstream and not settings.demo:
        yield _fault("no LoRAX to serve: name one with [[upstream]] or --upstream URL")
    sections: list[UpstreamSettings | ModelSettings] = [*settings.upstream, *settings.model]
    for section in sections:
        try:
            token_of(section)
        except ProxyError as error:
            yield _fault(str(error))
    named = [("chat_template", settings.chat_template), ("tokenizer", settings.tokenizer)]
    named += [
        (f"model {model.name!r}: chat_template", model.chat_template) for model in settings.model
    ]
    for place, template in named:
        if template is None or (place == "tokenizer" and settings.chat_template is not None):
            continue
        try:
            loaded = load_template(template if place != "tokenizer" else str(template))
        except ProxyError as error:
            yield _fault(f"{place}: {error}")
        else:
            yield _ok(f"{place}: {loaded.name}")


async def probe(settings: Settings, models: Sequence[str] = ()) -> AsyncIterator[Finding]:
    """Ask every upstream what it is, and each model for one token.

    Args:
        settings: In which `examine` finds no fault.
        models: Names as clients write them; all that are configured when empty.
    """
    upstreams = make_upstreams(settings)
    directory = Directory(settings, upstreams, Observer("error"))
    try:
        for upstream in upstreams:
            for finding in await _introduced(upstream, directory):
                yield finding
        for name in models or [model.name for model in settings.model]:
            yield await _tried(name, directory, settings)
    finally:
        await directory.aclose()


async def _introduced(upstream: Upstream, directory: Directory) -> list[Finding]:
    """What an upstream tells of itself, and what its settings lack."""
    where = f"upstream {upstream.name!r}"
    try:
        facts = await upstream.ask()
    except UpstreamError as error:
        why = cause(error.__cause__ or error)
        return [_fault(f"{where}: {upstream.settings.url} {why}; is LoRAX running there?")]
    info = upstream.info
    assert info is not None  # noqa: S101 - the facts come from it
    found = [
        _ok(
            f"{where}: {info.model_id} on LoRAX {info.version}; up to {info.max_input_length} tokens of "
            f"prompt and {info.max_total_tokens} in all, {info.max_stop_sequences} stop strings, "
            f"{info.max_concurrent_requests} requests at once"
        )
    ]
    if upstream.kind is not Kind.GENERATE:
        return found
    template = directory.default_template(facts)
    if template is None:
        found.append(
            _fault(
                f"{where}: no chat template is known for {facts.model_id}, so chat fails: set "
                "chat_template = NAME or FILE, or tokenizer = FOLDER"
            )
        )
    else:
        found.append(_ok(f"{where}: chat template {template}"))
    if facts.appends_eos:
        found.append(_fault(f"{where}: its tokenizer ends prompts with EOS, so chat is refused"))
    if facts.default_max_tokens is None:
        found.append(
            _note(
                f"{where}: set default_max_tokens; a chat without a budget reserves memory for the "
                "rest of the context"
            )
        )
    if facts.vocabulary_size is None:
        found.append(_note(f"{where}: set vocabulary_size; until then top_k goes up to 1000"))
    return found


async def _tried(name: str, directory: Directory, settings: Settings) -> Finding:
    """Whether a model answers, asked as a client names it."""
    where = f"model {name!r}"
    try:
        found = await _found(name, directory)
        ids = ", ".join(adapter_ids(found.route.target)) or found.facts.model_id
        await _ask(found, settings)
    except RequestRefused as error:
        return _fault(f"{where}: {error.message}")
    except UpstreamError as error:
        failure = error.failure
        why = failure.message if isinstance(failure, Refused) else failure.value
        return _fault(f"{where}: {' '.join(why.split())[:300]}")
    return _ok(f"{where}: {ids} answers")


async def _found(name: str, directory: Directory) -> Found:
    """Where a name leads, on an upstream of whichever kind has it."""
    model = directory.models.get(name)
    kind = directory.upstreams[model.upstream].kind if model else Kind.GENERATE
    return await directory.find(name, kind)


async def _ask(found: Found, settings: Settings) -> None:
    """Have one token made, or one text embedded."""
    parameters = target_parameters(found.route.target)
    silence = settings.first_event_timeout
    if found.upstream.kind is Kind.EMBED:
        await found.upstream.fetch(
            "POST", "/embed", encode_embed("Hello", parameters), silence=silence
        )
        return
    request = GenerateRequest("Hello", GenerateParameters(**parameters, max_new_tokens=1))
    await found.upstream.fetch("POST", "/generate", encode(request), silence=silence)


def _ok(text: str) -> Finding:
    return Finding(Level.OK, text)


def _note(text: str) -> Finding:
    return Finding(Level.NOTE, text)


def _fault(text: str) -> Finding:
    return Finding(Level.FAULT, text)
