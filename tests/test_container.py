"""The Dockerfile and the Compose file, as far as they can be checked without building the image."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING

import yaml
from typer.testing import CliRunner

from coc2mqtt.cli.app import app
from coc2mqtt.config.loader import load_settings
from tests.support.paths import ROOT

if TYPE_CHECKING:
    import pytest

# Each instruction on one line.
DOCKERFILE = (ROOT / "Dockerfile").read_text().replace("\\\n", " ")
FINAL = DOCKERFILE[DOCKERFILE.rindex("\nFROM ") :]


def test_container_runs_as_an_unprivileged_user() -> None:
    users = re.findall(r"^USER (\d+):(\d+)$", FINAL, re.MULTILINE)
    assert len(users) == 1
    assert "0" not in users[0]


def test_all_packages_are_installed_with_hashes() -> None:
    installed = re.findall(r"pip install (.*?)(?:&&|$)", DOCKERFILE, re.MULTILINE)
    locks = [found[1] for one in installed if (found := re.fullmatch(r"--require-hashes -r (\S+)\s*", one))]
    assert sorted(locks) == ["requirements/build.lock", "requirements/runtime.lock"]
    # The other package is the wheel of this project.
    assert [one.strip() for one in installed if "--require-hashes" not in one] == ["--no-deps /tmp/wheel/*.whl"]


def test_commands_of_the_container_exist() -> None:
    commands = re.findall(r"(?:CMD|ENTRYPOINT) (\[.*\])", FINAL)
    words = [[word for word in json.loads(command) if word != "coc2mqtt"] for command in commands]
    assert sorted(words) == [[], ["healthcheck"], ["run"]]
    for command in words:
        assert CliRunner().invoke(app, [*command, "--help"]).exit_code == 0


def test_environment_is_valid_and_puts_the_journal_on_the_volume(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("COC2MQTT_CONFIG", raising=False)
    variables = dict(re.findall(r"(COC2MQTT_\w+)=(\S+)", FINAL))
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    (volume,) = re.findall(r"^VOLUME (\S+)$", FINAL, re.MULTILINE)
    assert load_settings(None).journal.path.parent == Path(volume)


def test_copied_files_exist_and_are_not_ignored() -> None:
    ignored = (ROOT / ".dockerignore").read_text().splitlines()
    assert ignored[0] == "*"
    for sources in re.findall(r"^COPY (?!--from)(.*) \S+$", DOCKERFILE, re.MULTILINE):
        for source in sources.split():
            assert (ROOT / source).exists()
            assert f"!{source.split('/')[0]}" in ignored


def test_compose_file_drops_all_privileges_and_its_settings_are_valid(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    compose = yaml.safe_load((ROOT / "config" / "docker-compose.yml").read_text())
    (service,) = compose["services"].values()
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert "ports" not in service
    assert not service.keys() & {"privileged", "user", "cap_add", "network_mode"}
    (volume,) = re.findall(r"^VOLUME (\S+)$", FINAL, re.MULTILINE)
    assert [one.split(":")[1] for one in service["volumes"]] == [volume]
    secret = tmp_path / "secret"
    secret.write_text("hush")
    monkeypatch.delenv("COC2MQTT_CONFIG", raising=False)
    for name, value in service["environment"].items():
        if name.endswith("_FILE"):
            assert value.removeprefix("/run/secrets/") in service["secrets"]
        monkeypatch.setenv(name, str(secret) if name.endswith("_FILE") else value)
    settings = load_settings(None)
    assert [token.get_secret_value() for token in settings.api.tokens] == ["hush"]
    assert [watch.tag for watch in settings.watch.watches()] == ["#2PP"]
