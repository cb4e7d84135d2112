"""Load the configuration from a YAML file, the environment, and files for secrets.

The YAML parser rejects duplicate keys and is fast enough for ten thousand watches.
"""

from __future__ import annotations

import contextlib
import itertools
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml
from pydantic import ValidationError
from yaml.composer import Composer
from yaml.constructor import SafeConstructor

from coc2mqtt.config.environment import CONFIG_VARIABLE, find_unknown_variable
from coc2mqtt.config.errors import describe_error, describe_unknown_setting
from coc2mqtt.config.settings import PREFIX, SECRETS, TOKEN_PLACEHOLDER, Settings

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

_HOST_VARIABLE = f"{PREFIX}MQTT__HOST"
_NOT_UTF_8 = "is not UTF-8 text: save it as UTF-8"
# A text of this length takes PyYAML's own parser about 50 ms. libyaml's is five times as fast.
_LARGE_TEXT = 50_000


class ConfigurationError(Exception):
    """The configuration is invalid; the message names the key and the remedy."""


def load_settings(path: Path | None) -> Settings:
    """Load the configuration from the environment and a file: ``path``, else the one in COC2MQTT_CONFIG, else none.

    Raises ConfigurationError, whose message has one line for each invalid key.
    """
    if path is None and os.environ.get(CONFIG_VARIABLE):
        path = Path(os.environ[CONFIG_VARIABLE])
    if path is not None:
        path = _expand_home(path)
    source = "the environment" if path is None else str(path)
    data = {} if path is None else _read_file(path)
    message = find_unknown_variable(os.environ)
    if message is not None:
        raise ConfigurationError(message)
    _read_secret_files(data)
    _keep_empty_host(data)
    try:
        return Settings(**data)
    except ValidationError as error:
        raise ConfigurationError("\n".join(_describe(source, item) for item in error.errors())) from None


def require_token(settings: Settings) -> None:
    """Raise ConfigurationError unless there is a token for the Clash of Clans API."""
    if any(token.get_secret_value() == TOKEN_PLACEHOLDER for token in settings.api.tokens):
        raise ConfigurationError(
            f"api.tokens: still contains the placeholder {TOKEN_PLACEHOLDER!r}: replace it with a token from"
            " https://developer.clashofclans.com"
        )
    if not settings.api.tokens:
        raise ConfigurationError(
            "api.tokens: is empty: create a token at https://developer.clashofclans.com for your IP address, and set it"
            " in the configuration file, in COC2MQTT_API__TOKENS, or in a file whose path is in"
            " COC2MQTT_API__TOKENS_FILE"
        )


def _read_file(path: Path) -> dict[str, Any]:
    data = _parse(path, _read_text(path))
    if data is None:
        return {}
    if not isinstance(data, dict) or not all(isinstance(key, str) for key in data):
        raise ConfigurationError(
            f"{path} contains no settings: write keys such as 'mqtt:', each followed by its values"
        )
    for key in data:
        # The constructor of pydantic's settings has options that start with an underscore. It also ignores the case of
        # sections, so one section could silently replace another.
        if key.startswith("_") or (key not in Settings.model_fields and key.lower() in Settings.model_fields):
            raise ConfigurationError(f"{path}: {describe_unknown_setting([key])}")
    return data


def _read_text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise ConfigurationError(f"{path} does not exist: name the file with --config or {CONFIG_VARIABLE}") from None
    except OSError as error:
        raise ConfigurationError(
            f"{path} cannot be read ({_reason(error)}): name a file that this user may read"
        ) from None
    except UnicodeDecodeError:
        raise ConfigurationError(f"{path} {_NOT_UTF_8}") from None


def _parse(path: Path, text: str) -> Any:
    try:
        return parse_yaml(text)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = "" if mark is None else f" line {mark.line + 1}"
        raise ConfigurationError(f"{path}{line} {_describe_yaml_error(error)}") from None
    except yaml.YAMLError:
        raise ConfigurationError(
            f"{path} is not valid YAML: remove control characters and other characters that YAML does not allow"
        ) from None
    except (ValueError, LookupError, AttributeError):  # PyYAML raises these for a value that is invalid for its type
        raise ConfigurationError(
            f"{path} contains a value that looks like a date or a number but is invalid: put it in quotes"
        ) from None
    except RecursionError:
        raise ConfigurationError(f"{path} is not valid YAML for settings: it is nested too deeply") from None


