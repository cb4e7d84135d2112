"""Whether all that is announced is there, with its values, names and statistics."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import TYPE_CHECKING

from tests.home.announced import Entity, announced_entities, announcements, reason_for_no_value
from tests.home.home_assistant import until

if TYPE_CHECKING:
    from tests.home.report import Report
    from tests.home.stage import Stage

_ANNOUNCED_WITHIN = 20.0
_VALUES_WITHIN = 10.0
_DEVICES = 5  # the bridge, two clans, two players
_NAME = "Anvil & Söhne"
_OF_THE_LAB = (
    # It has Home Assistant write down more of MQTT than it does by itself, which then finds that much.
    "is logging too frequently",
    # The badges of the scripted game are nowhere to be had.
    "Error getting new image from https://api-assets.clashofclans.com/",
)


async def check_values(stage: Stage, report: Report) -> None:
    """Check that every entity has a value soon after its announcement, or a good reason to have none."""
    port = stage.broker.port

    async def all_devices() -> bool:
        return len(await announcements(port)) >= _DEVICES

    await until("the announcements of all devices", _ANNOUNCED_WITHIN, all_devices)

    async def complete() -> list[Entity]:
        entities = await announced_entities(port, stage.home)
        return [] if any(_lacks_value(stage, entity) for entity in entities) else entities

    seconds: float | None = None
    try:
        entities, seconds = await until("a value of every entity", _VALUES_WITHIN, complete)
    except TimeoutError:
        entities = await announced_entities(port, stage.home)
    wrong = [f"{entity.unique_id} is {entity.state}" for entity in entities if _lacks_value(stage, entity)]
    devices = Counter(payload["device"]["model"] for payload in (await announcements(port)).values())
    found = f"{len(entities)} entities of {' + '.join(f'{n} {model}' for model, n in sorted(devices.items()))}"
    report.check(
        f"every entity has a value within {_VALUES_WITHIN:g} s after the announcement",
        wrong,
        found if seconds is None else f"{found}, after {seconds:.1f} s",
    )
    reasons = Counter(
        f"{entity.key} ({why})" for entity in entities if not entity.has_value and (why := _reason(stage, entity))
    )
    pending = next(one for one in entities if one.unique_id == f"{stage.device(stage.fighter)}_attack_pending")
    report.check("who has attacks left in a war is seen to", [] if pending.state == "on" else [str(pending.state)])
    report.note(f"without a value, for a reason: {', '.join(sorted(reasons)) or 'none'}")


def _reason(stage: Stage, entity: Entity) -> str | None:
    return reason_for_no_value(entity, without_war=stage.private_clan, outside=stage.player)


def _lacks_value(stage: Stage, entity: Entity) -> bool:
    return not entity.has_value and (entity.state != "unknown" or _reason(stage, entity) is None)


async def check_ids(stage: Stage, report: Report) -> None:
    """Check that entities are called as announced, and that Home Assistant has nothing of ours beside them."""
    entities = await announced_entities(stage.broker.port, stage.home)
    registry = await stage.home.entities()
    wrong = [
        f"{entity.unique_id} is {entity.entity_id}, announced as {entity.component['default_entity_id']}"
        for entity in entities
        if entity.entity_id != entity.component["default_entity_id"] and not stage.home.old
    ]
    wrong += [f"{unique_id} is not announced" for unique_id in set(registry) - {one.unique_id for one in entities}]
    devices = await stage.home.devices()
    wrong += [f"device {device} is not announced" for device in set(devices) - {one.device for one in entities}]
    named = "entities are those announced" if stage.home.old else "entity ids are those announced"
    report.check(f"{named}, and there are no others", wrong, f"{len(registry)} in the registry")


async def check_statistics(stage: Stage, report: Report) -> None:
    """Check that each number with a state class is known to the long-term statistics, and none is complained of."""
    entities = [one for one in await announced_entities(stage.broker.port, stage.home) if one.has_value]
    wanted = {str(one.entity_id) for one in entities if "state_class" in one.component}
    known = {row["statistic_id"] for row in await stage.home.ask("recorder/list_statistic_ids")}
    wrong = [f"{entity_id} is not known" for entity_id in sorted(wanted - known)]
    issues = await stage.home.ask("recorder/validate_statistics")
    wrong += [f"{entity_id}: {issue}" for entity_id, issue in issues.items() if entity_id in wanted]
    wrong += [] if wanted else ["no sensor has a state class"]
    report.check("long-term statistics know the numbers", wrong, f"{len(wanted & known)} of {len(wanted)}")


async def check_rename(stage: Stage, report: Report) -> None:
    """Check that a clan's new name renames its device and nothing else."""
    before = {one["id"]: one["entity_id"] for one in (await stage.home.entities()).values()}
    old_name = (await stage.home.devices())[stage.device(stage.clan)]["name"]
    stage.rename_clan(_NAME)

    async def renamed() -> bool:
        return bool((await stage.home.devices())[stage.device(stage.clan)]["name"] == _NAME)

    wrong: list[str] = []
    try:
        await until("the device's new name", 20.0, renamed)
    except TimeoutError as error:
        wrong.append(str(error))
    await asyncio.sleep(1)
    after = {one["id"]: one["entity_id"] for one in (await stage.home.entities()).values()}
    wrong += [
        f"{before.get(key)} became {after.get(key)}" for key in before | after if before.get(key) != after.get(key)
    ]
    stage.rename_clan(old_name)
    report.check("a renamed clan keeps its entity ids", wrong, f"{old_name} became {_NAME}")


def check_log(stage: Stage, report: Report, *, allowed: tuple[str, ...] = ()) -> None:
    """Check that Home Assistant complained of nothing; ``allowed`` are parts of what a restart makes it say."""
    allowed = (*allowed, *_OF_THE_LAB)
    complaints = [one for one in stage.home.complaints() if not any(part in one for part in allowed)]
    report.check("nothing in Home Assistant's log", [one[:600] for one in complaints], f"{len(complaints)} complaints")
