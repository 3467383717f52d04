"""The adapters of a mock, from a file.

- {id: org/one, voice: pirate}
- {id: org/private, token: secret}
- {id: org/broken, error: "Adapter 'org/broken' is not compatible ..."}
- {id: org/huge, memory: 1.5}
- {id: org/slow, load_ms: 5000}
- {id: org/other-base, base_model: mistralai/Mistral-7B-v0.1}
- {id: org/broken-file, weights: truncated}
- {id: org/small, rank: 8}
"""

from pathlib import Path
from typing import Any, Final

from lorax_mock.lora import SOURCES, WEIGHTS, Adapter
from lorax_mock.model.personas import VOICES
from lorax_mock.nearest import nearest_hint
from lorax_mock.serde.documents import DocumentError, read_document
from lorax_mock.settings import SettingsError

__all__ = ["read_adapters"]

_KEYS: Final[dict[str, tuple[type, ...]]] = {
    "id": (str,),
    "voice": (str,),
    "source": (str,),
    "error": (str,),
    "token": (str,),
    "memory": (int, float),
    "load_ms": (int, float),
    "base_model": (str,),
    "architecture": (str,),
    "rank": (int,),
    "weights": (str,),
    "peft_type": (str,),
}


def read_adapters(path: Path) -> tuple[Adapter, ...]:
    """The adapters in a YAML or JSON file; raises SettingsError."""
    try:
        rows = read_document(path.read_text("utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path}: {getattr(error, 'strerror', None) or error}") from None
    except DocumentError as error:
        raise SettingsError(f"{path}: {error}") from None
    if not isinstance(rows, list):
        raise SettingsError(f"{path}: a list of adapters is wanted")
    return tuple(_adapter(row, f"{path}: adapter {number}") for number, row in enumerate(rows, 1))


def _adapter(row: Any, where: str) -> Adapter:
    if not isinstance(row, dict) or "id" not in row:
        raise SettingsError(f"{where}: a mapping with an 'id' is wanted, not {row!r}")
    for key, value in row.items():
        if key not in _KEYS:
            raise SettingsError(f"{where}: unknown key {key!r}; {nearest_hint(str(key), _KEYS)}")
        if not isinstance(value, _KEYS[key]) or isinstance(value, bool):
            wanted = " or ".join(kind.__name__ for kind in _KEYS[key])
            raise SettingsError(f"{where}: {key!r} should be {wanted}, not {value!r}")
    for key, known in (("voice", VOICES), ("source", SOURCES), ("weights", WEIGHTS)):
        if row.get(key, next(iter(known))) not in known:
            raise SettingsError(
                f"{where}: unknown {key} {row[key]!r}; known are {', '.join(known)}"
            )
    if "architecture" in row and "base_model" not in row:
        # without a name LoRAX looks nothing up, and takes the adapter (adapter.py:108-146)
        raise SettingsError(f"{where}: 'architecture' is that of a 'base_model', which is missing")
    return Adapter(**row)
