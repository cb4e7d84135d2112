"""What happens while the program crashes, and the expected final state."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

import orjson

from coc2mqtt.demo import ScriptedChange, World
from coc2mqtt.events.resource import API, Kind, Reminders, Resource, Snapshot, Watch
from coc2mqtt.mqtt.client.session import Message
from coc2mqtt.mqtt.payloads.state import state_payloads
from coc2mqtt.mqtt.topics import Topics
from tests.crash.harness import Bodies, FakeSession, events, retained

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Iterator

    from tests.crash.crash_point import CrashPoint
    from tests.crash.harness import FileBroker, Published, ScriptedApi
    from tests.crash.program import Program

Json = dict[str, Any]

NOON = datetime(2026, 11, 24, 12, 0, 0, tzinfo=UTC)
_TOPICS = Topics()
SIDES: tuple[Literal["clan", "opponent"], ...] = ("clan", "opponent")
_INTERVAL = 3600.0
_REMINDED_BEFORE = timedelta(hours=1)
_BREAKS_AT_EVENT = 5
# They depend on the times of polls.
_FROM_TIME = {
    "updated_at",
    "polled_at",
    "donations_today",
    "donations_week",
    "inactive_members",
    "last_seen_at",
    "inactive",
}


@dataclass(frozen=True)
class Scenario:
    """The API returns ``before`` and, once that is published, ``after``; ``changes`` lie between them.

    ``first_run`` is executed until the crash, over ``sessions``. ``watched`` has all watches, ``configured`` those from
    the start.
    """

    watched: list[Watch]
    configured: list[Watch]
    before: Bodies
    after: Bodies
    changes: list[ScriptedChange]
    sessions: Callable[[FileBroker], list[FakeSession]]
    first_run: Callable[[Program, ScriptedApi, Scenario, CrashPoint], Awaitable[None]]
    # Whether all changes must be published before the second run ends; commands may stop some of them.
    awaits_changes: bool = False

    def watched_in(self, names: Iterable[str]) -> list[Watch]:
        """Return the watches with these names, such as ``clan/#2PP``."""
        found = set(names)
        return [watch for watch in self.watched if f"{watch.kind}/{watch.tag}" in found]

    def expected_states(self, watches: list[Watch], bodies: Bodies) -> dict[str, Json]:
        """Return the retained state that the broker must have for these watches, without times."""
        states: dict[str, Json] = {}
        for watch in watches:
            for resource in polled_resources(watch):
                found = state_payloads(resource, Snapshot(bodies[path(resource)]), polled_at=0.0).items()
                states |= {
                    _TOPICS.state(resource.kind, resource.tag, facet): without_times(orjson.loads(state.encode()))
                    for facet, state in found
                }
        return states


def polled_resources(watch: Watch) -> list[Resource]:
    """Return the resources of a watch that the API has."""
    return [resource for resource, _ in watch.resources() if resource.kind is not Kind.REMINDER]


def path(resource: Resource) -> str:
    """Return the API's path of a resource."""
    if resource.kind is Kind.PLAYER:
        return f"/players/{resource.tag}"
    return f"/clans/{resource.tag}{'/currentwar' if resource.kind is Kind.WAR else ''}"


def without_times(state: Json) -> Json:
    """Return a state without the time of its last change, and without sums of a day."""
    members = {"members": [without_times(member) for member in state["members"]]} if _has_members(state) else {}
    return {key: value for key, value in state.items() if key not in _FROM_TIME} | members


def _has_members(state: Json) -> bool:
    return isinstance(state.get("members"), list)


def changing(*, breaking: bool = False) -> Scenario:
    """A clan, its war and a player change at once, by several events each; with ``breaking`` the session breaks."""
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
    changes = _merged_changes(world.changes[known:])

    def sessions(broker: FileBroker) -> list[FakeSession]:
        broken = [FakeSession(broker, breaks_at=_BREAKS_AT_EVENT)] if breaking else []
        return [*broken, FakeSession(broker)]

    return Scenario(watches, watches, before, _bodies(world, watches), changes, sessions, _change)


async def _change(program: Program, api: ScriptedApi, scenario: Scenario, crash_point: CrashPoint) -> None:
    await program.until(partial(_is_published, program, scenario, scenario.before))
    # The first check of reminders is their baseline, which has no topic.
    await program.until(partial(_is_stored, program, scenario))
    api.show(scenario.after)
    api.on_request = lambda _: crash_point.arm()
    for watch in scenario.configured:
        program.engine.poll_now(watch.kind, watch.tag)
    await program.until(partial(is_delivered, program, scenario))


async def _is_stored(program: Program, scenario: Scenario) -> bool:
    stored = await program.journal.resources()
    return all(resource in stored for watch in scenario.configured for resource, _ in watch.resources())


async def _is_published(program: Program, scenario: Scenario, bodies: Bodies) -> bool:
    retained_states = _retained_states(program)
    return all(
        retained_states.get(topic) == state
        for topic, state in scenario.expected_states(program.engine.watches, bodies).items()
    )


async def is_delivered(program: Program, scenario: Scenario) -> bool:
    """Return whether every event was delivered and acknowledged."""
    ids = {one.data["id"] for one in events(program.broker.published)}
    if len(ids) < len(scenario.changes) or not await _is_published(program, scenario, scenario.after):
        return False
    return not (await program.journal.counts()).pending


