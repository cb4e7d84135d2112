"""A simulated game that is polled after each of its changes, without a network, a journal file or waiting."""

from __future__ import annotations

import hashlib
import math
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

import orjson

from coc2mqtt.clash.error_response import ErrorResponse
from coc2mqtt.clash.errors import ClashError, UnreachableError
from coc2mqtt.clash.response import ApiResponse
from coc2mqtt.demo.tour import all_changes
from coc2mqtt.demo.world import World
from coc2mqtt.events.calendar import ClanGames
from coc2mqtt.events.polling.api_monitor import ApiMonitor
from coc2mqtt.events.polling.calendar_poller import CalendarPoller
from coc2mqtt.events.polling.player_poller import PlayerPoller
from coc2mqtt.events.polling.poll_context import PollContext
from coc2mqtt.events.polling.pollers import create_poller
from coc2mqtt.events.polling.reminder_poller import ReminderPoller
from coc2mqtt.events.record import EventRecord
from coc2mqtt.events.resource import API, CALENDAR, DEFAULT_REMINDERS, Kind, Resource, Snapshot, Watch
from coc2mqtt.examples.seasons import play_seasons
from coc2mqtt.journal.protocol import JournalEntry
from coc2mqtt.mqtt.payloads.calendar import calendar_payload
from coc2mqtt.mqtt.payloads.cwl import CwlPayload
from coc2mqtt.mqtt.payloads.player import PlayerParts, player_cwl_payload, player_raid_payload, player_war_payload
from coc2mqtt.mqtt.payloads.raid import RaidPayload
from coc2mqtt.mqtt.payloads.state import api_status_payload, state_payloads
from coc2mqtt.mqtt.payloads.war import WarPayload
from coc2mqtt.mqtt.topics import Topics

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from coc2mqtt.events.event import Event
    from coc2mqtt.events.polling.pollers import WatchPoller
    from coc2mqtt.mqtt.payloads.models import Payload

Json = dict[str, Any]
# The status and the body of an error response.
_Failure = tuple[HTTPStatus, Json]

_START = datetime(2026, 11, 24, 12, tzinfo=UTC)
_MEMBERS = 12
_TEAM_SIZE = 5
_INTERVAL_S = 60.0
_CLAN_GAMES = ClanGames(first_day=2, last_day=4)
_INACTIVE_AFTER_S = 5 * 86_400.0
# The second poll after a change confirms a response that looked stale, from another cache entry.
_POLLS_AFTER_S = (60.0, 140.0)
_NOT_FOUND: _Failure = (HTTPStatus.NOT_FOUND, {"reason": "notFound"})
_BROKEN: _Failure = (HTTPStatus.BAD_GATEWAY, {})
_MAINTENANCE: _Failure = (HTTPStatus.SERVICE_UNAVAILABLE, {"reason": "inMaintenance"})
_WRONG_ADDRESS: _Failure = (
    HTTPStatus.FORBIDDEN,
    {
        "reason": "accessDenied.invalidIp",
        "message": "Invalid authorization: API key does not allow access from IP 203.0.113.7",
    },
)


async def play_game() -> Game:
    """Play a game with every event and return it."""
    game = Game()
    await game.poll()
    for change in [*_league(game.world), *all_changes(game.world)]:
        change()
        for seconds in _POLLS_AFTER_S:
            await game.poll(after=seconds)
        await game.remember_battle()
        await game.remember_league()
        await game.remember_raid()
    await game.remember_last_war()
    await game.remember_player()
    await play_seasons(game)
    await game.fail_each_watch()
    await game.fail_api()
    return game


def _league(world: World) -> list[Callable[[], object]]:
    """Return a league of four clans, in which members miss attacks."""
    clan = world.clan_tags[0]

    def attack() -> None:
        for _ in range(_TEAM_SIZE):
            world.league_attack(clan)

    return [
        lambda: world.start_league(clan, clans=4, team_size=_TEAM_SIZE),
        lambda: (world.start_league_battle(clan), world.draw_round(clan)),
        attack,
        lambda: (world.end_league_battle(clan), world.start_league_battle(clan), world.draw_round(clan)),
        attack,
        lambda: (world.end_league_battle(clan), world.start_league_battle(clan)),
        attack,
        lambda: world.end_league_battle(clan),
        lambda: world.end_league(clan),
        lambda: world.leave_league(clan),
    ]


