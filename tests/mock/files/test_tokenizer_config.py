"""A model's tokenizer_config.json, as the router reads it."""

import json
from pathlib import Path
from typing import Any

import pytest

from lorax_mock.files.tokenizer_config import ConfigError, TokenizerConfig, read_config


def _written(folder: Path, document: Any) -> Path:
    path = folder / "tokenizer_config.json"
    path.write_text(document if isinstance(document, str) else json.dumps(document))
    return path


@pytest.mark.parametrize(
    ("document", "config"),
    [
        ({}, TokenizerConfig(None, None, None)),
        (
            {
                "chat_template": "{{ messages }}",
                "bos_token": "<s>",
                "eos_token": {"content": "</s>"},
            },
            TokenizerConfig("{{ messages }}", "<s>", "</s>"),
        ),
        (
            {
                "chat_template": [
                    {"name": "tool_use", "template": "t"},
                    {"name": "default", "template": "d"},
                ]
            },
            TokenizerConfig("d", None, None),
        ),
        (
            {"chat_template": [{"name": "tool_use", "template": "t"}]},
            TokenizerConfig(None, None, None),
        ),
    ],
)
def test_what_the_router_keeps(tmp_path: Path, document: Any, config: TokenizerConfig) -> None:
    """The chat template is a text or the default one of several, and none without either."""
    assert read_config(_written(tmp_path, document)) == config


@pytest.mark.parametrize(
    ("document", "told"),
    [
        ("[", "no JSON"),
        ([], "a JSON object is expected"),
        ({"chat_template": 5}, "chat_template: a text or a list"),
        ({"chat_template": [{"name": "default"}]}, "needs name and template"),
        ({"chat_template": "{% if %}"}, "line 1: "),
        ({"bos_token": 1}, "a token is a text"),
    ],
)
def test_what_is_wrong_is_told_at_the_start(tmp_path: Path, document: Any, told: str) -> None:
    """A wrong configuration is refused with the file's name."""
    with pytest.raises(ConfigError, match=told) as caught:
        read_config(_written(tmp_path, document))
    assert "tokenizer_config.json" in str(caught.value)


def test_a_missing_file_is_told(tmp_path: Path) -> None:
    """A missing file is refused in the system's words."""
    with pytest.raises(ConfigError, match="No such file"):
        read_config(tmp_path / "nothing.json")
