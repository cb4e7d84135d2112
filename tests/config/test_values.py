"""Alternative spellings of values, and environment variables that are not settings."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from coc2mqtt.config.loader import ConfigurationError, load_settings, require_token
from tests.support.configuration import SECRET, load, load_error

if TYPE_CHECKING:
    from pathlib import Path

    from coc2mqtt.config.settings import Settings

# The variables that Kubernetes and Docker set for a service or a link named coc2mqtt.
SERVICE_VARIABLES = {
    "COC2MQTT_SERVICE_HOST": "10.0.0.1",
    "COC2MQTT_SERVICE_PORT": "1883",
    "COC2MQTT_SERVICE_PORT_MQTT": "1883",
    "COC2MQTT_PORT": "tcp://10.0.0.1:1883",
    "COC2MQTT_NAME": "/home/coc2mqtt",
    "COC2MQTT_ENV_PYTHON_VERSION": "3.13",
    "COC2MQTT_PORT_1883_TCP_START": "tcp://10.0.0.1:1883",
    "COC2MQTT_WEB_SERVICE_HOST": "10.0.0.1",
    "COC2MQTT_WEB_PORT": "udp://10.0.0.1:53",
    **{
        f"COC2MQTT_PORT_1883_{protocol}{part}": "x"
        for protocol in ("TCP", "UDP", "SCTP")
        for part in ("", "_PROTO", "_PORT", "_ADDR")
    },
}


def tokens(settings: Settings) -> list[str]:
    return [token.get_secret_value() for token in settings.api.tokens]


def test_variables_of_kubernetes_and_docker_are_ignored(tmp_path: Path) -> None:
    assert load(tmp_path, **SERVICE_VARIABLES) == load(tmp_path)


@pytest.mark.parametrize(
    "name",
    [
        *("COC2MQTT_SERVICE_HOSTS", "COC2MQTT_PORT_1883_TCPX", "COC2MQTT_PORT_X_TCP", "COC2MQTT_PORT_1883"),
        *("COC2MQTT_PORT", "COC2MQTT_MQTT_PORT", "COC2MQTT_MQTT_HOST", "COC2MQTT_MQTT__SERVICE_HOST", "COC2MQTT_ENV"),
    ],
)
def test_variable_that_resembles_a_service_is_rejected(tmp_path: Path, name: str) -> None:
    assert load_error(tmp_path, **{name: "1883"}).startswith(f"unknown environment variable {name}: remove it or fix")


def test_misspelt_variable_is_reported_with_a_similar_one(tmp_path: Path) -> None:
    assert "did you mean COC2MQTT_MQTT__PORT?" in load_error(tmp_path, COC2MQTT_MQTT_PORT="1883")
    assert "did you mean COC2MQTT_API__TOKENS_FILE?" in load_error(tmp_path, COC2MQTT_API_TOKENS_FILE="a")


@pytest.mark.parametrize(
    "text", ['"a"', "'a'", "Bearer a", "bearer  a", '"Bearer a"', 'Bearer "a"', " a\n", "a\r\n", "\u201ca\u201d", "\ta"]
)
def test_quotes_spaces_and_bearer_around_a_token_are_removed(tmp_path: Path, text: str) -> None:
    (tmp_path / "token").write_bytes(text.encode())
    for settings in (
        load(tmp_path, COC2MQTT_API__TOKENS=text),
        load(tmp_path, COC2MQTT_API__TOKENS_FILE=str(tmp_path / "token")),
        load(tmp_path, f"api: {{tokens: [{json.dumps(text)}]}}"),
    ):
        assert tokens(settings) == ["a"]


@pytest.mark.parametrize(
    "text", ['"a", "b"', '"a, b"', "'a','b'", '["a", "b"]', '\'["a", "b"]\'', "Bearer a\nBearer b\n"]
)
def test_quoted_list_of_tokens_is_parsed(tmp_path: Path, text: str) -> None:
    assert tokens(load(tmp_path, COC2MQTT_API__TOKENS=text)) == ["a", "b"]


def test_quotes_around_a_variable_are_removed_except_for_a_password(tmp_path: Path) -> None:
    settings = load(
        tmp_path,
        COC2MQTT_MQTT__HOST='"broker"',
        COC2MQTT_MQTT__PORT="'1884'\r",
        COC2MQTT_MQTT__USERNAME='"me"',
        COC2MQTT_MQTT__PASSWORD='"hush" \r',
        COC2MQTT_LOG__LEVEL=' "debug" ',
        COC2MQTT_WATCH__CLANS='"#2PP,#8QQ"',
    )
    assert (settings.mqtt.host, settings.mqtt.port, settings.mqtt.username) == ("broker", 1884, "me")
    assert settings.mqtt.password is not None
    assert settings.mqtt.password.get_secret_value() == '"hush" '
    assert settings.log.level == "debug"
    assert [watch.tag for watch in settings.watch.watches()] == ["#2PP", "#8QQ"]


def test_placeholder_token_of_the_example_is_rejected(tmp_path: Path) -> None:
    with pytest.raises(
        ConfigurationError, match=r"api\.tokens: still contains the placeholder 'paste-your-token-here'"
    ):
        require_token(load(tmp_path, "api: {tokens: [paste-your-token-here]}"))


@pytest.mark.parametrize(
    ("written", "host"),
    [
        ("'[::1]'", "::1"),
        ("'::1'", "::1"),
        ("' a '", "a"),
        ("fe80::1%eth0", "fe80::1%eth0"),
        ("home_broker", "home_broker"),
    ],
)
def test_brackets_and_spaces_around_a_host_are_removed(tmp_path: Path, written: str, host: str) -> None:
    assert load(tmp_path, f"mqtt: {{host: {written}}}").mqtt.host == host


def test_port_without_a_host_is_that_of_the_embedded_broker(tmp_path: Path) -> None:
    assert load(tmp_path, "mqtt: {port: 1884}").mqtt.port == 1884
    assert load(tmp_path, COC2MQTT_MQTT__PORT="1884").mqtt.port == 1884
    assert load(tmp_path, COC2MQTT_MQTT__HOST="").mqtt.host is None


@pytest.mark.parametrize("key", ["PORT", "USERNAME"])
def test_empty_host_variable_with_another_setting_is_rejected(tmp_path: Path, key: str) -> None:
    message = load_error(tmp_path, COC2MQTT_MQTT__HOST="", **{f"COC2MQTT_MQTT__{key}": "1883"})
    assert message.startswith(f"FILE: mqtt.host: is empty although mqtt.{key.lower()} is set: set the broker")


def test_empty_host_variable_keeps_the_host_of_the_file(tmp_path: Path) -> None:
    assert load(tmp_path, "mqtt: {host: a, port: 1}", COC2MQTT_MQTT__HOST="").mqtt.host == "a"


def test_tilde_in_any_path_is_the_home_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "ca.pem").touch()
    (tmp_path / "token").write_text("a")
    text = "{journal: {path: ~/coc.db}, mqtt: {host: a, tls: {enabled: true, ca_file: ~/ca.pem}}}"
    settings = load(tmp_path, text, COC2MQTT_API__TOKENS_FILE="~/token")
    assert settings.journal.path == tmp_path / "coc.db"
    assert settings.mqtt.tls.ca_file == tmp_path / "ca.pem"
    assert tokens(settings) == ["a"]
    monkeypatch.setenv("COC2MQTT_CONFIG", "~/coc2mqtt.yaml")
    monkeypatch.delenv("COC2MQTT_API__TOKENS", raising=False)
    assert load_settings(None).journal.path == tmp_path / "coc.db"


def test_file_with_byte_order_mark_and_crlf_is_loaded(tmp_path: Path) -> None:
    assert load(tmp_path, b"\xef\xbb\xbfinstance: a\r\nlog: {level: debug}\r\n").instance == "a"


def test_secret_is_not_in_the_message_about_its_file(tmp_path: Path) -> None:
    (tmp_path / "token").write_text(f"{SECRET} {SECRET}")
    message = load_error(tmp_path, COC2MQTT_API__TOKENS_FILE=str(tmp_path / "token"))
    assert message.startswith(
        "COC2MQTT_API__TOKENS_FILE: token 1 of 1 in api.tokens is empty or has invalid characters"
    )
