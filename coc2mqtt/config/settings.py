"""What can be configured: every key, its default and its bounds."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator
from pydantic_settings import (
    BaseSettings,
    EnvSettingsSource,
    NoDecode,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)

from coc2mqtt.clash.client import DEFAULT_BASE_URL
from coc2mqtt.config.setting_types import (
    BaseUrl,
    Duration,
    ExistingFile,
    Fields,
    Host,
    JournalPath,
    Number,
    Password,
    PendingAge,
    Port,
    ProtocolName,
    Seconds,
    ServerName,
    Tag,
    Tokens,
    Topic,
    Username,
    WebsocketPath,
    read_list,
    read_watch,
    unquote,
)
from coc2mqtt.events.resource import Kind
from coc2mqtt.events.watch import CLAN_INTERVAL_S, PLAYER_INTERVAL_S, WAR_INTERVAL_S, Watch

PREFIX = "COC2MQTT_"
# A secret's variable, and where it stands in the file; with _FILE behind it, it names a file that holds the secret.
SECRETS = {f"{PREFIX}API__TOKENS": ("api", "tokens"), f"{PREFIX}MQTT__PASSWORD": ("mqtt", "password")}
# Whose quotes and blanks may be meant.
_VERBATIM = {f"{PREFIX}MQTT__PASSWORD".lower()}


class _Section(BaseModel):
    # Durations leave as they may come in: in seconds.
    model_config = ConfigDict(extra="forbid", frozen=True, ser_json_timedelta="float")


class ApiSettings(_Section):
    """How the Clash of Clans API is reached; the pace is per token."""

    base_url: BaseUrl = DEFAULT_BASE_URL
    tokens: Tokens = []
    requests_per_second: Annotated[float, Number] = Field(default=25, gt=0, le=1000)


class TlsSettings(_Section):
    """TLS to the broker, with files in PEM format; ``verify: false`` accepts any certificate.

    ``server_name`` is the name that the broker's certificate must hold, where it is not the host's.
    """

    enabled: bool = False
    ca_file: ExistingFile | None = None
    cert_file: ExistingFile | None = None
    key_file: ExistingFile | None = None
    verify: bool = True
    server_name: ServerName | None = None

    @model_validator(mode="after")
    def _in_use(self) -> Self:
        # The password would travel in the clear, and nobody would notice.
        if not self.enabled and (self.ca_file or self.cert_file or self.key_file):
            raise ValueError("has files but is not enabled: set mqtt.tls.enabled to true, or remove the files")
        if not self.enabled and self.server_name:
            raise ValueError("has a server_name but is not enabled: set mqtt.tls.enabled to true, or remove it")
        if self.key_file and not self.cert_file:
            raise ValueError("has a key but no certificate: set mqtt.tls.cert_file")
        return self


class MqttSettings(_Section):
    """The broker; without a host the embedded one on 127.0.0.1.

    ``keepalive`` is the seconds within which a broker that fell silent is given up, ``path`` is for websockets alone.
    """

    host: Host | None = None
    port: Port = 1883
    username: Username | None = None
    password: Password | None = None
    base_topic: Topic = "coc"
    protocol: ProtocolName = "auto"
    transport: Literal["tcp", "websockets"] = "tcp"
    path: WebsocketPath = "/mqtt"
    keepalive: Annotated[int, Number] = Field(default=30, ge=5, le=3600)
    tls: TlsSettings = TlsSettings()

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if self.host is None:
            self._refuse_without_host()
        if self.password is not None and self.username is None:
            raise ValueError("mqtt.username: is missing beside mqtt.password: set it, or remove the password")
        return self

    @property
    def password_looks_quoted(self) -> bool:
        """Whether the password begins and ends with quotes or blanks, which may come from an env file."""
        password = "" if self.password is None else self.password.get_secret_value()
        return password not in {unquote(password), ""}

    def _refuse_without_host(self) -> None:
        """Refuse what says that another broker than the embedded one was meant."""
        meant = {
            "username": self.username is not None,
            "password": self.password is not None,
            "tls.enabled": self.tls.enabled,
            "transport": self.transport != "tcp",
            # The port alone is the embedded broker's, unless the host was named and left empty.
            "port": "host" in self.model_fields_set and "port" in self.model_fields_set,
        }
        for key, is_meant in meant.items():
            if is_meant:
                raise ValueError(
                    f"mqtt.host: is empty beside mqtt.{key}: name the broker, or remove mqtt.{key} to use the embedded"
                    " broker"
                )


class HomeAssistantSettings(_Section):
    """What Home Assistant listens to and says."""

    enabled: bool = True
    discovery_prefix: Topic = "homeassistant"
    status_topic: Topic = "homeassistant/status"


class ClanWatchSettings(_Section):
    """A clan to watch; intervals are seconds."""

    tag: Tag
    interval: Seconds = CLAN_INTERVAL_S
    members: bool = True
    war: bool = True
    war_interval: Seconds = WAR_INTERVAL_S

    def watch(self) -> Watch:
        """Return the watch that is asked for."""
        return Watch(Kind.CLAN, self.tag, self.interval, self.members, self.war, self.war_interval)


class PlayerWatchSettings(_Section):
    """A player to watch; the interval is seconds, the fields are the API's keys."""

    tag: Tag
    interval: Seconds = PLAYER_INTERVAL_S
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


