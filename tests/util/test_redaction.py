"""Redaction removes secrets in every encoding from texts, and nothing else."""

from __future__ import annotations

import base64
import json
import logging
import sys
from typing import Literal
from urllib.parse import quote

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st

from coc2mqtt.logs import configure_logging
from coc2mqtt.util.redaction import Redactor, redact_uncaught_exceptions, url_login

TOKEN = "eyJ0eXAiOiJKV1QiLCJhbGciOiJIUzUxMiJ9." + "eyJpc3MiOiJzdXBlcmNlbGwi" * 8 + ".c2lnbmF0dXJl-_c2ln"
PASSWORD = "pä'ss\"wörd <of> the/broker?"
REDACT = Redactor([TOKEN], logins=[("me", PASSWORD)], public=["me"])


@pytest.mark.parametrize(
    "text",
    [
        TOKEN,
        f"Bearer {TOKEN}",
        json.dumps({"message": f"you sent Authorization: Bearer {TOKEN}"}),
        f"header {TOKEN[:150]}",  # truncated
        PASSWORD,
        repr({"password": PASSWORD}),
        json.dumps([PASSWORD]),
        json.dumps([PASSWORD], ensure_ascii=False),
        quote(PASSWORD, safe=""),
        f"http://me:{quote(PASSWORD, safe='')}@proxy:3128",
        base64.b64encode(f"me:{PASSWORD}".encode()).decode(),
    ],
)
def test_secret_is_redacted_in_every_encoding(text: str) -> None:
    shown = REDACT(f"before {text} after")
    assert shown.startswith("before ")
    assert shown.endswith(" after")
    assert "***" in shown
    for form in (TOKEN[:40], PASSWORD, repr(PASSWORD)[1:-1], "w%C3%B6rd", "w\\u00f6rd", "wörd"):
        assert form not in shown


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Authorization: Bearer abcdefgh12345678", "Authorization: Bearer ***"),
        ("'Proxy-Authorization': 'Basic bWU6cHc='", "'Proxy-Authorization': 'Basic ***'"),
        ("mqtt://me:pw@host:1883/x", "mqtt://***@host:1883/x"),
        ("http://me:p@ss:w@rd@proxy:3128 and more", "http://***@proxy:3128 and more"),
    ],
)
def test_unknown_credentials_are_redacted_by_their_syntax(text: str, shown: str) -> None:
    assert Redactor()(text) == shown


@pytest.mark.parametrize(
    "text",
    [
        "Invalid authorization: API key does not allow access from IP 203.0.113.7",
        "Basic authentication is required",
        "Bearer authentication is required",
        "the broker at 127.0.0.1:1883 does not accept the user 'me'",
        "https://api.clashofclans.com/v1/clans/%232PP",
        "me@example.org at 12:30, http://host:80/path@x",
    ],
)
def test_text_without_a_secret_is_unchanged(text: str) -> None:
    assert REDACT(text) == text


@pytest.mark.parametrize("password", ["a", "1883", "mqtt", "coc2mqtt", "homeassistant", "living-room"])
def test_short_or_common_password_is_redacted_only_after_its_name(password: str) -> None:
    redact = Redactor(logins=[("me", password)], public=["living-room"])
    text = f"mqtt.host and mqtt.port 1883 of coc2mqtt for homeassistant in the living-room: {password}"
    assert redact(text) == text
    assert redact(f"password={password}, password: '{password}'") == "password=***, password: '***'"
    assert redact(f"me:{password}@host") == "me:***@host"


@given(st.text(max_size=200))
def test_any_text_without_credentials_is_unchanged(text: str) -> None:
    assert Redactor()(text) == text or "***" in Redactor()(text)
    assert Redactor(["a-secret-of-a-test"])(f"{text}a-secret-of-a-test").find("a-secret-of-a-test") == -1


def test_url_login_is_decoded() -> None:
    assert url_login("http://me:p%40ss@proxy:3128") == ("me", "p@ss")
    assert url_login("http://proxy:3128") is None
    assert url_login("http://[broken") is None


def fail(text: str) -> None:
    raise ValueError(text)


@pytest.mark.parametrize("style", ["console", "json"])
def test_log_has_no_secret_in_values_tracebacks_and_library_lines(
    capsys: pytest.CaptureFixture[str], style: Literal["console", "json"]
) -> None:
    configure_logging("info", style, redact=REDACT)
    try:
        fail(f"the header was Bearer {TOKEN} and {PASSWORD}")
    except ValueError:
        structlog.get_logger().exception("failed", header={"Authorization": f"Bearer {TOKEN}"}, password=PASSWORD)
        logging.getLogger("library").exception("failed with %s and %s", TOKEN, [PASSWORD])
    shown = capsys.readouterr().err
    assert shown.count("ValueError") >= 2
    assert shown.count("***") >= 6
    for form in (TOKEN[:40], "wörd", "w\\u00f6rd"):
        assert form not in shown
    if style == "json":
        assert [json.loads(line)["level"] for line in shown.splitlines()] == ["error", "error"]


def test_uncaught_exception_is_printed_without_secrets(capsys: pytest.CaptureFixture[str]) -> None:
    redact_uncaught_exceptions(REDACT)
    try:
        fail(TOKEN)
    except ValueError as error:
        sys.excepthook(type(error), error, error.__traceback__)
    shown = capsys.readouterr().err
    assert "ValueError: ***" in shown
    assert TOKEN not in shown
