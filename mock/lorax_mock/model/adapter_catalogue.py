"""Which adapter answers, or why none does.

An adapter is known by its id alone, a merge by everything but its source (router/src/lib.rs:127-163). The router
downloads it at its first request and loads it whenever it becomes active; each time with the source and token of
the request that made it do so, which are not looked at otherwise (router/src/queue.rs:193-217,430, loader.rs:128,185).
The base model is an adapter like others, and so are preloaded ones, for whom the shard then has nothing to do: of
their requests the router still wants a source that is one. A failure is not remembered: the next request tries anew.
"""

import re
from collections.abc import Callable
from typing import Final

import msgspec

from lorax_mock.errors import generation
from lorax_mock.hashing import digest
from lorax_mock.lora import SOURCES, Adapter, merge_fault
from lorax_mock.model.personas import VOICES, Persona
from lorax_mock.router.validation import BASE_MODEL, adapter_ids
from lorax_mock.settings import Settings
from lorax_mock.wire.native import GenerateParameters, MergedAdapters

__all__ = ["AdapterCatalogue", "identity_of"]

_NAME: Final = re.compile(r"\w(?:[\w.-]*\w)?")
_LONGEST_NAME: Final = 96
_SHORTEST_PATH: Final = 5
_RESERVATION: Final = 8_589_934_592
"""Bytes set aside for adapters: a tenth of an 80 GB GPU."""


