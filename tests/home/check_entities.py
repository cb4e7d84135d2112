"""Whether all that is announced is there, with its values, names and statistics."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import TYPE_CHECKING

from tests.home.discovered import Entity, discovered_entities, discovery_payloads, reason_for_no_value
from tests.home.home_assistant import until

if TYPE_CHECKING:
    from tests.home.report import Report
    from tests.home.setup import Setup

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


async def check_values(setup: Setup, report: Report) -> None:
    """Check that every entity has a value soon after its announcement, or a good reason to have none."""
    port = setup.broker.port

    async def all_devices() -> bool:
        return len(await discovery_payloads(port)) >= _DEVICES

    await until("the announcements of all devices", _ANNOUNCED_WITHIN, all_devices)

    async def complete() -> list[Entity]:
        entities = await discovered_entities(port, setup.home)
        return [] if any(_lacks_value(setup, entity) for entity in entities) else entities

    seconds: float | None = None
    try:
        entities, seconds = await until("a value of every entity", _VALUES_WITHIN, complete)
    except TimeoutError:
        entities = await discovered_entities(port, setup.home)
    wrong = [f"{entity.unique_id} is {entity.state}" for entity in entities if _lacks_value(setup, entity)]
    devices = Counter(payload["device"]["model"] for payload in (await discovery_payloads(port)).values())
    found = f"{len(entities)} entities of {' + '.join(f'{n} {model}' for model, n in sorted(devices.items()))}"
    report.check(
        f"every entity has a value within {_VALUES_WITHIN:g} s after the announcement",
        wrong,
        found if seconds is None else f"{found}, after {seconds:.1f} s",
    )
    reasons = Counter(
        f"{entity.key} ({why})" for entity in entities if not entity.has_value and (why := _reason(setup, entity))
    )
    pending = next(one for one in entities if one.unique_id == f"{setup.device(setup.fighter)}_attack_pending")
    report.check("who has attacks left in a war is seen to", [] if pending.state == "on" else [str(pending.state)])
    report.note(f"without a value, for a reason: {', '.join(sorted(reasons)) or 'none'}")


def _reason(setup: Setup, entity: Entity) -> str | None:
    return reason_for_no_value(entity, without_war=setup.private_clan, outside=setup.player)


def _lacks_value(setup: Setup, entity: Entity) -> bool:
    return not entity.has_value and (entity.state != "unknown" or _reason(setup, entity) is None)


async def check_ids(setup: Setup, report: Report) -> None:
    """Check that entities are called as announced, and that Home Assistant has nothing of ours beside them."""
    entities = await discovered_entities(setup.broker.port, setup.home)
    registry = await setup.home.entities()
    wrong = [
        f"{entity.unique_id} is {entity.entity_id}, announced as {entity.component['default_entity_id']}"
        for entity in entities
        if entity.entity_id != entity.component["default_entity_id"] and not setup.home.old
    ]
    wrong += [f"{unique_id} is not announced" for unique_id in set(registry) - {one.unique_id for one in entities}]
    devices = await setup.home.devices()
    wrong += [f"device {device} is not announced" for device in set(devices) - {one.device for one in entities}]
    named = "entities are those announced" if setup.home.old else "entity ids are those announced"
    report.check(f"{named}, and there are no others", wrong, f"{len(registry)} in the registry")


async def check_statistics(setup: Setup, report: Report) -> None:
    """Check that each number with a state class is known to the long-term statistics, and none is complained of."""
    entities = [one for one in await discovered_entities(setup.broker.port, setup.home) if one.has_value]
    wanted = {str(one.entity_id) for one in entities if "state_class" in one.component}
    known = {row["statistic_id"] for row in await setup.home.ask("recorder/list_statistic_ids")}
    wrong = [f"{entity_id} is not known" for entity_id in sorted(wanted - known)]
    issues = await setup.home.ask("recorder/validate_statistics")
    wrong += [f"{entity_id}: {issue}" for entity_id, issue in issues.items() if entity_id in wanted]
    wrong += [] if wanted else ["no sensor has a state class"]
    report.check("long-term statistics know the numbers", wrong, f"{len(wanted & known)} of {len(wanted)}")


async def check_rename(setup: Setup, report: Report) -> None:
    """Check that a clan's new name renames its device and nothing else."""
    before = {one["id"]: one["entity_id"] for one in (await setup.home.entities()).values()}
    old_name = (await setup.home.devices())[setup.device(setup.clan)]["name"]
    setup.rename_clan(_NAME)

    async def renamed() -> bool:
        return bool((await setup.home.devices())[setup.device(setup.clan)]["name"] == _NAME)

    wrong: list[str] = []
    try:
        await until("the device's new name", 20.0, renamed)
    except TimeoutError as error:
        wrong.append(str(error))
    await asyncio.sleep(1)
    after = {one["id"]: one["entity_id"] for one in (await setup.home.entities()).values()}
    wrong += [
        f"{before.get(key)} became {after.get(key)}" for key in before | after if before.get(key) != after.get(key)
    ]
    setup.rename_clan(old_name)
    report.check("a renamed clan keeps its entity ids", wrong, f"{old_name} became {_NAME}")


def check_log(setup: Setup, report: Report, *, allowed: tuple[str, ...] = ()) -> None:
    """Check that Home Assistant complained of nothing; ``allowed`` are parts of what a restart makes it say."""
    allowed = (*allowed, *_OF_THE_LAB)
    complaints = [one for one in setup.home.complaints() if not any(part in one for part in allowed)]
    report.check("nothing in Home Assistant's log", [one[:600] for one in complaints], f"{len(complaints)} complaints")
