"""Types of configuration values: each one checks a value and explains what is wrong with it."""

from __future__ import annotations

import os
import re
import ssl
import stat
import string
from datetime import timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Literal

import orjson
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    Field,
    SecretStr,
    StringConstraints,
    WithJsonSchema,
)
from pydantic_settings import NoDecode
from yarl import URL

from coc2mqtt.clash.client import DEFAULT_BASE_URL, ClashClient
from coc2mqtt.clash.tags import InvalidTagError, normalize_tag
from coc2mqtt.events.watch import MIN_INTERVAL_S
from coc2mqtt.mqtt.client.topic_filters import check_topic
from coc2mqtt.util.durations import DURATION, parse_duration

# The same as for watches that are asked for over MQTT (seconds).
_LONGEST_INTERVAL = 7 * 24 * 3600.0
_LONGEST_LOGIN = 65_535
# What may stand in the first line of an HTTP request unescaped.
_PATH = re.compile(r"/[!-~]*")
_QUOTES = "\"'\u201c\u201d\u2018\u2019"  # straight ones, and those that word processors make of them
_BEARER = re.compile(r"^(authorization:\s*)?bearer\s+", re.IGNORECASE)
_NOT_IN_HOST = re.compile(rf"[\s/\\?#,;\[\]\0{_QUOTES}]")
_LIKE_IPV4 = re.compile(r"\d+(\.\d+){3}")

# The messages of the ValueErrors below follow the key that they concern: "mqtt.port: must be a number, got true".


def _read_tag(value: object) -> str:
    if not isinstance(value, str):
        raise ValueError(f"must be text, got {value!r}: put the tag in quotes")  # noqa: TRY004 - pydantic wants a ValueError
    try:
        return normalize_tag(value)
    except InvalidTagError as error:
        raise ValueError(str(error)) from None


def _read_number(value: object) -> object:
    # pydantic takes true for 1.
    if isinstance(value, bool):
        raise ValueError(f"must be a number, got {str(value).lower()}")  # noqa: TRY004 - pydantic wants a ValueError
    return value


def _read_seconds(value: object) -> object:
    match = DURATION.fullmatch(value.strip()) if isinstance(value, str) else None
    if match is not None and match[2] is not None:
        seconds = parse_duration(value).total_seconds()
        raise ValueError(f"must be a number of seconds without a unit, got {value!r}: write {seconds:g}")
    return _read_number(value)


def _read_pending_age(value: timedelta) -> timedelta:
    # Shorter ages would drop events while a broker restarts.
    if value < timedelta(minutes=1):
        raise ValueError(f"must be at least 1m, got {value.total_seconds():g}s")
    return value


def read_list(value: object) -> object:
    """Return the list in a text: JSON, or items with commas or line breaks in between."""
    if not isinstance(value, str):
        return value
    value = unquote(value)
    if not value.startswith(("[", "{")):
        return [item.strip() for item in re.split(r"[,\n]", value) if item.strip()]
    try:
        data = orjson.loads(value)
    except orjson.JSONDecodeError:
        # Without the value: it may hold tokens.
        raise ValueError('starts like JSON but is not valid JSON: write it like ["a", "b"], or simply a, b') from None
    return data if isinstance(data, list) else [data]


def read_watch(value: object) -> object:
    """Return a bare tag as a watch with the defaults."""
    return value if isinstance(value, dict | BaseModel) else {"tag": value}


def unquote(value: str) -> str:
    """Return a text without surrounding blanks and one pair of quotes, which Docker's --env-file keeps."""
    value = value.strip()
    quote = value[:1]
    if len(value) > 1 and quote in _QUOTES and value.endswith(quote) and quote not in value[1:-1]:
        return value[1:-1].strip()
    return value


def _refuse_blanks(value: str) -> str:
    if value != value.strip():
        raise ValueError(f"must not begin or end with a blank, got {value!r}")
    return value


def _read_topic(value: str) -> str:
    check_topic(value)
    return _refuse_blanks(value)


def _read_host(value: str) -> str:
    if "@" in value:
        # Without the value: it holds a password.
        raise ValueError(
            "must be a host name or an IP address alone: put the user name into mqtt.username, the password into"
            " mqtt.password"
        )
    bare = value.removeprefix("[").removesuffix("]") if value.startswith("[") and value.endswith("]") else value
    if _NOT_IN_HOST.search(bare) or (":" in bare and not _is_address(bare)):
        raise ValueError(
            f"must be a host name or an IP address alone, got {value!r}: put the port into mqtt.port, TLS into mqtt.tls"
        )
    if _LIKE_IPV4.fullmatch(bare) and not _is_address(bare):
        raise ValueError(f"must be a host name or an IP address, got {value!r}: each of its numbers is at most 255")
    return bare


def _is_address(value: str) -> bool:
    try:
        ip_address(value)
    except ValueError:
        return False
    return True


