"""A model's `tokenizer_config.json`, as far as LoRAX's router reads it.

It takes the chat template (a text, or in a list of named ones the one called `default`; router/src/infer.rs:236)
and the spellings of BOS and EOS that the template sees. A file that does not parse, or whose values have
other types, is no configuration at all to the router: it starts without a template, and without a word
(router/src/lib.rs:1535). Here that is an error, because nobody means it.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lorax_mock.prompt.chat import TemplateFault, check_template

__all__ = ["ConfigError", "TokenizerConfig", "read_config"]


class ConfigError(Exception):
    """The file is no tokenizer configuration; the text says why."""


@dataclass(frozen=True, slots=True)
class TokenizerConfig:
    """What the router keeps."""

    chat_template: str | None
    bos_token: str | None
    eos_token: str | None


def read_config(path: Path) -> TokenizerConfig:
    """The configuration in a file; raises ConfigError."""
    try:
        document = json.loads(path.read_text("utf-8"))
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}") from None
    except ValueError as error:
        raise ConfigError(f"{path}: no JSON: {error}") from None
    if not isinstance(document, dict):
        raise ConfigError(f"{path}: a JSON object is expected, as tokenizer_config.json holds it")
    try:
        template = _template(document.get("chat_template"))
        return TokenizerConfig(
            None if template is None else check_template(template),
            _token(document.get("bos_token")),
            _token(document.get("eos_token")),
        )
    except TemplateFault as fault:
        raise ConfigError(
            f"{path}: chat_template, {fault}; LoRAX's router would not start"
        ) from None
    except ValueError as error:
        raise ConfigError(f"{path}: {error}") from None


def _template(value: Any) -> str | None:
    match value:
        case None | str():
            return value
        case list():
            named = {one["name"]: one["template"] for one in value if _is_named(one)}
            if len(named) < len(value):
                raise ValueError("chat_template: each member of the list needs name and template")
            return named.get("default")
        case _:
            raise ValueError("chat_template: a text or a list of named ones is expected")


def _is_named(one: Any) -> bool:
    return isinstance(one, dict) and all(
        isinstance(one.get(key), str) for key in ("name", "template")
    )


def _token(value: Any) -> str | None:
    match value:
        case None | str():
            return value
        case {"content": str(content)}:
            return content
        case _:
            raise ValueError(f"a token is a text or has content, not {value!r}")
