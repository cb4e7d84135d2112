"""What the Dockerfile promises, as far as it can be seen without building it."""

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


def test_it_runs_as_a_user_without_rights() -> None:
    users = re.findall(r"^USER (\d+):(\d+)$", FINAL, re.MULTILINE)
    assert len(users) == 1
    assert "0" not in users[0]


def test_everything_installed_is_named_with_its_hash() -> None:
    installed = re.findall(r"pip install (.*?)(?:&&|$)", DOCKERFILE, re.MULTILINE)
    locks = [found[1] for one in installed if (found := re.fullmatch(r"--require-hashes -r (\S+)\s*", one))]
    assert sorted(locks) == ["requirements/build.lock", "requirements/runtime.lock"]
    # The rest is the project's own wheel.
    assert [one.strip() for one in installed if "--require-hashes" not in one] == ["--no-deps /tmp/wheel/*.whl"]


def test_its_commands_exist() -> None:
    commands = re.findall(r"(?:CMD|ENTRYPOINT) (\[.*\])", FINAL)
    words = [[word for word in json.loads(command) if word != "coc2mqtt"] for command in commands]
    assert sorted(words) == [[], ["healthcheck"], ["run"]]
    for command in words:
        assert CliRunner().invoke(app, [*command, "--help"]).exit_code == 0


def test_its_variables_are_settings_and_keep_the_journal_on_the_volume(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("COC2MQTT_CONFIG", raising=False)
    variables = dict(re.findall(r"(COC2MQTT_\w+)=(\S+)", FINAL))
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    (volume,) = re.findall(r"^VOLUME (\S+)$", FINAL, re.MULTILINE)
    assert load_settings(None).journal.path.parent == Path(volume)


def test_what_it_copies_is_there_and_not_ignored() -> None:
    ignored = (ROOT / ".dockerignore").read_text().splitlines()
    assert ignored[0] == "*"
    for sources in re.findall(r"^COPY (?!--from)(.*) \S+$", DOCKERFILE, re.MULTILINE):
        for source in sources.split():
            assert (ROOT / source).exists()
            assert f"!{source.split('/')[0]}" in ignored


def test_the_compose_file_takes_every_right_away_and_gives_settings(
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
