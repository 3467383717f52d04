"""The sections of the configuration file: each way to be wrong stops the start, with its place."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from lorax_proxy.config import load
from lorax_proxy.config_sections import MergeSettings, ModelSettings, UpstreamSettings
from lorax_proxy.errors import SettingsInvalid


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            '[[upstream]]\nurl = "http://a"\nkindd = "embed"',
            "{file}: upstream[0].kindd: no such setting; did you mean 'kind'?",
        ),
        (
            '[[model]]\nname = "a"\nadaptr = "x"',
            "{file}: model[0].adaptr: no such setting; did you mean 'adapter'?",
        ),
        (
            '[[model]]\nname = "a"\n[model.merge]\nids = ["a"]\nweight = [1]',
            "{file}: model[0].merge.weight: no such setting; did you mean 'weights'?",
        ),
        ('upstream = "10.0.0.1:80"', "{file}: upstream[0].url: must start with http://"),
        ('upstream = "http://"', "{file}: upstream[0].url: must name a host"),
        ('upstream = "http://a:70000"', "{file}: upstream[0].url: must name a host, and a port"),
        ('upstream = "http://a:0"', "{file}: upstream[0].url: must name a host, and a port"),
        ('upstream = "http://[::1"', "{file}: upstream[0].url: must name a host"),
        ('upstream = "http://a b"', "{file}: upstream[0].url: must name a host"),
        ('upstream = "http://u:p@a"', "{file}: upstream[0].url: must hold no user"),
        ('upstream = "http://a?b"', "{file}: upstream[0].url: must hold no user, query"),
        (
            '[[upstream]]\nurl = "http://a"\nkind = "both"',
            "{file}: upstream[0].kind: input should be 'generate' or 'embed', but it is 'both'",
        ),
        ("[[model]]\nname = ''", "{file}: model[0].name: string should have at least 1 character"),
        (
            '[[model]]\nname = "a"\nadapter = "x"\n[model.merge]\nids = ["y"]',
            "{file}: model[0]: a model has either `adapter` or `merge`, not both",
        ),
        ('[[model]]\nname = "a"\nadapter = ""', "{file}: model[0].adapter: must be 1 to 512 print"),
        ('[[model]]\nname = "a"\nadapter = "x\\n"', "{file}: model[0].adapter: must be 1 to 512"),
        (
            '[[model]]\nname = "a"\nadapter = "__base_model__"',
            "{file}: model[0].adapter: is LoRAX's word for no adapter",
        ),
        (
            '[[model]]\nname = "a"\n[model.merge]\nids = ["a", "b\\u0000"]',
            "{file}: model[0].merge.ids[1]: must be 1 to 512 printable ASCII",
        ),
        ('[[model]]\nname = "a"\n[model.merge]\nids = []', "{file}: model[0].merge.ids: list shou"),
        (
            '[[model]]\nname = "a"\n[model.merge]\nids = ["a", "b"]\nweights = [1.0]',
            "{file}: model[0].merge: weights: 2 ids need as many weights",
        ),
        (
            '[[model]]\nname = "a"\n[model.merge]\nids = ["a", "b"]\nstrategy = "ties"',
            "{file}: model[0].merge: density: strategy ties needs one",
        ),
        (
            '[[model]]\nname = "a"\n[model.merge]\nids = ["a"]\nstrategy = "magic"',
            "{file}: model[0].merge.strategy: input should be 'linear', 'ties'",
        ),
        (
            '[[model]]\nname = "a"\nstop = [""]',
            "{file}: model[0].stop[0]: string should have at least 1 character",
        ),
        (
            '[[model]]\nname = "a"\n[model.defaults]\ntemprature = 1',
            (
                "{file}: model[0].defaults: no parameter 'temprature' that may have a default; "
                "did you mean 'temperature'?"
            ),
        ),
        (
            '[[model]]\nname = "a"\n[model.defaults]\ntemperature = 3.0',
            "{file}: model[0].defaults: invalid 'temperature': above the maximum value.",
        ),
        (
            '[[model]]\nname = "a"\n[model.defaults]\nadapter_source = "s3"',
            "{file}: model[0].defaults: no parameter 'adapter_source' that may have a default",
        ),
    ],
)
def test_what_is_wrong_is_said_with_its_place(text: str, message: str, tmp_path: Path) -> None:
    """The file, the key, and what would be right or near."""
    file = tmp_path / "proxy.toml"
    file.write_text(text)
    with pytest.raises(SettingsInvalid) as caught:
        load({}, file)
    assert str(caught.value).startswith(message.format(file=file))


def test_what_is_right_is_kept() -> None:
    """An address loses its last slash alone, and ids and defaults stay as they are written."""
    assert UpstreamSettings(url="https://[::1]:8443/lorax/").url == "https://[::1]:8443/lorax"
    model = ModelSettings(
        name="a", adapter="s3://bucket/a b", defaults={"temperature": 0, "stop": ["x"]}
    )
    assert model.adapter == "s3://bucket/a b"
    assert model.defaults == {"temperature": 0, "stop": ["x"]}
    merge = MergeSettings(ids=["a", "b"], strategy="ties", density=0.5, weights=[1, 0.5])
    assert merge.weights == [1, 0.5]


def test_sections_are_frozen() -> None:
    """What was judged stays as it was."""
    with pytest.raises(ValidationError):
        setattr(ModelSettings(name="a"), "adapter", "x\n")  # noqa: B010 - checkers refuse the plain form
