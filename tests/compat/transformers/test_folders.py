"""A model's folder, read by `transformers` and by us: the same prompt from the same files."""

import json
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from lorax_proxy.template_files import load_template

transformers = pytest.importorskip("transformers")
tokenizers = pytest.importorskip("tokenizers")

pytestmark = pytest.mark.compat

PRINT = (
    "{{ bos_token }}{% for m in messages %}{{ m.role }}: {{ m.content }}{{ eos_token }}{% endfor %}"
    "{{ pad_token }}{{ unk_token }}{% if tools %}{{ tools | tojson }}{% endif %}"
)
ADDED = {
    "__type": "AddedToken",
    "content": "</s>",
    "lstrip": False,
    "normalized": False,
    "rstrip": False,
    "single_word": False,
    "special": True,
}
MESSAGES = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Ho"}]
TOOLS = [{"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}]
NAMED = [{"name": "default", "template": PRINT}, {"name": "tool_use", "template": f"T{PRINT}"}]

FOLDERS: dict[str, tuple[dict[str, Any], dict[str, str]]] = {
    "a text in the configuration": (
        {"chat_template": PRINT, "bos_token": "<s>", "eos_token": "</s>"},
        {},
    ),
    "tokens as objects": ({"chat_template": PRINT, "bos_token": "<s>", "eos_token": ADDED}, {}),
    "null tokens": ({"chat_template": PRINT, "bos_token": None, "eos_token": "</s>"}, {}),
    "further tokens": (
        {"chat_template": PRINT, "bos_token": "<s>", "pad_token": "<pad>", "unk_token": "<unk>"},
        {},
    ),
    "named templates": ({"chat_template": NAMED, "bos_token": "<s>"}, {}),
    "a template file": ({"bos_token": "<s>"}, {"chat_template.jinja": PRINT}),
    "a template file over the configuration": (
        {"bos_token": "<s>", "chat_template": "old"},
        {"chat_template.jinja": PRINT},
    ),
    "a template file over named templates": (
        {"bos_token": "<s>", "chat_template": NAMED},
        {"chat_template.jinja": PRINT},
    ),
    "additional template files": (
        {"bos_token": "<s>"},
        {
            "chat_template.jinja": PRINT,
            "additional_chat_templates/tool_use.jinja": f"A{PRINT}",
            "additional_chat_templates/other.jinja": "{% broken",
        },
    ),
    "an older map of special tokens": (
        {"chat_template": PRINT},
        {"special_tokens_map.json": json.dumps({"bos_token": "<b>", "eos_token": {**ADDED}})},
    ),
    "an older map against the configuration": (
        {"chat_template": PRINT, "bos_token": "<s>"},
        {"special_tokens_map.json": json.dumps({"bos_token": "<b>"})},
    ),
    "no template": ({"bos_token": "<s>"}, {}),
}


@pytest.mark.parametrize("tools", [None, TOOLS], ids=["without tools", "with tools"])
@pytest.mark.parametrize("name", FOLDERS)
def test_a_folder_gives_the_prompt_that_transformers_gives(
    tmp_path: Path, name: str, tools: list[dict[str, Any]] | None
) -> None:
    """Templates, special tokens and which of several templates is used; or both refuse."""
    config, files = FOLDERS[name]
    tokenizer = tokenizers.Tokenizer(tokenizers.models.WordLevel({"x": 0}, unk_token="x"))
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(config), "utf-8")
    for file, text in files.items():
        (tmp_path / file).parent.mkdir(exist_ok=True)
        (tmp_path / file).write_text(text, "utf-8")
    loaded = transformers.PreTrainedTokenizerFast.from_pretrained(tmp_path)
    try:
        expected = loaded.apply_chat_template(MESSAGES, tools=tools, tokenize=False)
    except ValueError:
        expected = None
    try:
        template = load_template(tmp_path, trial=False)
        got = template.render(
            MESSAGES,
            tools=tools,
            add_generation_prompt=False,
            now=datetime.now(),  # noqa: DTZ005 - as transformers
        )
    except Exception:  # noqa: BLE001 - whatever we refuse with
        got = None
    assert got == expected
