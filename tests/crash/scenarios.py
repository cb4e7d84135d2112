"""What happens while the program dies, and what must have come of it in the end."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

import orjson

from coc2mqtt.demo import World
from coc2mqtt.events.resource import API, Kind, Resource, Snapshot
from coc2mqtt.events.watch import Watch
from coc2mqtt.mqtt.client.session import Message
from coc2mqtt.mqtt.payloads.state import state_payloads
from coc2mqtt.mqtt.topics import Topics
from tests.crash.harness import Bodies, FakeSession, events, retained

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from coc2mqtt.demo import ScriptedChange
    from tests.crash.crash_point import CrashPoint
    from tests.crash.harness import FileBroker, ScriptedApi
    from tests.crash.program import Program

Json = dict[str, Any]

NOON = datetime(2026, 11, 24, 12, 0, 0, tzinfo=UTC)
_TOPICS = Topics()
SIDES: tuple[Literal["clan", "opponent"], ...] = ("clan", "opponent")
_INTERVAL = 3600.0
_IN_THE_MIDDLE = 5


@dataclass(frozen=True)
class Scenario:
    """The API says ``before`` and, once that is known, ``after``; between them lie ``changes``.

    ``first_run`` is what the program does until it dies, over ``lines``. ``watched`` is all that is ever watched, of it
    ``configured`` from the start.
    """

    watched: list[Watch]
    configured: list[Watch]
    before: Bodies
    after: Bodies
    changes: list[ScriptedChange]
    sessions: Callable[[FileBroker], list[FakeSession]]
    first_run: Callable[[Program, ScriptedApi, Scenario, CrashPoint], Awaitable[None]]

    def shown(self, watches: list[Watch], bodies: Bodies) -> dict[str, Json]:
        """Return what the broker must retain of these watches, but for the times."""
        states: dict[str, Json] = {}
        for watch in watches:
            for resource, _ in watch.resources():
                found = state_payloads(resource, Snapshot(bodies[path(resource)]), polled_at=0.0).items()
                states |= {
                    _TOPICS.state(resource.kind, resource.tag, facet): timeless(state.model_dump())
                    for facet, state in found
                }
        return states


def path(resource: Resource) -> str:
    """Return the API's path of a resource."""
    if resource.kind is Kind.PLAYER:
        return f"/players/{resource.tag}"
    return f"/clans/{resource.tag}{'/currentwar' if resource.kind is Kind.WAR else ''}"


def timeless(state: Json) -> Json:
    return {key: value for key, value in state.items() if key not in {"updated_at", "polled_at"}}


def changing(*, breaking: bool = False) -> Scenario:
    """A clan, its war and a player change at once, each by several events; the line may break in the middle."""
    world = _world()
    (clan, *_), (player, *_) = world.clan_tags, world.player_tags
    watches = [Watch(Kind.CLAN, clan, _INTERVAL, war_interval=_INTERVAL), Watch(Kind.PLAYER, player, _INTERVAL)]
    world.declare_war(clan)
    world.start_battle(clan)
    before, known = _bodies(world, watches), len(world.changes)
    for of_clan in (world.join, world.join, world.leave, world.promote, world.donate):
        of_clan(clan)
    for side in SIDES:
        world.attack(clan, side)
    for of_player in (world.upgrade_hero, world.upgrade_troop, world.rename_player):
        of_player(player)
    changes = _seen_at_once(world.changes[known:])

    def sessions(broker: FileBroker) -> list[FakeSession]:
        return (
            [FakeSession(broker, breaks_at=_IN_THE_MIDDLE), FakeSession(broker)] if breaking else [FakeSession(broker)]
        )

    return Scenario(watches, watches, before, _bodies(world, watches), changes, sessions, _change)


async def _change(program: Program, api: ScriptedApi, scenario: Scenario, crash_point: CrashPoint) -> None:
    await program.until(partial(_known, program, scenario, scenario.before))
    api.show(scenario.after)
    api.asked = lambda _: crash_point.arm()
    for watch in scenario.configured:
        program.engine.poll_now(watch.kind, watch.tag)
    await program.until(partial(delivered, program, scenario))


