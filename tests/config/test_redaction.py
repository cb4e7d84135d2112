from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import SecretStr

from coc2mqtt.config.redaction import redactor_of
from coc2mqtt.config.settings import ApiSettings, FixedSettings, MqttSettings

if TYPE_CHECKING:
    import pytest


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
