"""The settings: who wins, where a value came from, and one test for each way to be wrong."""

from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr, ValidationError

from lorax_proxy.config import (
    ModelSettings,
    Settings,
    UpstreamSettings,
    load,
    token_of,
)
from lorax_proxy.config_limits import ClientLimits
from lorax_proxy.errors import SettingsInvalid

PREFIX = "LORAX_PROXY_"


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """No variable of this machine's decides a test."""
    import os

    for name in list(os.environ):
        if name.upper().startswith(PREFIX):
            monkeypatch.delenv(name)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A configuration file, to be written."""
    return tmp_path / "proxy.toml"


def from_file(file: Path, text: str) -> Settings:
    """The settings of a file alone."""
    file.write_text(text)
    return load({}, file)[0]


def refused(file: Path, text: str) -> str:
    """What is said of a file that is wrong."""
    with pytest.raises(SettingsInvalid) as caught:
        from_file(file, text)
    return str(caught.value)


def test_a_flag_wins_over_the_environment_over_the_file_over_the_default(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each setting comes from the nearest place, and says which."""
    file.write_text('port = 1\nhost = "127.0.0.2"\nconnect_timeout = 9\n')
    monkeypatch.setenv("LORAX_PROXY_PORT", "2")
    monkeypatch.setenv("LORAX_PROXY_HOST", "127.0.0.3")
    settings, origins = load({"port": 3, "log_level": None}, file)
    assert (settings.port, settings.host, settings.connect_timeout) == (3, "127.0.0.3", 9)
    named = {origin.name: (origin.value, origin.origin) for origin in origins}
    assert named["port"] == (3, "flag")
    assert named["host"] == ("127.0.0.3", "LORAX_PROXY_HOST")
    assert named["connect_timeout"] == (9, str(file))
    assert named["log_level"] == ("info", "default")
    names = [origin.name for origin in origins]
    assert sorted(names) == sorted(Settings.model_fields)
    assert names[-len(ClientLimits.model_fields) :] == list(ClientLimits.model_fields)


def test_what_kubernetes_puts_beside_a_service_is_no_setting(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A Service named lorax-proxy gives every pod variables that look like ours."""
    monkeypatch.setenv("LORAX_PROXY_PORT", "tcp://10.0.0.7:80")
    monkeypatch.setenv("LORAX_PROXY_PORT_80_TCP_ADDR", "10.0.0.7")
    monkeypatch.setenv("LORAX_PROXY_SERVICE_HOST", "10.0.0.7")
    monkeypatch.setenv("LORAX_PROXY_SERVICE_PORT_HTTP", "80")
    assert load({})[0].port == 8000


def test_the_environment_may_name_the_file(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`LORAX_PROXY_CONFIG` stands in for the flag, which wins over it."""
    file.write_text("port = 1")
    monkeypatch.setenv("LORAX_PROXY_CONFIG", str(file))
    assert load({})[0].port == 1
    other = file.with_name("other.toml")
    other.write_text("port = 2")
    assert load({}, other)[0].port == 2


def test_settings_are_frozen() -> None:
    """One object for the life of the program."""
    settings, _ = load({})
    with pytest.raises(ValidationError):
        setattr(settings, "port", 1)  # noqa: B010 - a plain assignment is what both checkers refuse


def test_the_defaults_are_safe() -> None:
    """Loopback, no demo, no pages of others, and one hub source."""
    settings, _ = load({})
    assert (settings.host, settings.demo, settings.no_auth) == ("127.0.0.1", False, False)
    assert (settings.cors_origins, settings.unlisted_sources) == ([], ["hub"])
    assert settings.upstream == []
    assert settings.unsupported == "refuse"


def test_a_key_is_never_printed(file: Path) -> None:
    """Not by `repr`, not in the origins, not in an error about it or beside it."""
    settings = from_file(file, 'api_key = "hunter2"')
    assert settings.api_key == SecretStr("hunter2")
    assert "hunter2" not in repr(load({}, file))
    assert "hunter2" not in refused(file, 'api_key = ["hunter2"]')
    assert "hunter2" not in refused(file, 'api_key = "hunter2"\nport = "x"')
    assert "hunter2" not in refused(
        file, 'api_key = "hunter2"\n[[model]]\nname = "a"\nupstream = "b"'
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("prot = 1", "{file}: prot: no such setting; did you mean 'port'?"),
        ("zzz = 1", "{file}: zzz: no such setting"),
        ('port = "x"', "{file}: port: input should be a valid integer"),
        ("port = 65536", "{file}: port: input should be less than or equal to 65535"),
        ("port = -1", "{file}: port: input should be greater than or equal to 0"),
        (
            'allow_unlisted = "all"',
            "{file}: allow_unlisted: input should be 'none', 'hub' or 'any'",
        ),
        ("unlisted_sources = []", "{file}: unlisted_sources: list should have at least 1 item"),
        ('unlisted_sources = ["git"]', "{file}: unlisted_sources[0]: input should be 'hub', 's3'"),
        ("connect_timeout = 0", "{file}: connect_timeout: input should be greater than 0"),
        ("total_timeout = inf", "{file}: total_timeout: input should be a finite number"),
        ("connect_retries = 11", "{file}: connect_retries: input should be less than"),
        ("max_choices = 0", "{file}: max_choices: input should be greater than or equal to 1"),
        ("max_body_bytes = 1", "{file}: max_body_bytes: input should be greater than or equal"),
        ('special_tokens = "keep"', "{file}: special_tokens: input should be 'split', 'refuse'"),
        ('on_cold_cancel = "x"', "{file}: on_cold_cancel: input should be 'drain' or 'close'"),
        ('api_key = ""', "{file}: api_key: is empty: a server without a key leaves it out"),
        ('api_key = " "', "{file}: api_key: is empty"),
        (
            '[[upstream]]\nurl = "http://a"\n[[upstream]]\nurl = "http://b"',
            "upstream: each needs a `name` of its own",
        ),
        (
            '[[model]]\nname = "a"\n[[model]]\nname = "a"',
            "model: each needs a `name` of its own",
        ),
        (
            '[[upstream]]\nurl = "http://a"\n[[model]]\nname = "a"\nupstream = "defalt"',
            "model 'a': no upstream 'defalt'; did you mean 'default'?",
        ),
        (
            (
                '[[model]]\nname = "a"\nadapter = "x"\nsource = "hub"\n'
                '[[model]]\nname = "b"\nadapter = "x"\nsource = "s3"'
            ),
            "model 'b': adapter 'x' has two sources",
        ),
        (
            'host = "0.0.0.0"',
            "host: listening on 0.0.0.0 needs --api-key KEY, or --no-auth",
        ),
        ("port =", "{file}: not TOML: "),
    ],
)
def test_what_is_wrong_is_said_with_its_place(file: Path, text: str, message: str) -> None:
    """The file, the key, and what would be right or near."""
    assert refused(file, text).startswith(message.format(file=file))


