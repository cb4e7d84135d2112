"""The configuration: one YAML file, every key also from the environment, every secret also from a file of its own."""

from __future__ import annotations

import os
import re
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import yaml
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    HttpUrl,
    SecretStr,
    ValidationError,
    model_validator,
)
from pydantic_settings import BaseSettings, NoDecode, PydanticBaseSettingsSource, SettingsConfigDict

from coc2mqtt.clash.client import DEFAULT_BASE_URL
from coc2mqtt.clash.tags import InvalidTagError, normalize_tag
from coc2mqtt.events.resource import Kind
from coc2mqtt.events.watch import CLAN_INTERVAL, MINIMUM_INTERVAL, PLAYER_INTERVAL, WAR_INTERVAL, Watch
from coc2mqtt.mqtt.topics import check_topic

PREFIX = "COC2MQTT_"
CONFIG_VARIABLE = "COC2MQTT_CONFIG"
_SECRETS = {"COC2MQTT_API__TOKENS": ("api", "tokens"), "COC2MQTT_MQTT__PASSWORD": ("mqtt", "password")}
_DURATION = re.compile(r"(\d+(?:\.\d+)?)\s*([smhd])?")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", None: "seconds"}


class ConfigurationError(Exception):
    """The configuration cannot be used; the text says which key is wrong and what to do."""


def _read_tag(value: object) -> str:
    if value is None:
        raise ValueError("is empty: '#' begins a comment in YAML, so put the tag in quotes: \"#2PP\"")
    if not isinstance(value, str):
        raise ValueError(f"is {value!r}, which YAML does not read as text: put the tag in quotes")  # noqa: TRY004
    try:
        return normalize_tag(value)
    except InvalidTagError as error:
        raise ValueError(str(error)) from None


def _read_duration(value: object) -> object:
    if not isinstance(value, str):
        return value
    match = _DURATION.fullmatch(value.strip())
    if not match:
        raise ValueError(f"{value!r} is no duration: write seconds, or a number with s, m, h or d, such as 7d")
    return timedelta(**{_UNITS[match[2]]: float(match[1])})


def _read_list(value: object) -> object:
    """Take a list from the environment as JSON, or as text with commas or line breaks in between."""
    if isinstance(value, str) and not value.lstrip().startswith("["):
        return [item.strip() for item in re.split(r"[,\n]", value) if item.strip()]
    return yaml.safe_load(value) if isinstance(value, str) else value


def _read_topic(value: str) -> str:
    check_topic(value)
    return value


Tag = Annotated[str, BeforeValidator(_read_tag)]
Topic = Annotated[str, AfterValidator(_read_topic)]
Seconds = Annotated[float, Field(ge=MINIMUM_INTERVAL)]
Duration = Annotated[timedelta, BeforeValidator(_read_duration)]
Fields = Annotated[frozenset[str] | None, NoDecode, BeforeValidator(_read_list)]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class ApiSettings(_Section):
    """How the Clash of Clans API is reached; the pace is per token."""

    base_url: HttpUrl = HttpUrl(DEFAULT_BASE_URL)
    tokens: Annotated[list[SecretStr], NoDecode, BeforeValidator(_read_list)] = []
    requests_per_second: float = Field(default=25, gt=0, le=1000)


class TlsSettings(_Section):
    """TLS to the broker; ``verify: false`` accepts any certificate."""

    enabled: bool = False
    ca_file: Path | None = None
    cert_file: Path | None = None
    key_file: Path | None = None
    verify: bool = True


class MqttSettings(_Section):
    """The broker; without a host the embedded one on 127.0.0.1."""

    host: str | None = None
    port: int = Field(default=1883, ge=1, le=65535)
    username: str | None = None
    password: SecretStr | None = None
    base_topic: Topic = "coc"
    protocol: Literal["auto", "5", "3.1.1"] = "auto"
    tls: TlsSettings = TlsSettings()

    @model_validator(mode="before")
    @classmethod
    def _protocol_as_text(cls, data: Any) -> Any:
        # `protocol: 5` is a number in YAML.
        if isinstance(data, dict) and isinstance(data.get("protocol"), int):
            return {**data, "protocol": str(data["protocol"])}
        return data

    @model_validator(mode="after")
    def _password_with_username(self) -> Self:
        if self.password is not None and self.username is None:
            raise ValueError("has a password but no username: set mqtt.username")
        return self


