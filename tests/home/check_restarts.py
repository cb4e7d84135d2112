"""Whether everything is as before after restarts, in every order."""

from __future__ import annotations

import asyncio
import itertools
from typing import TYPE_CHECKING, Any

from tests.home.announced import announced_entities
from tests.home.home_assistant import until
from tests.home.listener import publish

if TYPE_CHECKING:
    from tests.home.check_automations import Automations
    from tests.home.report import Report
    from tests.home.stage import Stage

_BACK_WITHIN = 60.0
_QUIET = 2.0
# What Home Assistant makes of an event entity's last event when it stops without a broker: it is no new one.
_FORGOTTEN = "unknown"


async def check_restarts(stage: Stage, report: Report, automations: Automations) -> None:
    """Restart each of them alone, then all of them in each order."""
    actions = stage.restarts | {"Home Assistant's MQTT integration": stage.home.reload_mqtt}
    automations.begin_anew()
    before = await _picture(stage)
    for order in [*itertools.permutations(actions, 1), *itertools.permutations(stage.restarts)]:
        for name in order:
            await actions[name]()
        wrong, seconds = await _back(stage)
        await asyncio.sleep(_QUIET)
        wrong += _differences(before, await _picture(stage)) + automations.problems()
        report.check(f"restarted: {', '.join(order)}", wrong, f"all there after {seconds:.1f} s")
    stage.world.join(stage.clan)
    wrong = []
    try:
        await automations.acted("members")
    except TimeoutError as error:
        wrong.append(str(error))
    await asyncio.sleep(_QUIET)
    after = await _picture(stage)
    activity = (await stage.home.entities())[f"{stage.device(stage.clan)}_activity"]["entity_id"]
    moved = [
        event for event, state in after["events"].items() if state not in (before["events"].get(event), _FORGOTTEN)
    ]
    wrong += [] if moved == [activity] else [f"event entities that show something new: {moved}"]
    report.check("what happens afterwards is told once", wrong + automations.problems())


async def check_unwatch_while_away(stage: Stage, report: Report) -> None:
    """Stop watching while Home Assistant is off, and check that it has nothing left of it once it is back."""
    bare = stage.private_clan.removeprefix("#")
    await stage.home.stop()
    await publish(stage.broker.port, "coc/bridge/request/unwatch", stage.private_clan.encode())
    await asyncio.sleep(_QUIET)
    await stage.home.start(keep=True)

    async def gone() -> bool:
        return not any(bare in one for one in [*await stage.home.devices(), *await stage.home.entities()])

    wrong = []
    try:
        await until(f"the end of {stage.private_clan}", _BACK_WITHIN, gone)
    except TimeoutError as error:
        wrong.append(str(error))
    report.check("what is no longer watched since Home Assistant was off is gone", wrong)


async def _back(stage: Stage) -> tuple[list[str], float]:
    async def missing() -> list[str]:
        entities = await announced_entities(stage.broker.port, stage.home)
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


async def _picture(stage: Stage) -> dict[str, dict[str, Any]]:
    """Return what no restart may change: who there is, and when each event entity saw its last event."""
    entities, devices, states = await stage.home.entities(), await stage.home.devices(), await stage.home.states()
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