def test_a_file_that_cannot_be_read(file: Path, tmp_path: Path) -> None:
    """Missing, a folder, or no text: said with its path, and never a traceback."""
    with pytest.raises(SettingsInvalid, match="no such configuration file"):
        load({}, file)
    with pytest.raises(SettingsInvalid, match="no such configuration file"):
        load({}, tmp_path)
    file.write_bytes(b'host = "\xff"')
    with pytest.raises(SettingsInvalid, match="not TOML"):
        load({}, file)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("PROT", "1", "LORAX_PROXY_PROT: no such setting in the environment; did you mean LORAX_"),
        ("ZZZZZZZZZZZZZZZZZZ", "1", "LORAX_PROXY_ZZZZZZZZZZZZZZZZZZ: no such setting in the env"),
        ("PORT", "x", "LORAX_PROXY_PORT: port: input should be a valid integer"),
        ("UPSTREAM", "", "LORAX_PROXY_UPSTREAM: upstream[0].url: must start with http://"),
        ("UPSTREAM", "[{", "LORAX_PROXY_UPSTREAM: upstream: is not JSON: "),
        ("API_KEY", "", "LORAX_PROXY_API_KEY: api_key: is empty"),
        ("NO_AUTH", "perhaps", "LORAX_PROXY_NO_AUTH: no_auth: input should be a valid boolean"),
    ],
)
def test_a_wrong_variable_is_named(
    name: str, value: str, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A misspelt or lost variable stops the start, with the variable's own name."""
    monkeypatch.setenv(PREFIX + name, value)
    with pytest.raises(SettingsInvalid) as caught:
        load({})
    assert str(caught.value).startswith(message)


@pytest.mark.parametrize(
    ("name", "text", "setting", "expected"),
    [
        ("UNLISTED_SOURCES", "hub, local", "unlisted_sources", ["hub", "local"]),
        ("UNLISTED_SOURCES", '["s3"]', "unlisted_sources", ["s3"]),
        ("CORS_ORIGINS", "http://a,http://b", "cors_origins", ["http://a", "http://b"]),
        ("NO_AUTH", "true", "no_auth", True),
        ("TOTAL_TIMEOUT", "30", "total_timeout", 30),
        ("MODEL", '[{"name": "a"}]', "model", [ModelSettings(name="a")]),
    ],
)
def test_variables_are_read_as_people_write_them(
    name: str, text: str, setting: str, expected: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Lists by commas or as JSON, switches as words."""
    monkeypatch.setenv(PREFIX + name, text)
    assert getattr(load({})[0], setting) == expected


@pytest.mark.parametrize(
    "given",
    [
        "http://127.0.0.1:3000/",
        ["http://127.0.0.1:3000"],
        '["http://127.0.0.1:3000"]',
        [{"url": "http://127.0.0.1:3000"}],
        '[{"url": "http://127.0.0.1:3000/"}]',
    ],
)
def test_an_upstream_may_be_a_plain_address(given: Any) -> None:
    """The short spelling is an upstream of kind `generate`, whatever ends the address."""
    (upstream,) = load({"upstream": given})[0].upstream
    assert (upstream.url, upstream.kind, upstream.name) == (
        "http://127.0.0.1:3000",
        "generate",
        "default",
    )


@pytest.mark.parametrize(
    ("host", "loopback"),
    [
        ("127.0.0.1", True),
        ("127.9.9.9", True),
        ("localhost", True),
        ("::1", True),
        ("[::1]", True),
        ("0.0.0.0", False),
        ("::", False),
        ("", False),
        ("10.0.0.1", False),
        ("example.org", False),
        ("localhost.example.org", False),
    ],
)
def test_what_only_this_machine_reaches(host: str, *, loopback: bool) -> None:
    """Off loopback a key is needed, or the word that none is."""
    if loopback:
        assert load({"host": host, "demo": True})[0].host == host
        return
    with pytest.raises(SettingsInvalid, match="needs --api-key KEY, or --no-auth"):
        load({"host": host})
    assert load({"host": host, "api_key": "k"})[0].host == host
    assert load({"host": host, "no_auth": True})[0].host == host


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        ({}, "hub"),
        ({"model": [{"name": "a"}]}, "none"),
        ({"model": [{"name": "a"}], "allow_unlisted": "any"}, "any"),
        ({"allow_unlisted": "none"}, "none"),
    ],
)
def test_unlisted_names_close_once_models_are_configured(
    flags: dict[str, Any], expected: str
) -> None:
    """Without models the hub is open; a list of models is a closed list, unless it says otherwise."""
    assert load(flags)[0].unlisted == expected


def test_an_adapter_s_token_comes_from_its_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    """The file names the variable, so that no token stands in a file."""
    model = ModelSettings(name="a", adapter="x", token_env="HUB_TOKEN_OF_A")
    with pytest.raises(SettingsInvalid, match="HUB_TOKEN_OF_A, which is not set"):
        token_of(model)
    monkeypatch.setenv("HUB_TOKEN_OF_A", "")
    with pytest.raises(SettingsInvalid, match="which is not set"):
        token_of(model)
    monkeypatch.setenv("HUB_TOKEN_OF_A", "hf_x")
    assert token_of(model) == "hf_x"
    assert token_of(ModelSettings(name="a")) is None
    gateway = UpstreamSettings(url="http://g", token_env="HUB_TOKEN_OF_A")
    assert token_of(gateway) == "hf_x"
    monkeypatch.delenv("HUB_TOKEN_OF_A")
    with pytest.raises(SettingsInvalid, match="upstream 'default': token_env names"):
        token_of(gateway)


def test_every_limit_is_documented_with_its_default() -> None:
    """`docs/limits.md` is a table of them; a reason stands beside each."""
    text = (Path(__file__).parents[2] / "docs/limits.md").read_text("utf-8")
    rows = {line.split("`")[1]: line for line in text.splitlines() if line.startswith("| `")}
    assert set(rows) == {*ClientLimits.model_fields, "max_body_bytes"}
    for name, row in rows.items():
        default = Settings.model_fields[name].default
        assert default is None or f"| {default}" in row, row
        assert len([cell for cell in row.split("|") if cell.strip()]) == 4


def test_hosts_are_known_on_loopback_without_a_key_or_when_configured() -> None:
    """None means that any name is taken."""
    assert Settings().known_hosts == frozenset()
    assert Settings(allowed_hosts=["API.example"]).known_hosts == frozenset({"api.example"})
    assert Settings(api_key=SecretStr("k")).known_hosts is None
    assert Settings(host="0.0.0.0", no_auth=True).known_hosts is None
    public = Settings(host="0.0.0.0", no_auth=True, allowed_hosts=["api.example"])
    assert public.known_hosts == frozenset({"api.example"})