class HomeAssistantSettings(_Section):
    """What Home Assistant listens to and says."""

    enabled: bool = True
    discovery_prefix: Topic = "homeassistant"
    status_topic: Topic = "homeassistant/status"


class ClanWatchSettings(_Section):
    """A clan to watch; intervals are seconds."""

    tag: Tag
    interval: Seconds = CLAN_INTERVAL
    members: bool = True
    war: bool = True
    war_interval: Seconds = WAR_INTERVAL

    def watch(self) -> Watch:
        """Return the watch that is asked for."""
        return Watch(Kind.CLAN, self.tag, self.interval, self.members, self.war, self.war_interval)


class PlayerWatchSettings(_Section):
    """A player to watch; the interval is seconds, the fields are the API's keys."""

    tag: Tag
    interval: Seconds = PLAYER_INTERVAL
    include_fields: Fields = None
    exclude_fields: Fields = None

    def watch(self) -> Watch:
        """Return the watch that is asked for."""
        return Watch(
            Kind.PLAYER,
            self.tag,
            self.interval,
            include_fields=self.include_fields,
            exclude_fields=self.exclude_fields,
        )


class MaintenanceSettings(_Section):
    """The probe of the API; the interval is seconds."""

    enabled: bool = True
    interval: Seconds = 30.0
    probe_tag: Tag = "#JY9J2Y99"


def _read_watches(value: object) -> object:
    """Let a bare tag stand for a watch with the defaults."""
    value = _read_list(value)
    if not isinstance(value, list):
        return value
    return [item if isinstance(item, dict) else {"tag": item} for item in value]


class WatchSettings(_Section):
    """What is watched from the start."""

    clans: Annotated[list[ClanWatchSettings], NoDecode, BeforeValidator(_read_watches)] = []
    players: Annotated[list[PlayerWatchSettings], NoDecode, BeforeValidator(_read_watches)] = []
    maintenance: MaintenanceSettings = MaintenanceSettings()

    @model_validator(mode="after")
    def _each_once(self) -> Self:
        seen = set[tuple[Kind, str]]()
        for watch in self.watches():
            if (watch.kind, watch.tag) in seen:
                raise ValueError(f"the {watch.kind} {watch.tag} is named twice: keep one of the two")
            seen.add((watch.kind, watch.tag))
        return self

    def watches(self) -> list[Watch]:
        """Return all watches that are asked for, clans first."""
        return [*(clan.watch() for clan in self.clans), *(player.watch() for player in self.players)]


class JournalSettings(_Section):
    """The file that remembers, and how much of it."""

    path: Path = Path("coc2mqtt.db")
    keep_delivered: Duration = timedelta(days=7)
    max_pending: int = Field(default=100_000, ge=1)


class LogSettings(_Section):
    """What is logged, and how."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    format: Literal["console", "json"] = "console"


class Settings(BaseSettings):
    """The whole configuration, checked."""

    model_config = SettingsConfigDict(
        extra="forbid", frozen=True, env_prefix=PREFIX, env_nested_delimiter="__", hide_input_in_errors=True
    )

    instance: str = Field(default="home", pattern=r"^[a-zA-Z0-9_-]{1,32}$")
    api: ApiSettings = ApiSettings()
    mqtt: MqttSettings = MqttSettings()
    homeassistant: HomeAssistantSettings = HomeAssistantSettings()
    watch: WatchSettings = WatchSettings()
    journal: JournalSettings = JournalSettings()
    log: LogSettings = LogSettings()

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],  # noqa: ARG003 - the signature is the base class's
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Let the environment win over the file, whose content comes in as arguments."""
        return env_settings, init_settings