async def _known(program: Program, scenario: Scenario, bodies: Bodies) -> bool:
    shown = _shown(program)
    return all(shown.get(topic) == state for topic, state in scenario.shown(program.engine.watches, bodies).items())


async def delivered(program: Program, scenario: Scenario) -> bool:
    """Tell whether everything has been told and is known to be."""
    ids = {one.data["id"] for one in events(program.broker.published)}
    if len(ids) < len(scenario.changes) or not await _known(program, scenario, scenario.after):
        return False
    return not (await program.journal.counts()).pending


async def settled(program: Program, scenario: Scenario) -> bool:
    """Tell whether all is as it should be in the end, and everything was looked at in this run."""
    polled = {resource for watch in program.engine.watches for resource, _ in watch.resources()}
    if program.engine.metrics.polls < len(polled) or not await _known(program, scenario, scenario.after):
        return False
    return not (await program.journal.counts()).pending and not set(await program.journal.resources()) - polled - {API}


def watching() -> Scenario:
    """While a clan changes, it is unwatched by command, and a player is watched."""
    world = _world()
    (clan, *_), (player, *_) = world.clan_tags, world.player_tags
    watches = [Watch(Kind.CLAN, clan, _INTERVAL, war_interval=_INTERVAL), Watch(Kind.PLAYER, player, _INTERVAL)]
    world.declare_war(clan)
    before, known = _bodies(world, watches), len(world.changes)
    world.join(clan)
    world.start_battle(clan)
    changes = _seen_at_once(world.changes[known:])
    return Scenario(
        watches, watches[:1], before, _bodies(world, watches), changes, lambda broker: [FakeSession(broker)], _command
    )


async def _command(program: Program, api: ScriptedApi, scenario: Scenario, crash_point: CrashPoint) -> None:
    await program.until(partial(_known, program, scenario, scenario.before))
    (clan,) = scenario.configured
    player = next(path for path in scenario.after if path.startswith("/players/")).removeprefix("/players/")
    api.show(scenario.after)
    api.asked = lambda _: crash_point.arm()
    program.engine.poll_now(clan.kind, clan.tag)
    for command, request in (("watch", {"kind": "player", "tag": player}), ("unwatch", {"tag": clan.tag})):
        program.sessions[0].bring(Message(_TOPICS.request(command), orjson.dumps(request)))
    await program.until(partial(_obeyed, program, scenario))


async def _obeyed(program: Program, scenario: Scenario) -> bool:
    said = [one for one in program.broker.published if one.topic.startswith(_TOPICS.response(""))]
    return len(said) == 2 and await settled(program, scenario)


def _shown(program: Program) -> dict[str, Json]:
    found = retained(program.broker.published)
    return {topic: timeless(orjson.loads(payload)) for topic, payload in found.items()}


def _world() -> World:
    return World(now=lambda: NOON, members=10, clans=1, players=1)


def _bodies(world: World, watches: list[Watch]) -> Bodies:
    """Return what the API says of all that is watched."""
    look = {Kind.CLAN: world.clan, Kind.WAR: world.current_war, Kind.PLAYER: world.player}
    resources = [resource for watch in watches for resource, _ in watch.resources()]
    # World shows its own objects, which go on changing.
    return {path(one): orjson.loads(orjson.dumps(look[one.kind](one.tag))) for one in resources}


def _seen_at_once(changes: list[ScriptedChange]) -> list[ScriptedChange]:
    """Return what is told of changes that are seen all at once: of those of plain fields that is one event."""
    merged: dict[tuple[str, str], ScriptedChange] = {}
    told = []
    for change in changes:
        if "fields" not in change.details:
            told.append(change)
            continue
        key = (change.tag, change.event_type)
        fields = {*change.details["fields"], *(merged[key].details["fields"] if key in merged else ())}
        merged[key] = replace(change, details={"fields": sorted(fields)})
    return [*told, *merged.values()]


SCENARIOS: dict[str, Callable[[], Scenario]] = {
    "changing": changing,
    "breaking": partial(changing, breaking=True),
    "watching": watching,
}