class Game:
    """A game and everything that was published about it.

    ``entries`` are all events in order, ``states`` the retained states by topic, during the battle of a war, a battle
    of a league, and a raid weekend; only the result of the last war is later.
    """

    def __init__(self) -> None:
        self.now = _START
        self.world = World(seed=7, members=_MEMBERS, now=lambda: self.now)
        self.states: dict[str, Payload] = {}
        # The member whose state is kept, when it was polled, and the snapshots of the clan's parts at that time.
        self._member: str | None = None
        self._polled_at = 0.0
        self._parts: dict[Kind, Snapshot] = {}
        self._reminders: list[ReminderPoller] = []
        self._topics = Topics()
        self._api = _GameApi(self.world)
        self._store = _Store()
        self._monitor = ApiMonitor(self._store, now=self._time, on_change=lambda _: None, resource_count=lambda: 2)
        self._monitor.probing = True
        self._context = PollContext(
            self._api, self._store, self._monitor, self._time, self._time, clan_games=_CLAN_GAMES
        )
        watched = [*map(_clan_watch, self.world.clan_tags), *map(_player_watch, self.world.player_tags)]
        self._pollers: dict[Resource, WatchPoller | ReminderPoller | CalendarPoller] = {
            resource: poller for watch in watched for resource, poller in self._pollers_of(watch)
        }
        self._pollers[CALENDAR] = CalendarPoller(self._context, interval=_INTERVAL_S)

    @property
    def events(self) -> list[Event]:
        """All events so far, as they were compared."""
        return self._store.events

    @property
    def entries(self) -> list[JournalEntry]:
        """All events so far."""
        return self._store.entries

    def name(self, kind: Kind, tag: str) -> str:
        """Return the name of a clan or a player."""
        body = (self.world.clan if kind is Kind.CLAN else self.world.player)(tag) or {}
        return str(body["name"])

    async def poll(self, *, after: float = 60.0) -> None:
        """Poll everything, ``after`` seconds later."""
        self.now += timedelta(seconds=after)
        for resource, poller in self._pollers.items():
            await poller.poll()
            for reminders in self._reminders:
                if reminders.resource.tag == resource.tag:
                    reminders.notify(resource.kind, changed=True)

    async def remember_battle(self) -> None:
        """Keep the states of the first clan and one of its members after the clan's first attack in a war."""
        clan = self.world.clan_tags[0]
        states = await self._clan_states(clan)
        war = states["war"]
        if (
            self._member is not None
            or not isinstance(war, WarPayload)
            or war.state != "inWar"
            or not (war.clan and war.clan.attacks)
        ):
            return
        self._member = war.members_with_attacks_left[0].tag or ""
        self._polled_at = self._time()
        self._parts[Kind.WAR] = await self._store.get(Resource(Kind.WAR, clan))
        await PlayerPoller(self._context, self._member, interval=_INTERVAL_S).poll()
        self.states |= {self._topics.state(Kind.CLAN, clan, facet): payload for facet, payload in states.items()}

    async def remember_league(self) -> None:
        """Keep the state of the first clan's first league after its first attack."""
        await self._remember_part(Kind.CWL, _is_battle_before_the_next)

    async def remember_raid(self) -> None:
        """Keep the state of the first clan's first raid weekend after several attacks."""
        await self._remember_part(Kind.RAID, lambda state: isinstance(state, RaidPayload) and (state.attacks or 0) > 1)

    async def _remember_part(self, kind: Kind, is_example: Callable[[Payload], bool]) -> None:
        clan = self.world.clan_tags[0]
        snapshot, roster = await self._store.get(Resource(kind, clan)), await self._store.get(Resource(Kind.CLAN, clan))
        members = (roster.data or {}).get("memberList")
        state = state_payloads(Resource(kind, clan), snapshot, roster=members)[kind.value]
        if kind not in self._parts and is_example(state):
            self._parts[kind] = snapshot
            self.states[self._topics.state(kind, clan, kind.value)] = state

    async def remember_player(self) -> None:
        """Keep the state of the member with an attack left in the battle of the war."""
        clan, member, parts = self.world.clan_tags[0], self._member or "", self._parts
        payloads = state_payloads(
            Resource(Kind.PLAYER, member),
            await self._store.get(Resource(Kind.PLAYER, member)),
            polled_at=self._polled_at,
            parts=PlayerParts(
                war=player_war_payload(member, clan, parts[Kind.WAR]),
                cwl=player_cwl_payload(member, clan, parts[Kind.CWL]),
                raid=player_raid_payload(member, clan, parts[Kind.RAID]),
            ),
        )
        self.states |= {self._topics.state(Kind.PLAYER, member, facet): payload for facet, payload in payloads.items()}

    async def remember_games(self) -> None:
        """Keep the state of the first clan's clan games, and of the first player's ranked week."""
        clan, player = self.world.clan_tags[0], self.world.player_tags[0]
        for resource, facet in ((Resource(Kind.GAMES, clan), "games"), (Resource(Kind.RANKED, player), "ranked")):
            state = state_payloads(resource, await self._store.get(resource))[facet]
            self.states[self._topics.state(resource.kind, resource.tag, facet)] = state

    async def remember_calendar(self) -> None:
        """Keep the calendar."""
        self.states[self._topics.api_calendar] = calendar_payload(await self._store.get(CALENDAR))

    async def remember_last_war(self) -> None:
        """Keep the result of the first clan's last war."""
        clan = self.world.clan_tags[0]
        self.states[self._topics.state(Kind.WAR, clan, "last_war")] = (await self._clan_states(clan))["last_war"]

    async def fail_each_watch(self) -> None:
        """Let the API fail, and then not find, a clan and a player, and return them again."""
        for tag in (self.world.clan_tags[0], self.world.player_tags[0]):
            for failure in (_BROKEN, _NOT_FOUND, None):
                self._api.failures = {} if failure is None else {tag: failure}
                await self.poll()

    async def fail_api(self) -> None:
        """Start and end a maintenance and an outage, and let the API reject the token."""
        unreachable = UnreachableError("cannot connect to the API at api.clashofclans.com: check the network")
        maintenance, denied = (_error(*failure, "the API") for failure in (_MAINTENANCE, _WRONG_ADDRESS))
        for error in (maintenance, None, None, *[unreachable] * 3, None, denied):
            self.now += timedelta(seconds=60)
            await self._monitor.observe(error, from_probe=True)
        self.states[self._topics.api_status] = api_status_payload(await self._store.get(API))
        await self._monitor.observe(None, from_probe=True)

    async def _clan_states(self, clan: str) -> dict[str, Payload]:
        states: dict[str, Payload] = {}
        for kind in (Kind.CLAN, Kind.WAR):
            resource = Resource(kind, clan)
            states |= state_payloads(resource, await self._store.get(resource), polled_at=self._time())
        return states

    def _pollers_of(self, watch: Watch) -> Iterator[tuple[Resource, WatchPoller | ReminderPoller]]:
        pollers: dict[Kind, WatchPoller] = {}
        for resource, interval in watch.resources():
            if resource.kind is Kind.REMINDER:
                reminders = ReminderPoller(self._context, watch.tag, reminders=watch.reminders, parts=pollers)
                # The engine does this after each poll.
                self._reminders.append(reminders)
                yield resource, reminders
            else:
                pollers[resource.kind] = poller = create_poller(self._context, resource.kind, watch, interval)
                yield resource, poller

    def _time(self) -> float:
        return self.now.timestamp()


