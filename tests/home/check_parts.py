"""Checks the league and the raid weekend of a clan: entities, events, blueprints, and turning them off and on."""

from __future__ import annotations

import asyncio
import contextlib
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import orjson

from coc2mqtt.demo import ImpossibleError
from tests.home.check_automations import Automations, text_problems
from tests.home.home_assistant import wait_until
from tests.home.mqtt import publish

if TYPE_CHECKING:
    from coc2mqtt.demo.war import SideName
    from tests.home.report import Report
    from tests.home.setup import Setup

# From a change of an end to the end, and the reminders before it.
_END_S, _BEFORE = 25, "-00:00:12"
_TIMEOUT_S = 20.0
_QUIET_S = 3.0


async def check_parts(setup: Setup, report: Report) -> None:
    """Play some rounds and the end of a weekend, and check states, events and automations."""
    report.check("the entities of leagues and raids belong to the clan's device", await _device_problems(setup))
    automations = Automations(setup)
    await _create(setup, automations)
    for name, part in (("a clan war league", _league), ("a raid weekend", _raids)):
        try:
            problems = await part(setup, automations)
        except TimeoutError as error:
            problems = [str(error)]
        await asyncio.sleep(_QUIET_S)
        report.check(
            f"{name}: each state is shown, and each automation acts once",
            problems + automations.problems(),
            "; ".join(filter(None, map(automations.text, automations.expected))),
        )
    try:
        problems = await _turned_off_and_on(setup)
    except TimeoutError as error:
        problems = [str(error)]
    report.check("without leagues and raids, a clan has no entities of them", problems)


async def _device_problems(setup: Setup) -> list[str]:
    devices = await setup.home.devices()
    registry = await setup.home.entities()
    expected = devices[setup.device(setup.clan)]["id"]
    found = {key: one for key, one in _parts(setup, setup.clan, registry).items() if one["device_id"] != expected}
    missing = [] if _parts(setup, setup.clan, registry) else ["there are none"]
    return missing + [f"{key} belongs to another device" for key in found]


def _parts(setup: Setup, clan: str, registry: dict[str, Any]) -> dict[str, Any]:
    """Return the entities of the league and the raids of a clan."""
    prefixes = tuple(f"{setup.device(clan)}_{part}" for part in ("cwl", "raid"))
    return {key: one for key, one in registry.items() if key.startswith(prefixes)}


async def _create(setup: Setup, automations: Automations) -> None:
    devices, entities = await setup.home.devices(), await setup.home.entities()
    clan = devices[setup.device(setup.clan)]["id"]

    def sensor(key: str, tag: str = setup.clan) -> str:
        return str(entities[f"{setup.device(tag)}_{key}"]["entity_id"])

    add = automations.add
    await add("round", "cwl_round_result", clan_device=clan)
    await add("own_lineup", "cwl_lineup_changed", clan_device=clan)
    await add("lineups", "cwl_lineup_changed", clan_device=clan, sides=["clan", "opponent"])
    for kind, end in (("cwl", "cwl_round_end"), ("raid", "raid_end")):
        left = {"attacks_left_sensor": sensor(f"{kind}_attacks_left")}
        await add(f"{kind}_ending", "war_ending", war_end=sensor(end), **left, before=_BEFORE)
    await add("weekend", "raid_ended", clan_device=clan)
    own = {"attacks_left_sensor": sensor("attacks_left", setup.attacker)}
    await add("my_raid", "my_attacks_left", war_end=sensor("raid_end"), **own, before=_BEFORE)


async def _league(setup: Setup, automations: Automations) -> list[str]:
    world, clan = setup.world, setup.clan
    world.change_lineup(clan)
    await automations.wait_for_action("own_lineup", "lineups")
    problems = text_problems(automations, "own_lineup", r".+ replaced .+ with .+ in the line-up of league round 2")
    world.change_lineup(clan, "opponent")
    await automations.wait_for_action("lineups")
    _use_attacks(setup)
    world.end_league_battle(clan)
    await automations.wait_for_action("round")
    problems += text_problems(automations, "round", r"(.+ (won|lost) league round 1|League round 1 of .+) against .+")
    world.start_league_battle(clan)
    world.league_attack(clan, "clan")
    problems += await _wait_for_states(setup, cwl_state="in_war", cwl_round="2", cwl_attacks_left="4")
    standings = (await _state(setup, "cwl_position"))["attributes"]["standings"]
    problems += [] if len(standings) == setup.league_clans else [f"the table has {len(standings)} clans"]
    end = datetime.now(UTC) + timedelta(seconds=_END_S)
    world.shift_league_war(clan, end - _own_war(setup).war.end)
    await automations.wait_for_action("cwl_ending", within=_END_S)
    problems += text_problems(
        automations, "cwl_ending", r".+'s league round against .+ ends in \d+ minutes with 4 attacks left: .+"
    )
    # The automation has acted for this round: a maintenance break that delays its end must not trigger it again.
    world.shift_league_war(clan, timedelta(seconds=_END_S))
    await asyncio.sleep(_END_S)
    _use_attacks(setup)
    world.end_league_battle(clan)
    await automations.wait_for_action("round")
    problems += text_problems(automations, "round", r"(.+ (won|lost) league round 2|League round 2 of .+) against .+")
    event = (await _state(setup, "cwl"))["attributes"]
    return problems + ([] if event["event_type"] == "cwl_round_ended" else [f"the last event is {event['event_type']}"])


