"""The options of the connection to the broker from the settings, and rejected settings of broker and journal."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError
from structlog.testing import capture_logs

from coc2mqtt.clients import connection_options
from coc2mqtt.config.settings import FixedSettings
from coc2mqtt.mqtt.client.options import TlsOptions

SOME_FILE = Path(__file__)


def settings(**mqtt: Any) -> FixedSettings:
    return FixedSettings.model_validate({"mqtt": {"host": "broker", **mqtt}})


def test_tls_settings_are_passed_on() -> None:
    files = dict.fromkeys(("ca_file", "cert_file", "key_file"), SOME_FILE)
    options = connection_options(settings(tls={"enabled": True, **files, "server_name": "a", "verify": True}))
    assert options.tls == TlsOptions(SOME_FILE, SOME_FILE, SOME_FILE, verify=True, server_name="a")


def test_transport_path_and_keepalive_are_passed_on() -> None:
    options = connection_options(settings(transport="websockets", path="/ws", keepalive=7))
    assert (options.transport, options.path, options.keepalive) == ("websockets", "/ws", 7)


def test_unverified_certificate_logs_a_warning() -> None:
    with capture_logs() as lines:
        connection_options(settings(tls={"enabled": True, "verify": False}))
    assert [line["log_level"] for line in lines] == ["warning"]
    assert lines[0]["event"] == "broker certificate is not verified"
    assert lines[0]["hint"].endswith("authority that signed it, and mqtt.tls.verify to true")


@pytest.mark.parametrize("password", ['"hush"', "'hush'", " hush", "hush "])
def test_password_with_quotes_or_spaces_around_it_logs_a_warning(password: str) -> None:
    with capture_logs() as lines:
        options = connection_options(settings(username="me", password=password))
    assert [line["event"] for line in lines] == ["mqtt.password is enclosed in quotes or spaces"]
    assert options.password is not None
    assert options.password.get_secret_value() == password


@pytest.mark.parametrize("password", ["", "hush", "'", "it's", '"a" "b"'])
def test_normal_password_logs_no_warning(password: str) -> None:
    with capture_logs() as lines:
        connection_options(settings(username="me", password=password))
    assert lines == []


@pytest.mark.parametrize("tls", [{"enabled": True}, {"enabled": False, "verify": False}])
def test_verified_or_disabled_tls_logs_no_warning(tls: dict[str, Any]) -> None:
    with capture_logs() as lines:
        connection_options(settings(tls=tls))
    assert lines == []


@pytest.mark.parametrize("host", ["mqtt://192.168.1.10", "192.168.1.10:1883", "broker:8883", "a/b"])
def test_host_with_scheme_port_or_path_is_rejected(host: str) -> None:
    with pytest.raises(ValidationError, match=r"only a host name or an IP address, .* set the port in mqtt\.port"):
        settings(host=host)


def test_ipv6_address_is_a_valid_host() -> None:
    assert connection_options(settings(host="fd00::1")).host == "fd00::1"


@pytest.mark.parametrize("key", ["username", "password"])
@pytest.mark.parametrize(
    ("value", "message"),
    [("hush\udcff", "must be UTF-8 text: write it in UTF-8"), ("h" * 65_536, "must have at most 65535 bytes")],
    ids=["not UTF-8", "too long"],
)
def test_login_that_mqtt_cannot_encode_is_rejected_and_not_shown(key: str, value: str, message: str) -> None:
    with pytest.raises(ValidationError, match=message) as raised:
        settings(**{"username": "me", key: value})
    assert all("hush" not in error["msg"] and "hhh" not in error["msg"] for error in raised.value.errors())


@pytest.mark.parametrize(
    ("journal", "message"),
    [
        ({"max_pending": 10**20}, "less than or equal to 100000000"),
        ({"path": "a\0b"}, "must not contain a NUL character: name a file"),
    ],
)
def test_invalid_journal_settings_are_rejected(journal: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        FixedSettings.model_validate({"journal": journal})
