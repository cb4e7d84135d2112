"""The configuration as its user writes it, and what is printed about a mistake in it."""

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
    """Load a file with this text, and an environment with these variables of ours and no others."""
    path = folder / "coc2mqtt.yaml"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    others = {name: value for name, value in os.environ.items() if not name.upper().startswith("COC2MQTT_")}
    with patch.dict(os.environ, {**others, **variables}, clear=True):
        return load_settings(path)


def complaint(folder: Path, text: str | bytes = "", **variables: str) -> str:
    """Return the error message of a configuration that is refused, with ``FILE`` for the file's path."""
    with pytest.raises(ConfigurationError) as raised:
        load(folder, text, **variables)
    assert SECRET not in str(raised.value)
    return str(raised.value).replace(str(folder / "coc2mqtt.yaml"), "FILE")