async def _raids(setup: Setup, automations: Automations) -> list[str]:
    world, clan = setup.world, setup.clan
    world.raid_attack(clan)
    problems = await _wait_for_states(setup, raid_state="ongoing")
    medals = (await _state(setup, "raid_medals"))["attributes"]
    problems += [] if medals["estimated"] is True else ["the medals are not an estimate"]
    left = (await _state(setup, "raid_attacks_left"))["attributes"]
    problems += [f"the list {key} is empty" for key in ("members", "members_not_started") if not left[key]]
    setup.set_raid_end(datetime.now(UTC) + timedelta(seconds=_END_S))
    await automations.wait_for_action("raid_ending", "my_raid", within=_END_S)
    problems += text_problems(
        automations, "raid_ending", r".+'s raid weekend ends in \d+ minutes with \d+ attacks left: .+; not started: .+"
    )
    problems += text_problems(
        automations, "my_raid", r"You have 5 attacks left with .+\. The raid weekend ends in \d+ minutes\."
    )
    world.end_raids(clan)
    await automations.wait_for_action("weekend")
    problems += text_problems(
        automations, "weekend", r"The raid weekend of .+ is over: .+\. Did not attack: .+\. Attacks left: .+ \(\d\)\."
    )
    problems += await _wait_for_states(setup, raid_state="ended")
    medals = (await _state(setup, "raid_medals"))["attributes"]
    return problems + ([] if medals["estimated"] is False else ["the medals are still an estimate"])


async def _turned_off_and_on(setup: Setup) -> list[str]:
    clan = setup.private_clan

    async def turn(on: bool) -> None:
        request = {"kind": "clan", "tag": clan, "cwl": on, "raids": on}
        await publish(setup.broker.port, "coc/bridge/request/watch", orjson.dumps(request))

        async def done() -> bool:
            return bool(_parts(setup, clan, await setup.home.entities())) is on

        await wait_until(f"the {'addition' if on else 'removal'} of the entities", _TIMEOUT_S, done)

    before = set(_parts(setup, clan, await setup.home.entities()))
    await turn(False)
    problems = [] if setup.device(clan) in await setup.home.devices() else ["the device of the clan is gone"]
    await turn(True)

    async def complete() -> bool:
        return set(_parts(setup, clan, await setup.home.entities())) == before

    await wait_until("all entities of the league and the raids", _TIMEOUT_S, complete)
    return problems


async def _state(setup: Setup, key: str) -> Any:
    entity = (await setup.home.entities())[f"{setup.device(setup.clan)}_{key}"]["entity_id"]
    return (await setup.home.states())[entity]


async def _wait_for_states(setup: Setup, **expected: str) -> list[str]:
    async def shown() -> bool:
        return all([(await _state(setup, key))["state"] == state for key, state in expected.items()])

    try:
        await wait_until(f"the states {expected}", _TIMEOUT_S, shown)
    except TimeoutError as error:
        return [f"{error}: {[(await _state(setup, key))['state'] for key in expected]}"]
    return []


def _use_attacks(setup: Setup) -> None:
    """Use all attacks in the battle, so that its result is final at its end."""
    sides: tuple[SideName, ...] = ("clan", "opponent")
    for side in sides:
        with contextlib.suppress(ImpossibleError):
            while True:
                setup.world.league_attack(setup.clan, side)


def _own_war(setup: Setup) -> Any:
    league = setup.world._leagues.league(setup.clan)
    assert league is not None
    return next(one for one in league.wars_of(setup.clan) if one.war.state == "inWar")