class FixedSettings(Settings):
    """A configuration that is given as a whole: neither a file nor the environment has a say."""

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],  # noqa: ARG003 - the signature is the base class's
        init_settings: PydanticBaseSettingsSource,
        *_: PydanticBaseSettingsSource,
        **__: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Take the arguments alone."""
        return (init_settings,)


def load_settings(path: Path | None) -> Settings:
    """Read the configuration from a file (else the one that COC2MQTT_CONFIG names, else none) and the environment.

    Raises ConfigurationError, whose text has one line for each key that is wrong.
    """
    if path is None and os.environ.get(CONFIG_VARIABLE):
        path = Path(os.environ[CONFIG_VARIABLE])
    where = "the environment" if path is None else str(path)
    data = {} if path is None else _read_file(path)
    _check_variables()
    _read_secret_files(data)
    try:
        return Settings(**data)
    except ValidationError as error:
        raise ConfigurationError("\n".join(_sentence(where, item) for item in error.errors())) from None


def require_token(settings: Settings) -> None:
    """Raise ConfigurationError where there is nothing to show to the Clash of Clans API."""
    if not settings.api.tokens:
        raise ConfigurationError(
            "api.tokens is empty: create a token at https://developer.clashofclans.com for your address, and set it"
            " in the file, in COC2MQTT_API__TOKENS, or in a file that COC2MQTT_API__TOKENS_FILE names"
        )


def _read_file(path: Path) -> dict[str, Any]:
    try:
        data = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ConfigurationError(f"{path} does not exist: name the file with --config or {CONFIG_VARIABLE}") from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{path} cannot be read: {error}") from None
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = f" line {mark.line + 1}" if mark is not None else ""
        raise ConfigurationError(
            f"{path}{line} is no YAML ({error.problem}): mind indentation, colons, and quotes around tags"
        ) from None
    except yaml.YAMLError:
        raise ConfigurationError(f"{path} is no YAML: it holds characters that YAML does not allow") from None
    if data is None:
        return {}
    if not isinstance(data, dict) or not all(isinstance(key, str) for key in data):
        raise ConfigurationError(f"{path} holds no settings: it must consist of keys such as 'mqtt:' and their values")
    return data


def _check_variables() -> None:
    """Refuse a variable of ours that means nothing: a spelling mistake would go unnoticed."""
    for name in sorted(os.environ):
        if not name.startswith(PREFIX) or name == CONFIG_VARIABLE or name.removesuffix("_FILE") in _SECRETS:
            continue
        model: Any = Settings
        for level in name.removeprefix(PREFIX).lower().split("__"):
            field = getattr(model, "model_fields", {}).get(level)
            if field is None:
                raise ConfigurationError(f"the environment variable {name} is no setting: see 'coc2mqtt config schema'")
            model = field.annotation


def _read_secret_files(data: dict[str, Any]) -> None:
    """Put secrets that stand in files of their own (``…_FILE``) where the configuration file would have them."""
    for variable, (section, key) in _SECRETS.items():
        path = os.environ.get(f"{variable}_FILE")
        if not path:
            continue
        if variable in os.environ:
            raise ConfigurationError(f"{variable} and {variable}_FILE are both set: keep one of them")
        try:
            text = Path(path).read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigurationError(f"{variable}_FILE names {path}, which cannot be read: {error}") from None
        if not text:
            raise ConfigurationError(f"{variable}_FILE names {path}, which is empty")
        inner = data.setdefault(section, {})
        if isinstance(inner, dict):
            inner[key] = text


def _sentence(where: str, item: Any) -> str:
    key = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in item["loc"]).removeprefix(".")
    if item["type"] == "extra_forbidden":
        return f"{where}: {key} is no setting: remove it or mend its spelling, see 'coc2mqtt config schema'"
    message = item["msg"].removeprefix("Value error, ")
    return f"{where}: {key}: {message[0].lower() + message[1:]}"