class AdapterCatalogue:
    """The adapters a mock knows, and those it has loaded."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._known = {adapter.id: adapter for adapter in settings.adapters}
        self._preloaded = frozenset(settings.preloaded_adapter_ids)
        self._seen: set[str] = set()
        """Identities that the router knows: an adapter that was merged is not known by its own id."""

        self._credentials = settings.unknown_adapters or any(
            adapter.source == "s3" for adapter in settings.adapters
        )
        """Whether the server can ask buckets: if it has any adapter there."""

        static = settings.adapter_id
        if static is None:
            self.base = Persona(settings.model_id, (VOICES["base"],))
        else:
            self.base = Persona(static, (VOICES[self._adapter(static).voice],))

    def _adapter(self, one: str) -> Adapter:
        return self._known.get(one, Adapter(one))

    @property
    def loaded(self) -> list[str]:
        """Identities of the adapters and merges that have been loaded, sorted."""
        return sorted((self._seen | self._preloaded) - {""})

    def as_json(self) -> bytes:
        """What `/_mock/adapters` tells."""
        loaded = self.loaded
        shown = [
            {
                "id": adapter.id,
                "source": adapter.source,
                "loads": self._settings.fault(adapter) is None,
                "loaded": adapter.id in loaded,
            }
            for adapter in self._settings.adapters
        ]
        return msgspec.json.encode({"adapters": shown})

    def open(
        self, parameters: GenerateParameters, token: str | None, *, idle: bool = False
    ) -> tuple[str, Persona]:
        """Identity and persona for a request; raises LoraxRefusal when a download or load fails.

        `token` is what the download would be made with, `idle` whether the router has sent the adapter away,
        so that it is loaded anew.
        """
        identity, ids = identity_of(parameters), _ids(parameters)
        if idle or identity not in self._seen:
            source = parameters.adapter_source
            source = self._settings.default_adapter_source if source is None else source
            self._seen.discard(identity)
            self._admit(identity, ids, source, token, again=idle)
            self._seen.add(identity)
        adapters = [self._adapter(one) for one in ids]
        voices = tuple(VOICES[adapter.voice] for adapter in adapters if adapter.speaks)
        if not voices:
            return identity, self.base
        merged = parameters.merged_adapters
        name = ids[0] if merged is None or len(merged.ids) == 1 else _merge_name(merged)
        return identity, Persona(name, voices)

    def hint(self, parameters: GenerateParameters) -> str | None:
        """What LoRAX cannot know of an id that is in nobody's list: which are, and how to load it."""
        if self._settings.unknown_adapters or not self._settings.has_adapters:
            return None
        unknown = next((one for one in adapter_ids(parameters) if one not in self._known), None)
        if unknown is None:
            return None
        return (
            f"adapter {unknown[:200]!a} is not known to this mock, which loads "
            f"{', '.join(self._settings.loadable) or 'none'}; --adapter ID adds one, "
            "--unknown-adapters lets any id load"
        )

    def check_pass(self, parameters: GenerateParameters) -> None:
        """Raises LoraxRefusal when the first forward pass with these adapters fails."""
        for one in _ids(parameters):
            fault = self._adapter(one).pass_fault()
            if fault is not None:
                raise generation(f"Server error: {fault}")

    def _admit(
        self, identity: str, ids: tuple[str, ...], source: str, token: str | None, *, again: bool
    ) -> None:
        """Download and load the adapters, all weighed before any is loaded (adapter.py:196-233); raises LoraxRefusal."""
        refuse = _load if again else _download
        if source.lower() not in SOURCES:
            doing = "loading" if again else "downloading"
            names = ",".join(ids) or BASE_MODEL
            # Said by the router's client of the shard (router/client/src/client.rs:264, 295).
            raise refuse(f"Invalid source '{source}' when {doing} adapter '{names}'")
        if not ids or identity in self._preloaded:
            return
        adapters = [
            self._fetched(one, source.lower(), token, refuse) for one in ids if one != BASE_MODEL
        ]
        if self._preloaded:
            # The launcher then sets the reservation to nought (launcher/src/main.rs:833).
            raise _download(
                "Memory reserved for adapters is 0. Please set a memory reservation for adapters."
            )
        size = sum(round(adapter.memory * _RESERVATION) for adapter in adapters)
        if size > _RESERVATION:
            raise _download(
                f"Adapter {ids[-1]} is larger than adapter memory reservation: "
                f"{size} / {_RESERVATION} bytes"
            )
        for one in ids:
            if one == BASE_MODEL:
                raise _load("Base model adapter cannot be merged.")
            fault = self._adapter(one).load_fault(self._settings.model_id)
            if fault is not None:
                raise _load(fault)
        fault = merge_fault(adapters) if len(ids) > 1 else None
        if fault is not None:
            raise _load(fault)

    def _fetched(
        self, one: str, source: str, token: str | None, refuse: Callable[[str], Exception]
    ) -> Adapter:
        """The adapter, as its source has it; raises LoraxRefusal in that source's words."""
        fault = _ID_FAULTS[source](one, token)
        if fault is None and source == "s3" and not self._credentials:
            fault = "Unable to locate credentials"
        if fault is not None:
            raise refuse(fault)
        known = self._known.get(one)
        if known is not None and known.source == source:
            fault = known.download_fault()
            if known.token is not None and known.token != token:
                fault = _missing(one, source, token)
            if fault is not None:
                raise refuse(fault)
            return known
        if source == "hub" and one == self._settings.model_id:
            raise refuse(_no_config(one))
        if known is None and self._settings.unknown_adapters:
            return Adapter(one)
        raise refuse(_missing(one, source, token))


def _download(cause: str) -> Exception:
    return generation(f"Server error: {cause}", "download_adapter")


def _load(cause: str) -> Exception:
    return generation(f"Server error: {cause}", "load_adapter")


def _hub_fault(one: str, _token: str | None) -> str | None:
    """What huggingface_hub 0.26.5 says of ids before it asks anybody."""
    if one.count("/") > 1:
        return (
            "Repo id must be in the form 'repo_name' or 'namespace/repo_name': "
            f"'{one}'. Use `repo_type` argument if needed."
        )
    *_, name = parts = one.split("/")
    if len(name) > _LONGEST_NAME or not all(map(_NAME.fullmatch, parts)):
        return (
            "Repo id must use alphanumeric chars or '-', '_', '.', '--' and '..' are forbidden, "
            f"'-' and '.' cannot start or end the name, max length is 96: '{one}'."
        )
    if "--" in one or ".." in one:
        return f"Cannot have -- or .. in repo_id: '{one}'."
    if one.endswith(".git"):
        return f"Repo_id cannot end by '.git': '{one}'."
    return None


