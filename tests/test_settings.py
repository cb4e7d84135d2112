"""The configuration as its user writes it: a file, the environment, files for secrets, and what is said of mistakes."""

from __future__ import annotations

import json
import os
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from pydantic import BaseModel, SecretStr

from coc2mqtt.configuration import ConfigurationError, load_settings, require_token
from coc2mqtt.settings import FixedSettings, Settings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

SOME_FILE = Path(__file__)
SECRET = "secret-that-nobody-may-see"
EMPTY = "is empty: give it a value or remove it; '#' begins a comment in YAML, so put a tag in quotes: \"#2PP\""
NO_SETTING = "is no setting: remove it or mend its spelling, see 'coc2mqtt config schema'"
NO_DURATION = "is no duration: write seconds, or a number with s, m, h or d, such as 7d"


@pytest.fixture(autouse=True)
def _no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in os.environ:
        if name.upper().startswith("COC2MQTT_"):
            monkeypatch.delenv(name)


@pytest.fixture
def load(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Settings]:
    """Load a file with this text and these variables."""

    def do(text: str = "", **variables: str) -> Settings:
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        path = tmp_path / "coc2mqtt.yaml"
        path.write_text(text)
        return load_settings(path)

    return do


@pytest.fixture
def complaint(load: Callable[..., Settings], tmp_path: Path) -> Callable[..., str]:
    """Return what is said of a file and variables that cannot be used, ``FILE`` standing for the file's path."""

    def do(text: str = "", **variables: str) -> str:
        with pytest.raises(ConfigurationError) as raised:
            load(text, **variables)
        assert SECRET not in str(raised.value)
        return str(raised.value).replace(str(tmp_path / "coc2mqtt.yaml"), "FILE")

    return do


def one_clan(**keys: Any) -> str:
    return json.dumps({"watch": {"clans": [{"tag": "#2PP", **keys}]}})


