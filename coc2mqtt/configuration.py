"""Reading the configuration: one YAML file, the environment, and files for secrets."""

from __future__ import annotations

import itertools
import os
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from coc2mqtt.event_loop import LOOP_VARIABLE
from coc2mqtt.settings import PREFIX, SECRETS, Settings
from coc2mqtt.yaml_text import TwiceError, parse_yaml

CONFIG_VARIABLE = f"{PREFIX}CONFIG"
# What the commands take from the environment and is not a setting.
_OTHER_VARIABLES = {CONFIG_VARIABLE, LOOP_VARIABLE}

_NO_SETTING = "is no setting: remove it or mend its spelling, see 'coc2mqtt config schema'"
_EMPTY = "is empty: give it a value or remove it; '#' begins a comment in YAML, so put a tag in quotes: \"#2PP\""
_WORDS = {
    "missing": "is missing",
    "extra_forbidden": _NO_SETTING,
    "invalid_key": _NO_SETTING,
    "string_too_short": "is empty: give it a value or remove it",
    "string_pattern_mismatch": "must be 1 to 32 letters, digits, '-' or '_'",
    "literal_error": "must be {expected}",
    "greater_than": "must be more than {gt:g}",
    "greater_than_equal": "must be at least {ge:g}",
    "less_than_equal": "must be at most {le:g}",
    "path_not_file": "names a file that is not there: check the path",
    **dict.fromkeys(("string_type", "path_type"), "must be text: put it in quotes"),
    **dict.fromkeys(("int_type", "int_parsing", "int_from_float"), "must be a whole number"),
    **dict.fromkeys(("float_type", "float_parsing"), "must be a number"),
    **dict.fromkeys(("bool_type", "bool_parsing"), "must be true or false"),
    **dict.fromkeys(("list_type", "frozen_set_type"), "must be a list"),
    **dict.fromkeys(("model_type", "dict_type"), "must hold keys and their values, each on a line of its own below it"),
}


class ConfigurationError(Exception):
    """The configuration cannot be used; the text says which key is wrong and what to do."""


def load_settings(path: Path | None) -> Settings:
    """Read the configuration from a file (else the one that COC2MQTT_CONFIG names, else none) and the environment.

    Raises ConfigurationError, whose text has one line for each key that is wrong.
    """
    if path is None and os.environ.get(CONFIG_VARIABLE):
        path = Path(os.environ[CONFIG_VARIABLE])
    where = "the environment" if path is None else str(path)
    data = {} if path is None else _read_file(path)
    for name in sorted(os.environ):
        if name.upper().startswith(PREFIX) and name not in _OTHER_VARIABLES:
            _check_variable(name)
    _read_secret_files(data)
    try:
        return Settings(**data)
    except ValidationError as error:
        raise ConfigurationError("\n".join(_sentence(where, item) for item in error.errors())) from None
    except OSError as error:
        raise ConfigurationError(
            f"{where}: {error.filename} cannot be looked at ({_said(error)}): name a file that this user may read"
        ) from None


def require_token(settings: Settings) -> None:
    """Raise ConfigurationError where there is nothing to show to the Clash of Clans API."""
    if not settings.api.tokens:
        raise ConfigurationError(
            "api.tokens is empty: create a token at https://developer.clashofclans.com for your address, and set it"
            " in the file, in COC2MQTT_API__TOKENS, or in a file that COC2MQTT_API__TOKENS_FILE names"
        )


def _read_file(path: Path) -> dict[str, Any]:
    data = _parse(path, _read_text(path))
    if data is None:
        return {}
    if not isinstance(data, dict) or not all(isinstance(key, str) for key in data):
        raise ConfigurationError(f"{path} holds no settings: it must consist of keys such as 'mqtt:' and their values")
    for key in data:
        # The constructor of pydantic's settings has options that begin so.
        if key.startswith("_"):
            raise ConfigurationError(f"{path}: {key} {_NO_SETTING}")
    return data


def _read_text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise ConfigurationError(f"{path} does not exist: name the file with --config or {CONFIG_VARIABLE}") from None
    except OSError as error:
        raise ConfigurationError(
            f"{path} cannot be read ({_said(error)}): name a file that this user may read"
        ) from None
    except UnicodeDecodeError:
        raise ConfigurationError(f"{path} is no text in UTF-8: save it as such") from None


