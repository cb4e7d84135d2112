"""Find the name of a clan or player in snapshots, for events whose own response does not contain it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from coc2mqtt.events.compare.war import war_sides
from coc2mqtt.events.resource import Kind, Resource

if TYPE_CHECKING:
    from coc2mqtt.events.event import Event
    from coc2mqtt.events.resource import Snapshot, Store


async def add_missing_names(
    events: list[Event], *, resource: Resource, snapshot: Snapshot, store: Store
) -> list[Event]:
    """Return the events of a resource, those without a name with the name of its clan or player if it is known.

    ``snapshot`` is the new snapshot, which is not stored yet.
    """
    if all(event.name for event in events):
        return events
    name = await _find_name(resource, snapshot, store)
    return [event if event.name else replace(event, name=name) for event in events]


async def _find_name(resource: Resource, snapshot: Snapshot, store: Store) -> str | None:
    name = _name_in(resource, snapshot)
    if resource.kind is Kind.CLAN and name is None:
        war = Resource(Kind.WAR, resource.tag)
        return _name_in(war, await store.snapshot(war))
    if resource.kind in (Kind.CWL, Kind.RAID):
        # The responses about raids do not contain the clan itself, and without a league group nor do those about it.
        clan = Resource(Kind.CLAN, resource.tag)
        return _name_in(clan, await store.snapshot(clan))
    if resource.kind is Kind.WAR:
        # The clan is polled even if its war log is private, so its name is the latest one. Without a war, or with a
        # private war log, the response about the war has none.
        clan = Resource(Kind.CLAN, resource.tag)
        return _name_in(clan, await store.snapshot(clan)) or name or _name_in(resource, await store.snapshot(resource))
    return name


def _name_in(resource: Resource, snapshot: Snapshot | None) -> str | None:
    data = {} if snapshot is None or snapshot.data is None else snapshot.data
    name = (war_sides(data, resource.tag)[0] if resource.kind is Kind.WAR else data).get("name")
    return name if isinstance(name, str) and name else None
