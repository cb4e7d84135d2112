"""Any configuration file and environment results in settings or an error message, without secrets."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from coc2mqtt.config.loader import ConfigurationError, load_settings
from coc2mqtt.config.settings import Settings
from tests.fuzz.examples import fuzzed
from tests.fuzz.malformed import ANY_BYTES, corrupted, mutated, to_bytes
from tests.support.paths import ROOT

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from hypothesis.strategies import DrawFn

pytestmark = pytest.mark.fuzz

SECRET = "nobody-may-read-this"
EXAMPLE = (ROOT / "config" / "coc2mqtt.yaml").read_bytes()
GOOD: dict[str, Any] = {
    "instance": "home",
    "api": {"base_url": "https://example.org/v1", "tokens": [SECRET], "requests_per_second": 25},
    "mqtt": {
        "host": "localhost",
        "port": 1883,
        "username": "u",
        "password": SECRET,
        "base_topic": "coc",
        "protocol": 5,
        "tls": {"enabled": True, "ca_file": "/dev/null", "verify": True},
    },
    "homeassistant": {"enabled": True, "discovery_prefix": "homeassistant", "status_topic": "homeassistant/status"},
    "watch": {
        "clans": ["#2PP", {"tag": "#8QQ", "interval": 60, "war": False}],
        "players": [{"tag": "#2PP", "include_fields": ["name"]}],
        "maintenance": {"enabled": True, "interval": 30},
    },
    "journal": {"path": "x.db", "keep_delivered": "7d", "max_pending": 10},
    "log": {"level": "info", "format": "json"},
}
# Plain YAML values with special meaning, and values that do not match their tags.
FRAGMENTS = [
    *(
        "!!int ''",
        "!!float ''",
        "!!bool x",
        "!!timestamp x",
        "!!binary x",
        "!!set x",
        "!!omap [x]",
        "!!python/object:os.x {}",
        "!x y",
    ),
    *(
        "&a [*a]",
        "*a",
        "<<: [1]",
        "{<<: {a: 1}}",
        "2001-99-99",
        "2001-01-01 25:00:00",
        "1:99:99",
        "0o8",
        "0b2",
        "1e999",
        ".inf",
        ".nan",
    ),
    *(
        "9" * 5000,
        "'\\ud800'",
        '"\\ud800"',
        '"\\x00"',
        '"\\q"',
        "|\n  x",
        "? [a]\n: b",
        "[" * 500,
        "{" * 500,
        "[" * 500 + "]" * 500,
    ),
    *("- ", "\t", "%YAML 9.9", "---", "...", "'", '"', "# ", "yes", "~", "", "#2PP", "@x", "`x", "\ufeff", "\x85"),
    *(
        "/" + "x" * 5000,
        "/root/x/y",
        "../../x",
        "/dev/null/x",
        "\\0",
        "7d",
        "9" * 400 + "d",
        "1e5",
        "-1",
        "http://[",
        "http://x:y",
    ),
]
VALUES = st.sampled_from(FRAGMENTS) | st.text(st.characters(exclude_categories=["Cs"]), max_size=10)


@st.composite
def files(draw: DrawFn) -> bytes:
    """A configuration file: the example or a valid one with odd values, or arbitrary bytes."""
    how = draw(st.integers(0, 4))
    if how == 0:
        return draw(corrupted(EXAMPLE))
    if how == 1:
        return to_bytes(draw(mutated(GOOD)))
    if how == 2:
        return draw(ANY_BYTES | VALUES.map(str.encode))
    lines = yaml.safe_dump(GOOD).splitlines()
    for _ in range(draw(st.integers(1, 3))):
        at = draw(st.integers(0, len(lines) - 1))
        key, colon, _old = lines[at].partition(":")
        lines[at] = draw(st.sampled_from([f"{key}{colon} ", f"{key}", "- ", ""])) + draw(VALUES)
    return "\n".join(lines).encode()


def variables() -> list[str]:
    """Return every variable of the settings, and some unknown ones."""
    sections = {name: getattr(field.annotation, "model_fields", {}) for name, field in Settings.model_fields.items()}
    names = [f"{section}__{key}" for section, keys in sections.items() for key in keys] + list(sections)
    names += [
        "API__TOKENS_FILE",
        "MQTT__PASSWORD_FILE",
        "MQTT__TLS__VERIFY",
        "MQTT__TLS__CA_FILE",
        "WATCH__MAINTENANCE__INTERVAL",
    ]
    return [f"COC2MQTT_{name.upper()}" for name in names] + [
        "COC2MQTT_",
        "COC2MQTT_X",
        "coc2mqtt_mqtt__port",
        "COC2MQTT_API__",
    ]


TEXTS = st.one_of(
    st.binary(max_size=12).map(lambda value: os.fsdecode(value.replace(b"\0", b""))),
    st.sampled_from([fragment for fragment in FRAGMENTS if "\0" not in fragment]),
    st.sampled_from(
        ["#2PP,#8QQ", '["#2PP", {"tag": "#8QQ"}]', "[", "{", '{"a": 1}', "true", "1883", "/dev/null", "/", "5", "info"]
    ),
)
ENVIRONMENTS = st.dictionaries(st.sampled_from(variables()), TEXTS, max_size=4)


def loaded(path: Path | None) -> Settings | str:
    """Return the settings, or the error message."""
    try:
        return load_settings(path)
    except ConfigurationError as error:
        return str(error)


@pytest.mark.usefixtures("_own_environment")
def test_any_configuration_is_loaded_or_rejected_without_secrets(
    tmp_path: Path, count_example: Callable[[], None]
) -> None:
    path = tmp_path / "coc2mqtt.yaml"

    @fuzzed(short=200, long=5000)
    @given(st.none() | files(), ENVIRONMENTS | st.just({}))
    def load(content: bytes | None, environment: dict[str, str]) -> None:
        count_example()
        if content is not None:
            path.write_bytes(content)
        with patch.dict(os.environ, environment):
            result = repr(loaded(None if content is None else path))
        assert SECRET not in result

    load()


@pytest.fixture
def _own_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.upper().startswith("COC2MQTT_")]:
        monkeypatch.delenv(name)
