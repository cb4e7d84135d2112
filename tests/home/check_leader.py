"""Checks the automations of a clan leader: each acts once, at the right moment.

Most are blueprints; one uses a device trigger without a blueprint, as created in Home Assistant's editor.
"""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

import orjson

from coc2mqtt.demo.faults import wrong_address
from tests.home.check_automations import Automations, api_time, text_problems
from tests.home.home_assistant import wait_until
from tests.home.mqtt import publish
from tests.home.setup import SLOW

if TYPE_CHECKING:
    from tests.home.report import Report
    from tests.home.setup import Setup

# The war of this test: seconds until its battle, its duration, and seconds without an attack.
_PREPARATION_S, _BATTLE_S, _IDLE_S = 30, 3600 + 60, 15
_QUIET_S = 3.0
# Members without an event in these days are inactive. The events that the bridge has kept become that old.
_INACTIVE_DAYS = 5
_BRIDGE_START_S = 30.0
_WEEKDAYS = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
_ADDRESS = "203.0.113.7"
# An automation may act this much later than planned.
_TOLERANCE_S = 5.0


async def check_leader(setup: Setup, report: Report) -> None:
    """Create the automations, cause their events, and check when each acts, how often, and its text."""
    automations = Automations(setup)
    await _create(setup, automations)
    parts = (
        ("nobody has attacked yet; my attacks an hour before the end", _attacks),
        ("a member left, without a blueprint", _member_left),
        ("daily donations", _donations),
        ("inactive members", _inactive),
        ("token refused, with the address", _token_refused),
        ("missed while Home Assistant was off", _missed),
        ("war result with score", _result),
    )
    for name, part in parts:
        if setup.home.old and part in (_donations, _inactive, _missed):
            report.info(f"Skipped: {name} (this blueprint requires a newer Home Assistant)")
            continue
        before = dict(automations.expected)
        try:
            problems = await part(setup, automations)
        except TimeoutError as error:
            problems = [str(error)]
        await asyncio.sleep(_QUIET_S)
        acted = [one for one, times in automations.counts().items() if times > before.get(one, 0)]
        report.check(
            f"acts once, at the right moment: {name}",
            problems + automations.problems(),
            "; ".join(automations.text(one) for one in acted),
        )
        automations.reset_counts()
    # Otherwise the poll at the bridge's next start reports the donations of this player, who is polled rarely.
    await publish(setup.broker.port, "coc/bridge/request/poll", setup.attacker.encode())
    await asyncio.sleep(_QUIET_S)


async def _create(setup: Setup, automations: Automations) -> None:
    devices, entities = await setup.home.devices(), await setup.home.entities()
    clan = devices[setup.device(setup.clan)]["id"]
    bridge = next(device["id"] for device in devices.values() if device["model"] == "Bridge")

    def sensor(tag: str, key: str) -> str:
        return str(entities[f"{setup.device(tag)}_{key}"]["entity_id"])

    add = automations.add
    await add(
        "no_attacks",
        "war_no_attacks",
        war_start=sensor(setup.clan, "war_start"),
        attacks_used_sensor=sensor(setup.clan, "attacks_used"),
        after=f"00:00:{_IDLE_S}",
    )
    await add("score", "war_result", clan_device=clan)
    await add("refused", "token_refused", bridge_device=bridge)
    await add("refused_or_restored", "token_refused", bridge_device=bridge, happenings=["api_denied", "api_restored"])
    if not setup.home.old:
        await add("missed", "missed_events", bridge_device=bridge)
    trigger = {
        "trigger": "device",
        "domain": "mqtt",
        "device_id": clan,
        "type": "happened",
        "subtype": "member_left",
    }
    await automations.add_plain("gone", [trigger], "{{ trigger.payload_json.summary }}")


async def _attacks(setup: Setup, automations: Automations) -> list[str]:
    world, clan = setup.world, setup.clan
    world.declare_war(clan, timedelta(seconds=_PREPARATION_S), timedelta(seconds=_BATTLE_S))
    war = world.current_war(clan)
    assert war is not None
    own = str(war["clan"]["members"][-1]["tag"])
    await _watch_own_account(setup, automations, own)
    await asyncio.sleep(max(0.0, (api_time(war["startTime"]) - datetime.now(UTC)).total_seconds()))
    world.start_battle(clan)
    await automations.wait_for_action("no_attacks", within=_IDLE_S + _TOLERANCE_S)
    problems = moment_problems("no_attacks", api_time(war["startTime"]) + timedelta(seconds=_IDLE_S))
    problems += text_problems(
        automations, "no_attacks", r"Nobody in .+ has attacked .+ yet\. The battle started 0 minutes ago\."
    )
    world.attack(clan, "opponent")
    await automations.wait_for_action("my_attacks", within=_BATTLE_S - 3600 + _TOLERANCE_S)
    problems += moment_problems("my_attacks", api_time(war["endTime"]) - timedelta(hours=1))
    await _unwatch(setup, own)
    return problems + text_problems(
        automations, "my_attacks", r"You have 2 attacks left with .+\. The war against .+ ends in 1 hour\."
    )


async def _watch_own_account(setup: Setup, automations: Automations, tag: str) -> None:
    """Watch a member who is in the war, and create the reminder for them."""
    request = {"kind": "player", "tag": tag, "interval": SLOW}
    await publish(setup.broker.port, "coc/bridge/request/watch", orjson.dumps(request))

    async def sensors() -> tuple[str, str] | None:
        entities = await setup.home.entities()
        ids = (f"{setup.device(tag)}_attacks_left", f"{setup.device(setup.clan)}_war_end")
        found = [str(entities[one]["entity_id"]) for one in ids if one in entities]
        return (found[0], found[1]) if len(found) == len(ids) else None

    (attacks_left, war_end), _ = await wait_until(f"the sensors of {tag}", 20, sensors)
    inputs = {"attacks_left_sensor": attacks_left, "war_end": war_end, "before": "-01:00:00"}
    await automations.add("my_attacks", "my_attacks_left", **inputs)