@pytest.mark.parametrize(
    ("text", "said"),
    [
        # no YAML, or not ours
        ("mqtt:\n\thost: a\n", "FILE line 2 is no YAML (a tab: indent with spaces): mind indentation"),
        ("mqtt: {host: a}\nmqtt: {host: b}\n", "FILE line 2 names the key 'mqtt' again: keep one of the two"),
        (f"api:\n  tokens: [a]\n  tokens: [{SECRET}]", "FILE line 3 names the key 'tokens' again: keep one of the two"),
        ("mqtt: {host: a}\n---\nmqtt: {host: b}\n", "FILE line 2 begins a second document: remove the line '---'"),
        (f"mqtt:\n  password: *{SECRET}\n", "FILE line 2 is no YAML: a value that begins with '!', '*' or '&' must be"),
        (f"mqtt:\n  password: !{SECRET}\n", "FILE line 2 is no YAML: a value that begins with '!', '*' or '&' must be"),
        ("mqtt: \x07\n", "FILE is no YAML: it holds characters that YAML does not allow"),
        ("instance: 2026-13-45", "FILE holds a value that looks like a date or a number and is none: put it in quotes"),
        ("instance: !!bool x", "FILE holds a value that looks like a date or a number and is none: put it in quotes"),
        ("instance: !!int ''", "FILE holds a value that looks like a date or a number and is none: put it in quotes"),
        ("instance: " + "[" * 2000, "FILE is no YAML of settings: too many brackets are open in it"),
        (f"mqtt: {{tls: {{ca_file: /{'x' * 300}}}}}", f"FILE: /{'x' * 300} cannot be looked at (file name too long)"),
        ("- a\n- b\n", "FILE holds no settings: it must consist of keys such as 'mqtt:' and their values"),
        ("mqtt", "FILE holds no settings: it must consist of keys such as 'mqtt:' and their values"),
        ("1: 2", "FILE holds no settings: it must consist of keys such as 'mqtt:' and their values"),
        # tags
        ("watch:\n  clans:\n    - tag: #2PP\n", f"FILE: watch.clans[0].tag {EMPTY}"),
        ("watch:\n  clans:\n    - #2PP\n", f"FILE: watch.clans[0].tag {EMPTY}"),
        ("watch:\n  clans:\n    #2PP\n", f"FILE: watch.clans {EMPTY}"),
        ("watch: {maintenance: {probe_tag: }}", "FILE: watch.maintenance.probe_tag is empty: give it a value"),
        ("watch: {clans: [2899]}", "FILE: watch.clans[0].tag is 2899, which YAML does not read as text"),
        ("watch: {players: [{tag: 2899}]}", "FILE: watch.players[0].tag is 2899, which YAML does not read as text"),
        ("watch: {clans: ['#8QQ', '#XYZ']}", "FILE: watch.clans[1].tag '#XYZ' is not a tag: a tag is '#' and three"),
        ("watch: {clans: [{interval: 60}]}", "FILE: watch.clans[0].tag is missing"),
        ("watch: {clans: ['#2PP', {tag: 2pp}]}", "FILE: watch names the clan #2PP twice: keep one of the two"),
        # unknown keys at each depth
        ("mqqt: {}", f"FILE: mqqt {NO_SETTING}"),
        ("mqtt: {hots: a}", f"FILE: mqtt.hots {NO_SETTING}"),
        ("mqtt: {hots: }", f"FILE: mqtt.hots {NO_SETTING}"),
        ("mqtt: {1: a}", f"FILE: mqtt[1] {NO_SETTING}"),
        ("mqtt: {tls: {ca: a}}", f"FILE: mqtt.tls.ca {NO_SETTING}"),
        (one_clan(intervall=60), f"FILE: watch.clans[0].intervall {NO_SETTING}"),
        ("_env_file: /etc/passwd", f"FILE: _env_file {NO_SETTING}"),
        # a wrong type at each depth
        ("instance: 5", "FILE: instance must be text: put it in quotes"),
        ("mqtt: localhost", "FILE: mqtt must hold keys and their values, each on a line of its own below it"),
        ("mqtt:", "FILE: mqtt is empty: give it a value or remove it"),
        ("mqtt: {tls: true}", "FILE: mqtt.tls must hold keys and their values"),
        ("mqtt: {port: many}", "FILE: mqtt.port must be a whole number"),
        ("mqtt: {port: 1883.5}", "FILE: mqtt.port must be a whole number"),
        ("mqtt: {port: true}", "FILE: mqtt.port must be a number"),
        ("mqtt: {tls: {enabled: maybe}}", "FILE: mqtt.tls.enabled must be true or false"),
        ("mqtt: {username: a, password: 12345}", "FILE: mqtt.password must be text: put it in quotes"),
        (f"mqtt: {{username: a, password: [{SECRET}]}}", "FILE: mqtt.password must be text: put it in quotes"),
        ("watch: {clans: 5}", "FILE: watch.clans must be a list"),
        (one_clan(interval="often"), "FILE: watch.clans[0].interval must be a number"),
        (one_clan(interval=True), "FILE: watch.clans[0].interval must be a number"),
        ("journal: {path: }", "FILE: journal.path is empty: give it a value or remove it"),
        ("journal: {path: 5}", "FILE: journal.path must be text: put it in quotes"),
        # values out of bounds
        (one_clan(interval=0.5), "FILE: watch.clans[0].interval must be at least 1"),
        (one_clan(war_interval=0), "FILE: watch.clans[0].war_interval must be at least 1"),
        ("watch: {players: [{tag: '#2PP', interval: .nan}]}", "FILE: watch.players[0].interval must be at most 604800"),
        ("watch: {maintenance: {interval: .inf}}", "FILE: watch.maintenance.interval must be at most 604800"),
        ("mqtt: {port: 70000}", "FILE: mqtt.port must be at most 65535"),
        ("api: {requests_per_second: 0}", "FILE: api.requests_per_second must be more than 0"),
        ("mqtt: {protocol: 4}", "FILE: mqtt.protocol must be 'auto', '5' or '3.1.1'"),
        ("mqtt: {transport: udp}", "FILE: mqtt.transport must be 'tcp' or 'websockets'"),
        ("mqtt: {path: mqtt}", "FILE: mqtt.path 'mqtt' is no path of a URL: write it such as /mqtt"),
        ('mqtt: {path: "/\\r\\nX: y"}', "FILE: mqtt.path '/\\r\\nX: y' is no path of a URL: write it such as /mqtt"),
        ("mqtt: {keepalive: 4}", "FILE: mqtt.keepalive must be at least 5"),
        ("log: {level: loud}", "FILE: log.level must be 'debug', 'info', 'warning' or 'error'"),
        ("journal: {keep_delivered: a week}", f"FILE: journal.keep_delivered 'a week' {NO_DURATION}"),
        ("journal: {keep_delivered: -7}", f"FILE: journal.keep_delivered -7 {NO_DURATION}"),
        ("journal: {keep_delivered: true}", f"FILE: journal.keep_delivered True {NO_DURATION}"),
        ("journal: {keep_delivered: 99999999999d}", f"FILE: journal.keep_delivered '99999999999d' {NO_DURATION}"),
        ("journal: {max_pending: 0}", "FILE: journal.max_pending must be at least 1"),
        ("journal: {max_pending_age: 59s}", "FILE: journal.max_pending_age must be at least 1m"),
        ("instance: two words", "FILE: instance must be 1 to 32 letters, digits, '-' or '_'"),
        ("instance: 'a/+/#'", "FILE: instance must be 1 to 32 letters, digits, '-' or '_'"),
        ("mqtt: {host: ' '}", "FILE: mqtt.host is empty: give it a value or remove it"),
        ("mqtt: {base_topic: 'coc/#'}", "FILE: mqtt.base_topic 'coc/#' has '+', '#' or a control character"),
        ("homeassistant: {discovery_prefix: 'a/+'}", "FILE: homeassistant.discovery_prefix 'a/+' has '+', '#' or"),
        ("mqtt: {base_topic: ''}", "FILE: mqtt.base_topic is empty or longer than 200 characters: name a topic"),
        # what does not go together, and what is not there
        (f"mqtt: {{password: {SECRET}}}", "FILE: mqtt has a password but no username: set mqtt.username"),
        ("mqtt: {tls: {enabled: true, ca_file: /no/ca}}", "FILE: mqtt.tls.ca_file names a file that is not there"),
        ("mqtt: {tls: {enabled: true, cert_file: /}}", "FILE: mqtt.tls.cert_file names a file that is not there"),
        (f"mqtt: {{tls: {{ca_file: {SOME_FILE}}}}}", "FILE: mqtt.tls names files but is not enabled: set"),
        ("mqtt: {tls: {server_name: a}}", "FILE: mqtt.tls has a server_name but is not enabled: set mqtt.tls.enabled"),
        ("mqtt: {tls: {enabled: true, server_name: .a}}", "FILE: mqtt.tls.server_name '.a' is no name of a host:"),
        (f"mqtt: {{tls: {{enabled: true, key_file: {SOME_FILE}}}}}", "FILE: mqtt.tls has a key but no certificate"),
        # the API
        (f"api: {{base_url: 'https://me:{SECRET}@example.org/v1'}}", "FILE: api.base_url must be such as https://api"),
        (f"api: {{base_url: 'https://example.org/v1?key={SECRET}'}}", "FILE: api.base_url must be such as https://api"),
        ("api: {base_url: example.org/v1}", "FILE: api.base_url must be such as https://api"),
        (f"api: {{tokens: [a, '{SECRET} ü']}}", "FILE: token 2 of 2 in api.tokens is empty or holds"),
        (f"api: {{tokens: '[\"{SECRET}\"'}}", "FILE: api.tokens begins like JSON but is none: write it like"),
        (f"api: {{tokens: {{a: {SECRET}}}}}", "FILE: api.tokens must be a list"),
    ],
)  # fmt: skip
def test_a_mistake_in_the_file_is_told_with_its_key_and_what_to_do(
    complaint: Callable[..., str], text: str, said: str
) -> None:
    sentence = complaint(text)
    assert sentence.startswith(said)
    assert "\n" not in sentence


