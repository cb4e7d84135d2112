"""Checks reminders, clan games, ranked battles, sums of donations, inactive members and the calendar.

Their blueprints must act once, at the right moment and with the right members and sums.
"""

from __future__ import annotations

import asyncio
import contextlib
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson
import yaml

from coc2mqtt.demo import ImpossibleError
from coc2mqtt.events.polling.clan_poller import _SETTLING_S
from coc2mqtt.events.resource import Kind, Resource, Snapshot
from coc2mqtt.journal.sqlite import SqliteJournal
from tests.home.check_automations import Automations, api_time, text_problems
from tests.home.check_leader import moment_problems, soon
from tests.home.discovered import CALENDAR_KEYS
from tests.home.home_assistant import wait_until
from tests.home.mqtt import publish

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.home.report import Report
    from tests.home.setup import Setup

# The shortest time of a reminder, and the war of this test: seconds until its battle, and its duration.
_REMINDER_S, _PREPARATION_S, _BATTLE_S = 60, 5, 60 + 25
_TIMEOUT_S, _QUIET_S, _TOLERANCE_S = 20.0, 3.0, 5.0
# The calendar follows the first polls of the bridge.
_CALENDAR_TIMEOUT_S = 140.0
_INACTIVE_DAYS = 7
_BRIDGE_START_S = 30.0
_WEEKDAYS = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
_NO_VALUE = ("None", "unknown", "unavailable")
_OPTIONS = {
    "reminders": {"war": ["1m"], "cwl": [], "raid": ["1m"], "games": ["1m"]},
    "games": True,
    "inactive_after": f"{_INACTIVE_DAYS}d",
}


async def check_activity(setup: Setup, report: Report, *, quick: bool) -> None:
    """Turn everything on with commands, check the entities and the automations, and turn everything off.

    ``quick`` skips the inactive members, who are reported only some minutes after a start.
    """
    automations = Automations(setup)
    if not quick:
        await _let_days_pass(setup)
    parts = (
        ("entities of the calendar, the clan games and ranked battles have the game's values", _entities),
        ("reminders of a war and a raid weekend name exactly the members with attacks left", _reminders),
        ("the daily summary has the sums of the day and the week, and the top donors", _donations),
        ("each inactive member is reported once and is in the list", _inactive),
        ("without the options, their entities are gone", _turned_off),
    )
    for name, part in parts:
        if quick and part is _inactive:
            report.info(f"Skipped: {name} (takes minutes)")
            continue
        before = dict(automations.expected)
        try:
            problems = await part(setup, automations)
        except TimeoutError as error:
            problems = [str(error)]
        await asyncio.sleep(_QUIET_S)
        acted = [one for one, times in automations.counts().items() if times > before.get(one, 0)]
        report.check(name, problems + automations.problems(), "; ".join(automations.text(one) for one in acted))
        automations.reset_counts()


async def _watch(setup: Setup, kind: str, tag: str, **options: Any) -> None:
    request = orjson.dumps({"kind": kind, "tag": tag, **options})
    await publish(setup.broker.port, "coc/bridge/request/watch", request)


async def _entities(setup: Setup, _: Automations) -> list[str]:
    setup.world.start_ranked_week(setup.player)
    setup.world.ranked_battle(setup.player)
    await _watch(setup, "clan", setup.clan, **_OPTIONS)
    await _watch(setup, "player", setup.player, ranked=True, ranked_interval=1)
    problems = []
    player, clan = setup.device(setup.player), setup.device(setup.clan)
    problems += await _wait_for(setup, {f"{player}_ranked_attacks": "1", f"{clan}_clan_games_state": None})
    problems += await _wait_for(setup, {f"{player}_{key}": None for key in ("ranked_tier", "ranked_week_end")})
    sums = ("donations_today", "donations_week", "inactive_members")
    problems += await _wait_for(setup, {f"{clan}_{key}": None for key in sums})
    attacker = setup.device(setup.attacker)
    own_sums = ("donations_today", "donations_week", "last_seen")
    problems += await _wait_for(setup, {f"{attacker}_{key}": None for key in own_sums})
    bridge = clan.split("_clan_")[0] + "_bridge"
    return problems + await _wait_for(
        setup, {f"{bridge}_{key}": None for key in CALENDAR_KEYS}, within=_CALENDAR_TIMEOUT_S
    )


