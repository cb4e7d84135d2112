"""Types of settings, each with a validator and its error messages."""

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

from coc2mqtt.clash.client import DEFAULT_BASE_URL, validate_base_url, validate_tokens
from coc2mqtt.clash.tags import InvalidTagError, normalize_tag
from coc2mqtt.events.resource import MIN_INTERVAL_S
from coc2mqtt.mqtt.client.messages import check_topic
from coc2mqtt.translations import CODES
from coc2mqtt.util.clocks import DURATION, parse_duration

# The same limit as for the watch commands over MQTT.
_MAX_INTERVAL_S = 7 * 24 * 3600.0
_MAX_LOGIN_BYTES = 65_535
# The characters that the request line of HTTP allows unescaped.
_PATH = re.compile(r"/[!-~]*")
_QUOTES = "\"'\u201c\u201d\u2018\u2019"  # straight ones and those of word processors
_BEARER = re.compile(r"^(authorization:\s*)?bearer\s+", re.IGNORECASE)
_NOT_IN_HOST = re.compile(rf"[\s/\\?#,;\[\]\0{_QUOTES}]")
_LIKE_IPV4 = re.compile(r"\d+(\.\d+){3}")

# The messages of the ValueErrors below are shown after the key: "mqtt.port: must be a number, got true".


def _validate_tag(value: object) -> str:
    if not isinstance(value, str):
        raise ValueError(f"must be text, got {value!r}: put the tag in quotes")  # noqa: TRY004 - pydantic requires a ValueError
    try:
        return normalize_tag(value)
    except InvalidTagError as error:
        raise ValueError(str(error)) from None


def _validate_number(value: object) -> object:
    # pydantic would convert true to 1.
    if isinstance(value, bool):
        raise ValueError(f"must be a number, got {str(value).lower()}")  # noqa: TRY004 - pydantic requires a ValueError
    return value


def _validate_seconds(value: object) -> object:
    match = DURATION.fullmatch(value.strip()) if isinstance(value, str) else None
    if match is not None and match[2] is not None:
        seconds = parse_duration(value).total_seconds()
        raise ValueError(f"must be a number of seconds without a unit, got {value!r}: write {seconds:g}")
    return _validate_number(value)


def _validate_pending_age(value: timedelta) -> timedelta:
    # Shorter ages would drop events while a broker restarts.
    if value < timedelta(minutes=1):
        raise ValueError(f"must be at least 1m, got {value.total_seconds():g}s")
    return value


def parse_list(value: object) -> object:
    """Parse a text into a list: JSON, or items separated by commas or line breaks."""
    if not isinstance(value, str):
        return value
    value = unquote(value)
    if not value.startswith(("[", "{")):
        return [item.strip() for item in re.split(r"[,\n]", value) if item.strip()]
    try:
        data = orjson.loads(value)
    except orjson.JSONDecodeError:
        # Without the value, because it may contain tokens.
        raise ValueError('starts like JSON but is not valid JSON: write it like ["a", "b"], or simply a, b') from None
    return data if isinstance(data, list) else [data]


def expand_bare_tag(value: object) -> object:
    """Expand a bare tag into a watch with the default settings."""
    return value if isinstance(value, dict | BaseModel) else {"tag": value}


def unquote(value: str) -> str:
    """Remove surrounding spaces and one pair of quotes, which Docker's --env-file keeps."""
    value = value.strip()
    quote = value[:1]
    if len(value) > 1 and quote in _QUOTES and value.endswith(quote) and quote not in value[1:-1]:
        return value[1:-1].strip()
    return value


def _validate_no_outer_spaces(value: str) -> str:
    if value != value.strip():
        raise ValueError(f"must not start or end with a space, got {value!r}")
    return value


def _validate_topic(value: str) -> str:
    check_topic(value)
    return _validate_no_outer_spaces(value)