def test_every_mistake_gets_a_line_of_its_own(complaint: Callable[..., str]) -> None:
    said = complaint("mqtt: {port: 0, hots: a}\nlog: {level: loud}\n").splitlines()
    assert [line.split()[1] for line in said] == ["mqtt.port", "mqtt.hots", "log.level"]


@pytest.mark.parametrize(
    ("variables", "said"),
    [
        ({"COC2MQTT_MQTT__PORT": "many"}, "COC2MQTT_MQTT__PORT: mqtt.port must be a whole number"),
        ({"COC2MQTT_MQTT__TLS__VERIFY": "maybe"}, "COC2MQTT_MQTT__TLS__VERIFY: mqtt.tls.verify must be true or false"),
        ({"COC2MQTT_WATCH__CLANS": "#2PP,#XYZ"}, "COC2MQTT_WATCH__CLANS: watch.clans[1].tag '#XYZ' is not a tag"),
        ({"COC2MQTT_WATCH__CLANS": "[#2PP]"}, "COC2MQTT_WATCH__CLANS: watch.clans begins like JSON but is none"),
        ({"COC2MQTT_WATCH__CLANS": '{"tag":"#2PP","x":1}'}, f"COC2MQTT_WATCH__CLANS: watch.clans[0].x {NO_SETTING}"),
        ({"COC2MQTT_API__TOKENS": f'["{SECRET}"'}, "COC2MQTT_API__TOKENS: api.tokens begins like JSON but is none"),
        ({"COC2MQTT_API__TOKENS": f"{SECRET}ü"}, "COC2MQTT_API__TOKENS: token 1 of 1 in api.tokens is empty or holds"),
        ({"COC2MQTT_MQTT__HOTS": "a"}, "the environment variable COC2MQTT_MQTT__HOTS is no setting: write"),
        ({"COC2MQTT_MQTT_HOST": "a"}, "the environment variable COC2MQTT_MQTT_HOST is no setting: write"),
        ({"COC2MQTT_MQTT__HOST__NAME": "a"}, "the environment variable COC2MQTT_MQTT__HOST__NAME is no setting: write"),
        ({"COC2MQTT_MQTT__HOST_FILE": "a"}, "the environment variable COC2MQTT_MQTT__HOST_FILE is no setting: write"),
        ({"coc2mqtt_mqtt__host": "a"}, "the environment variable coc2mqtt_mqtt__host is no setting: write"),
        ({"COC2MQTT_MQTT": "{}"}, "the environment variable COC2MQTT_MQTT is a whole section: set its keys as"),
        ({"COC2MQTT_MQTT__TLS": "{}"}, "the environment variable COC2MQTT_MQTT__TLS is a whole section: set its keys"),
    ],
)
def test_a_mistake_in_the_environment_is_told_with_its_variable(
    complaint: Callable[..., str], variables: dict[str, str], said: str
) -> None:
    sentence = complaint(**variables)
    assert sentence.startswith(said)
    assert "\n" not in sentence


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("missing", "does not exist: name the file with --config or COC2MQTT_CONFIG"),
        ("folder", "cannot be read (is a directory): name a file that this user may read"),
        ("binary", "is no text in UTF-8: save it as such"),
    ],
)
def test_a_file_that_cannot_be_read_is_told(tmp_path: Path, name: str, said: str) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "binary").write_bytes(b"\xff\xfe" + SECRET.encode())
    with pytest.raises(ConfigurationError) as raised:
        load_settings(tmp_path / name)
    assert str(raised.value) == f"{tmp_path / name} {said}"


