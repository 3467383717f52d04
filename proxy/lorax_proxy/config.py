"""The settings: one frozen object, read from a file, the environment and flags, in that order.

A flag wins over the environment, the environment over the file, the file over the default. Every
setting `name` is also `LORAX_PROXY_NAME`, and most are flags of `lorax-proxy serve`. This module is
the only reader of the environment and, with `template_files`, of files.

A key that nobody knows is an error that names its nearest neighbour: a misspelt `api_key` must not
leave a server open.
"""

import json
import os
import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, Self, get_args

from pydantic import BaseModel, Field, SecretStr, ValidationError, field_validator
from pydantic import model_validator as validates_model
from pydantic_core import ErrorDetails
from pydantic_settings import (
    BaseSettings,
    EnvSettingsSource,
    NoDecode,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from lorax_proxy.config_limits import ClientLimits, Seconds
from lorax_proxy.config_sections import (
    AdapterSource,
    MergeSettings,
    ModelSettings,
    UpstreamSettings,
)
from lorax_proxy.core.admission import is_loopback
from lorax_proxy.core.refusals import nearest
from lorax_proxy.errors import SettingsInvalid

__all__ = [
    "MergeSettings",
    "ModelSettings",
    "Origin",
    "Settings",
    "UpstreamSettings",
    "load",
    "token_of",
]

ENV_PREFIX = "LORAX_PROXY_"


class Settings(ClientLimits, BaseSettings):
    """Everything that can be set."""

    model_config = SettingsConfigDict(
        env_prefix=ENV_PREFIX, extra="forbid", frozen=True, nested_model_default_partial_update=True
    )

    host: str = "127.0.0.1"
    """The address to listen on. Others than loopback need `api_key`, or `no_auth`."""
    port: int = Field(default=8000, ge=0, le=65535)
    """The port to listen on; 0 takes a free one."""
    workers: int = Field(default=1, ge=1, le=64)
    """How many processes serve the port: one for each core that is the proxy's alone."""
    upstream: Annotated[list[UpstreamSettings], NoDecode] = Field(
        default_factory=list[UpstreamSettings]
    )
    """The LoRAX servers. A plain address stands for one of kind `generate`."""
    model: Annotated[list[ModelSettings], NoDecode] = Field(default_factory=list[ModelSettings])
    """The public model names; the base model's own id is always one."""
    allow_unlisted: Literal["none", "hub", "any"] | None = None
    """Which other names are adapter ids: `hub` when no models are configured, else `none`."""
    unlisted_sources: Annotated[list[AdapterSource], NoDecode] = Field(
        default=["hub"], min_length=1
    )
    """Where unlisted adapters may come from, the default first."""
    chat_template: str | None = None
    """A built-in's name or a file; by default a built-in for the families it is known for."""
    tokenizer: Path | None = None
    """A model folder, for its chat template and special tokens."""
    special_tokens: Literal["split", "refuse", "allow"] = "split"
    """What to do with the spelling of a special token inside a message."""
    unsupported: Literal["refuse", "ignore"] = "refuse"
    """What to do with parameters that cannot be honoured."""
    api_key: SecretStr | None = None
    """The key that clients must send as `Authorization: Bearer`."""
    no_auth: bool = False
    """Listen off loopback without a key."""
    cors_origins: Annotated[list[str], NoDecode] = Field(default_factory=list[str])
    """Origins whose pages may call this server; none by default."""
    allowed_hosts: Annotated[list[str], NoDecode] = Field(default_factory=list[str])
    """Further names that clients may call this server by (the `Host` header): on loopback without a
    key only loopback's own are taken, because a page can point a name of its own there."""
    demo: bool = False
    """Start a mock LoRAX beside the proxy and offer its adapters."""
    transport: Literal["direct", "httpx"] = "direct"
    """The HTTP client: `direct` is made for this and many times faster, `httpx` is the reference."""
    connect_timeout: Seconds = 5
    """Seconds for a TCP (and TLS) connection: the machine is there or it is not."""
    connect_retries: int = Field(default=2, ge=0, le=10)
    """How often a failed connect is tried again: nothing was sent, so nothing is done twice."""
    first_event_timeout: Seconds = 600
    """Seconds until the first event, or a whole answer that is not streamed. Cold adapters are
    downloaded first, and leaving during a failing load can kill LoRAX (router/src/loader.rs:293)."""
    idle_timeout: Seconds = 60
    """Seconds of silence inside a stream. LoRAX sends a comment every 15 s, so four are missing."""
    total_timeout: Seconds | None = None
    """Seconds from a request's last byte to the end of its answer; none by default: long answers are
    what some models are for."""
    status_wait: Seconds = 10
    """Seconds to wait for the first event before a stream's status is sent, so that a refusal can
    still be a real status. Below the read time-outs of common clients and load balancers."""
    keepalive_interval: Seconds = 15
    """Seconds between comments on a silent stream."""
    max_body_bytes: int = Field(default=2 * 1024 * 1024, ge=1024)
    """The largest request body: LoRAX takes 2 MiB (axum's default; it sets none)."""
    max_choices: int = Field(default=16, ge=1, le=128)
    """The most LoRAX requests that one request may become."""
    on_cold_cancel: Literal["drain", "close"] = "drain"
    """What becomes of the LoRAX request when its client leaves before its adapter ever answered."""
    max_drains: int = Field(default=64, ge=0)
    """The most LoRAX requests that are kept for that reason at once."""
    shutdown_timeout: Seconds = 20
    """Seconds that running answers have after SIGTERM."""
    inspector: bool = False
    """Serve a page at `/_inspector/` that shows requests on both wires while it is open: to this
    machine's own browser, or with `api_key` to whoever has it."""
    inspector_texts: bool = False
    """Let that page show what is asked and answered, not only sizes and times."""
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    """The least that is logged: requests at `info`, what failed at `warning`, probes and scrapes at `debug`."""
    log_format: Literal["auto", "text", "json"] = "auto"
    """The log's lines: `auto` is `text` on a terminal, else `json`."""

    @field_validator("upstream", mode="before")
    @classmethod
    def _upstream(cls, value: object) -> object:
        value = _from_text(value)
        addresses = [value] if isinstance(value, str) else value
        if not isinstance(addresses, list):
            return addresses
        return [{"url": each} if isinstance(each, str) else each for each in addresses]

    @field_validator("model", "unlisted_sources", "cors_origins", "allowed_hosts", mode="before")
    @classmethod
    def _list(cls, value: object) -> object:
        value = _from_text(value)
        return [word.strip() for word in value.split(",")] if isinstance(value, str) else value

    @field_validator("api_key")
    @classmethod
    def _api_key(cls, key: SecretStr | None) -> SecretStr | None:
        # what a container is given when the variable behind it got lost
        if key is not None and not key.get_secret_value().strip():
            raise ValueError("is empty: a server without a key leaves it out")
        return key

    @validates_model(mode="after")
    def _consistent(self) -> Self:
        if faults := [*self._unnamed(), *self._unguarded(), *self._unwatched()]:
            raise ValueError("\n".join(faults))
        return self

    def _unnamed(self) -> Iterator[str]:
        """What is wrong with the names of upstreams and models, and with what they lead to."""
        names = [upstream.name for upstream in self.upstream]
        if len(set(names)) < len(names):
            yield "upstream: each needs a `name` of its own"
        models = [model.name for model in self.model]
        if len(set(models)) < len(models):
            yield "model: each needs a `name` of its own"
        sources: dict[str, str | None] = {}
        for model in self.model:
            if model.upstream is not None and model.upstream not in names:
                near = nearest(model.upstream, names)
                hint = f"; did you mean {near!r}?" if near else ""
                yield f"model {model.name!r}: no upstream {model.upstream!r}{hint}"
            ids = model.merge.ids if model.merge else [model.adapter] if model.adapter else []
            for id_ in ids:
                # LoRAX keys adapters by id alone: the first source it sees would win for both
                if sources.setdefault(id_, model.source) != model.source:
                    yield f"model {model.name!r}: adapter {id_!r} has two sources"

    def _unguarded(self) -> Iterator[str]:
        """What would let strangers in."""
        if is_loopback(self.host):
            return
        if self.api_key is None and not self.no_auth:
            yield (
                f"host: listening on {self.host} needs --api-key KEY, or --no-auth "
                "when everyone who reaches it may use it"
            )

    def _unwatched(self) -> Iterator[str]:
        """What would leave requests out that the inspector's page is open for."""
        if self.inspector and self.workers > 1:
            yield "inspector: a page sees one process's requests alone; it needs workers = 1"

    @property
    def known_hosts(self) -> frozenset[str] | None:
        """The names in `Host` that are taken, in lower case, beside loopback's; None: all are."""
        if self.allowed_hosts or (self.api_key is None and is_loopback(self.host)):
            return frozenset(name.lower() for name in self.allowed_hosts)
        return None

    @property
    def unlisted(self) -> Literal["none", "hub", "any"]:
        """The effective `allow_unlisted`."""
        return self.allow_unlisted or ("none" if self.model else "hub")

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Only what `load` gathered: it asks each source by itself, to know where a value is from."""
        del settings_cls, env_settings, dotenv_settings, file_secret_settings
        return (init_settings,)


@dataclass(frozen=True, slots=True)
class Origin:
    """Where the value of a setting came from, for `lorax-proxy config`."""

    name: str
    value: object
    origin: str


def load(
    flags: Mapping[str, Any], config: Path | None = None
) -> tuple[Settings, tuple[Origin, ...]]:
    """Gather the settings from the file, the environment and the flags.

    Args:
        flags: The flags that were given, by setting name.
        config: The configuration file; `LORAX_PROXY_CONFIG` when absent.

    Raises:
        SettingsInvalid: A line for each thing that is wrong, with the key, the value, where it came
            from, and what is allowed.
    """
    if config is None and (named := os.environ.get(ENV_PREFIX + "CONFIG")):
        config = Path(named)
    values: dict[str, Any] = {}
    origins: dict[str, str] = {}
    for origin, source in (
        (str(config), _file(config) if config else {}),
        ("environment", _environment()),
        ("flag", {name: value for name, value in flags.items() if value is not None}),
    ):
        for name, value in source.items():
            values[name] = value
            origins[name] = f"{ENV_PREFIX}{name.upper()}" if origin == "environment" else origin
    unknown = _unknown_variables()
    try:
        settings = Settings(**values)
    except ValidationError as error:
        wrong = [_explain(each, origins) for each in error.errors(include_url=False)]
        raise SettingsInvalid("\n".join([*unknown, *wrong])) from None
    if unknown:
        raise SettingsInvalid("\n".join(unknown))
    return settings, tuple(
        Origin(name, getattr(settings, name), origins.get(name, "default"))
        # the limits come last: few change them
        for name in sorted(Settings.model_fields, key=ClientLimits.model_fields.__contains__)
    )


def token_of(section: ModelSettings | UpstreamSettings) -> str | None:
    """A model's download token or an upstream's own, from the variable that the settings name.

    Raises:
        SettingsInvalid: When that variable is not set.
    """
    if section.token_env is None:
        return None
    token = os.environ.get(section.token_env)
    if not token:
        kind = "model" if isinstance(section, ModelSettings) else "upstream"
        raise SettingsInvalid(
            f"{kind} {section.name!r}: token_env names {section.token_env}, which is not set"
        )
    return token


def _from_text(value: object) -> object:
    """A list from the environment may be written as JSON."""
    if isinstance(value, str) and value.lstrip().startswith(("[", "{")):
        try:
            return json.loads(value)
        except ValueError as error:
            raise ValueError(f"is not JSON: {error}") from None
    return value


def _file(path: Path) -> dict[str, Any]:
    try:
        return TomlConfigSettingsSource(Settings, path)() if path.is_file() else _missing(path)
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise SettingsInvalid(f"{path}: not TOML: {error}") from None
    except OSError as error:
        raise SettingsInvalid(f"{path}: cannot be read: {error.strerror}") from None


def _missing(path: Path) -> dict[str, Any]:
    raise SettingsInvalid(f"{path}: no such configuration file")


_KUBERNETES = re.compile(ENV_PREFIX + r"(SERVICE_HOST|SERVICE_PORT(_\w+)?|PORT_\d+_\w+)")
"""What Kubernetes puts into every pod beside a Service named lorax-proxy, and a PORT that is an
address: nobody's settings."""


def _unknown_variables() -> list[str]:
    """Each variable that looks like a setting and is none."""
    unknown: list[str] = []
    known = {ENV_PREFIX + name.upper(): name for name in Settings.model_fields}
    for variable in os.environ:
        if not variable.startswith(ENV_PREFIX) or _KUBERNETES.fullmatch(variable):
            continue
        if variable not in {*known, ENV_PREFIX + "CONFIG"}:
            near = nearest(variable, known)
            hint = f"; did you mean {near}?" if near else ""
            unknown.append(f"{variable}: no such setting in the environment{hint}")
    return unknown


def _environment() -> dict[str, Any]:
    values = EnvSettingsSource(Settings)()
    if str(values.get("port", "")).startswith("tcp://"):
        del values["port"]
    return values


def _explain(error: ErrorDetails, origins: Mapping[str, str]) -> str:
    path = error["loc"]
    place = "".join(
        f"[{step}]" if isinstance(step, int) else f".{step}" if number else str(step)
        for number, step in enumerate(path)
    )
    origin = origins.get(str(path[0]), "") if path else ""
    where = f"{origin}: {place}" if origin else place
    if error["type"] == "extra_forbidden":
        near = nearest(str(path[-1]), _siblings(path))
        hint = f"; did you mean {near!r}?" if near else ""
        return f"{where}: no such setting{hint}"
    message = error["msg"].removeprefix("Value error, ")
    message = message[:1].lower() + message[1:]
    if not path:
        return message
    value = error["input"]
    shown = "" if "key" in place else f", but it is {value!r}"
    return f"{where}: {message}{shown}"


def _siblings(path: tuple[int | str, ...]) -> Iterator[str]:
    """The known names where the unknown one stands."""
    model: type[BaseModel] = Settings
    for step in path[:-1]:
        if isinstance(step, int):
            continue
        field = model.model_fields.get(step)
        model = next(_types(field.annotation if field else None), model)
    yield from model.model_fields


def _types(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for inner in get_args(annotation):
        yield from _types(inner)
