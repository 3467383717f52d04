"""A real tokenizer, made on the spot."""

import json
from pathlib import Path

import pytest
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, processors

from lorax_mock.files.tokenizer import TokenizerError, read_tokenizer
from lorax_mock.server.app import create_app


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A byte-level BPE without merges, with BOS and EOS."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    inner = Tokenizer(models.BPE({char: place for place, char in enumerate(alphabet)}, []))
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    inner.decoder = decoders.ByteLevel()
    inner.add_special_tokens([AddedToken("<s>", special=True), AddedToken("</s>", special=True)])
    inner.post_processor = processors.TemplateProcessing(
        single="<s> $A", special_tokens=[("<s>", 256)]
    )
    made = tmp_path_factory.mktemp("tokenizer") / "tokenizer.json"
    inner.save(str(made))
    return made


def test_it_counts_and_splits_as_the_library_does(path: Path) -> None:
    """Ids and offsets are the library's, BOS is added on request, and EOS is found by its usual name."""
    tokenizer = read_tokenizer(path)
    assert (tokenizer.bos, tokenizer.eos) == (256, 257)
    assert tokenizer.encode("hi")[0] == 256
    assert len(tokenizer.encode("é", special=False)) == 2
    assert tokenizer.is_special(257)
    assert not tokenizer.is_special(5)
    assert (tokenizer.size(), tokenizer.logits()) == (256, 258)
    pieces = tokenizer.tokenize("a b")
    assert [(piece.text, piece.start, piece.stop) for piece in pieces] == [
        ("<s>", 0, 0),
        ("a", 0, 1),
        ("Ġ", 1, 2),
        ("b", 2, 3),
    ]


def test_special_spellings_may_be_ordinary_text(path: Path) -> None:
    """Plain encoding makes ordinary ids of special spellings and leaves later prompts as they were."""
    tokenizer = read_tokenizer(path)
    plain = tokenizer.encode_plain("a</s>é")
    assert tokenizer.decode(plain) == "a</s>é"
    assert not any(map(tokenizer.is_special, plain))
    assert tokenizer.encode("a</s>", special=False)[1:] == [257]


def test_late_characters_come_whole(path: Path) -> None:
    """A character over several tokens comes whole with its last one."""
    tokenizer = read_tokenizer(path)
    feed = tokenizer.decoder(tokenizer.encode("prompt")).feed
    texts = [feed(token) for token in tokenizer.encode("a😀é", special=False)]
    assert texts == ["a", "", "", "", "😀", "", "é"]


@pytest.mark.parametrize(
    ("text", "ends"),
    [('{"eos_token_id": [3, 257]}', [3, 257]), ('{"eos_token_id": 3}', [257]), ("", [257])],
)
def test_a_generation_config_may_list_several_ends(
    path: Path, tmp_path: Path, text: str, ends: list[int]
) -> None:
    """A generation config beside the file ends answers by all its ids; a single id in it changes nothing."""
    copied = tmp_path / "tokenizer.json"
    copied.write_text(path.read_text())
    assert sorted(read_tokenizer(copied).ends) == [257]
    (tmp_path / "generation_config.json").write_text(text)
    tokenizer = read_tokenizer(copied)
    assert (sorted(tokenizer.ends), tokenizer.eos) == (ends, 257)


def test_the_mock_takes_it(path: Path) -> None:
    """An application uses the file's tokenizer in place of the built-in one."""
    app = create_app(tokenizer=read_tokenizer(path))
    assert app.state.tokenizer.eos == 257


def test_what_is_no_tokenizer_is_named(path: Path, tmp_path: Path) -> None:
    """A file that is no tokenizer is refused with its name and the way out, and a configured EOS comes first."""
    with pytest.raises(TokenizerError, match="No such file"):
        read_tokenizer(tmp_path / "none.json")
    wrong = tmp_path / "wrong.json"
    wrong.write_text("{}")
    with pytest.raises(TokenizerError, match=r"no tokenizer\.json"):
        read_tokenizer(wrong)
    copied = tmp_path / "tokenizer.json"
    copied.write_text(path.read_text())
    (tmp_path / "tokenizer_config.json").write_text('{"eos_token": {"content": "a"}}')
    assert read_tokenizer(copied).decode([read_tokenizer(copied).eos]) == "a"
    copied.write_text(path.read_text().replace("</s>", "<end>"))
    (tmp_path / "tokenizer_config.json").unlink()
    with pytest.raises(TokenizerError, match="no EOS known"):
        read_tokenizer(copied)


@pytest.mark.parametrize(
    ("config", "ids"),
    [
        ({"tokenizer_class": "LlamaTokenizerFast"}, [256, 71]),
        ({"tokenizer_class": "LlamaTokenizer", "add_bos_token": False}, [71]),
        ({"tokenizer_class": "LlamaTokenizer", "add_eos_token": True}, [256, 71, 257]),
        ({"tokenizer_class": "PreTrainedTokenizerFast", "add_bos_token": False}, [256, 71]),
    ],
)
def test_llamas_classes_get_a_post_processor_of_the_routers_own(
    path: Path, tmp_path: Path, config: dict[str, object], ids: list[int]
) -> None:
    """For Llama's tokenizer classes two flags decide what surrounds a text; other classes keep the file's way."""
    copied = tmp_path / "tokenizer.json"
    copied.write_text(path.read_text())
    tokens = {"bos_token": "<s>", "eos_token": {"content": "</s>"}}
    (tmp_path / "tokenizer_config.json").write_text(json.dumps({**tokens, **config}))
    tokenizer = read_tokenizer(copied)
    assert tokenizer.encode("h") == ids
    assert tokenizer.encode("h", special=False) == [71]


def test_a_flag_without_its_token_is_told(path: Path, tmp_path: Path) -> None:
    """A flag for a token that the configuration lacks is refused, as the router would not start."""
    copied = tmp_path / "tokenizer.json"
    copied.write_text(path.read_text())
    config = {"tokenizer_class": "LlamaTokenizer", "eos_token": "</s>"}
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(config))
    with pytest.raises(TokenizerError, match="add_bos_token is True and no bos_token is known"):
        read_tokenizer(copied)