def _parse(path: Path, text: str) -> Any:
    try:
        return parse_yaml(text)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = "" if mark is None else f" line {mark.line + 1}"
        raise ConfigurationError(f"{path}{line} {_yaml_sentence(error)}") from None
    except yaml.YAMLError:
        raise ConfigurationError(f"{path} is no YAML: it holds characters that YAML does not allow") from None
    except (ValueError, LookupError, AttributeError):  # PyYAML's own, of a value that does not fit its '!!bool'
        raise ConfigurationError(
            f"{path} holds a value that looks like a date or a number and is none: put it in quotes"
        ) from None
    except RecursionError:
        raise ConfigurationError(f"{path} is no YAML of settings: too many brackets are open in it") from None


def _yaml_sentence(error: yaml.MarkedYAMLError) -> str:
    match error:
        case TwiceError():
            return f"{error.problem}: keep one of the two"
        case yaml.composer.ComposerError(problem="but found another document"):
            return "begins a second document: remove the line '---'"
        case yaml.composer.ComposerError() | yaml.constructor.ConstructorError():
            # Their own words show the value, which may be a password.
            return "is no YAML: a value that begins with '!', '*' or '&' must be in quotes"
    problem = "a tab: indent with spaces" if "'\\t'" in str(error.problem) else error.problem
    return f"is no YAML ({problem}): mind indentation, colons, and quotes around tags"


def _check_variable(name: str) -> None:
    """Refuse a variable of ours that means nothing: a spelling mistake would go unnoticed."""
    if name.removesuffix("_FILE") in SECRETS:
        return
    model: Any = Settings
    for level in name.removeprefix(PREFIX).split("__"):
        field = getattr(model, "model_fields", {}).get(level.lower()) if level.isupper() else None
        if field is None:
            raise ConfigurationError(
                f"the environment variable {name} is no setting: write {PREFIX}<SECTION>__<KEY> in capitals, with two"
                " underscores in between, and see 'coc2mqtt config schema' for the keys"
            )
        model = field.annotation
    if hasattr(model, "model_fields"):
        raise ConfigurationError(f"the environment variable {name} is a whole section: set its keys as {name}__<KEY>")


def _read_secret_files(data: dict[str, Any]) -> None:
    """Put secrets that stand in files of their own (``…_FILE``) where the configuration file would have them."""
    for variable, (section, key) in SECRETS.items():
        path = os.environ.get(f"{variable}_FILE")
        if not path:
            continue
        if os.environ.get(variable):
            raise ConfigurationError(f"{variable} and {variable}_FILE are both set: keep one of them")
        # The path is not repeated below: some put the secret itself there.
        named = f"{variable}_FILE names a file"
        try:
            # Editors end a file with a line break; Windows' begin it with a mark.
            text = Path(path).read_text(encoding="utf-8-sig").rstrip("\r\n")
        except OSError as error:
            raise ConfigurationError(
                f"{named} that cannot be read ({_said(error)}): check the path and its permissions"
            ) from None
        except UnicodeDecodeError:
            raise ConfigurationError(f"{named} that is no text in UTF-8: save it as such") from None
        if not text.strip():
            raise ConfigurationError(f"{named} that is empty: write the secret into it")
        inner = data.setdefault(section, {})
        if isinstance(inner, dict):
            inner[key] = text


def _sentence(where: str, item: Any) -> str:
    """Say in a user's words what pydantic found."""
    loc = item["loc"]
    key = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in loc).removeprefix(".")
    variable = PREFIX + "__".join(itertools.takewhile(lambda part: isinstance(part, str), loc)).upper()
    for name in (variable, f"{variable}_FILE"):
        if os.environ.get(name):
            where = name
    kind = item["type"]
    if item["input"] is None and kind not in {"extra_forbidden", "invalid_key"}:
        return f"{where}: {key} {_EMPTY}"
    message = item["msg"].removeprefix("Value error, ")
    if kind in _WORDS:
        message = _WORDS[kind].format_map(item.get("ctx", {}))
    # The client of the API names the key itself.
    return f"{where}: {message}" if f"{key} " in message else f"{where}: {key} {message}"


def _said(error: OSError) -> str:
    return (error.strerror or type(error).__name__).lower()