def _read_journal_path(value: object) -> object:
    if not isinstance(value, str):
        return value
    if not value.strip():
        raise ValueError("is empty: name a file, such as coc2mqtt.db")
    if "\0" in value:
        raise ValueError("must not have a NUL character: name a file, such as coc2mqtt.db")
    if value.startswith((":memory:", "file:")) or value == os.devnull:
        raise ValueError(f"must be the path of a file, got {value!r}: a journal that is not kept would lose events")
    return _expand(_refuse_blanks(value))


def _read_file_path(value: object) -> object:
    return _expand(value) if isinstance(value, str) else value


def _expand(value: str) -> Path:
    try:
        return Path(value).expanduser()
    except RuntimeError:
        raise ValueError(f"has a home folder that does not exist, got {value!r}: write the path in full") from None


def _read_readable(value: Path) -> Path:
    try:
        # Without waiting for a writer, in case it is a named pipe.
        descriptor = os.open(value, os.O_RDONLY | os.O_NONBLOCK)
    except (OSError, ValueError) as error:
        reason = ((error.strerror if isinstance(error, OSError) else None) or "no such path").lower()
        raise ValueError(f"must be a file that this user may read, got {str(value)!r} ({reason})") from None
    is_file = stat.S_ISREG(os.fstat(descriptor).st_mode)
    os.close(descriptor)
    if not is_file:
        raise ValueError(f"must be a file, got {str(value)!r}: check the path")
    return value


def _read_login(value: str) -> str:
    # Without the value: it may be the password. Lone surrogates are what Python makes of bytes in the environment that
    # are not UTF-8.
    try:
        size = len(value.encode())
    except UnicodeEncodeError:
        raise ValueError("must be UTF-8 text: write it in UTF-8") from None
    if size > _LONGEST_LOGIN:
        raise ValueError(f"must have at most {_LONGEST_LOGIN} bytes, which is MQTT's limit, got {size}")
    return value


def _read_username(value: str) -> str:
    if value != value.strip():
        raise ValueError("must not begin or end with a blank: remove it")
    if not value:
        raise ValueError("is empty: give it a value or remove it")
    return _read_login(value)


def _read_password(value: SecretStr) -> SecretStr:
    _read_login(value.get_secret_value())
    return value


def _read_base_url(value: str) -> str:
    # Without the value: it may hold a password.
    if value != value.strip():
        raise ValueError("must not begin or end with a blank: remove it")
    try:
        url = URL(value)
    except ValueError as error:
        raise ValueError(f"must be a URL such as {DEFAULT_BASE_URL} ({str(error).lower()})") from None
    if re.search(r"\s", url.host or ""):
        raise ValueError(f"must be a URL such as {DEFAULT_BASE_URL}, without blanks")
    ClashClient([SecretStr("any")], base_url=value)
    return value


def _read_token(value: object) -> object:
    """Return a token without what was copied with it: blanks, quotes and ``Bearer``."""
    if not isinstance(value, str):
        return value
    around = f"{_QUOTES}{string.whitespace}"
    return _BEARER.sub("", value.strip(around)).strip(around)


def _read_tokens(value: list[SecretStr]) -> list[SecretStr]:
    if value:
        ClashClient(value)
    return value


def _read_path(value: str) -> str:
    if not _PATH.fullmatch(value):
        raise ValueError(f"must be the path of a URL, got {value!r}: write it like /mqtt")
    return value


def _read_server_name(value: str) -> str:
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).wrap_bio(ssl.MemoryBIO(), ssl.MemoryBIO(), server_hostname=value)
    except ValueError:
        raise ValueError(f"must be a host name, got {value!r}: write it like broker.example.org") from None
    return _refuse_blanks(value)


Number = BeforeValidator(_read_number)
Tag = Annotated[str, BeforeValidator(_read_tag)]
Topic = Annotated[str, AfterValidator(_read_topic)]
Seconds = Annotated[float, Field(ge=MIN_INTERVAL_S, le=_LONGEST_INTERVAL), BeforeValidator(_read_seconds)]
Duration = Annotated[
    timedelta,
    BeforeValidator(parse_duration),
    WithJsonSchema({"anyOf": [{"type": "number", "minimum": 0}, {"type": "string", "pattern": DURATION.pattern}]}),
]
Fields = Annotated[frozenset[str] | None, BeforeValidator(read_list)]
Token = Annotated[SecretStr, BeforeValidator(_read_token, json_schema_input_type=SecretStr)]
Tokens = Annotated[list[Token], NoDecode, BeforeValidator(read_list), AfterValidator(_read_tokens)]
Port = Annotated[int, Field(ge=1, le=65535), Number]
Host = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1), AfterValidator(_read_host)]
Username = Annotated[str, AfterValidator(_read_username)]
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
JournalPath = Annotated[Path, BeforeValidator(_read_journal_path)]
ExistingFile = Annotated[
    Path,
    BeforeValidator(_read_file_path),
    AfterValidator(_read_readable),
    WithJsonSchema({"type": "string", "format": "file-path"}),
]
PendingAge = Annotated[Duration, AfterValidator(_read_pending_age)]
