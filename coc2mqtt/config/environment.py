"""Environment variables of the configuration: detects misspelt names and ignores unrelated ones."""

from __future__ import annotations

import difflib
import re
from typing import TYPE_CHECKING, Any

from coc2mqtt.config.errors import known_keys
from coc2mqtt.config.settings import PREFIX, SECRETS, Settings
from coc2mqtt.util.runtime import LOOP_VARIABLE

if TYPE_CHECKING:
    from collections.abc import Mapping

CONFIG_VARIABLE = f"{PREFIX}CONFIG"
# Variables of the commands that are not settings.
_OTHER_VARIABLES = {CONFIG_VARIABLE, LOOP_VARIABLE}

# Kubernetes sets these in every container if there is a service named coc2mqtt or coc2mqtt-…, Docker if there is a link
# of that name.
_SERVICE = re.compile(
    rf"""{PREFIX}(\w+_)?(
        SERVICE_HOST | SERVICE_PORT(_\w+)?
        | PORT_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR|START|END))?
        | NAME | ENV_\w+
    )""",
    re.VERBOSE,
)
_SERVICE_PORT = re.compile(rf"{PREFIX}(\w+_)?PORT")
_SERVICE_URL = re.compile(r"(tcp|udp|sctp)://")


def find_unknown_variable(environ: Mapping[str, str]) -> str | None:
    """Return an error message for the first variable with our prefix that is not a setting, None if there is none."""
    for name in sorted(environ):
        if not name.upper().startswith(PREFIX) or name in _OTHER_VARIABLES or _is_service(name, environ[name]):
            continue
        message = _check_name(name)
        if message is not None:
            return message
    return None


def _is_service(name: str, value: str) -> bool:
    if "__" in name:
        return False  # only settings have a double underscore
    # COC2MQTT_MQTT_PORT=1883 is a typo, COC2MQTT_MQTT_PORT=tcp://10.0.0.1:1883 is not.
    return bool(_SERVICE.fullmatch(name) or (_SERVICE_PORT.fullmatch(name) and _SERVICE_URL.match(value)))


def _check_name(name: str) -> str | None:
    if name.removesuffix("_FILE") in SECRETS:
        return None
    model: Any = Settings
    for level in name.removeprefix(PREFIX).split("__"):
        field = getattr(model, "model_fields", {}).get(level.lower()) if level.isupper() else None
        if field is None:
            return (
                f"unknown environment variable {name}: remove it or fix the spelling ({PREFIX}<SECTION>__<KEY> in"
                f" capitals, with two underscores), {_hint(name)}"
            )
        model = field.annotation
    if hasattr(model, "model_fields"):
        return f"the environment variable {name} is a whole section: set its keys as {name}__<KEY>"
    return None


def _hint(name: str) -> str:
    known = [PREFIX + key.replace(".", "__").upper() for key in known_keys()]
    similar = difflib.get_close_matches(
        name.upper(), [*known, *(f"{secret}_FILE" for secret in SECRETS)], n=1, cutoff=0.85
    )
    return f"did you mean {similar[0]}?" if similar else "see 'coc2mqtt config schema'"
