"""Loading settings from a file, the environment and files for secrets: values, error messages, and redacted secrets."""

from __future__ import annotations

import os
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from pydantic import BaseModel, SecretStr

from coc2mqtt.config.loader import ConfigurationError, load_settings, require_token
from coc2mqtt.config.settings import ApiSettings, FixedSettings, MqttSettings, Settings, redactor_of
from coc2mqtt.events.resource import Kind, default_watch
from tests.support.configuration import SECRET, load, load_error

if TYPE_CHECKING:
    from collections.abc import Iterator

SOME_FILE = Path(__file__)


@pytest.fixture(autouse=True)
def _no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in os.environ:
        if name.upper().startswith("COC2MQTT_"):
            monkeypatch.delenv(name)


@pytest.mark.parametrize(
    ("variables", "message"),
    [
        ({"COC2MQTT_MQTT__PORT": "many"}, "COC2MQTT_MQTT__PORT: mqtt.port: must be a whole number, got 'many'"),
        ({"COC2MQTT_MQTT__TLS__VERIFY": "maybe"}, "COC2MQTT_MQTT__TLS__VERIFY: mqtt.tls.verify: must be true or false"),
        ({"COC2MQTT_WATCH__CLANS": "#2PP,#XYZ"}, "COC2MQTT_WATCH__CLANS: watch.clans[1].tag: '#XYZ' is not a tag"),
        ({"COC2MQTT_WATCH__CLANS": "[#2PP]"}, "COC2MQTT_WATCH__CLANS: watch.clans: starts like JSON but is not"),
        (
            {"COC2MQTT_WATCH__CLANS": '{"tag":"#2PP","x":1}'},
            "COC2MQTT_WATCH__CLANS: unknown setting watch.clans[0].x",
        ),
        ({"COC2MQTT_API__TOKENS": f'["{SECRET}"'}, "COC2MQTT_API__TOKENS: api.tokens: starts like JSON but is not"),
        ({"COC2MQTT_API__TOKENS": f"{SECRET}ü"}, "COC2MQTT_API__TOKENS: token 1 of 1 in api.tokens is empty or has"),
        ({"COC2MQTT_MQTT__HOTS": "a"}, "unknown environment variable COC2MQTT_MQTT__HOTS: remove it or fix"),
        ({"COC2MQTT_MQTT_HOST": "a"}, "unknown environment variable COC2MQTT_MQTT_HOST: remove it or fix"),
        (
            {"COC2MQTT_MQTT__HOST__NAME": "a"},
            "unknown environment variable COC2MQTT_MQTT__HOST__NAME: remove",
        ),
        ({"COC2MQTT_MQTT__HOST_FILE": "a"}, "unknown environment variable COC2MQTT_MQTT__HOST_FILE: remove it or fix"),
        ({"coc2mqtt_mqtt__host": "a"}, "unknown environment variable coc2mqtt_mqtt__host: remove it or fix"),
        ({"COC2MQTT_MQTT": "{}"}, "the environment variable COC2MQTT_MQTT is a whole section: set its keys as"),
        ({"COC2MQTT_MQTT__TLS": "{}"}, "the environment variable COC2MQTT_MQTT__TLS is a whole section: set its keys"),
    ],
)
def test_invalid_variable_is_reported_by_its_name(tmp_path: Path, variables: dict[str, str], message: str) -> None:
    error = load_error(tmp_path, **variables)
    assert error.startswith(message)
    assert "\n" not in error


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("missing", "does not exist: name the file with --config or COC2MQTT_CONFIG"),
        ("folder", "cannot be read (is a directory): name a file that this user may read"),
        ("binary", "is not UTF-8 text: save it as UTF-8"),
    ],
)
def test_unreadable_file_is_reported(tmp_path: Path, name: str, message: str) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "binary").write_bytes(b"\xff\xfe" + SECRET.encode())
    with pytest.raises(ConfigurationError) as raised:
        load_settings(tmp_path / name)
    assert str(raised.value) == f"{tmp_path / name} {message}"


def test_settings_without_file_and_variables_are_the_defaults() -> None:
    assert load_settings(None).model_dump() == FixedSettings().model_dump()


