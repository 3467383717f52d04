"""Chat templates from where operators keep them: a built-in's name, a file, a model's folder, text.

A model's folder is read as `transformers` reads it (`tokenization_utils_base.py`, `from_pretrained`
and `get_chat_template`): `chat_template.jinja` and the files of `additional_chat_templates/` come
before `chat_template` in `tokenizer_config.json`, which is a text or a list of named texts; special
tokens are texts or `AddedToken` objects; the older `special_tokens_map.json` is read where the
configuration has no `added_tokens_decoder`.
"""

import json
from collections.abc import Mapping
from difflib import get_close_matches
from importlib.resources import files
from pathlib import Path
from typing import Any

from lorax_proxy.core.template_families import BUILTIN_TOKENS
from lorax_proxy.core.templates import ChatTemplate, Limits, SpecialTokens
from lorax_proxy.errors import SettingsInvalid

__all__ = ["builtin_names", "load_template"]

_NAMED_TOKENS = (
    "bos_token",
    "eos_token",
    "unk_token",
    "sep_token",
    "pad_token",
    "cls_token",
    "mask_token",
)


def builtin_names() -> tuple[str, ...]:
    """The names of the built-in templates, sorted."""
    return tuple(sorted(BUILTIN_TOKENS))


def load_template(
    setting: str | Path,
    *,
    special_tokens: SpecialTokens | None = None,
    limits: Limits | None = None,
) -> ChatTemplate:
    """The chat template that a setting means.

    Args:
        setting: A built-in's name, a template file, a model's folder (or its
            `tokenizer_config.json`), or the template itself (recognised by `{{` or `{%`).
        special_tokens: The model's tokens, in place of those that the setting brings.
        limits: What one rendering may do.

    Raises:
        SettingsInvalid: There is no such built-in, file or folder, or it holds no template.
        TemplateInvalid: The template does not compile.
    """
    if isinstance(setting, str) and setting in BUILTIN_TOKENS:
        source = files("lorax_proxy").joinpath("builtin_templates", f"{setting}.jinja")
        tokens = special_tokens or BUILTIN_TOKENS[setting]
        return ChatTemplate.compile(source.read_text("utf-8"), setting, tokens, limits=limits)
    if isinstance(setting, str) and ("{{" in setting or "{%" in setting):
        tokens = special_tokens or SpecialTokens()
        return ChatTemplate.compile(setting, "(inline)", tokens, limits=limits)
    path = Path(setting)
    if path.is_dir():
        return _from_folder(path, special_tokens, limits)
    if path.is_file():
        if path.suffix == ".json":
            return _from_config(path, _read_json(path), {}, special_tokens, limits)
        neighbour = path.with_name("tokenizer_config.json")
        tokens = special_tokens or (
            _tokens_of(_read_json(neighbour), path.parent)
            if neighbour.is_file()
            else SpecialTokens()
        )
        return ChatTemplate.compile(_read(path), str(path), tokens, limits=limits)
    raise SettingsInvalid(_unknown(str(setting)))


def _from_folder(
    folder: Path, special_tokens: SpecialTokens | None, limits: Limits | None
) -> ChatTemplate:
    named: dict[str, str] = {}
    places: dict[str, Path] = {}
    single = folder / "chat_template.jinja"
    if single.is_file():
        named["default"], places["default"] = _read(single), single
    for extra in sorted((folder / "additional_chat_templates").glob("*.jinja")):
        named[extra.stem] = _read(extra)
    config_path = folder / "tokenizer_config.json"
    config = _read_json(config_path) if config_path.is_file() else {}
    return _from_config(places.get("default", folder), config, named, special_tokens, limits)


def _from_config(
    place: Path,
    config: Mapping[str, Any],
    named: dict[str, str],
    special_tokens: SpecialTokens | None,
    limits: Limits | None,
) -> ChatTemplate:
    named = named or _named_templates(config.get("chat_template"), place)
    if "default" not in named:
        raise SettingsInvalid(
            f"{place} holds no chat template (chat_template.jinja, or chat_template in "
            f"tokenizer_config.json{', named default' if named else ''}); name a built-in instead: "
            + ", ".join(builtin_names())
        )
    folder = place if place.is_dir() else place.parent
    tokens = special_tokens or _tokens_of(config, folder)
    return ChatTemplate.compile(
        named["default"], str(place), tokens, named.get("tool_use"), limits=limits
    )


def _named_templates(value: Any, place: Path) -> dict[str, str]:
    if isinstance(value, str):
        return {"default": value}
    if isinstance(value, list):
        try:
            return {str(entry["name"]): str(entry["template"]) for entry in value}
        except (KeyError, TypeError):
            raise SettingsInvalid(
                f"{place}: chat_template is a list, but not of objects with name and template"
            ) from None
    return {}


def _tokens_of(config: Mapping[str, Any], folder: Path) -> SpecialTokens:
    merged = dict(config)
    older = folder / "special_tokens_map.json"
    if "added_tokens_decoder" not in config and older.is_file():
        merged |= _read_json(older)
    named = {name: text for name in _NAMED_TOKENS if (text := _token_text(merged.get(name)))}
    spellings = set(named.values())
    for key in ("additional_special_tokens", "extra_special_tokens"):
        listed = merged.get(key) or []
        values = listed.values() if isinstance(listed, Mapping) else listed
        spellings.update(filter(None, map(_token_text, values)))
    decoder = merged.get("added_tokens_decoder") or {}
    spellings.update(
        t["content"] for t in decoder.values() if t.get("special") and t.get("content")
    )
    others = {n: t for n, t in named.items() if n not in {"bos_token", "eos_token"}}
    return SpecialTokens(
        named.get("bos_token", ""), named.get("eos_token", ""), others, frozenset(spellings)
    )


def _token_text(value: Any) -> str:
    """A special token's text: itself, or the `content` of an AddedToken object."""
    if isinstance(value, Mapping):
        value = value.get("content")
    return value if isinstance(value, str) else ""


def _read(path: Path) -> str:
    try:
        return path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsInvalid(f"{path} cannot be read: {error}") from error


def _read_json(path: Path) -> dict[str, Any]:
    try:
        document = json.loads(_read(path))
    except ValueError as error:
        raise SettingsInvalid(f"{path} is not JSON: {error}") from error
    if not isinstance(document, dict):
        raise SettingsInvalid(f"{path} must hold a JSON object")
    return document


def _unknown(setting: str) -> str:
    close = get_close_matches(setting.lower(), builtin_names(), 1, 0.4)
    hint = f"; did you mean {close[0]}?" if close else ""
    return (
        f"chat template {setting!r} is neither a built-in, a file nor a folder{hint} "
        f"(built-ins: {', '.join(builtin_names())})"
    )
