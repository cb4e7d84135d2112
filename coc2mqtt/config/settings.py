"""The settings: every key with its default and its bounds, and the redaction of their secrets."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Annotated, Literal, Self
from urllib.request import getproxies

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
    LanguageCode,
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
    expand_bare_tag,
    parse_list,
    unquote,
)
from coc2mqtt.events.calendar import ClanGames
from coc2mqtt.events.resource import (
    CALENDAR_INTERVAL_S,
    CLAN_INTERVAL_S,
    CWL_INTERVAL_S,
    GAMES_INTERVAL_S,
    INACTIVE_AFTER_S,
    PLAYER_INTERVAL_S,
    RAID_INTERVAL_S,
    RANKED_INTERVAL_S,
    WAR_INTERVAL_S,
    Kind,
    Watch,
)
from coc2mqtt.events.watch_options import InactiveAfter, ReminderOptions, ReminderSwitch
from coc2mqtt.util.redaction import Redactor, url_login

PREFIX = "COC2MQTT_"
# The variable of each secret and its key in the file. The variable with the suffix _FILE names a file with the secret.
SECRETS = {f"{PREFIX}API__TOKENS": ("api", "tokens"), f"{PREFIX}MQTT__PASSWORD": ("mqtt", "password")}
# The token in the example file. It is not a secret, and an error message shows it.
TOKEN_PLACEHOLDER = "paste-your-token-here"  # noqa: S105
# Quotes and spaces around these variables may be intended.
_VERBATIM = {f"{PREFIX}MQTT__PASSWORD".lower()}


class _Section(BaseModel):
    # Durations are serialized in seconds, which is also a valid input.
    model_config = ConfigDict(extra="forbid", frozen=True, ser_json_timedelta="float")


class ApiSettings(_Section):
    """Access to the Clash of Clans API. The rate limit is per token."""

    base_url: BaseUrl = DEFAULT_BASE_URL
    tokens: Tokens = []
    requests_per_second: Annotated[float, Number] = Field(default=25, gt=0, le=1000)


class TlsSettings(_Section):
    """TLS to the broker, with files in PEM format; ``verify: false`` accepts any certificate.

    ``server_name`` is the name in the broker's certificate, if it differs from ``host``.
    """

    enabled: bool = False
    ca_file: ExistingFile | None = None
    cert_file: ExistingFile | None = None
    key_file: ExistingFile | None = None
    verify: bool = True
    server_name: ServerName | None = None

    @model_validator(mode="after")
    def _validate_usage(self) -> Self:
        # Otherwise the password would be sent unencrypted, unnoticed.
        if not self.enabled and (self.ca_file or self.cert_file or self.key_file):
            raise ValueError("has files but is not enabled: set mqtt.tls.enabled to true, or remove the files")
        if not self.enabled and self.server_name:
            raise ValueError("has a server_name but is not enabled: set mqtt.tls.enabled to true, or remove it")
        if self.key_file and not self.cert_file:
            raise ValueError("has a key but no certificate: set mqtt.tls.cert_file")
        return self


class MqttSettings(_Section):
    """The broker; without a host, the embedded one on 127.0.0.1.

    ``keepalive`` is after how many seconds without a response the bridge reconnects. ``path`` is only for websockets.
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
    def _validate_host_and_login(self) -> Self:
        if self.host is None:
            self._require_host()
        if self.password is not None and self.username is None:
            raise ValueError("mqtt.username: is missing although mqtt.password is set: set it, or remove the password")
        return self

    @property
    def password_looks_quoted(self) -> bool:
        """Whether there are quotes or spaces around the password, which may come from an env file."""
        password = "" if self.password is None else self.password.get_secret_value()
        return password not in {unquote(password), ""}

    def _require_host(self) -> None:
        """Reject settings that only make sense with an external broker."""
        settings = {
            "username": self.username is not None,
            "password": self.password is not None,
            "tls.enabled": self.tls.enabled,
            "transport": self.transport != "tcp",
            # The port alone is that of the embedded broker, unless the host is explicitly empty.
            "port": "host" in self.model_fields_set and "port" in self.model_fields_set,
        }
        for key, is_set in settings.items():
            if is_set:
                raise ValueError(
                    f"mqtt.host: is empty although mqtt.{key} is set: set the broker's host, or remove mqtt.{key} to"
                    " use the embedded broker"
                )


