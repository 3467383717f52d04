"""Where templates come from: names, files, folders and text, read as transformers reads them."""

import json
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from lorax_proxy.core.template.chat_template import (
    ChatTemplate,
    SpecialTokens,
    TemplateExhausted,
    TemplateFailed,
    TemplateInvalid,
)
from lorax_proxy.errors import SettingsInvalid
from lorax_proxy.template_files import (
    builtin_names,
    load_special_tokens,
    load_template,
    load_vocabulary_size,
)

NOW = datetime(2026, 1, 2)  # noqa: DTZ001 - templates print local time
HELLO = [{"role": "user", "content": "Hi"}]
PRINT = "{{ bos_token }}{{ messages[0].content }}{{ eos_token }}"
ADDED = {"__type": "AddedToken", "content": "</s>", "lstrip": False, "special": True}


def folder(path: Path, config: Any = None, **files: str) -> Path:
    """A model's folder; the dots of file names are written as two underscores."""
    if config is not None:
        (path / "tokenizer_config.json").write_text(json.dumps(config), "utf-8")
    for name, text in files.items():
        (path / name.replace("__", ".")).write_text(text, "utf-8")
    return path


def load(setting: str | Path) -> ChatTemplate:
    """Without the trial, which has tests of its own."""
    return load_template(setting, trial=False)


@pytest.mark.parametrize(
    ("files", "size"),
    [
        ({}, None),
        ({"config.json": {"vocab_size": 32128}, "tokenizer.json": {"model": {"vocab": {}}}}, 32128),
        ({"config.json": {"text_config": {"vocab_size": 32000}}}, 32000),
        ({"config.json": {"vocab_size": None}, "tokenizer.json": {"model": {"vocab": {"a": 0, "b": 1}}}}, 2),
        ({"tokenizer.json": {"model": {"vocab": [["a", -1.0], ["b", -2.0], ["c", -3.0]]}}}, 3),
        ({"tokenizer.json": {"model": None}}, None),
        ({"tokenizer.json": {"model": {"vocab": {}}, "added_tokens": [{"id": 0}]}}, None),
        ({"config.json": {"vocab_size": -1, "text_config": []}}, None),
    ],
)  # fmt: skip
def test_the_size_of_a_folders_vocabulary(
    tmp_path: Path, files: dict[str, Any], size: int | None
) -> None:
    """The logits' number where it is told, else the tokenizer's, which is never above it."""
    for name, document in files.items():
        (tmp_path / name).write_text(json.dumps(document))
    assert load_vocabulary_size(tmp_path) == size


def test_a_built_in_is_loaded_by_name() -> None:
    """With its model's tokens."""
    template = load_template("llama-3")
    assert template.name == "llama-3"
    assert template.special_tokens.eos_token == "<|eot_id|>"
    assert "llama-3" in builtin_names()


def test_a_folder_gives_template_and_tokens(tmp_path: Path) -> None:
    """Tokens as texts or as AddedToken objects."""
    config = {"chat_template": PRINT, "bos_token": "<s>", "eos_token": ADDED, "pad_token": None}
    template = load(folder(tmp_path, config))
    assert template.render(HELLO, now=NOW) == "<s>Hi</s>"
    assert template.name == str(tmp_path / "tokenizer_config.json")
    assert template.special_tokens.spellings == {"<s>", "</s>"}


def test_the_configuration_file_can_be_named_itself(tmp_path: Path) -> None:
    """As LoRAX's --tokenizer-config-path is."""
    folder(tmp_path, {"chat_template": PRINT, "bos_token": "<s>"})
    assert load(tmp_path / "tokenizer_config.json").render(HELLO, now=NOW) == "<s>Hi"


def test_a_template_file_comes_before_the_configuration(tmp_path: Path) -> None:
    """Tokens still come from the configuration."""
    config = {"chat_template": "old", "bos_token": "<s>", "eos_token": ""}
    template = load(folder(tmp_path, config, chat_template__jinja=PRINT))
    assert template.render(HELLO, now=NOW) == "<s>Hi"
    assert template.name == str(tmp_path / "chat_template.jinja")


def test_named_templates_of_the_configuration(tmp_path: Path) -> None:
    """A list of names and templates: the default, and the one for tools."""
    listed = [
        {"name": "default", "template": "plain"},
        {"name": "tool_use", "template": "tools"},
        {"name": "rag", "template": "{% broken"},
    ]
    template = load(folder(tmp_path, {"chat_template": listed}))
    assert template.render(HELLO, now=NOW) == "plain"
    assert template.render(HELLO, tools=[], now=NOW) == "tools"


def test_additional_template_files(tmp_path: Path) -> None:
    """The newer form of the same."""
    (tmp_path / "additional_chat_templates").mkdir()
    (tmp_path / "additional_chat_templates" / "tool_use.jinja").write_text("tools", "utf-8")
    template = load(folder(tmp_path, {"chat_template": "old"}, chat_template__jinja="plain"))
    assert template.render(HELLO, now=NOW) == "plain"
    assert template.render(HELLO, tools=[], now=NOW) == "tools"


def test_tokens_of_older_folders(tmp_path: Path) -> None:
    """special_tokens_map.json counts where the configuration lists no added tokens."""
    tokens = json.dumps({"bos_token": {"content": "<b>"}, "additional_special_tokens": ["<x>"]})
    template = load(folder(tmp_path, {"chat_template": PRINT}, special_tokens_map__json=tokens))
    assert template.render(HELLO, now=NOW) == "<b>Hi"
    assert template.special_tokens.spellings == {"<b>", "<x>"}
    config = {"chat_template": PRINT, "added_tokens_decoder": {}}
    assert load(folder(tmp_path, config)).render(HELLO, now=NOW) == "Hi"


