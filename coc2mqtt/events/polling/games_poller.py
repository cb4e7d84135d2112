"""The poller of the clan games: one request per member and period."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, ClassVar

from coc2mqtt.clash.errors import ClashError, NotFoundError
from coc2mqtt.clash.tags import InvalidTagError
from coc2mqtt.events.compare.games import Clan, Games, end_games, games_value, record_value, start_games
from coc2mqtt.events.compare.validate import validate_depth, validate_player, validate_size
from coc2mqtt.events.polling.poll_context import PollResult
from coc2mqtt.events.resource import Kind, Resource, Snapshot

if TYPE_CHECKING:
    from coc2mqtt.events.calendar import Period
    from coc2mqtt.events.event import Event
    from coc2mqtt.events.polling.poll_context import PollContext

Json = dict[str, Any]

# Before the start, each member is polled once within this time.
_MIN_SAMPLE_S = 2 * 3600.0
# The responses that show the last points are available after this time.
_CACHE_S = 120.0
# After the end, all members are polled within this time.
_FINAL_S = 600.0
# The end is reported without the members whose requests fail until then.
_MAX_FINAL_S = 2 * 3600.0
_IDLE_S = 3600.0
_RETRY_S = 60.0
_MIN_SPACING_S = 1.0


class GamesPoller:
    """Polls the members of a clan, one after the other, during the clan games and shortly before and after.

    Each member is polled once in ``interval`` seconds; a watched player needs no request. The list of members is that
    of the clan's snapshot. A request that fails is repeated in the next round. ``polled_at`` (Unix time) and
    ``polled_uptime`` are those of the last response.
    """

    kind: ClassVar = Kind.GAMES

    def __init__(self, context: PollContext, tag: str, *, interval: float) -> None:
        self._context = context
        self._tag = tag
        self._interval = interval
        # When each member was last asked for and last polled (uptime).
        self._asked: dict[str, float] = {}
        self._sampled: dict[str, float] = {}
        self._final_since: float | None = None
        self._retired = False
        self.polled_at: float | None = None
        self.polled_uptime: float | None = None
        self.resource = Resource(self.kind, tag)

    def retire(self) -> None:
        """Commit nothing from now on."""
        self._retired = True

    async def poll(self) -> PollResult:
        """Poll one member if one is due. Errors of the store are raised; errors of the API are handled."""
        context, at = self._context, self._context.now()
        snapshot = await context.store.snapshot(self.resource)
        known = Games.from_json(None if snapshot is None else snapshot.data)
        clan = await context.store.snapshot(Resource(Kind.CLAN, self._tag))
        subject = Clan(self._tag, None if clan is None else clan.name)
        period = self._period(known, at)
        if period is None:
            return await self._rest(snapshot, known, subject, at)
        roster = None if clan is None or clan.data is None else clan.data.get("memberList")
        if not roster:
            return PollResult([], 0.0, committed=False, latest=_RETRY_S)
        max_points = context.clan_games.max_points
        followed = None if known is None else known.follow(period, max_points, at=at)
        games = followed or Games.of(period, max_points)
        # The clock was wrong if the known games are later ones.
        first = snapshot is None or (known is not None and known.start > max(at, period.start))
        events = [] if known is None or followed or not known.is_open or first else self._abandon(known, subject, at)
        events += start_games(games, subject, at=at, first=first)
        events += await self._sample(games, subject, roster, at)
        events += self._end(games, subject, roster, at)
        committed = await self._commit(snapshot, games, events, at)
        return PollResult(events if committed else [], 0.0, committed=committed, latest=self._next(games, roster, at))

    async def _rest(self, snapshot: Snapshot | None, known: Games | None, clan: Clan, at: float) -> PollResult:
        """Return the result of a poll while no games are followed."""
        wait = max(_MIN_SPACING_S, min(self._context.clan_games.next(at).start - self._sample_time - at, _IDLE_S))
        events: list[Event] = []
        committed = False
        if known is not None and known.is_open and at >= known.end:
            events = self._abandon(known, clan, at)
            committed = await self._commit(snapshot, known, events, at)
        elif snapshot is None and not self._retired:
            # So that the state is published: no clan games so far.
            await self._context.store.commit(self.resource, Snapshot({}, taken_at=at), [])
        return PollResult(events if committed else [], wait, committed=committed, latest=wait)

    def _abandon(self, games: Games, clan: Clan, at: float) -> list[Event]:
        """Return the event of the end of earlier games, whose last points cannot be distinguished from later ones."""
        return end_games(games, clan, at=at, complete=False)

    @property
    def _sample_time(self) -> float:
        return max(_MIN_SAMPLE_S, self._interval)

    def _period(self, known: Games | None, at: float) -> Period | None:
        """Return the clan games to follow now: unfinished ones, the present ones, or those that start soon."""
        games = self._context.clan_games
        upcoming, latest = games.next(at), games.latest(at)
        if known is not None and known.is_open and latest.end <= at and known.follow(latest, 0, at=at):
            return latest
        return upcoming if at >= upcoming.start - self._sample_time else None

    async def _sample(self, games: Games, clan: Clan, roster: list[Json], at: float) -> list[Event]:
        """Record the values of the watched players, and poll the next member who is due."""
        events: list[Event] = []
        uptime = self._context.uptime()
        due = [member for member in roster if self._is_due(games, member["tag"], at, uptime)]
        requested = False
        for member in sorted(due, key=lambda one: self._asked.get(one["tag"], -math.inf)):
            tag = member["tag"]
            if (player := await self._watched_player(games, tag, at, uptime)) is None:
                if requested:
                    continue
                requested = True
                self._asked[tag] = uptime
                value, before, sampled = await self._fetch_value(tag), False, uptime
            else:
                value, before = games_value(player.data or {}), player.taken_at < games.start
                sampled = self._context.polled[Resource(Kind.PLAYER, tag)]
            if value is not None:
                self._sampled[tag] = sampled
                self.polled_at, self.polled_uptime = at, uptime
                events += record_value(games, clan, (tag, member.get("name")), value, at=at, known_before=before)
        return events

    def _is_due(self, games: Games, tag: str, at: float, uptime: float) -> bool:
        sampled = self._sampled.get(tag)
        return sampled is None or self._is_outdated(games, uptime - sampled, at)

    def _is_outdated(self, games: Games, age: float, at: float) -> bool:
        """Return whether a value that was seen ``age`` seconds ago is to be looked up again."""
        if at < games.start:
            return False
        if at >= games.end + _CACHE_S:
            return age > at - games.end - _CACHE_S
        return age >= self._interval

    async def _watched_player(self, games: Games, tag: str, at: float, uptime: float) -> Snapshot | None:
        """Return the snapshot of a watched player if it was polled recently enough."""
        player = Resource(Kind.PLAYER, tag)
        polled = self._context.polled.get(player)
        if polled is None or uptime - polled >= self._interval or self._is_outdated(games, uptime - polled, at):
            return None
        snapshot = await self._context.store.snapshot(player)
        return snapshot if snapshot is not None and snapshot.data is not None else None

    async def _fetch_value(self, tag: str) -> int | None:
        context = self._context
        try:
            response = await context.api.player(tag)
            validate_size(response.body)
            data = response.data
            validate_depth(data)
            context.malformed_fields.record(Resource(Kind.PLAYER, tag), validate_player(data, tag))
        except InvalidTagError:
            # The member list of the clan contains a malformed tag.
            return None
        except ClashError as error:
            await context.monitor.observe(error, source=self.resource)
            if isinstance(error, NotFoundError):
                self._sampled[tag] = context.uptime()  # asked again in the next round, and at the end
            return None
        await context.monitor.observe(None)
        return games_value(data)

    def _end(self, games: Games, clan: Clan, roster: list[Json], at: float) -> list[Event]:
        if games.ended or not games.started or at < games.end + _CACHE_S:
            return []
        uptime = self._context.uptime()
        if self._final_since is None:
            self._final_since = uptime
        complete = not any(self._is_due(games, member["tag"], at, uptime) for member in roster)
        if not complete and uptime - self._final_since < _MAX_FINAL_S:
            return []
        self._final_since = None
        self._asked, self._sampled = {}, {}
        return end_games(games, clan, at=at, complete=complete)

    async def _commit(self, old: Snapshot | None, games: Games, events: list[Event], at: float) -> bool:
        data = games.to_json()
        if self._retired or (old is not None and old.data == data and not events):
            return False
        await self._context.store.commit(self.resource, Snapshot(data, taken_at=at), events)
        return True

    def _next(self, games: Games, roster: list[Json], at: float) -> float:
        """Return in how many seconds to poll next."""
        if games.ended:
            return math.inf
        uptime = self._context.uptime()
        due = sum(self._is_due(games, member["tag"], at, uptime) for member in roster)
        if at >= games.end + _CACHE_S:
            return max(_MIN_SPACING_S, _FINAL_S / len(roster))
        boundary = games.start if at < games.start else games.end + _CACHE_S
        spacing = self._interval / len(roster)
        if at < games.start:
            spacing = min(spacing, (games.start - at) / (due + 1)) if due else math.inf
        return max(_MIN_SPACING_S, min(spacing, boundary - at))
