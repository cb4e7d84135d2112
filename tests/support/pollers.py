"""Pollers of the scripted API, and changes of what they poll."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson
from aiohttp import web

from coc2mqtt.events.compare.api_state import ApiState, ApiStatus
from coc2mqtt.events.polling.api_monitor import ApiMonitor
from coc2mqtt.events.polling.clan_poller import ClanPoller
from coc2mqtt.events.polling.cwl_poller import CwlPoller
from coc2mqtt.events.polling.player_poller import PlayerPoller
from coc2mqtt.events.polling.poll_context import PollContext
from coc2mqtt.events.polling.raid_poller import RaidPoller
from coc2mqtt.events.polling.war_poller import WarPoller
from coc2mqtt.events.resource import Kind

if TYPE_CHECKING:
    from coc2mqtt.demo.faults import Fault, Handler
    from coc2mqtt.events.polling.poller import Poller
    from coc2mqtt.events.resource import Store
    from tests.events.conftest import Bench

POLLERS: dict[Kind, type[Poller]] = {
    Kind.CLAN: ClanPoller,
    Kind.WAR: WarPoller,
    Kind.CWL: CwlPoller,
    Kind.RAID: RaidPoller,
    Kind.PLAYER: PlayerPoller,
}
KINDS = [Kind.CLAN, Kind.WAR, Kind.PLAYER]


def poller(bench: Bench, kind: Kind = Kind.CLAN, tag: str | None = None, store: Store | None = None) -> Poller:
    """Return a poller as in a new run of the program with two resources, so that one failure is not the API's."""
    tag = tag or (bench.player if kind is Kind.PLAYER else bench.clan)
    store = store or bench.store
    monitor = ApiMonitor(store, now=bench.clock, on_change=lambda _: None, resource_count=lambda: 2)
    monitor._state = ApiState(ApiStatus.OK, bench.clock.now)  # as loaded from the previous run
    context = PollContext(bench.api, store, monitor, bench.clock, bench.clock)
    return POLLERS[kind](context, tag, interval=60)


async def poll_types(subject: Poller) -> list[str]:
    """Poll once and return the types of the events."""
    return [event.event_type.value for event in (await subject.poll()).events]


def responding(body: Any) -> Fault:
    """Return a fault that sends this body as the response to every request."""

    async def fault(_: web.Request, __: Handler) -> web.Response:
        return web.Response(body=orjson.dumps(body), content_type="application/json")

    return fault


def make_change(bench: Bench, kind: Kind) -> str:
    """Change a resource, and return the type of the one event that this causes."""
    if kind is Kind.CLAN:
        return bench.world.gain_points(bench.clan)[0].event_type
    if kind is Kind.PLAYER:
        return bench.world.win_trophies(bench.player)[0].event_type
    return bench.world.attack(bench.clan)[0].event_type