def test_every_place_that_lists_special_tokens_is_read(tmp_path: Path) -> None:
    """So that none of them passes in a client's text; what is not special is left out."""
    config = {
        "chat_template": PRINT,
        "unk_token": "<unk>",
        "extra_special_tokens": {"image_token": "<image>"},
        "added_tokens_decoder": {
            "1": {"content": "<|a|>", "special": True},
            "2": {"content": "plain", "special": False},
            "3": "odd",
        },
    }
    added = [{"content": "<|b|>", "special": True}, {"content": "word", "special": False}]
    path = folder(tmp_path, config, tokenizer__json=json.dumps({"added_tokens": added}))
    tokens = load(path).special_tokens
    assert tokens.spellings == {"<unk>", "<image>", "<|a|>", "<|b|>"}
    assert tokens.others == {"unk_token": "<unk>"}


def test_a_file_uses_the_tokens_beside_it(tmp_path: Path) -> None:
    """Naming the file of a folder is naming the folder's tokens."""
    folder(tmp_path, {"bos_token": "<s>"}, mine__jinja=PRINT)
    assert load(tmp_path / "mine.jinja").render(HELLO, now=NOW) == "<s>Hi"


def test_a_lone_file_has_no_tokens(tmp_path: Path) -> None:
    """They are undefined, and print nothing."""
    folder(tmp_path, mine__jinja=PRINT)
    assert load(str(tmp_path / "mine.jinja")).render(HELLO, now=NOW) == "Hi"


def test_a_template_can_be_given_as_text() -> None:
    """Recognised by its braces."""
    assert load(PRINT).render(HELLO, now=NOW) == "Hi"
    assert load(PRINT).name == "(inline)"


def test_tokens_can_be_given() -> None:
    """In place of those that the setting brings."""
    template = load_template(PRINT, special_tokens=SpecialTokens("<s>"), trial=False)
    assert template.render(HELLO, now=NOW) == "<s>Hi"


def test_a_folders_tokens_can_be_had_alone(tmp_path: Path) -> None:
    """For a built-in or a file in place of the folder's own template."""
    tokens = load_special_tokens(folder(tmp_path, {"bos_token": "<s>", "eos_token": ADDED}))
    template = load_template(PRINT, special_tokens=tokens, trial=False)
    assert template.render(HELLO, now=NOW) == "<s>Hi</s>"
    with pytest.raises(SettingsInvalid, match=r"tokenizer_config\.json cannot be read"):
        load_special_tokens(tmp_path / "nowhere")


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ("lama3", "did you mean llama-3?"),
        ("Mistral-Instruct", "did you mean mistral-instruct?"),
        ("/nowhere/at/all", "neither a built-in, a file nor a folder"),
        ("x", "built-ins: chatml, gemma-it, llama-2-chat"),
        ("x" * 5_000, "cannot be read"),
    ],
)
def test_an_unknown_name_is_told_the_nearest(setting: str, said: str) -> None:
    """And all that there are."""
    with pytest.raises(SettingsInvalid) as caught:
        load(setting)
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("config", "files", "said"),
    [
        (None, {}, "has no chat template"),
        ({"bos_token": "<s>"}, {}, "has no chat template"),
        ({"chat_template": [{"name": "rag", "template": "x"}]}, {}, "only templates named rag"),
        ({"chat_template": [{"template": "x"}]}, {}, "not of objects with name and template"),
        ({"chat_template": ["x"]}, {}, "not of objects with name and template"),
        ([], {}, "must hold a JSON object"),
        (None, {"tokenizer_config__json": "{"}, "is not JSON"),
    ],
)
def test_a_folder_without_a_template_says_what_it_needs(
    tmp_path: Path, config: Any, files: dict[str, str], said: str
) -> None:
    """Naming the folder or file."""
    with pytest.raises(SettingsInvalid) as caught:
        load(folder(tmp_path, config, **files))
    assert said in str(caught.value)
    assert str(tmp_path) in str(caught.value)


def test_a_file_that_is_no_text_is_refused(tmp_path: Path) -> None:
    """With its name."""
    (tmp_path / "x.jinja").write_bytes(b"\xff\xfe")
    with pytest.raises(SettingsInvalid, match=r"x\.jinja cannot be read"):
        load(tmp_path / "x.jinja")


@pytest.mark.parametrize(
    ("source", "error"),
    [
        ("{% if %}", TemplateInvalid),
        ("{{ a.b }}", TemplateFailed),
        ("{{ 'a' * 10 ** 10 }}", TemplateExhausted),
    ],
)
def test_what_fails_its_trial_is_not_loaded(
    tmp_path: Path, source: str, error: type[Exception]
) -> None:
    """The error names the file."""
    path = folder(tmp_path, chat_template__jinja=source)
    with pytest.raises(error, match=r"chat_template\.jinja"):
        load_template(path)


def test_what_passes_its_trial_is_loaded(tmp_path: Path) -> None:
    """A template from a stranger's folder, tried first."""
    path = folder(tmp_path, {"bos_token": "<s>"}, chat_template__jinja=PRINT)
    assert load_template(path).render(HELLO, now=NOW) == "<s>Hi"
