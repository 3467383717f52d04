"""Which adapter answers, or why none does.

An adapter is known by its id alone; the first request's source and token decide whether it can be
downloaded, and are never looked at again once it is loaded (router/src/lib.rs:127-163,
router/src/queue.rs:193). A failure is not remembered: the next request tries anew.
"""

from typing import Final

import msgspec

from lorax_mock.errors import generation
from lorax_mock.hashing import digest
from lorax_mock.personas import VOICES, Persona
from lorax_mock.settings import Adapter, Settings
from lorax_mock.validation import adapter_ids
from lorax_mock.wire import GenerateParameters, MergedAdapters

__all__ = ["Catalogue"]

_SOURCES: Final = frozenset({"hub", "s3", "local", "pbase"})
_SHORTEST_PATH: Final = 5
_RESERVATION: Final = 8_589_934_592
"""Bytes set aside for adapters: a tenth of an 80 GB GPU."""


class Catalogue:
    """The adapters a mock knows, and those it has loaded."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._known = {adapter.id: adapter for adapter in settings.adapters}
        self._loaded: set[str] = set()
        self._base = Persona(settings.model_id, (VOICES["base"],))

    @property
    def loaded(self) -> list[str]:
        """Ids of the adapters that have been loaded, sorted."""
        return sorted(self._loaded)

    def as_json(self) -> bytes:
        """What `/_mock/adapters` tells."""
        shown = [
            {
                "id": adapter.id,
                "source": adapter.source,
                "loads": adapter.error is None,
                "loaded": adapter.id in self._loaded,
            }
            for adapter in self._settings.adapters
        ]
        return msgspec.json.encode({"adapters": shown})

    def open(self, parameters: GenerateParameters, token: str | None) -> tuple[str, Persona]:
        """Identity and persona for a request; raises LoraxRefusal when a download or load fails.

        `token` is what the download would be made with.
        """
        ids = adapter_ids(parameters)
        if not ids:
            return "", self._base
        source = parameters.adapter_source or self._settings.default_adapter_source
        merged = parameters.merged_adapters
        found = [self._one(one, source, token) for one in ids]
        self._loaded.update(ids)
        voices = tuple(VOICES[adapter.voice] for adapter in found)
        if merged is None or len(merged.ids) == 1:
            return ids[0], Persona(ids[0], voices)
        if len(ids) < len(merged.ids):
            raise generation("Server error: Base model adapter cannot be merged.", "load_adapter")
        return _merge_identity(merged), Persona(_merge_name(merged), voices)

    def _one(self, one: str, source: str, token: str | None) -> Adapter:
        known = self._known.get(one)
        if one in self._loaded:
            return known or Adapter(one)
        if source.lower() not in _SOURCES:
            raise _download(f"Invalid source '{source}' when downloading adapter '{one}'")
        if source.lower() in {"s3", "local"} and len(one) < _SHORTEST_PATH:
            raise _download(f"model_id '{one}' is too short for prefix filtering")
        if known is None and one == self._settings.model_id:
            raise _download(_no_config(one))
        if known is None and not self._settings.unknown_adapters:
            if source.lower() == "local":
                raise _download(_no_config(None))
            raise _download(_not_found(one, token))
        if known is not None and known.token is not None and known.token != token:
            raise _download(_not_found(one, token))
        if known is not None and known.error is not None:
            raise generation(f"Server error: {known.error}", "load_adapter")
        if known is not None and known.memory > 1:
            size = round(known.memory * _RESERVATION)
            raise generation(
                f"Server error: Adapter {one} is larger than adapter memory reservation: "
                f"{size} / {_RESERVATION} bytes",
                "load_adapter",
            )
        return known or Adapter(one)


def _download(cause: str) -> Exception:
    return generation(f"Server error: {cause}", "download_adapter")


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
