"""Checks that all discovered entities exist, with their values, names and statistics."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import TYPE_CHECKING

from tests.home.discovered import (
    DISCOVERY_TOPICS,
    Entity,
    discovered_entities,
    discovery_payloads,
    reason_for_no_value,
)
from tests.home.home_assistant import wait_until
from tests.home.mqtt import retained

if TYPE_CHECKING:
    from tests.home.report import Report
    from tests.home.setup import Setup

_DISCOVERY_TIMEOUT_S = 20.0
_VALUES_TIMEOUT_S = 10.0
# The bridge, two players, and two clans, each with its league, raids, reminders and activity.
_PAYLOADS = 13
_NAME = "Anvil & Söhne"
_ALLOWED_IN_LAB = (
    # The lab enables debug logs of MQTT, and Home Assistant warns about their number.
    "is logging too frequently",
    # The badge URLs of the scripted game do not exist.
    "Error getting new image from https://api-assets.clashofclans.com/",
)


async def check_values(setup: Setup, report: Report) -> None:
    """Check that every entity has a value soon after its discovery, or a good reason to have none."""
    port = setup.broker.port

    async def all_devices() -> bool:
        return len(await retained(port, DISCOVERY_TOPICS)) >= _PAYLOADS

    await wait_until("the discovery payloads of all devices", _DISCOVERY_TIMEOUT_S, all_devices)

    async def complete() -> list[Entity]:
        entities = await discovered_entities(port, setup.home)
        return [] if any(_lacks_value(setup, entity) for entity in entities) else entities

    seconds: float | None = None
    try:
        entities, seconds = await wait_until("a value of every entity", _VALUES_TIMEOUT_S, complete)
    except TimeoutError:
        entities = await discovered_entities(port, setup.home)
    problems = [f"{entity.unique_id} is {entity.state}" for entity in entities if _lacks_value(setup, entity)]
    disabled = sum(entity.is_disabled for entity in entities)
    devices = Counter(payload["device"]["model"] for payload in (await discovery_payloads(port)).values())
    found = f"{len(entities)} entities of {' + '.join(f'{n} {model}' for model, n in sorted(devices.items()))}"
    found = f"{found}, {disabled} of them disabled"
    report.check(
        f"every entity has a value within {_VALUES_TIMEOUT_S:g} s after discovery",
        problems,
        found if seconds is None else f"{found}, after {seconds:.1f} s",
    )
    reasons = Counter(
        f"{entity.key} ({why})" for entity in entities if not entity.has_value and (why := _reason(setup, entity))
    )
    pending = next(one for one in entities if one.unique_id == f"{setup.device(setup.attacker)}_attack_pending")
    report.check(
        "the attack-pending sensor of a member with attacks left is on",
        [] if pending.state == "on" else [str(pending.state)],
    )
    report.info(f"without a value, with a reason: {', '.join(sorted(reasons)) or 'none'}")


def _reason(setup: Setup, entity: Entity) -> str | None:
    return reason_for_no_value(entity, without_war=setup.private_clan, unwatched_clan=setup.player)


def _lacks_value(setup: Setup, entity: Entity) -> bool:
    if entity.is_disabled:
        return entity.state is not None
    expected = "unavailable" if entity.needs_value else "unknown"
    return not entity.has_value and (entity.state != expected or _reason(setup, entity) is None)


async def check_ids(setup: Setup, report: Report) -> None:
    """Check the entity ids, and that Home Assistant has no other entities of the bridge."""
    entities = await discovered_entities(setup.broker.port, setup.home)
    registry = await setup.home.entities()
    problems = [
        f"{entity.unique_id} is {entity.entity_id}, expected {entity.component['default_entity_id']}"
        for entity in entities
        if entity.entity_id != entity.component["default_entity_id"] and not setup.home.old
    ]
    problems += [f"{unique_id} was not discovered" for unique_id in set(registry) - {one.unique_id for one in entities}]
    devices = await setup.home.devices()
    problems += [f"device {device} was not discovered" for device in set(devices) - {one.device for one in entities}]
    named = "entities are the discovered ones" if setup.home.old else "entity ids are the discovered ones"
    report.check(f"{named}, and no others exist", problems, f"{len(registry)} in the registry")


async def check_statistics(setup: Setup, report: Report) -> None:
    """Check that every number with a state class has long-term statistics, without issues."""
    entities = [one for one in await discovered_entities(setup.broker.port, setup.home) if one.has_value]
    wanted = {str(one.entity_id) for one in entities if "state_class" in one.component}
    known = {row["statistic_id"] for row in await setup.home.send_command("recorder/list_statistic_ids")}
    problems = [f"{entity_id} has no statistics" for entity_id in sorted(wanted - known)]
    issues = await setup.home.send_command("recorder/validate_statistics")
    problems += [f"{entity_id}: {issue}" for entity_id, issue in issues.items() if entity_id in wanted]
    problems += [] if wanted else ["no sensor has a state class"]
    report.check("all numbers have long-term statistics", problems, f"{len(wanted & known)} of {len(wanted)}")


async def check_rename(setup: Setup, report: Report) -> None:
    """Check that a new name of a clan renames its device and nothing else."""
    before = {one["id"]: one["entity_id"] for one in (await setup.home.entities()).values()}
    old_name = (await setup.home.devices())[setup.device(setup.clan)]["name"]
    setup.rename_clan(_NAME)

    async def renamed() -> bool:
        return bool((await setup.home.devices())[setup.device(setup.clan)]["name"] == _NAME)

    problems: list[str] = []
    try:
        await wait_until("the device's new name", 20.0, renamed)
    except TimeoutError as error:
        problems.append(str(error))
    await asyncio.sleep(1)
    after = {one["id"]: one["entity_id"] for one in (await setup.home.entities()).values()}
    problems += [
        f"{before.get(key)} became {after.get(key)}" for key in before | after if before.get(key) != after.get(key)
    ]
    setup.rename_clan(old_name)
    report.check("a renamed clan keeps its entity ids", problems, f"{old_name} became {_NAME}")


def check_log(setup: Setup, report: Report, *, allowed: tuple[str, ...] = ()) -> None:
    """Check that Home Assistant logged no warnings or errors, except those that contain one of ``allowed``."""
    allowed = (*allowed, *_ALLOWED_IN_LAB)
    warnings = [one for one in setup.home.warnings() if not any(part in one for part in allowed)]
    report.check("no warnings in Home Assistant's log", [one[:600] for one in warnings], f"{len(warnings)} warnings")