def _describe_yaml_error(error: yaml.MarkedYAMLError) -> str:
    match error:
        case DuplicateKeyError():
            return f"has a {error.problem}: keep only one of them"
        case yaml.composer.ComposerError(problem="but found another document"):
            return "starts a second document: remove the line '---'"
        case yaml.composer.ComposerError() | yaml.constructor.ConstructorError():
            # The original message contains the value, which may be a password.
            return "is not valid YAML: put a value that starts with '!', '*' or '&' in quotes"
    problem = str(error.problem)
    if "'\\t'" in problem:
        return "is not valid YAML (a tab): indent with spaces"
    if "'@'" in problem or "'`'" in problem or "'%'" in problem:
        return f"is not valid YAML ({problem}): put the value in quotes"
    return f"is not valid YAML ({problem}): check indentation, colons, brackets and quotes around this line"


def _expand_home(path: Path) -> Path:
    try:
        return path.expanduser()
    except RuntimeError:
        return path  # unknown user: reading the file will fail


def _keep_empty_host(data: dict[str, Any]) -> None:
    """Treat an empty COC2MQTT_MQTT__HOST as an explicit empty host, because the user meant to set a broker."""
    if os.environ.get(_HOST_VARIABLE) == "":
        section = data.setdefault("mqtt", {})
        if isinstance(section, dict):
            section.setdefault("host", None)


def _read_secret_files(data: dict[str, Any]) -> None:
    """Insert the secrets in the files that ``…_FILE`` variables name, as if the configuration file contained them."""
    for variable, (section, key) in SECRETS.items():
        path = os.environ.get(f"{variable}_FILE")
        if not path:
            continue
        if os.environ.get(variable):
            raise ConfigurationError(f"{variable} and {variable}_FILE are both set: remove one of them")
        # The messages do not contain the path: some users set the secret itself.
        prefix = f"{variable}_FILE names a file"
        try:
            # Editors end a file with a line break, and on Windows start it with a byte order mark.
            text = _expand_home(Path(path)).read_text(encoding="utf-8-sig").rstrip("\r\n")
        except OSError as error:
            raise ConfigurationError(
                f"{prefix} that cannot be read ({_reason(error)}): check the path and its permissions"
            ) from None
        except UnicodeDecodeError:
            raise ConfigurationError(f"{prefix} that {_NOT_UTF_8}") from None
        if not text.strip():
            raise ConfigurationError(f"{prefix} that is empty: write the secret into it")
        inner = data.setdefault(section, {})
        if isinstance(inner, dict):
            inner[key] = text


def _describe(source: str, item: ErrorDetails) -> str:
    names = itertools.takewhile(lambda part: isinstance(part, str), item["loc"])
    variable = PREFIX + "__".join(map(str, names)).upper()
    for name in (variable, f"{variable}_FILE"):
        if os.environ.get(name):
            source = name
    return f"{source}: {describe_error(item)}"


def _reason(error: OSError) -> str:
    return (error.strerror or type(error).__name__).lower()


def parse_yaml(text: str) -> Any:
    """Parse a YAML text into plain values.

    Raises yaml.YAMLError (DuplicateKeyError is one), RecursionError if the text is nested too deeply, and whatever
    PyYAML raises for a value that is invalid for its type (ValueError, LookupError or AttributeError).
    """
    if len(text) >= _LARGE_TEXT and yaml.__with_libyaml__:
        # After an error, PyYAML's own parser reads the text again for its message.
        with contextlib.suppress(yaml.YAMLError, ValueError, LookupError, AttributeError):
            return _load(text, _fast_loader())
    return _load(text, _Loader)


def _load(text: str, loader: type) -> Any:
    return yaml.load(text, loader)  # noqa: S506 - it has a SafeConstructor, which builds plain values only


class DuplicateKeyError(yaml.MarkedYAMLError):
    """A mapping contains the same key twice."""


class _UniqueKeyConstructor(SafeConstructor):
    """Raises DuplicateKeyError, where PyYAML silently keeps the last value."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen = set[str]()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode):
                if key.value in seen:
                    raise DuplicateKeyError(problem=f"duplicate key '{key.value}'", problem_mark=key.start_mark)
                seen.add(key.value)
        return super().construct_mapping(node, deep)


class _Loader(_UniqueKeyConstructor, yaml.SafeLoader):
    """PyYAML's own parser, which has the clearer error messages."""


def _fast_loader() -> type:
    class FastLoader(Composer, _UniqueKeyConstructor, yaml.CSafeLoader):
        """libyaml's parser with PyYAML's composer: libyaml's overflows the C stack if a text is nested deeply."""

        def __init__(self, stream: str) -> None:
            yaml.CSafeLoader.__init__(self, stream)
            Composer.__init__(self)

    return FastLoader