class HomeAssistantSettings(_Section):
    """Home Assistant's discovery prefix and status topic, and the language of the texts for people.

    These are the event summaries and the names of entities. ``member_sensors`` adds a sensor for each member of a clan.
    """

    enabled: bool = True
    language: LanguageCode = "en"
    member_sensors: bool = False
    discovery_prefix: Topic = "homeassistant"
    status_topic: Topic = "homeassistant/status"


class ClanWatchSettings(_Section):
    """A clan to watch. Intervals are seconds.

    ``cwl`` is whether its clan war leagues are watched, ``cwl_standings`` whether the wars of the other clans are too.
    ``raids`` is whether its raid weekends are watched, ``raid_defenses`` whether raids on it cause events.
    ``games`` is whether the clan games are watched; each member is polled once within ``games_interval``. ``reminders``
    are sent before the end of wars, league rounds, raid weekends and clan games. A member is reported as inactive
    ``inactive_after`` the last change that only they can make.
    """

    tag: Tag
    interval: Seconds = CLAN_INTERVAL_S
    members: bool = True
    war: bool = True
    war_interval: Seconds = WAR_INTERVAL_S
    cwl: bool = True
    cwl_interval: Seconds = CWL_INTERVAL_S
    cwl_standings: bool = False
    raids: bool = True
    raid_interval: Seconds = RAID_INTERVAL_S
    raid_defenses: bool = False
    games: bool = False
    games_interval: Seconds = GAMES_INTERVAL_S
    reminders: ReminderSwitch = ReminderOptions()
    inactive_after: InactiveAfter = Field(default=INACTIVE_AFTER_S, json_schema_extra={"default": "7d"})

    def to_watch(self) -> Watch:
        """Return the watch for these settings."""
        return Watch(Kind.CLAN, **{**dict(self), "reminders": self.reminders.reminders()})


class PlayerWatchSettings(_Section):
    """A player to watch. Intervals are in seconds, and the fields are keys of the API.

    ``ranked`` is whether their ranked battles are watched.
    """

    tag: Tag
    interval: Seconds = PLAYER_INTERVAL_S
    ranked: bool = False
    ranked_interval: Seconds = RANKED_INTERVAL_S
    include_fields: Fields = None
    exclude_fields: Fields = None

    def to_watch(self) -> Watch:
        """Return the watch for these settings."""
        return Watch(
            Kind.PLAYER,
            self.tag,
            self.interval,
            ranked=self.ranked,
            ranked_interval=self.ranked_interval,
            include_fields=self.include_fields,
            exclude_fields=self.exclude_fields,
        )


class MaintenanceSettings(_Section):
    """The probe that detects maintenance of the API. The interval is in seconds."""

    enabled: bool = True
    interval: Seconds = 30.0
    probe_tag: Tag = "#JY9J2Y99"


class CalendarSettings(_Section):
    """The game's calendar: gold pass, seasons and ranked weeks. The interval of the gold pass's polls is in seconds."""

    enabled: bool = True
    interval: Seconds = CALENDAR_INTERVAL_S


class ClanGamesSettings(_Section):
    """When clan games take place, which the API does not show: two days of each month and an hour, in UTC.

    ``max_points`` are the most points that a member can earn.
    """

    first_day: Annotated[int, Number] = Field(default=22, ge=1, le=28)
    last_day: Annotated[int, Number] = Field(default=28, ge=1, le=28)
    hour: Annotated[int, Number] = Field(default=8, ge=0, le=23)
    max_points: Annotated[int, Number] = Field(default=4000, ge=1, le=1_000_000)

    @model_validator(mode="after")
    def _validate_days(self) -> Self:
        if self.first_day >= self.last_day:
            raise ValueError(f"first_day must be before last_day, got {self.first_day} and {self.last_day}")
        return self

    def window(self) -> ClanGames:
        """Return the calendar of the clan games."""
        return ClanGames(self.first_day, self.last_day, self.hour, self.max_points)