async def _reminders(setup: Setup, automations: Automations) -> list[str]:
    world, clan = setup.world, setup.clan
    device = (await setup.home.devices())[setup.device(clan)]["id"]
    await automations.add("reminded", "reminder", clan_device=device)
    await automations.add("reminded_in_wars", "reminder", clan_device=device, kinds=["war"])
    await automations.add("reminded_in_raids", "reminder", clan_device=device, kinds=["raid"])
    await automations.add("reminded_in_german", "de/reminder", clan_device=device, kinds=["war"])
    for leave in (world.end_war, world.clear_war):
        with contextlib.suppress(ImpossibleError):
            leave(clan)
    world.declare_war(clan, timedelta(seconds=_PREPARATION_S), timedelta(seconds=_BATTLE_S))
    war = world.current_war(clan)
    assert war is not None
    await asyncio.sleep(max(0.0, (api_time(war["startTime"]) - datetime.now(UTC)).total_seconds()))
    world.start_battle(clan)
    world.attack(clan, "clan")
    end = api_time(war["endTime"])
    await automations.wait_for_action("reminded", "reminded_in_wars", "reminded_in_german", within=_BATTLE_S)
    problems = moment_problems("reminded", end - timedelta(seconds=_REMINDER_S))
    problems += text_problems(
        automations, "reminded_in_german", r"Der Krieg von .+ gegen .+ endet in 1 Minute; noch \d+ Angriffe offen: .+"
    )
    war = world.current_war(clan)
    assert war is not None
    left = {one["name"]: 2 - len(one.get("attacks", ())) for one in war["clan"]["members"]}
    problems += _member_problems(automations, "reminded_in_wars", left, war["opponent"]["name"])
    world.end_war(clan)
    with contextlib.suppress(ImpossibleError):
        world.end_raids(clan)
    world.start_raids(clan, timedelta(days=2))
    world.raid_attack(clan)
    world.raid_attack(clan)
    await asyncio.sleep(_QUIET_S)
    # The API shows whole seconds.
    end = datetime.now(UTC).replace(microsecond=0) + timedelta(seconds=_REMINDER_S + 10)
    setup.set_raid_end(end)
    await automations.wait_for_action("reminded", "reminded_in_raids", within=_REMINDER_S)
    problems += moment_problems("reminded", end - timedelta(seconds=_REMINDER_S))
    problems += text_problems(
        automations,
        "reminded_in_raids",
        r".+'s raid weekend ends in 1 minute; \d+ members have attacks left: .+; not started: .+",
    )
    body, text = world.clan(clan), automations.text("reminded_in_raids")
    assert body is not None
    problems += [f"{one['name']} is missing" for one in body["memberList"] if one["name"] not in text]
    world.end_raids(clan)
    return problems


def _member_problems(automations: Automations, name: str, left: Mapping[str, int], opponent: str) -> list[str]:
    text, attacks = automations.text(name), sum(left.values())
    about, _, members = text.partition(": ")
    ending = f"'s war against {opponent} ends in 1 minute with {attacks} attacks left"
    problems = [] if about.endswith(ending) else [f"the text is {text!r}, expected {ending!r}"]
    expected = sorted(f"{member} ({one})" if one > 1 else member for member, one in left.items() if one)
    found = sorted(members.split(", "))
    return problems + ([] if found == expected else [f"the members are {found}, expected {expected}"])


async def _donations(setup: Setup, automations: Automations) -> list[str]:
    world, clan = setup.world, setup.clan
    before = {key: await _state(setup, clan, key) for key in ("donations_today", "donations_week")}
    given = {one["name"]: one["donations"] for one in before["donations_today"]["attributes"]["members"]}
    body = world.clan(clan)
    assert body is not None
    donors = [one for one in body["memberList"] if one["tag"] != setup.player][-2:]
    for one, amount in zip(donors, (2000, 1500), strict=True):
        world.donate(clan, one["tag"], amount)
        given[one["name"]] = given.get(one["name"], 0) + amount
    today, week = (int(before[key]["state"]) + 3500 for key in ("donations_today", "donations_week"))
    device = setup.device(clan)
    problems = await _wait_for(setup, {f"{device}_donations_today": str(today), f"{device}_donations_week": str(week)})
    at = await soon(setup)
    entities = await setup.home.entities()
    sensors = {f"{name}_sensor": entities[f"{device}_donations_{name}"]["entity_id"] for name in ("today", "week")}
    await automations.add("summary", "donations_summary", at=f"{at:%H:%M:%S}", top=2, **sensors)
    await automations.wait_for_action("summary")
    problems += moment_problems("summary", at)
    top = sorted(given.items(), key=lambda one: -one[1])[:2]
    names = ", ".join(f"{name} ({amount:,})" for name, amount in top)
    others = sum(amount > 0 for amount in given.values()) - 2
    rest = f", {others} {'other' if others == 1 else 'others'}" if others else ""
    expected = f"{body['name']} donated {today:,} troops today and {week:,} this week: {names}{rest}."
    text = automations.text("summary")
    return problems + ([] if text == expected else [f"the text is {text!r}, expected {expected!r}"])