async def is_final(program: Program, scenario: Scenario) -> bool:
    """Return whether the state is the expected final one, and every resource was polled in this run."""
    polled = {resource for watch in program.engine.watches for resource, _ in watch.resources()}
    watched = scenario.watched_in(f"{watch.kind}/{watch.tag}" for watch in program.engine.watches)
    # Devices are announced, and orphans removed, while the states are published.
    wrong = any(retained_problems(scenario, program.broker.published, watched))
    reminders = sum(resource.kind is Kind.REMINDER for resource in polled)
    if program.engine.metrics.polls < len(polled) - reminders or wrong:
        return False
    published = {one.data["id"] for one in events(program.broker.published)}
    if scenario.awaits_changes and len(published) < len(scenario.changes):
        return False
    return not (await program.journal.counts()).pending and not set(await program.journal.resources()) - polled - {API}


def retained_problems(scenario: Scenario, published: list[Published], watched: list[Watch]) -> Iterator[str]:
    """The broker retains the current state of all watches, and no orphaned topics."""
    states, left = scenario.expected_states(watched, scenario.after), dict(retained(published))
    for topic, state in states.items():
        if without_times(orjson.loads(left.pop(topic, b"{}"))) != state:
            yield f"wrong retained state: {topic}"
    for watch in scenario.watched:
        bare = watch.tag.removeprefix("#")
        if watch in watched:
            left.pop(f"coc/{watch.kind}/{bare}/state/poll", None)  # not part of the state from the API
        device = next((topic for topic in left if topic.startswith("homeassistant/") and f"_{bare}/" in topic), None)
        if (device is not None) is not (watch in watched):
            yield f"wrong discovery payload: {device}"
        yield from (f"an orphan: {topic}" for topic in left if f"/{bare}/" in topic)


def watching() -> Scenario:
    """While a clan changes, commands unwatch it and watch a player."""
    world = _world()
    (clan, *_), (player, *_) = world.clan_tags, world.player_tags
    watches = [Watch(Kind.CLAN, clan, _INTERVAL, war_interval=_INTERVAL), Watch(Kind.PLAYER, player, _INTERVAL)]
    world.declare_war(clan)
    before, known = _bodies(world, watches), len(world.changes)
    world.join(clan)
    world.start_battle(clan)
    changes = _merged_changes(world.changes[known:])
    return Scenario(
        watches, watches[:1], before, _bodies(world, watches), changes, lambda broker: [FakeSession(broker)], _command
    )


async def _command(program: Program, api: ScriptedApi, scenario: Scenario, crash_point: CrashPoint) -> None:
    await program.until(partial(_is_published, program, scenario, scenario.before))
    (clan,) = scenario.configured
    player = next(path for path in scenario.after if path.startswith("/players/")).removeprefix("/players/")
    api.show(scenario.after)
    api.on_request = lambda _: crash_point.arm()
    program.engine.poll_now(clan.kind, clan.tag)
    for command, request in (("watch", {"kind": "player", "tag": player}), ("unwatch", {"tag": clan.tag})):
        program.sessions[0].deliver(Message(_TOPICS.request(command), orjson.dumps(request)))
    await program.until(partial(_commands_executed, program, scenario))


async def _commands_executed(program: Program, scenario: Scenario) -> bool:
    responses = [one for one in program.broker.published if one.topic.startswith(_TOPICS.response(""))]
    return len(responses) == 2 and await is_final(program, scenario)


def _retained_states(program: Program) -> dict[str, Json]:
    found = retained(program.broker.published)
    return {topic: without_times(orjson.loads(payload)) for topic, payload in found.items()}


def _world() -> World:
    return World(now=lambda: NOON, members=10, clans=1, players=1)


def _bodies(world: World, watches: list[Watch]) -> Bodies:
    """Return the bodies of all watched resources."""
    fetch = {Kind.CLAN: world.clan, Kind.WAR: world.current_war, Kind.PLAYER: world.player}
    resources = [resource for watch in watches for resource in polled_resources(watch)]
    # World returns its own objects, which change later.
    return {path(one): orjson.loads(orjson.dumps(fetch[one.kind](one.tag))) for one in resources}


def _merged_changes(changes: list[ScriptedChange]) -> list[ScriptedChange]:
    """Return the events expected for changes seen in one poll: changes of plain fields are merged into one event."""
    merged: dict[tuple[str, str], ScriptedChange] = {}
    reported = []
    for change in changes:
        if "fields" not in change.details:
            reported.append(change)
            continue
        key = (change.tag, change.event_type)
        fields = {*change.details["fields"], *(merged[key].details["fields"] if key in merged else ())}
        merged[key] = replace(change, details={"fields": sorted(fields)})
    return [*reported, *merged.values()]


def reminding() -> Scenario:
    """A maintenance has moved the end of a war, so that a reminder is due now."""
    world = _world()
    (clan, *_) = world.clan_tags
    reminders = Reminders(war=(_REMINDED_BEFORE.total_seconds(),))
    watches = [Watch(Kind.CLAN, clan, _INTERVAL, war_interval=_INTERVAL, reminders=reminders)]
    world.declare_war(clan)
    world.start_battle(clan)
    before, after = _bodies(world, watches), _bodies(world, watches)
    war = f"/clans/{clan}/currentwar"
    before[war]["endTime"] = _api_text(NOON + 2 * _REMINDED_BEFORE)
    after[war]["endTime"] = _api_text(NOON + _REMINDED_BEFORE)
    changes = [ScriptedChange("war_reminder", "clan", clan, {"hours_left": 1.0})]
    return Scenario(
        watches, watches, before, after, changes, lambda broker: [FakeSession(broker)], _change, awaits_changes=True
    )


def _api_text(time: datetime) -> str:
    return time.strftime("%Y%m%dT%H%M%S.000Z")


SCENARIOS: dict[str, Callable[[], Scenario]] = {
    "changing": changing,
    "breaking": partial(changing, breaking=True),
    "watching": watching,
    "reminding": reminding,
}