def test_settings_of_an_empty_file_are_the_defaults(tmp_path: Path) -> None:
    assert load(tmp_path, "# mqtt:\n").model_dump() == FixedSettings().model_dump()


def test_path_argument_overrides_the_config_variable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("variable", "argument"):
        (tmp_path / name).write_text(f"instance: {name}")
    monkeypatch.setenv("COC2MQTT_CONFIG", str(tmp_path / "variable"))
    assert load_settings(None).instance == "variable"
    assert load_settings(tmp_path / "argument").instance == "argument"


def test_environment_overrides_single_keys_of_the_file(tmp_path: Path) -> None:
    settings = load(tmp_path, "mqtt: {host: a, port: 1}", COC2MQTT_MQTT__HOST="b")
    assert (settings.mqtt.host, settings.mqtt.port) == ("b", 1)


def test_empty_variable_counts_as_not_set(tmp_path: Path) -> None:
    empty = dict.fromkeys(("COC2MQTT_MQTT__HOST", "COC2MQTT_MQTT__PORT", "COC2MQTT_API__TOKENS_FILE"), "")
    settings = load(tmp_path, "mqtt: {host: a, port: 1}", **empty)
    assert (settings.mqtt.host, settings.mqtt.port) == ("a", 1)


SAMPLES: dict[str, tuple[str, Any]] = {
    "COC2MQTT_INSTANCE": ("cabin", "cabin"),
    "COC2MQTT_API__BASE_URL": ("http://example.org/v1", "http://example.org/v1"),
    "COC2MQTT_API__TOKENS": ("a, b", [SecretStr("a"), SecretStr("b")]),
    "COC2MQTT_API__REQUESTS_PER_SECOND": ("2.5", 2.5),
    "COC2MQTT_MQTT__HOST": (" broker ", "broker"),
    "COC2MQTT_MQTT__PORT": ("8883", 8883),
    "COC2MQTT_MQTT__USERNAME": ("007", "007"),
    "COC2MQTT_MQTT__PASSWORD": ("123", SecretStr("123")),
    "COC2MQTT_MQTT__BASE_TOPIC": ("games/coc", "games/coc"),
    "COC2MQTT_MQTT__PROTOCOL": ("5", "5"),
    "COC2MQTT_MQTT__TRANSPORT": ("websockets", "websockets"),
    "COC2MQTT_MQTT__PATH": ("/ws?a=b", "/ws?a=b"),
    "COC2MQTT_MQTT__KEEPALIVE": ("60", 60),
    "COC2MQTT_MQTT__TLS__ENABLED": ("true", True),
    "COC2MQTT_MQTT__TLS__CA_FILE": (str(SOME_FILE), SOME_FILE),
    "COC2MQTT_MQTT__TLS__CERT_FILE": (str(SOME_FILE), SOME_FILE),
    "COC2MQTT_MQTT__TLS__KEY_FILE": (str(SOME_FILE), SOME_FILE),
    "COC2MQTT_MQTT__TLS__VERIFY": ("false", False),
    "COC2MQTT_MQTT__TLS__SERVER_NAME": ("broker.example.org", "broker.example.org"),
    "COC2MQTT_HOMEASSISTANT__ENABLED": ("false", False),
    "COC2MQTT_HOMEASSISTANT__LANGUAGE": ("de", "de"),
    "COC2MQTT_HOMEASSISTANT__MEMBER_SENSORS": ("true", True),
    "COC2MQTT_HOMEASSISTANT__DISCOVERY_PREFIX": ("ha", "ha"),
    "COC2MQTT_HOMEASSISTANT__STATUS_TOPIC": ("ha/status", "ha/status"),
    "COC2MQTT_WATCH__CLANS": ('["#2PP"]', None),
    "COC2MQTT_WATCH__PLAYERS": ("#8QQ", None),
    "COC2MQTT_WATCH__MAXIMUM": ("5", 5),
    "COC2MQTT_WATCH__MAINTENANCE__ENABLED": ("false", False),
    "COC2MQTT_WATCH__MAINTENANCE__INTERVAL": ("10", 10.0),
    "COC2MQTT_WATCH__MAINTENANCE__PROBE_TAG": ("8qq", "#8QQ"),
    "COC2MQTT_WATCH__CALENDAR__ENABLED": ("false", False),
    "COC2MQTT_WATCH__CALENDAR__INTERVAL": ("600", 600.0),
    "COC2MQTT_WATCH__CLAN_GAMES__FIRST_DAY": ("21", 21),
    "COC2MQTT_WATCH__CLAN_GAMES__LAST_DAY": ("27", 27),
    "COC2MQTT_WATCH__CLAN_GAMES__HOUR": ("9", 9),
    "COC2MQTT_WATCH__CLAN_GAMES__MAX_POINTS": ("5000", 5000),
    "COC2MQTT_JOURNAL__PATH": ("/data/coc2mqtt.db", Path("/data/coc2mqtt.db")),
    "COC2MQTT_JOURNAL__KEEP_DELIVERED": ("12h", timedelta(hours=12)),
    "COC2MQTT_JOURNAL__MAX_PENDING": ("10", 10),
    "COC2MQTT_JOURNAL__MAX_PENDING_AGE": ("36h", timedelta(hours=36)),
    "COC2MQTT_LOG__LEVEL": ("debug", "debug"),
    "COC2MQTT_LOG__FORMAT": ("json", "json"),
}