def test_without_a_file_and_variables_everything_has_its_default() -> None:
    assert load_settings(None).model_dump() == FixedSettings().model_dump()


def test_an_empty_file_is_one_without_wishes(load: Callable[..., Settings]) -> None:
    assert load("# mqtt:\n").model_dump() == FixedSettings().model_dump()


def test_the_variable_names_the_file_and_the_argument_wins_over_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("variable", "argument"):
        (tmp_path / name).write_text(f"instance: {name}")
    monkeypatch.setenv("COC2MQTT_CONFIG", str(tmp_path / "variable"))
    assert load_settings(None).instance == "variable"
    assert load_settings(tmp_path / "argument").instance == "argument"


def test_the_environment_wins_over_the_file_key_by_key(load: Callable[..., Settings]) -> None:
    settings = load("mqtt: {host: a, port: 1}", COC2MQTT_MQTT__HOST="b")
    assert (settings.mqtt.host, settings.mqtt.port) == ("b", 1)


def test_an_empty_variable_is_one_that_is_not_set(load: Callable[..., Settings]) -> None:
    empty = dict.fromkeys(("COC2MQTT_MQTT__HOST", "COC2MQTT_MQTT__PORT", "COC2MQTT_API__TOKENS_FILE"), "")
    settings = load("mqtt: {host: a, port: 1}", **empty)
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
    "COC2MQTT_HOMEASSISTANT__DISCOVERY_PREFIX": ("ha", "ha"),
    "COC2MQTT_HOMEASSISTANT__STATUS_TOPIC": ("ha/status", "ha/status"),
    "COC2MQTT_WATCH__CLANS": ('["#2PP"]', None),
    "COC2MQTT_WATCH__PLAYERS": ("#8QQ", None),
    "COC2MQTT_WATCH__MAXIMUM": ("5", 5),
    "COC2MQTT_WATCH__MAINTENANCE__ENABLED": ("false", False),
    "COC2MQTT_WATCH__MAINTENANCE__INTERVAL": ("10", 10.0),
    "COC2MQTT_WATCH__MAINTENANCE__PROBE_TAG": ("8qq", "#8QQ"),
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


def test_every_key_can_come_from_the_environment(load: Callable[..., Settings]) -> None:
    assert set(SAMPLES) == set(variables_of(Settings, "COC2MQTT_"))
    settings = load(**{name: text for name, (text, _) in SAMPLES.items()})
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
def test_a_list_in_the_environment_has_several_spellings(load: Callable[..., Settings], text: str) -> None:
    assert [watch.tag for watch in load(COC2MQTT_WATCH__CLANS=text).watch.watches()] == ["#2PP", "#8QQ"]


