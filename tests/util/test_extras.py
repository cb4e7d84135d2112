from __future__ import annotations

import shlex
import tomllib

from coc2mqtt.util.extras import install_command
from tests.support.paths import ROOT


def test_install_command_names_what_the_extra_requires() -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    command = shlex.split(install_command("embedded"))
    installed = [word for word in command if word.startswith("amqtt")]
    (declared,) = extras["embedded"]
    # The metadata may have the bounds in another order.
    assert [sorted(word.removeprefix("amqtt").split(",")) for word in installed] == [
        sorted(declared.removeprefix("amqtt").split(","))
    ]


def test_readme_installs_the_embedded_broker_that_it_promises() -> None:
    (line,) = [line for line in (ROOT / "README.md").read_text().splitlines() if "pip install" in line]
    assert "'.[embedded,fast]'" in line
