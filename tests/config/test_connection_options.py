"""What of the configuration becomes of the connection to the broker, and what cannot be one or a journal."""

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


def test_every_key_of_tls_arrives() -> None:
    files = dict.fromkeys(("ca_file", "cert_file", "key_file"), SOME_FILE)
    options = connection_options(settings(tls={"enabled": True, **files, "server_name": "a", "verify": True}))
    assert options.tls == TlsOptions(SOME_FILE, SOME_FILE, SOME_FILE, verify=True, server_name="a")


def test_the_way_to_the_broker_arrives() -> None:
    options = connection_options(settings(transport="websockets", path="/ws", keepalive=7))
    assert (options.transport, options.path, options.keepalive) == ("websockets", "/ws", 7)


def test_a_certificate_that_is_not_verified_is_warned_of() -> None:
    with capture_logs() as lines:
        connection_options(settings(tls={"enabled": True, "verify": False}))
    assert [line["log_level"] for line in lines] == ["warning"]
    assert lines[0]["event"] == "broker certificate is not verified"
    assert lines[0]["hint"].endswith("authority that signed it, and mqtt.tls.verify to true")


@pytest.mark.parametrize("password", ['"hush"', "'hush'", " hush", "hush "])
def test_password_with_quotes_or_blanks_around_it_is_warned_of(password: str) -> None:
    with capture_logs() as lines:
        options = connection_options(settings(username="me", password=password))
    assert [line["event"] for line in lines] == ["mqtt.password is enclosed in quotes or spaces"]
    assert options.password is not None
    assert options.password.get_secret_value() == password


@pytest.mark.parametrize("password", ["", "hush", "'", "it's", '"a" "b"'])
def test_other_password_is_not_warned_of(password: str) -> None:
    with capture_logs() as lines:
        connection_options(settings(username="me", password=password))
    assert lines == []


@pytest.mark.parametrize("tls", [{"enabled": True}, {"enabled": False, "verify": False}])
def test_nothing_else_is_warned_of(tls: dict[str, Any]) -> None:
    with capture_logs() as lines:
        connection_options(settings(tls=tls))
    assert lines == []


@pytest.mark.parametrize("host", ["mqtt://192.168.1.10", "192.168.1.10:1883", "broker:8883", "a/b"])
def test_a_host_that_is_more_than_a_name_is_refused_with_where_the_rest_goes(host: str) -> None:
    with pytest.raises(ValidationError, match=r"a host name or an IP address alone, .* put the port into mqtt\.port"):
        settings(host=host)


def test_an_address_of_version_6_is_a_host() -> None:
    assert connection_options(settings(host="fd00::1")).host == "fd00::1"


@pytest.mark.parametrize("key", ["username", "password"])
@pytest.mark.parametrize(
    ("value", "sentence"),
    [("hush\udcff", "must be UTF-8 text: write it in UTF-8"), ("h" * 65_536, "must have at most 65535 bytes")],
    ids=["no UTF-8", "too long"],
)
def test_a_login_that_mqtt_has_no_room_for_is_refused_without_repeating_it(key: str, value: str, sentence: str) -> None:
    with pytest.raises(ValidationError, match=sentence) as refused:
        settings(**{"username": "me", key: value})
    assert all("hush" not in error["msg"] and "hhh" not in error["msg"] for error in refused.value.errors())


@pytest.mark.parametrize(
    ("journal", "sentence"),
    [
        ({"max_pending": 10**20}, "less than or equal to 100000000"),
        ({"path": "a\0b"}, "must not have a NUL character: name a file"),
    ],
)
def test_a_journal_that_cannot_be_is_refused(journal: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ValidationError, match=sentence):
        FixedSettings.model_validate({"journal": journal})
