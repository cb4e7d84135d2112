"""Whether each blueprint, as a real automation, acts exactly once for what it is for, and for nothing else."""

from __future__ import annotations

import asyncio
import re
import shutil
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from tests.home.home_assistant import until
from tests.support.paths import ROOT

if TYPE_CHECKING:
    from tests.home.report import Report
    from tests.home.setup import Setup

BLUEPRINTS = ROOT / "config" / "blueprints" / "automation" / "coc2mqtt"

_SOON = 15.0
# Who acts twice does so at once.
_QUIET = 3.0
# Of the war that is declared for this: seconds from its declaration to its battle, and of its battle.
_PREPARATION, _BATTLE, _SHIFT = 30, 20, 25


class Automations:
    """The automations of a run, and how often each must have acted so far."""

    def __init__(self, setup: Setup) -> None:
        self.expected: dict[str, int] = {}
        self._stage = setup

    async def add(self, name: str, blueprint: str, **inputs: Any) -> None:
        """Create one that writes down each time that it acts."""
        action = {
            "action": "system_log.write",
            "data": {"logger": "coc2mqtt.fired", "level": "warning", "message": name + "={{ summary }}"},
        }
        await self._stage.home.add_automation(name, blueprint, {**inputs, "actions": [action]})
        self.expected[name] = 0

    async def acted(self, *names: str, within: float = _SOON) -> None:
        """Wait until each of these has acted once more, at the latest after so many seconds."""
        for name in names:
            self.expected[name] += 1

        async def done() -> bool:
            counts = self.counts()
            return all(counts[name] >= self.expected[name] for name in names)

        await until(f"{' and '.join(names)} acting", within, done)

    def begin_anew(self) -> None:
        """Take what was done so far as what had to be done."""
        self.expected = self.counts()

    def counts(self) -> dict[str, int]:
        """Return how often each has acted."""
        fired = [one.automation for one in self._stage.home.fired()]
        return {name: fired.count(name) for name in self.expected}

    def problems(self) -> list[str]:
        """Return what acted more or less often than it must."""
        counts = self.counts()
        return [
            f"{name} acted {counts[name]} times, must {times} times"
            for name, times in self.expected.items()
            if counts[name] != times
        ]

    def text(self, name: str) -> str:
        """Return what an automation said last."""
        return next((one.text for one in reversed(self._stage.home.fired()) if one.automation == name), "")


def install_blueprints(setup: Setup) -> None:
    """Put our blueprints where a user puts them."""
    shutil.copytree(BLUEPRINTS, setup.home.config / "blueprints" / "automation" / "coc2mqtt", dirs_exist_ok=True)


async def check_blueprints(setup: Setup, report: Report) -> Automations:
    """Load each blueprint as automations, let happen what they are for, and count."""
    install_blueprints(setup)
    listed = await setup.home.ask("blueprint/list", domain="automation")
    ours = {path: entry for path, entry in listed.items() if path.startswith("coc2mqtt/")}
    wrong = [f"{path}: {entry['error']}" for path, entry in ours.items() if "error" in entry]
    report.check("Home Assistant takes all blueprints", wrong, f"{len(ours)} of {len(list(BLUEPRINTS.glob('*.yaml')))}")
    automations = Automations(setup)
    await _create(setup, automations)
    wrong = []
    for part in (_members, _default, _upgrades, _maintenance, _wars):
        try:
            wrong += await part(setup, automations)
        except TimeoutError as error:
            wrong.append(str(error))
    await asyncio.sleep(_QUIET)
    report.check(
        "each automation acted exactly once for each happening, and for no other",
        wrong + automations.problems(),
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
    await automations.acted("members")
    setup.world.leave(setup.clan)
    await automations.acted("members", "left_only")
    setup.world.promote(setup.clan)
    await automations.acted("promotion", "any_role")
    said = _unlike(automations, "promotion", r".+ of .+ was promoted to .+")
    setup.world.demote(setup.clan)
    await automations.acted("any_role")
    return said + _unlike(automations, "members", r".+ left .+")


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
        await automations.acted("upgrades", *(("halls_and_heroes",) if more else ()))
    return _unlike(automations, "halls_and_heroes", r".+ upgraded the builder hall to level \d+")


async def _maintenance(setup: Setup, automations: Automations) -> list[str]:
    setup.world.start_maintenance()
    await automations.acted("both")
    setup.world.end_maintenance()
    await automations.acted("over", "both")
    return _unlike(automations, "over", r"Clash of Clans maintenance ended after \d+ seconds?")


async def _wars(setup: Setup, automations: Automations) -> list[str]:
    world, clan = setup.world, setup.clan
    await _end_war(setup, automations)
    wrong = _unlike(automations, "result", r".+ (won|lost|tied) its war against .+")
    world.declare_war(clan, timedelta(seconds=_PREPARATION), timedelta(seconds=_BATTLE))
    await automations.acted("declared")
    wrong += _unlike(automations, "declared", r".+ is at war with .+")
    await automations.acted("starting", within=_PREPARATION)
    wrong += _unlike(automations, "starting", r".+'s war against .+ starts in \d+ minutes")
    # It has spoken of this war: neither a restart nor another start changes that.
    await setup.restart_home()
    world.shift_war(clan, timedelta(seconds=_SHIFT))
    await asyncio.sleep(_SHIFT - 5)
    world.start_battle(clan)
    world.attack(clan, "clan")
    await automations.acted("ending", within=_BATTLE + _SHIFT)
    wrong += _unlike(automations, "ending", r".+'s war against .+ ends in \d+ minutes with 19 attacks left: .+ \(2\).*")
    for _ in range(19):
        world.attack(clan, "clan")
    await asyncio.sleep(12)
    await _end_war(setup, automations)
    return wrong


async def _end_war(setup: Setup, automations: Automations) -> None:
    setup.world.end_war(setup.clan)
    await asyncio.sleep(3)
    # With the next answer that shows no war, the result is final.
    setup.world.clear_war(setup.clan)
    await automations.acted("result")


async def _default(setup: Setup, _: Automations) -> list[str]:
    """Return what is wrong with what an automation does that was told nothing: a notification for each happening."""
    notes = await setup.home.ask("persistent_notification/get")
    messages = [note["message"] for note in notes if note["title"] == "Clash of Clans"]
    verbs = sorted(verb for message in messages for verb in ("joined", "left") if f" {verb} " in message)
    return [] if verbs == ["joined", "left"] else [f"notifications in Home Assistant: {messages}"]


def _unlike(automations: Automations, name: str, pattern: str) -> list[str]:
    said = automations.text(name)
    return [] if re.fullmatch(pattern, said) else [f"{name} said: {said!r}"]