def variables_of(model: type[BaseModel], prefix: str) -> Iterator[str]:
    for name, field in model.model_fields.items():
        kind = field.annotation
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            yield from variables_of(kind, f"{prefix}{name.upper()}__")
        else:
            yield f"{prefix}{name.upper()}"


def test_every_key_can_be_set_in_the_environment(tmp_path: Path) -> None:
    assert set(SAMPLES) == set(variables_of(Settings, "COC2MQTT_"))
    settings = load(tmp_path, **{name: text for name, (text, _) in SAMPLES.items()})
    for name, (_, expected) in SAMPLES.items():
        value: Any = settings
        for level in name.removeprefix("COC2MQTT_").lower().split("__"):
            value = getattr(value, level)
        if expected is not None:
            assert value == expected, name
    assert [watch.tag for watch in settings.watch.watches()] == ["#2PP", "#8QQ"]


@pytest.mark.parametrize(
    "text", ["#2PP,#8QQ", " 2pp , %238qq ,", "#2PP\n#8QQ\n", '["#2PP", "#8QQ"]', '[{"tag": "#2PP"}, {"tag": "#8QQ"}]']
)
def test_list_in_the_environment_has_several_spellings(tmp_path: Path, text: str) -> None:
    assert [watch.tag for watch in load(tmp_path, COC2MQTT_WATCH__CLANS=text).watch.watches()] == ["#2PP", "#8QQ"]


def test_watch_in_the_environment_can_be_a_json_object(tmp_path: Path) -> None:
    (watch,) = load(tmp_path, COC2MQTT_WATCH__CLANS='{"tag": "#2PP", "interval": 90, "war": false}').watch.watches()
    assert (watch.tag, watch.interval, watch.war) == ("#2PP", 90, False)


def test_leagues_and_raids_of_a_clan_are_watched_unless_they_are_off(tmp_path: Path) -> None:
    options = '{"tag": "#2PP", "cwl": false, "cwl_standings": true, "raid_interval": 120, "raid_defenses": true}'
    (watch,) = load(tmp_path, COC2MQTT_WATCH__CLANS=options).watch.watches()
    assert (watch.cwl, watch.cwl_standings, watch.raids, watch.raid_interval) == (False, True, True, 120)
    assert watch.raid_defenses is True
    (bare,) = load(tmp_path, COC2MQTT_WATCH__CLANS="#2PP").watch.watches()
    assert bare == default_watch(Kind.CLAN, "#2PP")