def _clan_watch(tag: str) -> Watch:
    return Watch(
        Kind.CLAN,
        tag,
        _INTERVAL_S,
        war_interval=_INTERVAL_S,
        cwl=True,
        cwl_interval=_INTERVAL_S,
        cwl_standings=True,
        raids=True,
        raid_interval=_INTERVAL_S,
        raid_defenses=True,
        games=True,
        reminders=DEFAULT_REMINDERS,
        inactive_after=_INACTIVE_AFTER_S,
    )


def _player_watch(tag: str) -> Watch:
    return Watch(Kind.PLAYER, tag, _INTERVAL_S, ranked=True, ranked_interval=_INTERVAL_S)


def _is_battle_before_the_next(state: Payload) -> bool:
    if not isinstance(state, CwlPayload) or state.war is None or state.next_war is None:
        return False
    return bool(state.war.clan.attacks)


class _GameApi:
    """The responses of a simulated game; ``failures`` replace the responses about a tag."""

    is_open = True
    requests_per_second = math.inf

    def __init__(self, world: World) -> None:
        self.failures: dict[str, _Failure] = {}
        self._world = world

    async def clan(self, tag: str) -> ApiResponse:
        return self._respond(self._world.clan(tag), f"clan {tag}")

    async def current_war(self, tag: str) -> ApiResponse:
        return self._respond(self._world.current_war(tag), f"clan {tag}", private=self._world.is_war_log_private(tag))

    async def war_log(self, tag: str) -> ApiResponse:
        return self._respond(self._world.war_log(tag), f"clan {tag}", private=self._world.is_war_log_private(tag))

    async def league_group(self, tag: str) -> ApiResponse:
        return self._respond(self._world.league_group(tag), f"clan {tag}")

    async def league_war(self, war_tag: str) -> ApiResponse:
        return self._respond(self._world.league_war(war_tag), f"league war {war_tag}")

    async def raid_seasons(self, tag: str, limit: int = 1) -> ApiResponse:
        return self._respond(self._world.raid_seasons(tag, limit), f"clan {tag}")

    async def gold_pass(self) -> ApiResponse:
        return self._respond(self._world.gold_pass(), "the gold pass")

    async def ranked_group(self, group_tag: str, season: int, player_tag: str) -> ApiResponse:
        return self._respond(self._world.ranked_group(group_tag, season, player_tag), f"league group {group_tag}")

    async def league_history(self, tag: str) -> ApiResponse:
        return self._respond(self._world.league_history(tag), f"player {tag}")

    async def battle_log(self, tag: str) -> ApiResponse:
        return self._respond(self._world.battle_log(tag), f"player {tag}")

    async def player(self, tag: str) -> ApiResponse:
        return self._respond(self._world.player(tag), f"player {tag}")

    def _respond(self, body: Json | None, subject: str, *, private: bool = False) -> ApiResponse:
        failure = self.failures.get(subject.rpartition(" ")[2])
        if failure is None and private:
            failure = HTTPStatus.FORBIDDEN, {"reason": "accessDenied"}
        if failure is None and body is None:
            failure = _NOT_FOUND
        if failure is not None:
            raise _error(*failure, subject, needs_war_log=private)
        return ApiResponse(HTTPStatus.OK, orjson.dumps(body), 0.0)


def _error(status: HTTPStatus, body: Json, subject: str, *, needs_war_log: bool = False) -> ClashError:
    return ErrorResponse(
        status,
        orjson.dumps(body),
        subject=subject,
        token="the token",  # noqa: S106 - only names it
        needs_war_log=needs_war_log,
        max_age=0.0,
        retry_after=None,
    ).to_error()


class _Store:
    """Snapshots and events in memory; ``entries`` are the events as a journal stores them."""

    def __init__(self) -> None:
        self.entries: list[JournalEntry] = []
        self.events: list[Event] = []
        self._snapshots: dict[Resource, Snapshot] = {}

    async def snapshot(self, resource: Resource) -> Snapshot | None:
        return self._snapshots.get(resource)

    async def get(self, resource: Resource) -> Snapshot:
        return self._snapshots[resource]

    async def commit(self, resource: Resource, snapshot: Snapshot, events: Sequence[Event]) -> None:
        self._snapshots[resource] = snapshot
        self.events += events
        for seq, event in enumerate(events, len(self.entries) + 1):
            event_id = hashlib.blake2b(b"%d" % seq, digest_size=16).hexdigest()
            self.entries.append(JournalEntry(seq, event_id, resource.kind, EventRecord.of(event)))