ClanWatch = Annotated[
    ClanWatchSettings, BeforeValidator(expand_bare_tag, json_schema_input_type=ClanWatchSettings | str)
]
PlayerWatch = Annotated[
    PlayerWatchSettings, BeforeValidator(expand_bare_tag, json_schema_input_type=PlayerWatchSettings | str)
]


class WatchSettings(_Section):
    """The configured watches. Commands cannot add watches beyond a total of ``maximum``."""

    maximum: Annotated[int, Number] = Field(default=1000, ge=1)
    clans: Annotated[list[ClanWatch], NoDecode, BeforeValidator(parse_list)] = []
    players: Annotated[list[PlayerWatch], NoDecode, BeforeValidator(parse_list)] = []
    maintenance: MaintenanceSettings = MaintenanceSettings()
    calendar: CalendarSettings = CalendarSettings()
    clan_games: ClanGamesSettings = ClanGamesSettings()

    @model_validator(mode="after")
    def _validate_unique_tags(self) -> Self:
        seen = set[tuple[Kind, str]]()
        for watch in self.watches():
            if (watch.kind, watch.tag) in seen:
                raise ValueError(f"contains the {watch.kind} {watch.tag} twice: remove one of them")
            seen.add((watch.kind, watch.tag))
        return self

    def watches(self) -> list[Watch]:
        """Return all configured watches, clans first."""
        return [*(clan.to_watch() for clan in self.clans), *(player.to_watch() for player in self.players)]


class JournalSettings(_Section):
    """The journal file and its limits."""

    path: JournalPath = Path("coc2mqtt.db")
    keep_delivered: Duration = Field(default=timedelta(days=7), json_schema_extra={"default": "7d"})
    max_pending: Annotated[int, Number] = Field(default=100_000, ge=1, le=100_000_000)
    max_pending_age: PendingAge = Field(default=timedelta(days=7), json_schema_extra={"default": "7d"})


class LogSettings(_Section):
    """The level and the format of the log."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    format: Literal["console", "json"] = "console"


class Settings(BaseSettings):
    """The complete, validated configuration."""

    # An empty variable counts as not set, because Compose files and scripts pass on variables that the user omitted.
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
        """Let the environment override the file, whose content is passed as arguments."""
        if isinstance(env_settings, EnvSettingsSource):
            # pydantic would treat these as keys of a section. The loader reads the files.
            files = {f"{name}_FILE".lower() for name in SECRETS}
            env_settings.env_vars = {
                name: value and (value.rstrip("\r\n") if name.lower() in _VERBATIM else unquote(value))
                for name, value in env_settings.env_vars.items()
                if name.lower() not in files
            }
        return env_settings, init_settings


class FixedSettings(Settings):
    """A configuration from arguments only, without a file or the environment."""

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],  # noqa: ARG003 - the signature is the base class's
        init_settings: PydanticBaseSettingsSource,
        *_: PydanticBaseSettingsSource,
        **__: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Use only the arguments."""
        return (init_settings,)


def redactor_of(settings: Settings) -> Redactor:
    """Return a redactor for all known secrets: those in the settings, and those of the proxies in the environment."""
    mqtt = settings.mqtt
    password = "" if mqtt.password is None else mqtt.password.get_secret_value()
    urls = [mqtt.host or "", *getproxies().values()]
    return Redactor(
        [token.get_secret_value() for token in settings.api.tokens],
        logins=[(mqtt.username or "", password), *(login for url in urls if (login := url_login(url)) is not None)],
        public=[
            settings.instance,
            mqtt.username or "",
            mqtt.base_topic,
            mqtt.host or "",
            str(settings.journal.path),
            TOKEN_PLACEHOLDER,
        ],
    )