async def _unwatch(setup: Setup, tag: str) -> None:
    """Stop watching a player who is watched only for this test."""
    if tag == setup.attacker:
        return
    await publish(setup.broker.port, "coc/bridge/request/unwatch", orjson.dumps({"kind": "player", "tag": tag}))

    async def is_removed() -> bool:
        return setup.device(tag) not in await setup.home.devices()

    await wait_until(f"the end of the device of {tag}", 20, is_removed)


async def _member_left(setup: Setup, automations: Automations) -> list[str]:
    setup.world.leave(setup.clan, setup.bystander())
    await automations.wait_for_action("gone")
    return text_problems(automations, "gone", r".+ left .+")


async def _donations(setup: Setup, automations: Automations) -> list[str]:
    devices = await setup.home.devices()
    setup.world.donate(setup.clan, setup.attacker, 1200)
    await asyncio.sleep(2)
    at = await soon(setup)
    clan = devices[setup.device(setup.clan)]["id"]
    await automations.add("donations", "donations_digest", clan_device=clan, at=f"{at:%H:%M:%S}")
    await automations.wait_for_action("donations")
    problems = moment_problems("donations", at)
    return problems + text_problems(
        automations, "donations", r".+ donated 1,\d+ troops in the last 24 hours: .+ \(1,2\d\d\).*\."
    )


async def _inactive(setup: Setup, automations: Automations) -> list[str]:
    """Check that the members are listed except the giver and the receiver of a donation after some quiet days."""
    world, clan = setup.world, setup.clan
    roster = (await setup.home.entities())[f"{setup.device(clan)}_roster"]["entity_id"]
    await setup.let_days_pass(_INACTIVE_DAYS)

    async def is_known() -> bool:
        return bool((await setup.home.states())[roster]["state"].isdecimal())

    await wait_until("the roster after the quiet days", _BRIDGE_START_S, is_known)
    world.donate(clan, setup.attacker, 5)
    await asyncio.sleep(2)
    at = await soon(setup)
    inputs = {"roster_sensor": roster, "days": _INACTIVE_DAYS, "at": f"{at:%H:%M:%S}", "weekdays": _WEEKDAYS}
    await automations.add("inactive", "member_inactive", **inputs)
    await automations.wait_for_action("inactive")
    problems = moment_problems("inactive", at)
    problems += text_problems(
        automations, "inactive", rf"\d+ members of .+ were not active for {_INACTIVE_DAYS} days: .+\."
    )
    body = world.clan(clan)
    assert body is not None
    named = automations.text("inactive").split(": ")[-1].rstrip(".").split(", ")
    active = [one["name"] for one in body["memberList"] if one["tag"] == setup.attacker]
    problems += [f"{name} is listed" for name in active if name in named]
    if len(named) != len(body["memberList"]) - 2:
        problems.append(f"{len(named)} of {len(body['memberList'])} members are listed")
    return problems


async def soon(setup: Setup) -> datetime:
    """Return a time in some seconds, in Home Assistant's time zone."""
    zone = ZoneInfo((await setup.home.get("/api/config"))["time_zone"])
    return datetime.now(zone).replace(microsecond=0) + timedelta(seconds=4)


async def _token_refused(setup: Setup, automations: Automations) -> list[str]:
    setup.server.faults.add(wrong_address(_ADDRESS))
    await automations.wait_for_action("refused", "refused_or_restored")
    problems = text_problems(
        automations, "refused", rf"The Clash of Clans API refuses the token, .+ address, {_ADDRESS}\. Create a key .+"
    )
    sensor = await setup.bridge_entity("denied_address")
    state = (await setup.home.states())[sensor]["state"]
    problems += [] if state == _ADDRESS else [f"{sensor} is {state}"]
    setup.server.faults.clear()
    await automations.wait_for_action("refused_or_restored", within=60)
    return problems


async def _missed(setup: Setup, automations: Automations) -> list[str]:
    """Stop Home Assistant, cause events, and start it; then start it again without events."""
    world, clan = setup.world, setup.clan
    world.join(clan)
    await asyncio.sleep(3)
    await setup.home.stop()
    world.leave(clan, setup.bystander())
    world.attack(clan, "clan")
    await asyncio.sleep(5)
    await setup.home.start(keep=True)
    await automations.wait_for_action("missed", within=60)
    problems = text_problems(automations, "missed", r"While Home Assistant was off: / - \d\d:\d\d .+ left .+")
    await setup.restart_home()
    # Longer than the automation waits before it requests the events.
    await asyncio.sleep(15)
    return problems


async def _result(setup: Setup, automations: Automations) -> list[str]:
    setup.world.end_war(setup.clan)
    await asyncio.sleep(3)
    setup.world.clear_war(setup.clan)
    await automations.wait_for_action("score")
    return text_problems(automations, "score", r"(.+ (won|lost) the war|The war of .+) against .+\d.*")


def moment_problems(name: str, planned: datetime) -> list[str]:
    """Return a problem if the automation, which has just acted, is early or late."""
    late = (datetime.now(planned.tzinfo) - planned).total_seconds()
    return [] if 0 <= late <= _TOLERANCE_S else [f"{name} acted {late:.1f} s after {planned:%H:%M:%S}"]
