"""Adapters from a file."""

from pathlib import Path

import pytest

from lorax_mock.files.adapters import read_adapters
from lorax_mock.settings import Adapter, SettingsError


def test_adapters_are_read_with_all_they_can_be(tmp_path: Path) -> None:
    """A file's adapters have every key that may be given, and defaults for the others."""
    path = tmp_path / "adapters.yaml"
    path.write_text(
        "- {id: a/one, voice: pirate, source: s3}\n- {id: a/two, token: t, memory: 1.5}\n"
        "- {id: a/three, error: broken, load_ms: 5}\n"
        "- {id: a/four, base_model: b, architecture: X, rank: 8, weights: truncated, peft_type: IA3}\n"
    )
    assert read_adapters(path) == (
        Adapter("a/one", "pirate", "s3"),
        Adapter("a/two", token="t", memory=1.5),
        Adapter("a/three", error="broken", load_ms=5),
        Adapter(
            "a/four",
            base_model="b",
            architecture="X",
            rank=8,
            weights="truncated",
            peft_type="IA3",
        ),
    )


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("{}", "a list of adapters is wanted"),
        ("- x", "adapter 1: a mapping with an 'id' is wanted, not 'x'"),
        ("- {id: a, vocie: b}", "adapter 1: unknown key 'vocie'; did you mean 'voice'?"),
        ("- {id: a, voice: b}", "adapter 1: unknown voice 'b'; known are base, "),
        (
            "- {id: a, source: S3}",
            "adapter 1: unknown source 'S3'; known are hub, s3, local, pbase",
        ),
        (
            "- {id: a, weights: bad}",
            "unknown weights 'bad'; known are sound, corrupt, truncated, misshapen, misnamed",
        ),
        (
            "- {id: a, architecture: FalconForCausalLM}",
            "adapter 1: 'architecture' is that of a 'base_model', which is missing",
        ),
        ("- {id: 3}", "adapter 1: 'id' should be str, not 3"),
        ("- [", "not YAML"),
    ],
)
def test_a_wrong_file_is_told_where(tmp_path: Path, text: str, told: str) -> None:
    """A wrong file is refused with the file, the adapter and the key."""
    path = tmp_path / "adapters.yaml"
    path.write_text(text)
    with pytest.raises(SettingsError) as caught:
        read_adapters(path)
    assert told in str(caught.value)
    with pytest.raises(SettingsError, match="No such file"):
        read_adapters(tmp_path / "none")
