"""Checks that each blueprint, as a real automation, acts exactly once for its events and for no others."""

from __future__ import annotations

import asyncio
import re
import shutil
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from tests.home.home_assistant import wait_until
from tests.support.paths import ROOT

if TYPE_CHECKING:
    from tests.home.report import Report
    from tests.home.setup import Setup

BLUEPRINTS = ROOT / "config" / "blueprints" / "automation" / "coc2mqtt"

_TIMEOUT_S = 15.0
# In one line, as the test reads it from the log.
_SUMMARY = "{{ summary | replace('\\n', ' / ') }}"
# An automation that acts twice does so at once.
_QUIET_S = 3.0
# The war of this test: seconds until its battle, its duration, and seconds from the shift until the new start.
_PREPARATION_S, _BATTLE_S, _SHIFT_S = 30, 20, 25


class Automations:
    """The automations of a run, and how often each must have acted so far."""

    def __init__(self, setup: Setup) -> None:
        self.expected: dict[str, int] = {}
        self._setup = setup

    async def add(self, name: str, blueprint: str, **inputs: Any) -> None:
        """Create an automation that logs each time it acts."""
        await self._setup.home.add_automation(name, blueprint, {**inputs, "actions": [_log(name, _SUMMARY)]})
        self.expected[name] = 0

    async def add_plain(self, name: str, triggers: list[Any], text: str) -> None:
        """Create an automation without a blueprint; ``text`` is the template of its text."""
        body = {"alias": name, "triggers": triggers, "actions": [_log(name, text)]}
        await self._setup.home.post(f"/api/config/automation/config/{name}", body)
        self.expected[name] = 0

    async def wait_for_action(self, *names: str, within: float = _TIMEOUT_S) -> None:
        """Wait until each of these has acted one more time."""
        for name in names:
            self.expected[name] += 1

        async def done() -> bool:
            counts = self.counts()
            return all(counts[name] >= self.expected[name] for name in names)

        await wait_until(f"{' and '.join(names)} acting", within, done)

    def reset_counts(self) -> None:
        """Accept the current counts as the expected ones."""
        self.expected = self.counts()

    def counts(self) -> dict[str, int]:
        """Return how often each has acted."""
        automation_runs = [one.automation for one in self._setup.home.automation_runs()]
        return {name: automation_runs.count(name) for name in self.expected}

    def problems(self) -> list[str]:
        """Return the automations that acted too often or too rarely."""
        counts = self.counts()
        return [
            f"{name} acted {counts[name]} times, expected {times} times"
            for name, times in self.expected.items()
            if counts[name] != times
        ]

    def text(self, name: str) -> str:
        """Return the last text of an automation."""
        return next((one.text for one in reversed(self._setup.home.automation_runs()) if one.automation == name), "")


def _log(name: str, text: str) -> dict[str, Any]:
    """Return an action that logs a text, from which the test counts the actions."""
    data = {"logger": "coc2mqtt.fired", "level": "warning", "message": f"{name}={text}"}
    return {"action": "system_log.write", "data": data}


def install_blueprints(setup: Setup) -> None:
    """Install the blueprints where a user puts them."""
    shutil.copytree(BLUEPRINTS, setup.home.config / "blueprints" / "automation" / "coc2mqtt", dirs_exist_ok=True)


async def check_blueprints(setup: Setup, report: Report) -> Automations:
    """Create automations from each blueprint, cause their events, and count the actions."""
    install_blueprints(setup)
    listed = await setup.home.send_command("blueprint/list", domain="automation")
    ours = {path: entry for path, entry in listed.items() if path.startswith("coc2mqtt/")}
    problems = [f"{path}: {entry['error']}" for path, entry in ours.items() if "error" in entry]
    report.check(
        "Home Assistant accepts all blueprints", problems, f"{len(ours)} of {len(list(BLUEPRINTS.rglob('*.yaml')))}"
    )
    automations = Automations(setup)
    await _create(setup, automations)
    problems = []
    for part in (_members, _default, _upgrades, _maintenance, _wars):
        try:
            problems += await part(setup, automations)
        except TimeoutError as error:
            problems.append(str(error))
    await asyncio.sleep(_QUIET_S)
    report.check(
        "each automation acted exactly once for each of its events, and for no other",
        problems + automations.problems(),
        f"{sum(automations.counts().values())} times, {len(automations.expected)} automations",
    )
    return automations