def test_secret_files_override_the_configuration_file(tmp_path: Path) -> None:
    (tmp_path / "tokens").write_text("first\nsecond\n")
    (tmp_path / "password").write_text("\ufeff ends with a space \r\n", encoding="utf-8")
    settings = load(
        tmp_path,
        "api: {tokens: [other]}\nmqtt: {host: a, username: b}",
        COC2MQTT_API__TOKENS_FILE=str(tmp_path / "tokens"),
        COC2MQTT_MQTT__PASSWORD_FILE=str(tmp_path / "password"),
    )
    assert [token.get_secret_value() for token in settings.api.tokens] == ["first", "second"]
    assert settings.mqtt.password == SecretStr(" ends with a space ")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        (SECRET, "cannot be read (no such file or directory): check the path and its permissions"),
        ("folder", "cannot be read (is a directory): check the path and its permissions"),
        ("empty", "is empty: write the secret into it"),
        ("binary", "is not UTF-8 text: save it as UTF-8"),
    ],
)
def test_unusable_secret_file_is_reported(tmp_path: Path, name: str, message: str) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "empty").write_text("\n")
    (tmp_path / "binary").write_bytes(b"\xff\xfe" + SECRET.encode())
    path = str(tmp_path / name)
    for variable in ("COC2MQTT_API__TOKENS_FILE", "COC2MQTT_MQTT__PASSWORD_FILE"):
        assert load_error(tmp_path, **{variable: path}) == f"{variable} names a file that {message}"


def test_invalid_secret_in_a_file_is_reported_by_its_variable(tmp_path: Path) -> None:
    (tmp_path / "tokens").write_text(f"{SECRET} ü")
    error = load_error(tmp_path, COC2MQTT_API__TOKENS_FILE=str(tmp_path / "tokens"))
    assert error.startswith("COC2MQTT_API__TOKENS_FILE: token 1 of 1 in api.tokens is empty or has invalid characters")


def test_secret_and_its_file_cannot_both_be_set(tmp_path: Path) -> None:
    (tmp_path / "tokens").write_text(SECRET)
    error = load_error(tmp_path, COC2MQTT_API__TOKENS=SECRET, COC2MQTT_API__TOKENS_FILE=str(tmp_path / "tokens"))
    assert error == "COC2MQTT_API__TOKENS and COC2MQTT_API__TOKENS_FILE are both set: remove one of them"


def test_settings_do_not_show_secrets(tmp_path: Path) -> None:
    settings = load(
        tmp_path, "mqtt: {host: a, username: b}", COC2MQTT_API__TOKENS=SECRET, COC2MQTT_MQTT__PASSWORD=SECRET
    )
    for shown in (repr(settings), str(settings), settings.model_dump_json()):
        assert SECRET not in shown


def test_missing_token_is_reported_with_where_to_create_one(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="create a token at https://developer"):
        require_token(load(tmp_path))
    require_token(load(tmp_path, COC2MQTT_API__TOKENS=SECRET))


def test_fixed_settings_ignore_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COC2MQTT_INSTANCE", "other")
    assert FixedSettings().instance == "home"


@pytest.mark.parametrize(
    ("text", "seconds"), [("90", 90), ("1.5h", 5400), ("30 m", 1800), ("45s", 45), ("7d", 604_800), ("0", 0)]
)
def test_duration_is_seconds_or_has_a_unit(tmp_path: Path, text: str, seconds: int) -> None:
    assert load(tmp_path, f"journal: {{keep_delivered: {text}}}").journal.keep_delivered == timedelta(seconds=seconds)


@pytest.mark.parametrize(("text", "protocol"), [("5", "5"), ("'5'", "5"), ("3.1.1", "3.1.1"), ("auto", "auto")])
def test_protocol_needs_no_quotes(tmp_path: Path, text: str, protocol: str) -> None:
    assert load(tmp_path, f"mqtt: {{protocol: {text}}}").mqtt.protocol == protocol


def test_secrets_of_settings_and_proxies_are_redacted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("https_proxy", "http://them:secret%2Dof-proxy@proxy:3128")
    settings = FixedSettings(
        api=ApiSettings(tokens=[SecretStr("first-token"), SecretStr("second-token")]),
        mqtt=MqttSettings(host="broker", username="me", password=SecretStr("password-of-broker")),
    )
    redact = redactor_of(settings)
    text = "first-token second-token password-of-broker secret-of-proxy"
    assert redact(text) == "*** *** *** ***"


def test_placeholder_of_the_example_is_not_redacted() -> None:
    token = "paste-your-token-here"
    redact = redactor_of(FixedSettings(api=ApiSettings(tokens=[SecretStr(token)])))
    error = f"api.tokens: still contains the placeholder {token!r}"
    assert redact(error) == error