async def _inactive(setup: Setup, automations: Automations) -> list[str]:
    """Check the members who have done nothing since the quiet days; those who donated are not among them."""
    clan = setup.clan
    device = (await setup.home.devices())[setup.device(clan)]["id"]
    sensor = (await setup.home.entities())[f"{setup.device(clan)}_inactive_members"]["entity_id"]
    both = {"clan_device": device, "inactive_sensor": sensor, "weekdays": _WEEKDAYS}
    await automations.add("inactive_member", "inactive_members", **both, send=["member"])
    await automations.wait_for_action("inactive_member", within=_SETTLING_S + _TIMEOUT_S)
    await asyncio.sleep(_QUIET_S)
    body, listed = setup.world.clan(clan), (await setup.home.states())[sensor]["attributes"]["members"]
    assert body is not None
    names = [one["name"] for one in listed]
    automations.expected["inactive_member"] = len(names)
    problems = text_problems(automations, "inactive_member", rf".+ of .+ has been inactive for {_INACTIVE_DAYS} days")
    given = {one["name"] for one in (await _state(setup, clan, "donations_today"))["attributes"]["members"]}
    problems += [f"{name} is inactive, but has donated" for name in names if name in given]
    problems += await _wait_for(setup, {f"{setup.device(clan)}_inactive_members": str(len(names))})
    at = await soon(setup)
    await automations.add("inactive_list", "inactive_members", **both, at=f"{at:%H:%M:%S}", send=["list"])
    await automations.wait_for_action("inactive_list")
    who = f"{len(names)} members of {body['name']} are" if len(names) > 1 else f"1 member of {body['name']} is"
    expected, text = f"{who} inactive: {', '.join(names)}.", automations.text("inactive_list")
    problems += [] if text == expected else [f"the text is {text!r}, expected {expected!r}"]
    return problems + moment_problems("inactive_list", at)


async def _let_days_pass(setup: Setup) -> None:
    """Restart the bridge as if no member had been seen for some days."""
    await setup.stop_bridge()
    resource = Resource(Kind.CLAN, setup.clan)
    path = Path(yaml.safe_load(setup.bridge.config.read_text())["journal"]["path"])
    async with SqliteJournal(path) as journal:
        snapshot = await journal.snapshot(resource)
        assert snapshot is not None
        activity = snapshot.memo["activity"]
        ago = (_INACTIVE_DAYS + 0.1) * 86_400.0
        members = {
            tag: [today, week, seen - ago, inactive]
            for tag, (today, week, seen, inactive) in activity["members"].items()
        }
        memo = {**snapshot.memo, "activity": {**activity, "members": members}}
        await journal.commit(resource, Snapshot(snapshot.data, memo, snapshot.taken_at), [])
    await setup.bridge.start()

    async def is_known() -> bool:
        return str((await _state(setup, setup.clan, "members"))["state"]).isdecimal()

    await wait_until("the clan after the quiet days", _BRIDGE_START_S, is_known)


async def _turned_off(setup: Setup, _: Automations) -> list[str]:
    off = {"games": False, "reminders": False, "inactive_after": False}
    await _watch(setup, "clan", setup.clan, **off)
    await _watch(setup, "player", setup.player, ranked=False)
    prefixes = tuple(
        f"{setup.device(tag)}_{key}"
        for tag, keys in ((setup.clan, ("clan_games", "reminders")), (setup.player, ("ranked",)))
        for key in keys
    )

    async def gone() -> bool:
        return not [one for one in await setup.home.entities() if one.startswith(prefixes)]

    await wait_until("the removal of the entities", _TIMEOUT_S, gone)
    await publish(setup.broker.port, "coc/bridge/request/reset", b"{}")
    await asyncio.sleep(_QUIET_S)
    return []


async def _state(setup: Setup, tag: str, key: str) -> Any:
    entity = (await setup.home.entities())[f"{setup.device(tag)}_{key}"]["entity_id"]
    return (await setup.home.states())[entity]


async def _wait_for(setup: Setup, expected: Mapping[str, str | None], *, within: float = _TIMEOUT_S) -> list[str]:
    """Wait until the entities with these unique ids have these states, None: any value."""
    found: dict[str, str] = {}

    async def shown() -> bool:
        entities, states = await setup.home.entities(), await setup.home.states()
        for key in expected:
            entity = str(entities.get(key, {}).get("entity_id"))
            found[key] = str(states.get(entity, {}).get("state"))
        return all(
            found[key] not in _NO_VALUE if state is None else found[key] == state for key, state in expected.items()
        )

    try:
        await wait_until("the states", within, shown)
    except TimeoutError:
        return [
            f"{key} is {found[key]}, expected {state or 'a value'}"
            for key, state in expected.items()
            if found[key] != state and (state or found[key] in _NO_VALUE)
        ]
    return []
