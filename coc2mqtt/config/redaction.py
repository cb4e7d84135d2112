"""Redaction of the secrets in the settings."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.request import getproxies

from coc2mqtt.util.redaction import Redactor, url_login

if TYPE_CHECKING:
    from coc2mqtt.config.settings import Settings

# The token in the example file. It is not a secret, and an error message shows it.
TOKEN_PLACEHOLDER = "paste-your-token-here"  # noqa: S105


def redactor_of(settings: Settings) -> Redactor:
    """Return a redactor for all known secrets: those in the settings, and those of the proxies in the environment."""
    mqtt = settings.mqtt
    password = "" if mqtt.password is None else mqtt.password.get_secret_value()
    urls = [mqtt.host or "", *getproxies().values()]
    return Redactor(
        [token.get_secret_value() for token in settings.api.tokens],
        logins=[(mqtt.username or "", password), *(login for url in urls if (login := url_login(url)) is not None)],
        public=[
            settings.instance,
            mqtt.username or "",
            mqtt.base_topic,
            mqtt.host or "",
            str(settings.journal.path),
            TOKEN_PLACEHOLDER,
        ],
    )
