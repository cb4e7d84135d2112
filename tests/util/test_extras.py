from __future__ import annotations

import shlex
import tomllib

from coc2mqtt.util.extras import install_command
from tests.support.paths import ROOT


def test_install_command_contains_the_packages_of_the_extra() -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    command = shlex.split(install_command("embedded"))
    installed = [word for word in command if word.startswith("amqtt")]
    (declared,) = extras["embedded"]
    # The metadata may list the bounds in another order.
    assert [sorted(word.removeprefix("amqtt").split(",")) for word in installed] == [
        sorted(declared.removeprefix("amqtt").split(","))
    ]


def test_readme_installs_the_embedded_broker() -> None:
    (line,) = [line for line in (ROOT / "README.md").read_text().splitlines() if "pip install" in line]
    assert "'.[embedded,fast]'" in line
