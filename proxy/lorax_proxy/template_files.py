"""Chat templates from where operators keep them: a built-in's name, a file, a model's folder, text.

A model's folder is read as `transformers` reads it (`tokenization_utils_base.py`, `from_pretrained`
and `get_chat_template`): `chat_template.jinja` and the files of `additional_chat_templates/` come
before `chat_template` in `tokenizer_config.json`, which is a text or a list of named texts; special
tokens are texts or `AddedToken` objects; the older `special_tokens_map.json` is read where the
configuration has no `added_tokens_decoder`.
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sized
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

from lorax_proxy.core.refusals import nearest
from lorax_proxy.core.template.chat_template import ChatTemplate, Limits, SpecialTokens
from lorax_proxy.core.template.families import BUILTIN_TOKENS
from lorax_proxy.errors import SettingsInvalid
from lorax_proxy.template_trial import try_template

__all__ = ["builtin_names", "load_special_tokens", "load_template", "load_vocabulary_size"]

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
    trial: bool = True,
) -> ChatTemplate:
    """The chat template that a setting means.

    Args:
        setting: A built-in's name, a template file, a model's folder (or its
            `tokenizer_config.json`), or the template itself (recognised by `{{` or `{%`).
        special_tokens: The model's tokens, in place of those that the setting brings.
        limits: What one rendering may do.
        trial: Try the template in a child process first (some tenths of a second); built-ins, which
            our tests render, need none.

    Raises:
        SettingsInvalid: There is no such built-in, file or folder, or it holds no template.
        TemplateInvalid: The template does not compile.
        TemplateFailed: The template did not survive its trial.
    """
    if isinstance(setting, str) and setting in BUILTIN_TOKENS:
        file = files("lorax_proxy").joinpath("builtin_templates", f"{setting}.jinja")
        tokens = special_tokens or BUILTIN_TOKENS[setting]
        return ChatTemplate.compile(file.read_text("utf-8"), setting, tokens, limits=limits)
    found = _found(setting)
    tokens = special_tokens or found.special_tokens
    if trial:
        try_template(found.source, found.name, tokens, found.tool_use_source, limits=limits)
    return ChatTemplate.compile(found.source, found.name, tokens, found.tool_use_source, limits)


def load_special_tokens(folder: Path) -> SpecialTokens:
    """The special tokens of a model's folder, for a template that comes from elsewhere.

    Raises:
        SettingsInvalid: The folder has no readable `tokenizer_config.json`.
    """
    return _tokens_of(_read_json(folder / "tokenizer_config.json"), folder)


def load_vocabulary_size(folder: Path) -> int | None:
    """How many tokens the model of a folder chooses from; None when the folder does not say.

    `config.json` is about the logits, which may be padded beyond the tokenizer's tokens; what
    `tokenizer.json` lists without the tokens that were added is never more than that.

    Raises:
        SettingsInvalid: A file is no JSON document.
    """
    if (path := folder / "config.json").is_file():
        config = _read_json(path)
        nested = config.get("text_config")
        for each in (config, nested if isinstance(nested, Mapping) else {}):
            if isinstance(size := each.get("vocab_size"), int) and size > 0:
                return size
    if (path := folder / "tokenizer.json").is_file():
        model = _read_json(path).get("model")
        vocabulary = model.get("vocab") if isinstance(model, Mapping) else None
        if isinstance(vocabulary, Sized):
            return len(vocabulary) or None
    return None


@dataclass(frozen=True, slots=True)
class _Found:
    source: str
    name: str
    special_tokens: SpecialTokens
    tool_use_source: str | None = None


def _found(setting: str | Path) -> _Found:
    if isinstance(setting, str) and ("{{" in setting or "{%" in setting):
        return _Found(setting, "(inline)", SpecialTokens())
    path = Path(setting)
    try:
        if path.is_dir():
            return _in_folder(path)
        if path.is_file():
            return _in_file(path)
    except OSError as error:
        raise SettingsInvalid(f"chat template {str(setting)!r} cannot be read: {error}") from error
    raise SettingsInvalid(_unknown(str(setting)))


def _in_file(path: Path) -> _Found:
    if path.suffix == ".json":
        return _in_config(path, _read_json(path), {})
    config = path.with_name("tokenizer_config.json")
    tokens = _tokens_of(_read_json(config), path.parent) if config.is_file() else SpecialTokens()
    return _Found(_read(path), str(path), tokens)


def _in_folder(folder: Path) -> _Found:
    named: dict[str, str] = {}
    place = config_path = folder / "tokenizer_config.json"
    single = folder / "chat_template.jinja"
    if single.is_file():
        named["default"], place = _read(single), single
    for extra in sorted((folder / "additional_chat_templates").glob("*.jinja")):
        named[extra.stem] = _read(extra)
    config = _read_json(config_path) if config_path.is_file() else {}
    return _in_config(place, config, named)


def _in_config(place: Path, config: Mapping[str, Any], files_named: dict[str, str]) -> _Found:
    named = files_named or _named_templates(config.get("chat_template"), place)
    if "default" not in named:
        listed = f"only templates named {', '.join(sorted(named))}" if named else "no chat template"
        raise SettingsInvalid(
            f"{place.parent} has {listed}: it needs chat_template.jinja, or chat_template in "
            f"tokenizer_config.json; or name a built-in: {', '.join(builtin_names())}"
        )
    tokens = _tokens_of(config, place.parent)
    return _Found(named["default"], str(place), tokens, named.get("tool_use"))


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
    others = {name: text for name, text in named.items() if name not in {"bos_token", "eos_token"}}
    spellings = {*named.values(), *_listed_spellings(merged), *_tokenizer_spellings(folder)}
    return SpecialTokens(
        named.get("bos_token", ""), named.get("eos_token", ""), others, frozenset(spellings)
    )


def _listed_spellings(config: Mapping[str, Any]) -> Iterator[str]:
    for key in ("additional_special_tokens", "extra_special_tokens"):
        listed = config.get(key) or []
        values = listed.values() if isinstance(listed, Mapping) else listed
        yield from filter(None, map(_token_text, values))
    decoder = config.get("added_tokens_decoder")
    if isinstance(decoder, Mapping):
        yield from _special_contents(decoder.values())


def _tokenizer_spellings(folder: Path) -> Iterator[str]:
    path = folder / "tokenizer.json"
    if path.is_file():
        yield from _special_contents(_read_json(path).get("added_tokens") or [])


def _special_contents(tokens: Iterable[Any]) -> Iterator[str]:
    for token in tokens:
        if isinstance(token, Mapping) and token.get("special") and _token_text(token):
            yield _token_text(token)


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
    near = nearest(setting.lower(), builtin_names())
    hint = f"; did you mean {near}?" if near else ""
    return (
        f"chat template {setting!r} is neither a built-in, a file nor a folder{hint} "
        f"(built-ins: {', '.join(builtin_names())})"
    )
