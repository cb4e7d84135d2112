"""The environment's part of the configuration: which variables are ours, and which only look so."""

from __future__ import annotations

import difflib
import re
from typing import TYPE_CHECKING, Any

from coc2mqtt.config.errors import known_keys
from coc2mqtt.config.settings import PREFIX, SECRETS, Settings
from coc2mqtt.util.event_loop import LOOP_VARIABLE

if TYPE_CHECKING:
    from collections.abc import Mapping

CONFIG_VARIABLE = f"{PREFIX}CONFIG"
# What the commands take from the environment and is not a setting.
_OTHER_VARIABLES = {CONFIG_VARIABLE, LOOP_VARIABLE}

# Kubernetes sets these in every container for a service named coc2mqtt or coc2mqtt-…, Docker for a link of that name.
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


def find_mistake(environ: Mapping[str, str]) -> str | None:
    """Return what is wrong with the names of our variables, None if nothing is: a typo must not go unnoticed."""
    for name in sorted(environ):
        if not name.upper().startswith(PREFIX) or name in _OTHER_VARIABLES or _is_of_a_service(name, environ[name]):
            continue
        mistake = _mistake(name)
        if mistake is not None:
            return mistake
    return None


def _is_of_a_service(name: str, value: str) -> bool:
    if "__" in name:
        return False  # it was meant to be a setting
    # COC2MQTT_MQTT_PORT=1883 is a typo, COC2MQTT_MQTT_PORT=tcp://10.0.0.1:1883 is not.
    return bool(_SERVICE.fullmatch(name) or (_SERVICE_PORT.fullmatch(name) and _SERVICE_URL.match(value)))


def _mistake(name: str) -> str | None:
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
    meant = difflib.get_close_matches(
        name.upper(), [*known, *(f"{secret}_FILE" for secret in SECRETS)], n=1, cutoff=0.85
    )
    return f"did you mean {meant[0]}?" if meant else "see 'coc2mqtt config schema'"