def test_a_watch_in_the_environment_can_be_an_object(load: Callable[..., Settings]) -> None:
    (watch,) = load(COC2MQTT_WATCH__CLANS='{"tag": "#2PP", "interval": 90, "war": false}').watch.watches()
    assert (watch.tag, watch.interval, watch.war) == ("#2PP", 90, False)


def test_secrets_can_come_from_files_and_win_over_the_configuration_file(
    load: Callable[..., Settings], tmp_path: Path
) -> None:
    (tmp_path / "tokens").write_text("first\nsecond\n")
    (tmp_path / "password").write_text("\ufeff ends with a space \r\n", encoding="utf-8")
    settings = load(
        "api: {tokens: [other]}\nmqtt: {host: a, username: b}",
        COC2MQTT_API__TOKENS_FILE=str(tmp_path / "tokens"),
        COC2MQTT_MQTT__PASSWORD_FILE=str(tmp_path / "password"),
    )
    assert [token.get_secret_value() for token in settings.api.tokens] == ["first", "second"]
    assert settings.mqtt.password == SecretStr(" ends with a space ")


@pytest.mark.parametrize(
    ("name", "said"),
    [
        (SECRET, "cannot be read (no such file or directory): check the path and its permissions"),
        ("folder", "cannot be read (is a directory): check the path and its permissions"),
        ("empty", "is empty: write the secret into it"),
        ("binary", "is no text in UTF-8: save it as such"),
    ],
)
def test_a_file_without_its_secret_is_told(complaint: Callable[..., str], tmp_path: Path, name: str, said: str) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "empty").write_text("\n")
    (tmp_path / "binary").write_bytes(b"\xff\xfe" + SECRET.encode())
    path = str(tmp_path / name)
    for variable in ("COC2MQTT_API__TOKENS_FILE", "COC2MQTT_MQTT__PASSWORD_FILE"):
        with pytest.MonkeyPatch.context() as alone:
            alone.setenv(variable, path)
            assert complaint() == f"{variable} names a file that {said}"


def test_what_is_wrong_in_a_secret_file_is_told_with_its_variable(
    complaint: Callable[..., str], tmp_path: Path
) -> None:
    (tmp_path / "tokens").write_text(f"{SECRET} ü")
    said = complaint(COC2MQTT_API__TOKENS_FILE=str(tmp_path / "tokens"))
    assert said.startswith("COC2MQTT_API__TOKENS_FILE: token 1 of 1 in api.tokens is empty or holds characters")


def test_a_secret_and_its_file_are_one_too_many(complaint: Callable[..., str], tmp_path: Path) -> None:
    (tmp_path / "tokens").write_text(SECRET)
    said = complaint(COC2MQTT_API__TOKENS=SECRET, COC2MQTT_API__TOKENS_FILE=str(tmp_path / "tokens"))
    assert said == "COC2MQTT_API__TOKENS and COC2MQTT_API__TOKENS_FILE are both set: keep one of them"


def test_no_secret_shows_in_settings(load: Callable[..., Settings]) -> None:
    settings = load(COC2MQTT_API__TOKENS=SECRET, COC2MQTT_MQTT__USERNAME="a", COC2MQTT_MQTT__PASSWORD=SECRET)
    for shown in (repr(settings), str(settings), settings.model_dump_json()):
        assert SECRET not in shown


def test_without_a_token_it_is_told_where_to_get_one(load: Callable[..., Settings]) -> None:
    with pytest.raises(ConfigurationError, match="create a token at https://developer"):
        require_token(load())
    require_token(load(COC2MQTT_API__TOKENS=SECRET))


def test_fixed_settings_ignore_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COC2MQTT_INSTANCE", "other")
    assert FixedSettings().instance == "home"


@pytest.mark.parametrize(
    ("text", "seconds"), [("90", 90), ("1.5h", 5400), ("30 m", 1800), ("45s", 45), ("7d", 604_800), ("0", 0)]
)
def test_a_duration_is_seconds_or_has_a_unit(load: Callable[..., Settings], text: str, seconds: int) -> None:
    assert load(f"journal: {{keep_delivered: {text}}}").journal.keep_delivered == timedelta(seconds=seconds)


@pytest.mark.parametrize(("text", "protocol"), [("5", "5"), ("'5'", "5"), ("3.1.1", "3.1.1"), ("auto", "auto")])
def test_the_protocol_needs_no_quotes(load: Callable[..., Settings], text: str, protocol: str) -> None:
    assert load(f"mqtt: {{protocol: {text}}}").mqtt.protocol == protocol
