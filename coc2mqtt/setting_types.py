"""Types of configuration values: each one checks a value and explains what is wrong with it."""

from __future__ import annotations

import re
import ssl
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Literal

import orjson
from pydantic import AfterValidator, BaseModel, BeforeValidator, Field, SecretStr, StringConstraints, WithJsonSchema
from pydantic_settings import NoDecode

from coc2mqtt.clash.client import ClashClient
from coc2mqtt.clash.tags import InvalidTagError, normalize_tag
from coc2mqtt.durations import DURATION, read_duration
from coc2mqtt.events.watch import MINIMUM_INTERVAL
from coc2mqtt.mqtt.topics import check_topic

# The same as for watches that are asked for over MQTT (seconds).
_LONGEST_INTERVAL = 7 * 24 * 3600.0
_LONGEST_LOGIN = 65_535
# What goes into the first line of an HTTP request as it is.
_PATH = re.compile(r"/[!-~]*")


# What the functions below raise is read behind the key that it concerns: "mqtt.port must be a number".


def _read_tag(value: object) -> str:
    if not isinstance(value, str):
        raise ValueError(f"is {value!r}, which YAML does not read as text: put the tag in quotes")  # noqa: TRY004 - pydantic wants a ValueError
    try:
        return normalize_tag(value)
    except InvalidTagError as error:
        raise ValueError(str(error)) from None


def _read_number(value: object) -> object:
    # pydantic takes true for 1.
    if isinstance(value, bool):
        raise ValueError("must be a number")  # noqa: TRY004 - pydantic wants a ValueError
    return value


def _read_pending_age(value: timedelta) -> timedelta:
    # A broker that is restarted would lose what it should have heard of.
    if value < timedelta(minutes=1):
        raise ValueError("must be at least 1m")
    return value


def read_list(value: object) -> object:
    """Take a list from the environment as JSON, or as text with commas or line breaks in between."""
    if not isinstance(value, str):
        return value
    if not value.lstrip().startswith(("[", "{")):
        return [item.strip() for item in re.split(r"[,\n]", value) if item.strip()]
    try:
        data = orjson.loads(value)
    except orjson.JSONDecodeError:
        # Without a word of what it holds: it may be tokens.
        raise ValueError('begins like JSON but is none: write it like ["a", "b"], or simply a, b') from None
    return data if isinstance(data, list) else [data]


def read_watch(value: object) -> object:
    """Let a bare tag stand for a watch with the defaults."""
    return value if isinstance(value, dict | BaseModel) else {"tag": value}


def _read_topic(value: str) -> str:
    check_topic(value)
    return value


def _read_host(value: str) -> str:
    if "/" in value or re.fullmatch(r"[^:]*:\d+", value):
        raise ValueError(
            f"is {value!r}: it must be a name or an address alone, the port goes into mqtt.port, TLS into mqtt.tls"
        )
    return value


def _read_journal_path(value: Path) -> Path:
    if "\0" in str(value):
        raise ValueError("holds a NUL character: name a file")
    return value


def _read_login(value: str) -> str:
    # Without a word of what it holds: it may be the password. Lone surrogates are what Python makes of bytes in the
    # environment that are no UTF-8.
    try:
        size = len(value.encode())
    except UnicodeEncodeError:
        raise ValueError("is no text in UTF-8: write it as such") from None
    if size > _LONGEST_LOGIN:
        raise ValueError(f"is longer than the {_LONGEST_LOGIN} bytes that MQTT has room for")
    return value


def _read_password(value: SecretStr) -> SecretStr:
    _read_login(value.get_secret_value())
    return value


def _read_base_url(value: str) -> str:
    ClashClient([SecretStr("any")], base_url=value)
    return value


def _read_tokens(value: list[SecretStr]) -> list[SecretStr]:
    if value:
        ClashClient(value)
    return value


def _read_path(value: str) -> str:
    if not _PATH.fullmatch(value):
        raise ValueError(f"{value!r} is no path of a URL: write it such as /mqtt")
    return value


def _read_server_name(value: str) -> str:
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).wrap_bio(ssl.MemoryBIO(), ssl.MemoryBIO(), server_hostname=value)
    except ValueError:
        raise ValueError(f"{value!r} is no name of a host: write it such as broker.example.org") from None
    return value


Number = BeforeValidator(_read_number)
Tag = Annotated[str, BeforeValidator(_read_tag)]
Topic = Annotated[str, AfterValidator(_read_topic)]
Seconds = Annotated[float, Field(ge=MINIMUM_INTERVAL, le=_LONGEST_INTERVAL), Number]
Duration = Annotated[
    timedelta,
    BeforeValidator(read_duration),
    WithJsonSchema({"anyOf": [{"type": "number", "minimum": 0}, {"type": "string", "pattern": DURATION.pattern}]}),
]
Fields = Annotated[frozenset[str] | None, BeforeValidator(read_list)]
Tokens = Annotated[list[SecretStr], NoDecode, BeforeValidator(read_list), AfterValidator(_read_tokens)]
Port = Annotated[int, Field(ge=1, le=65535), Number]
Host = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1), AfterValidator(_read_host)]
Username = Annotated[str, AfterValidator(_read_login)]
Password = Annotated[SecretStr, AfterValidator(_read_password)]
# `protocol: 5` is a number in YAML.
ProtocolName = Annotated[
    Literal["auto", "5", "3.1.1"],
    BeforeValidator(
        lambda value: "5" if value == 5 else value,  # noqa: PLR2004 - it is MQTT's
        json_schema_input_type=Literal["auto", "5", "3.1.1", 5],
    ),
]
WebsocketPath = Annotated[str, AfterValidator(_read_path)]
ServerName = Annotated[str, AfterValidator(_read_server_name)]
BaseUrl = Annotated[str, AfterValidator(_read_base_url)]
JournalPath = Annotated[Path, AfterValidator(_read_journal_path)]
PendingAge = Annotated[Duration, AfterValidator(_read_pending_age)]