def _path_fault(one: str, _token: str | None) -> str | None:
    if len(one) < _SHORTEST_PATH:
        return f"model_id '{one}' is too short for prefix filtering"
    return None


def _bucket_fault(one: str, token: str | None) -> str | None:
    """The words for an id in a bucket, on a server that has no bucket of its own (sources/s3.py:27-53)."""
    fault = _path_fault(one, token)
    if fault is not None:
        return fault
    if one.startswith("s3://"):
        if "/" in one.removeprefix("s3://"):
            return None
        return f"Invalid model_id {one}. model_id should be of the form `s3://bucket_name/model_id`"
    if "/" in one:
        return None
    return (
        f"Invalid model_id {one}. model_id should be of the form `bucket_name/model_id` "
        "if PREDIBASE_MODEL_BUCKET environment variable is not set"
    )


def _predibase_fault(one: str, token: str | None) -> str | None:
    if not token:
        return "api_token must be provided to for a model of source pbase"
    if one.count("/") > 1:
        return f"Invalid model id {one}"
    return None


_ID_FAULTS: Final = {
    "hub": _hub_fault,
    "s3": _bucket_fault,
    "local": _path_fault,
    "pbase": _predibase_fault,
}
"""Ids that a source turns down unseen."""


def _missing(one: str, source: str, token: str | None) -> str:
    """The words for an adapter that is not there, or not for this token."""
    match source:
        case "hub":
            return _not_found(one, token)
        case "pbase":
            name, _, version = one.partition("/")
            query = f"?version={version}" if version else ""
            return (
                "404 Client Error: Not Found for url: "
                f"https://api.app.predibase.com/v1/models/version/name/{name}{query}"
            )
        case _:
            return _no_config(None)


def _no_config(folder: str | None) -> str:
    if folder is None:
        return "No valid adapter config file found: tried None and None"
    cached = f"/data/models--{folder.replace('/', '--')}/snapshots/0/config.json"
    return f"No valid adapter config file found: tried None and {cached}"


def _not_found(one: str, token: str | None) -> str:
    """As huggingface_hub words it: without a token the hub does not tell missing from forbidden."""
    status = "404 Client Error." if token else "401 Client Error."
    request = digest("hub-request", one).hex()[:32]
    text = (
        f"{status} (Request ID: Root=1-{request[:8]}-{request[8:]})\n\n"
        f"Repository Not Found for url: https://huggingface.co/api/models/{one}.\n"
        "Please make sure you specified the correct `repo_id` and `repo_type`.\n"
        "If you are trying to access a private or gated repo, make sure you are authenticated."
    )
    return text if token else f"{text}\nInvalid username or password."


def _ids(parameters: GenerateParameters) -> tuple[str, ...]:
    """The adapter's ids, the base model's among those of a merge; none for the base model alone."""
    merged = parameters.merged_adapters
    return adapter_ids(parameters) if merged is None or len(merged.ids) == 1 else merged.ids


def identity_of(parameters: GenerateParameters) -> str:
    """What the router knows a request's adapter by: the empty string for the base model."""
    merged = parameters.merged_adapters
    ids = _ids(parameters)
    if merged is not None and len(ids) > 1:
        return _merge_identity(merged)
    return ids[0] if ids else ""


def _merge_identity(merged: MergedAdapters) -> str:
    return repr(
        (
            merged.ids,
            merged.weights,
            merged.merge_strategy,
            merged.density,
            merged.majority_sign_method,
        )
    )


def _merge_name(merged: MergedAdapters) -> str:
    strategy = (merged.merge_strategy or "linear").lower()
    return f"{' + '.join(merged.ids)} ({strategy})"