ClanWatch = Annotated[ClanWatchSettings, BeforeValidator(read_watch, json_schema_input_type=ClanWatchSettings | str)]
PlayerWatch = Annotated[
    PlayerWatchSettings, BeforeValidator(read_watch, json_schema_input_type=PlayerWatchSettings | str)
]


class WatchSettings(_Section):
    """What is watched from the start, and how much commands may add to it, all in all."""

    maximum: Annotated[int, Number] = Field(default=1000, ge=1)
    clans: Annotated[list[ClanWatch], NoDecode, BeforeValidator(read_list)] = []
    players: Annotated[list[PlayerWatch], NoDecode, BeforeValidator(read_list)] = []
    maintenance: MaintenanceSettings = MaintenanceSettings()

    @model_validator(mode="after")
    def _each_once(self) -> Self:
        seen = set[tuple[Kind, str]]()
        for watch in self.watches():
            if (watch.kind, watch.tag) in seen:
                raise ValueError(f"has the {watch.kind} {watch.tag} twice: remove one of them")
            seen.add((watch.kind, watch.tag))
        return self

    def watches(self) -> list[Watch]:
        """Return all watches that are asked for, clans first."""
        return [*(clan.watch() for clan in self.clans), *(player.watch() for player in self.players)]


class JournalSettings(_Section):
    """The file that remembers, and how much of it."""

    path: JournalPath = Path("coc2mqtt.db")
    keep_delivered: Duration = Field(default=timedelta(days=7), json_schema_extra={"default": "7d"})
    max_pending: Annotated[int, Number] = Field(default=100_000, ge=1, le=100_000_000)
    max_pending_age: PendingAge = Field(default=timedelta(days=7), json_schema_extra={"default": "7d"})


class LogSettings(_Section):
    """What is logged, and how."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    format: Literal["console", "json"] = "console"


class Settings(BaseSettings):
    """The whole configuration, checked."""

    # An empty variable is one that is not set: Compose files and scripts pass on what their user left out.
    model_config = SettingsConfigDict(
        extra="forbid",
        frozen=True,
        env_prefix=PREFIX,
        env_nested_delimiter="__",
        env_ignore_empty=True,
        ser_json_timedelta="float",
        hide_input_in_errors=True,
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
        if isinstance(env_settings, EnvSettingsSource):
            # It would take these for keys of a section; who loads the settings reads the files.
            files = {f"{name}_FILE".lower() for name in SECRETS}
            env_settings.env_vars = {
                name: value and (value.rstrip("\r\n") if name.lower() in _VERBATIM else unquote(value))
                for name, value in env_settings.env_vars.items()
                if name.lower() not in files
            }
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