async def _create(setup: Setup, automations: Automations) -> None:
    devices, entities = await setup.home.devices(), await setup.home.entities()
    clan, player = (devices[setup.device(tag)]["id"] for tag in (setup.clan, setup.player))
    bridge = next(device["id"] for device in devices.values() if device["model"] == "Bridge")

    def sensor(key: str) -> str:
        return str(entities[f"{setup.device(setup.clan)}_{key}"]["entity_id"])

    add = automations.add
    await add("members", "member_joined_left", clan_device=clan)
    await add("left_only", "member_joined_left", clan_device=clan, happenings=["member_left"])
    await add("promotion", "member_role", clan_device=clan)
    await add("any_role", "member_role", clan_device=clan, directions=["promoted", "demoted"])
    await add("upgrades", "upgrade_finished", player_device=player)
    await add("halls_and_heroes", "upgrade_finished", player_device=player, kinds=["hero", "town_hall", "builder_hall"])
    await add("over", "maintenance", bridge_device=bridge)
    await add("both", "maintenance", bridge_device=bridge, happenings=["maintenance_start", "maintenance_end"])
    await add("declared", "war_declared", clan_device=clan)
    await add("result", "war_result", clan_device=clan)
    await add("no_result", "war_result", clan_device=clan, results=[])
    await add("starting", "war_starting", war_start=sensor("war_start"), before="-00:00:15")
    ending = {"war_end": sensor("war_end"), "attacks_left_sensor": sensor("attacks_left")}
    await add("ending", "war_ending", **ending, before="-00:00:12")
    await add("all_attacked", "war_ending", **ending, before="-00:00:04")
    await setup.home.add_automation("plain", "member_joined_left", {"clan_device": clan})


async def _members(setup: Setup, automations: Automations) -> list[str]:
    setup.world.join(setup.clan)
    await automations.wait_for_action("members")
    setup.world.leave(setup.clan, setup.bystander())
    await automations.wait_for_action("members", "left_only")
    setup.world.promote(setup.clan)
    await automations.wait_for_action("promotion", "any_role")
    problems = text_problems(automations, "promotion", r".+ of .+ was promoted to .+")
    setup.world.demote(setup.clan)
    await automations.wait_for_action("any_role")
    return problems + text_problems(automations, "members", r".+ left .+")


async def _upgrades(setup: Setup, automations: Automations) -> list[str]:
    player = setup.player
    for verb, more in (
        (setup.world.upgrade_troop, False),
        (setup.world.upgrade_hero, True),
        (setup.world.upgrade_spell, False),
        (setup.world.upgrade_equipment, False),
        (setup.world.upgrade_town_hall, True),
        (setup.world.upgrade_builder_hall, True),
    ):
        verb(player)
        await automations.wait_for_action("upgrades", *(("halls_and_heroes",) if more else ()))
    return text_problems(automations, "halls_and_heroes", r".+ upgraded the builder hall from level \d+ to \d+")


async def _maintenance(setup: Setup, automations: Automations) -> list[str]:
    setup.world.start_maintenance()
    await automations.wait_for_action("both")
    setup.world.end_maintenance()
    await automations.wait_for_action("over", "both")
    return text_problems(automations, "over", r"Clash of Clans maintenance ended after \d+ seconds?")


async def _wars(setup: Setup, automations: Automations) -> list[str]:
    world, clan = setup.world, setup.clan
    await _end_war(setup, automations)
    problems = text_problems(automations, "result", r"(.+ (won|lost) the war|The war of .+) against .+")
    world.declare_war(clan, timedelta(seconds=_PREPARATION_S), timedelta(seconds=_BATTLE_S))
    await automations.wait_for_action("declared")
    problems += text_problems(automations, "declared", r".+ was matched against .+")
    await automations.wait_for_action("starting", within=_PREPARATION_S)
    problems += text_problems(automations, "starting", r".+'s war against .+ starts in \d+ minutes")
    # The automation has acted for this war: neither a restart nor a new start time may trigger it again.
    await setup.restart_home()
    war = world.current_war(clan)
    assert war is not None
    # The restart takes longer on a busy machine; the new start must be far enough ahead for another reminder.
    late = datetime.now(UTC) - api_time(war["startTime"])
    world.shift_war(clan, late + timedelta(seconds=_SHIFT_S))
    await asyncio.sleep(_SHIFT_S - 5)
    world.start_battle(clan)
    world.attack(clan, "clan")
    await automations.wait_for_action("ending", within=_BATTLE_S + _SHIFT_S)
    problems += text_problems(
        automations, "ending", r".+'s war against .+ ends in \d+ minutes with 19 attacks left: .+ \(2\).*"
    )
    for _ in range(19):
        world.attack(clan, "clan")
    await asyncio.sleep(12)
    await _end_war(setup, automations)
    return problems


async def _end_war(setup: Setup, automations: Automations) -> None:
    setup.world.end_war(setup.clan)
    await asyncio.sleep(3)
    # The result is final with the next response without a war.
    setup.world.clear_war(setup.clan)
    await automations.wait_for_action("result")


async def _default(setup: Setup, _: Automations) -> list[str]:
    """Return the problems of an automation without inputs: it must create one notification per event."""
    notes = await setup.home.send_command("persistent_notification/get")
    messages = [note["message"] for note in notes if note["title"] == "Clash of Clans"]
    verbs = sorted(verb for message in messages for verb in ("joined", "left") if f" {verb} " in message)
    return [] if verbs == ["joined", "left"] else [f"notifications in Home Assistant: {messages}"]


def api_time(text: str) -> datetime:
    """Return a time of the API, such as ``20261124T120000.000Z``."""
    return datetime.strptime(text.replace("Z", "+0000"), "%Y%m%dT%H%M%S.%f%z")


def text_problems(automations: Automations, name: str, pattern: str) -> list[str]:
    """Return a problem if the last text of an automation does not match the pattern."""
    text = automations.text(name)
    return [] if re.fullmatch(pattern, text) else [f"{name} has an unexpected text: {text!r}"]
