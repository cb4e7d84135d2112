"""Load the configuration from a file and variables, or return its error message."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING
from unittest.mock import patch

import pytest

from coc2mqtt.config.loader import ConfigurationError, load_settings

if TYPE_CHECKING:
    from pathlib import Path

    from coc2mqtt.config.settings import Settings

SECRET = "secret-that-nobody-may-see"


def load(folder: Path, text: str | bytes = "", **variables: str) -> Settings:
    """Load a file with this text, with these COC2MQTT_ variables and no others."""
    path = folder / "coc2mqtt.yaml"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    environ = {name: value for name, value in os.environ.items() if not name.upper().startswith("COC2MQTT_")}
    with patch.dict(os.environ, {**environ, **variables}, clear=True):
        return load_settings(path)


def load_error(folder: Path, text: str | bytes = "", **variables: str) -> str:
    """Return the error message of an invalid configuration, with ``FILE`` for the path of the file."""
    with pytest.raises(ConfigurationError) as raised:
        load(folder, text, **variables)
    assert SECRET not in str(raised.value)
    return str(raised.value).replace(str(folder / "coc2mqtt.yaml"), "FILE")
