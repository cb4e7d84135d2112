"""Checks the optional sensors of a clan's members: their values and names, and that they follow the members."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from tests.home.home_assistant import wait_until
from tests.home.mqtt import retained
from tests.home.report import differences

if TYPE_CHECKING:
    from tests.home.report import Report
    from tests.home.setup import Setup

Json = dict[str, Any]

# The sensors are announced one after another, and after the devices.
_TIMEOUT_S = 30.0
# Longer than the bridge needs to announce a sensor again if it did so by mistake.
_QUIET_S = 3.0
_ATTRIBUTES = ("tag", "name", "role", "town_hall", "league", "trophies", "donations", "received")


class _Members:
    """The sensors of the members of both clans in Home Assistant, and those that it should have."""

    def __init__(self, setup: Setup) -> None:
        self._setup = setup
        self._clans = (setup.clan, setup.private_clan)

    def of(self, clan: str) -> list[Json]:
        """Return the members of a clan in the game."""
        body = self._setup.world.clan(clan)
        assert body is not None
        members: list[Json] = body["memberList"]
        return members

    def unique_id(self, clan: str, tag: str) -> str:
        """Return the unique id of the sensor of a member."""
        return f"{self._setup.device(clan)}_member_{tag.removeprefix('#').lower()}"

    async def state(self, clan: str, tag: str) -> Json | None:
        """Return the state of the sensor of a member, None if Home Assistant does not have it."""
        entry = (await self._setup.home.entities()).get(self.unique_id(clan, tag))
        return (await self._setup.home.states()).get(entry["entity_id"]) if entry else None

    async def problems(self, word: str) -> list[str]:
        """Compare all sensors with the game; ``word`` is the first one of their names."""
        home = self._setup.home
        entities, states, devices = await home.entities(), await home.states(), await home.devices()
        problems: list[str] = []
        expected: set[str] = set()
        for clan in self._clans:
            device = devices[self._setup.device(clan)]
            roster = states[entities[f"{self._setup.device(clan)}_roster"]["entity_id"]]
            # Without the attribute while it is unavailable.
            listed = {one["tag"]: one for one in roster["attributes"].get("members", [])}
            for member in self.of(clan):
                unique_id = self.unique_id(clan, member["tag"])
                expected.add(unique_id)
                entry = entities.get(unique_id)
                if entry is None:
                    problems.append(f"{member['name']} {member['tag']} has no sensor")
                    continue
                clan_id, tag_id = (tag.removeprefix("#").lower() for tag in (clan, member["tag"]))
                state = states.get(entry["entity_id"], {"state": None, "attributes": {}})
                attributes = state["attributes"]
                shown = {
                    "entity id": entry["entity_id"],
                    "device": entry["device_id"],
                    "name": attributes.get("friendly_name"),
                    "donations": state["state"],
                    "attributes": {key: attributes.get(key) for key in _ATTRIBUTES},
                    "state class": attributes.get("state_class"),
                }
                wanted = {
                    "entity id": entry["entity_id"] if home.old else f"sensor.clan_{clan_id}_member_{tag_id}",
                    "device": device["id"],
                    "name": f"{device['name']} {word} {member['name']}",
                    "donations": str(member["donations"]),
                    "attributes": listed.get(member["tag"]),
                    "state class": "total_increasing",
                }
                problems += [
                    f"{member['name']}: {key} is {shown[key]}, expected {value}"
                    for key, value in wanted.items()
                    if shown[key] != value
                ]
        problems += [f"{one} is not of a member" for one in entities if "_member_" in one and one not in expected]
        topics = await retained(self._setup.broker.port, "homeassistant/device/+/config")
        announced = sum("_member_" in topic for topic in topics)
        problems += [] if announced == len(expected) else [f"{announced} sensors are announced for {len(expected)}"]
        return problems

    async def wait(self, word: str = "Member") -> list[str]:
        """Wait until all sensors are as in the game; return what is not."""

        async def is_complete() -> bool:
            return not await self.problems(word)

        try:
            await wait_until("the sensors of the members", _TIMEOUT_S, is_complete)
        except TimeoutError:
            return await self.problems(word)
        await asyncio.sleep(_QUIET_S)
        return await self.problems(word)


async def check_members(setup: Setup, report: Report) -> None:
    """Enable the sensors, change the members in every way, and disable the sensors."""
    before = {unique_id: entry["entity_id"] for unique_id, entry in (await setup.home.entities()).items()}
    await setup.configure_home_assistant(member_sensors=True)
    members = _Members(setup)
    problems = await members.wait()
    count = len(members.of(setup.clan)) + len(members.of(setup.private_clan))
    report.check(
        "each member has a sensor in the clan's device, with name, donations and attributes",
        problems,
        f"{count} members of 2 clans",
    )
    await _check_changes(setup, report, members)
    await _check_leaving_unseen(setup, report, members)
    await setup.configure_home_assistant(member_sensors=False)

    async def only_others() -> bool:
        return not any("_member_" in one for one in await setup.home.entities())

    problems = []
    try:
        await wait_until("the end of the members' sensors", _TIMEOUT_S, only_others)
    except TimeoutError as error:
        problems.append(str(error))
    await asyncio.sleep(_QUIET_S)
    after = {unique_id: entry["entity_id"] for unique_id, entry in (await setup.home.entities()).items()}
    problems += differences(before, after)
    topics = await retained(setup.broker.port, "homeassistant/device/+/config")
    problems += [f"{topic} remains" for topic in topics if "_member_" in topic]
    report.check("without the setting, the sensors are removed and all others stay", problems)


async def _check_changes(setup: Setup, report: Report, members: _Members) -> None:
    world, clan = setup.world, setup.clan
    tag = setup.bystander()
    world.donate(clan, tag, 7)
    report.check("a donation changes the sensor", await members.wait(), await _shown(members, clan, tag))
    world.rename_member(clan, tag)
    report.check(
        "a renamed member renames the sensor and keeps its entity id",
        await members.wait(),
        await _shown(members, clan, tag),
    )
    joined = str(world.join(clan)[-1].details["member_tag"])
    report.check("a new member gets a sensor", await members.wait(), await _shown(members, clan, joined))
    world.leave(clan, tag)
    problems = await members.wait()
    problems += [f"{tag} has a state"] if await members.state(clan, tag) else []
    report.check("a member who leaves takes their sensor along", problems, tag)


async def _check_leaving_unseen(setup: Setup, report: Report, members: _Members) -> None:
    """Let members leave while the bridge or Home Assistant is stopped."""
    world, clan = setup.world, setup.clan
    await setup.stop_bridge()
    world.leave(clan, setup.bystander())
    await setup.bridge.start()
    report.check("a member who left while the bridge was stopped has no sensor", await members.wait())
    await setup.home.stop()
    world.leave(clan, setup.bystander())
    await asyncio.sleep(_QUIET_S)
    await setup.home.start(keep=True)
    report.check("a member who left while Home Assistant was stopped has no sensor", await members.wait())


async def _shown(members: _Members, clan: str, tag: str) -> str:
    state = await members.state(clan, tag)
    return f"{state['attributes'].get('friendly_name')}: {state['state']}" if state else "no sensor"


async def names_of_members(setup: Setup, word: str) -> list[str]:
    """Wait for the sensors of all members with the first word of their names in a language; return the problems."""
    return await _Members(setup).wait(word)
