"""Whether everything is as before after restarts, in every order."""

from __future__ import annotations

import asyncio
import itertools
from typing import TYPE_CHECKING, Any

from tests.home.discovered import discovered_entities
from tests.home.home_assistant import until
from tests.home.mqtt import publish

if TYPE_CHECKING:
    from tests.home.check_automations import Automations
    from tests.home.report import Report
    from tests.home.setup import Setup

_BACK_WITHIN = 60.0
_QUIET = 2.0
# What Home Assistant makes of an event entity's last event when it stops without a broker: it is no new one.
_FORGOTTEN = "unknown"


async def check_restarts(setup: Setup, report: Report, automations: Automations) -> None:
    """Restart each of them alone, then all of them in each order."""
    actions = setup.restarts | {"Home Assistant's MQTT integration": setup.home.reload_mqtt}
    automations.begin_anew()
    before = await _picture(setup)
    for order in [*itertools.permutations(actions, 1), *itertools.permutations(setup.restarts)]:
        for name in order:
            await actions[name]()
        wrong, seconds = await _back(setup)
        await asyncio.sleep(_QUIET)
        wrong += _differences(before, await _picture(setup)) + automations.problems()
        report.check(f"restarted: {', '.join(order)}", wrong, f"all there after {seconds:.1f} s")
    setup.world.join(setup.clan)
    wrong = []
    try:
        await automations.acted("members")
    except TimeoutError as error:
        wrong.append(str(error))
    await asyncio.sleep(_QUIET)
    after = await _picture(setup)
    activity = (await setup.home.entities())[f"{setup.device(setup.clan)}_activity"]["entity_id"]
    moved = [
        event for event, state in after["events"].items() if state not in (before["events"].get(event), _FORGOTTEN)
    ]
    wrong += [] if moved == [activity] else [f"event entities that show something new: {moved}"]
    report.check("what happens afterwards is told once", wrong + automations.problems())


async def check_unwatch_while_away(setup: Setup, report: Report) -> None:
    """Stop watching while Home Assistant is off, and check that it has nothing left of it once it is back."""
    bare = setup.private_clan.removeprefix("#")
    await setup.home.stop()
    await publish(setup.broker.port, "coc/bridge/request/unwatch", setup.private_clan.encode())
    await asyncio.sleep(_QUIET)
    await setup.home.start(keep=True)

    async def gone() -> bool:
        return not any(bare in one for one in [*await setup.home.devices(), *await setup.home.entities()])

    wrong = []
    try:
        await until(f"the end of {setup.private_clan}", _BACK_WITHIN, gone)
    except TimeoutError as error:
        wrong.append(str(error))
    report.check("what is no longer watched since Home Assistant was off is gone", wrong)


async def _back(setup: Setup) -> tuple[list[str], float]:
    async def missing() -> list[str]:
        entities = await discovered_entities(setup.broker.port, setup.home)
        return [f"{one.unique_id} is {one.state}" for one in entities if one.state in (None, "unavailable")] + (
            [] if entities else ["nothing is announced"]
        )

    async def complete() -> bool:
        return not await missing()

    try:
        _, seconds = await until("every entity available", _BACK_WITHIN, complete, pause=0.5)
    except TimeoutError:
        return await missing(), _BACK_WITHIN
    return [], seconds


async def _picture(setup: Setup) -> dict[str, dict[str, Any]]:
    """Return what no restart may change: who there is, and when each event entity saw its last event."""
    entities, devices, states = await setup.home.entities(), await setup.home.devices(), await setup.home.states()
    return {
        "entities": {unique_id: one["entity_id"] for unique_id, one in entities.items()},
        "devices": {identifier: device["id"] for identifier, device in devices.items()},
        "events": {entity_id: one["state"] for entity_id, one in states.items() if entity_id.startswith("event.")},
    }


def _differences(before: dict[str, dict[str, Any]], after: dict[str, dict[str, Any]]) -> list[str]:
    return [
        f"{part}: {key} was {old.get(key)}, is {after[part].get(key)}"
        for part, old in before.items()
        for key in sorted(old.keys() | after[part].keys())
        if old.get(key) != after[part].get(key) and not (part == "events" and after[part].get(key) == _FORGOTTEN)
    ]