def _validate_host(value: str) -> str:
    if "@" in value:
        # Without the value, because it contains a password.
        raise ValueError(
            "must be only a host name or an IP address: set the user name in mqtt.username and the password in"
            " mqtt.password"
        )
    bare = value.removeprefix("[").removesuffix("]") if value.startswith("[") and value.endswith("]") else value
    if _NOT_IN_HOST.search(bare) or (":" in bare and not _is_address(bare)):
        raise ValueError(
            f"must be only a host name or an IP address, got {value!r}: set the port in mqtt.port and TLS in mqtt.tls"
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


def _validate_journal_path(value: object) -> object:
    if not isinstance(value, str):
        return value
    if not value.strip():
        raise ValueError("is empty: name a file, such as coc2mqtt.db")
    if "\0" in value:
        raise ValueError("must not contain a NUL character: name a file, such as coc2mqtt.db")
    if value.startswith((":memory:", "file:")) or value == os.devnull:
        raise ValueError(
            f"must be the path of a file, got {value!r}: a journal that is not stored in a file would lose events"
        )
    return _expand_home(_validate_no_outer_spaces(value))


def _expand_file_path(value: object) -> object:
    return _expand_home(value) if isinstance(value, str) else value


def _expand_home(value: str) -> Path:
    try:
        return Path(value).expanduser()
    except RuntimeError:
        raise ValueError(
            f"starts with a home directory that does not exist, got {value!r}: write the full path"
        ) from None


def _validate_readable_file(value: Path) -> Path:
    try:
        # Without O_NONBLOCK, opening a named pipe would wait for a writer.
        descriptor = os.open(value, os.O_RDONLY | os.O_NONBLOCK)
    except (OSError, ValueError) as error:
        reason = ((error.strerror if isinstance(error, OSError) else None) or "no such path").lower()
        raise ValueError(f"must be a file that this user may read, got {str(value)!r} ({reason})") from None
    is_file = stat.S_ISREG(os.fstat(descriptor).st_mode)
    os.close(descriptor)
    if not is_file:
        raise ValueError(f"must be a file, got {str(value)!r}: check the path")
    return value


def _validate_login(value: str) -> str:
    # Without the value, because it may be the password. Python decodes bytes in the environment that are not UTF-8 as
    # lone surrogates.
    try:
        size = len(value.encode())
    except UnicodeEncodeError:
        raise ValueError("must be UTF-8 text: write it in UTF-8") from None
    if size > _MAX_LOGIN_BYTES:
        raise ValueError(f"must have at most {_MAX_LOGIN_BYTES} bytes, which is MQTT's limit, got {size}")
    return value


def _validate_username(value: str) -> str:
    if value != value.strip():
        raise ValueError("must not start or end with a space: remove it")
    if not value:
        raise ValueError("is empty: give it a value or remove it")
    return _validate_login(value)


def _validate_password(value: SecretStr) -> SecretStr:
    _validate_login(value.get_secret_value())
    return value


def _validate_base_url(value: str) -> str:
    # Without the value, because it may contain a password.
    if value != value.strip():
        raise ValueError("must not start or end with a space: remove it")
    try:
        url = URL(value)
    except ValueError as error:
        raise ValueError(f"must be a URL such as {DEFAULT_BASE_URL} ({str(error).lower()})") from None
    if re.search(r"\s", url.host or ""):
        raise ValueError(f"must be a URL such as {DEFAULT_BASE_URL}, without spaces")
    validate_base_url(value)
    return value


def _strip_token(value: object) -> object:
    """Remove spaces, quotes and ``Bearer`` that were copied along with a token."""
    if not isinstance(value, str):
        return value
    copied_along = f"{_QUOTES}{string.whitespace}"
    return _BEARER.sub("", value.strip(copied_along)).strip(copied_along)


def _validate_tokens(value: list[SecretStr]) -> list[SecretStr]:
    if value:
        validate_tokens(value)
    return value


def _validate_websocket_path(value: str) -> str:
    if not _PATH.fullmatch(value):
        raise ValueError(f"must be the path of a URL, got {value!r}: write it like /mqtt")
    return value


def _validate_server_name(value: str) -> str:
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).wrap_bio(ssl.MemoryBIO(), ssl.MemoryBIO(), server_hostname=value)
    except ValueError:
        raise ValueError(f"must be a host name, got {value!r}: write it like broker.example.org") from None
    return _validate_no_outer_spaces(value)


def _validate_language(value: str) -> str:
    if value not in CODES:
        raise ValueError(f"must be {' or '.join(map(repr, CODES))}, got {value!r}")
    return value


Number = BeforeValidator(_validate_number)
Tag = Annotated[str, BeforeValidator(_validate_tag)]
Topic = Annotated[str, AfterValidator(_validate_topic)]
Seconds = Annotated[float, Field(ge=MIN_INTERVAL_S, le=_MAX_INTERVAL_S), BeforeValidator(_validate_seconds)]
Duration = Annotated[
    timedelta,
    BeforeValidator(parse_duration),
    WithJsonSchema({"anyOf": [{"type": "number", "minimum": 0}, {"type": "string", "pattern": DURATION.pattern}]}),
]
Fields = Annotated[frozenset[str] | None, BeforeValidator(parse_list)]
Token = Annotated[SecretStr, BeforeValidator(_strip_token, json_schema_input_type=SecretStr)]
Tokens = Annotated[list[Token], NoDecode, BeforeValidator(parse_list), AfterValidator(_validate_tokens)]
Port = Annotated[int, Field(ge=1, le=65535), Number]
Host = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1), AfterValidator(_validate_host)]
Username = Annotated[str, AfterValidator(_validate_username)]
Password = Annotated[SecretStr, AfterValidator(_validate_password)]
# In YAML, `protocol: 5` is a number.
ProtocolName = Annotated[
    Literal["auto", "5", "3.1.1"],
    BeforeValidator(
        lambda value: "5" if value == 5 else value,  # noqa: PLR2004 - the MQTT version
        json_schema_input_type=Literal["auto", "5", "3.1.1", 5],
    ),
]
LanguageCode = Annotated[
    str, AfterValidator(_validate_language), WithJsonSchema({"type": "string", "enum": list(CODES)})
]
WebsocketPath = Annotated[str, AfterValidator(_validate_websocket_path)]
ServerName = Annotated[str, AfterValidator(_validate_server_name)]
BaseUrl = Annotated[str, AfterValidator(_validate_base_url)]
JournalPath = Annotated[Path, BeforeValidator(_validate_journal_path)]
ExistingFile = Annotated[
    Path,
    BeforeValidator(_expand_file_path),
    AfterValidator(_validate_readable_file),
    WithJsonSchema({"type": "string", "format": "file-path"}),
]
PendingAge = Annotated[Duration, AfterValidator(_validate_pending_age)]
