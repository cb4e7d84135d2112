"""Checks that everything is the same after restarts in every order."""

from __future__ import annotations

import asyncio
import itertools
from typing import TYPE_CHECKING, Any

from tests.home.discovered import discovered_entities
from tests.home.home_assistant import wait_until
from tests.home.mqtt import publish

if TYPE_CHECKING:
    from tests.home.check_automations import Automations
    from tests.home.report import Report
    from tests.home.setup import Setup

_RECOVERY_TIMEOUT_S = 60.0
_QUIET_S = 2.0
# The state of an event entity if Home Assistant stopped without a broker; it is not a new event.
_NO_EVENT = "unknown"


async def check_restarts(setup: Setup, report: Report, automations: Automations) -> None:
    """Restart each program alone, then all of them in each order."""
    actions = setup.restarts | {"Home Assistant's MQTT integration": setup.home.reload_mqtt}
    automations.reset_counts()
    before = await _snapshot(setup)
    for order in [*itertools.permutations(actions, 1), *itertools.permutations(setup.restarts)]:
        for name in order:
            await actions[name]()
        problems, seconds = await _wait_for_entities(setup)
        await asyncio.sleep(_QUIET_S)
        problems += _differences(before, await _snapshot(setup)) + automations.problems()
        report.check(f"restarted: {', '.join(order)}", problems, f"all available after {seconds:.1f} s")
    setup.world.join(setup.clan)
    problems = []
    try:
        await automations.wait_for_action("members")
    except TimeoutError as error:
        problems.append(str(error))
    await asyncio.sleep(_QUIET_S)
    after = await _snapshot(setup)
    activity = (await setup.home.entities())[f"{setup.device(setup.clan)}_activity"]["entity_id"]
    changed = [
        event for event, state in after["events"].items() if state not in (before["events"].get(event), _NO_EVENT)
    ]
    problems += [] if changed == [activity] else [f"event entities with a new event: {changed}"]
    report.check("a later event is shown once", problems + automations.problems())


async def check_unwatch_while_stopped(setup: Setup, report: Report) -> None:
    """Stop watching while Home Assistant is stopped, and check that it removes the device after its start."""
    bare = setup.private_clan.removeprefix("#")
    await setup.home.stop()
    await publish(setup.broker.port, "coc/bridge/request/unwatch", setup.private_clan.encode())
    await asyncio.sleep(_QUIET_S)
    await setup.home.start(keep=True)

    async def is_removed() -> bool:
        return not any(bare in one for one in [*await setup.home.devices(), *await setup.home.entities()])

    problems = []
    try:
        await wait_until(f"the end of {setup.private_clan}", _RECOVERY_TIMEOUT_S, is_removed)
    except TimeoutError as error:
        problems.append(str(error))
    report.check("a watch removed while Home Assistant was stopped has no device", problems)


async def _wait_for_entities(setup: Setup) -> tuple[list[str], float]:
    async def missing() -> list[str]:
        entities = await discovered_entities(setup.broker.port, setup.home)
        lost = [
            one
            for one in entities
            if not one.is_disabled and (one.state is None or (one.state == "unavailable" and not one.needs_value))
        ]
        return [f"{one.unique_id} is {one.state}" for one in lost] if entities else ["nothing was discovered"]

    async def complete() -> bool:
        return not await missing()

    try:
        _, seconds = await wait_until("every entity available", _RECOVERY_TIMEOUT_S, complete, pause=0.5)
    except TimeoutError:
        return await missing(), _RECOVERY_TIMEOUT_S
    return [], seconds


async def _snapshot(setup: Setup) -> dict[str, dict[str, Any]]:
    """Return what no restart may change: entities, devices, and the last time of each event entity."""
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
        if old.get(key) != after[part].get(key) and not (part == "events" and after[part].get(key) == _NO_EVENT)
    ]
