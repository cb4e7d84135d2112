"""Any response about ranked battles, clan games, the gold pass, activity or reminders results only in valid events."""

from __future__ import annotations

import asyncio
import random
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, cast

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from coc2mqtt.clash.tags import normalize_tag
from coc2mqtt.events import PollingState
from coc2mqtt.events.compare.activity import clan_activity
from coc2mqtt.events.compare.games import games_value
from coc2mqtt.events.compare.ranked import legend_battles
from coc2mqtt.events.compare.validate_ranked import validate_battle_log
from coc2mqtt.events.metadata import metadata_model
from coc2mqtt.events.polling.calendar_poller import CalendarPoller
from coc2mqtt.events.polling.clan_poller import ClanPoller
from coc2mqtt.events.polling.games_poller import GamesPoller
from coc2mqtt.events.polling.player_poller import PlayerPoller
from coc2mqtt.events.polling.poll_context import PollContext
from coc2mqtt.events.polling.raid_poller import RaidPoller
from coc2mqtt.events.polling.ranked_poller import RankedPoller
from coc2mqtt.events.polling.reminder_poller import ReminderPoller
from coc2mqtt.events.polling.war_poller import WarPoller
from coc2mqtt.events.record import MAX_EVENT_BYTES, EventRecord
from coc2mqtt.events.resource import CALENDAR, CLAN_PARTS, Reminders, Resource, owner
from coc2mqtt.events.stream.polling_state import QueueStore
from coc2mqtt.journal.codec import Compressor, decode_snapshot, encode_snapshot
from coc2mqtt.mqtt.payloads.calendar import calendar_payload
from tests.fuzz.examples import fuzzed
from tests.fuzz.fake_poller import check_states
from tests.fuzz.malformed import mutated, to_bytes
from tests.support.bodies import CLAN_TAG, attack, clan, member, player, war
from tests.support.raids import START as FRIDAY
from tests.support.raids import play_weekend, seasons
from tests.support.replay import InMemoryApi, _NullMonitor, run_without_loop

if TYPE_CHECKING:
    from hypothesis.strategies import DataObject

    from coc2mqtt.clash import ApiResponse, ClashClient
    from coc2mqtt.events import Event

    Pollers = list[Any]

pytestmark = pytest.mark.fuzz

Json = dict[str, Any]

TAG = "#900PUCPV"
HOUR, DAY = 3600.0, 86_400.0
WEEK = int(datetime(2026, 11, 23, 5, tzinfo=UTC).timestamp())
GAMES_START = datetime(2026, 11, 22, 8, tzinfo=UTC).timestamp()
GAMES_END = datetime(2026, 11, 28, 8, tzinfo=UTC).timestamp()
COUNTS = {"leagueTrophies": 80, "attackWinCount": 2, "attackLoseCount": 0, "defenseWinCount": 0, "defenseLoseCount": 1}
REMINDERS = Reminders(war=(6 * HOUR, HOUR), raid=(DAY, 6 * HOUR), games=(DAY,), min_town_hall=1)


class Api(InMemoryApi):
    """Rejects tags that are none, like the real client."""

    async def ranked_group(self, group_tag: str, season: int, player_tag: str) -> ApiResponse:
        return await super().ranked_group(normalize_tag(group_tag), season, player_tag)

    async def player(self, tag: str) -> ApiResponse:
        return await super().player(normalize_tag(tag))


class Bridge:
    """Pollers with one store. Each event and each snapshot is checked."""

    def __init__(self, now: float) -> None:
        self.now = now
        self.api = Api()
        self.state = PollingState()
        self.events: list[Event] = []
        self._compressor = Compressor()
        store = QueueStore(self.state, asyncio.Queue())
        self.context = PollContext(
            cast("ClashClient", self.api), store, _NullMonitor(), lambda: self.now, lambda: self.now, on_bug=self._fail
        )

    @property
    def malformed(self) -> dict[str, int]:
        return dict(self.context.malformed_fields.counts)

    def show(self, path: str, good: Json, data: DataObject | None) -> None:
        """Respond with a body, possibly a malformed one if there is ``data``."""
        odd = data is not None and data.draw(st.sampled_from([True, True, False]))
        self.api.responses[path] = to_bytes(data.draw(mutated(good)) if odd and data is not None else good)

    def poll(self, poller: Any) -> None:
        result = run_without_loop(poller.poll())
        for event in result.events:
            metadata_model(event.event_type).model_validate(event.metadata)
            assert len(orjson.dumps(EventRecord.of(event))) <= MAX_EVENT_BYTES
        self.events += result.events
        snapshot = self.state.snapshot(poller.resource)
        if snapshot is None:
            return
        stored = decode_snapshot(self._compressor.compress(encode_snapshot(snapshot)), taken_at=snapshot.taken_at)
        assert stored == snapshot
        if poller.resource == CALENDAR:
            calendar_payload(stored).encode()
        elif owner(poller.resource) != CALENDAR:
            check_states(poller.resource, stored)

    def _fail(self, error: Exception, _: Resource) -> None:
        raise AssertionError("a comparison failed") from error


def iso(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def api_text(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y%m%dT%H%M%S.000Z")


def ranked_bodies(now: float, *, legend: bool) -> dict[str, Json]:
    """Return the responses about a player two hours after their last battle."""
    season = WEEK if now < WEEK + 7 * DAY else WEEK + int(7 * DAY)
    tier = {"id": 105000034, "name": "Legend League"} if legend else {"id": 105000027 + (now > WEEK + 7.2 * DAY)}
    battle = {
        "opponentPlayerTag": "#8QQ",
        "opponentName": "Ash",
        "stars": 2,
        "destructionPercentage": 65,
        "trophies": 40,
    }
    times = [at for at in (WEEK + HOUR, WEEK + 2 * DAY, WEEK + 3 * DAY) if at < now]
    logs = [{**battle, "creationTime": iso(at)} for at in times]
    log = [{**battle, "battleType": "legend", "attack": True, "battleTimestamp": iso(at)} for at in times[::-1]]
    result = {"leagueSeasonId": WEEK, "placement": 2, "leagueTrophies": 80, "leagueTierId": 105000028, "attackWins": 2}
    members = [{"playerTag": TAG, **COUNTS}, {"playerTag": "#8QQ", **COUNTS}]
    group = {"members": members, "attackLogs": logs, "defenseLogs": logs[:1]}
    return {
        f"/players/{TAG}": player(tag=TAG, leagueTier=tier, currentLeagueGroupTag="#2YY", currentLeagueSeasonId=season),
        f"/leaguegroup/#2YY/{WEEK}?playerTag={TAG}": group if not legend else {"members": members},
        f"/leaguegroup/#2YY/{WEEK + int(7 * DAY)}?playerTag={TAG}": {"members": members},
        f"/players/{TAG}/leaguehistory": {"items": [result] if now > WEEK + 7 * DAY else []},
        f"/players/{TAG}/battlelog": {"items": log},
    }


@fuzzed(short=10, long=2000)
@given(data=st.data(), legend=st.booleans())
def test_malformed_responses_about_ranked_battles_cause_no_bug(data: DataObject, *, legend: bool) -> None:
    bridge = Bridge(WEEK + DAY)
    pollers = [PlayerPoller(bridge.context, TAG, interval=60), RankedPoller(bridge.context, TAG, interval=600)]
    for at in (WEEK + DAY, WEEK + 2.2 * DAY, WEEK + 3.5 * DAY, WEEK + 7.1 * DAY, WEEK + 7.4 * DAY, WEEK + 8.1 * DAY):
        bridge.now = at
        for path, body in ranked_bodies(at, legend=legend).items():
            bridge.show(path, body, data)
        for poller in pollers:
            bridge.poll(poller)


def games_player(tag: str, value: int) -> Json:
    return player(tag=tag, achievements=[{"name": "Games Champion", "village": "home", "value": value, "stars": 1}])


@fuzzed(short=10, long=2000)
@given(data=st.data())
def test_malformed_responses_about_clan_games_cause_no_bug(data: DataObject) -> None:
    bridge = Bridge(GAMES_START - HOUR)
    ranking = ["#2P2", "#2P8"]
    bridge.show(f"/clans/{CLAN_TAG}", clan(*map(member, ranking)), None)
    games = GamesPoller(bridge.context, CLAN_TAG, interval=HOUR)
    reminder = reminders(bridge, games)
    bridge.poll(ClanPoller(bridge.context, CLAN_TAG, interval=60))
    times = [GAMES_START - HOUR, GAMES_START - 1800, GAMES_START, GAMES_START + DAY, GAMES_START + 1.1 * DAY]
    for at in [*times, GAMES_END - DAY, GAMES_END - HOUR, GAMES_END + 200, GAMES_END + 3 * HOUR]:
        bridge.now = at
        for tag in ranking:
            bridge.show(f"/players/{tag}", games_player(tag, 1000 + max(0, int(at - GAMES_START) // 600)), data)
        for poller in (games, games, reminder):
            bridge.poll(poller)


@fuzzed(short=20, long=2000)
@given(data=st.data())
def test_malformed_gold_pass_causes_no_bug_and_is_replaced(data: DataObject) -> None:
    bridge = Bridge(datetime(2026, 11, 30, 12, tzinfo=UTC).timestamp())
    poller = CalendarPoller(bridge.context, interval=60)
    october, november, december = ("20261001T080000.000Z", "20261101T080000.000Z", "20261201T080000.000Z")
    for now, (start, end) in enumerate([(october, november), (november, december), (november, december)]):
        bridge.now += now * 6 * HOUR
        bridge.show("/goldpass/seasons/current", {"startTime": start, "endTime": end}, data)
        bridge.poll(poller)
    bridge.now = datetime(2026, 12, 2, 12, tzinfo=UTC).timestamp()
    bridge.show("/goldpass/seasons/current", {"startTime": december, "endTime": "20270101T080000.000Z"}, None)
    bridge.poll(poller)
    snapshot = bridge.state.snapshot(CALENDAR)
    assert snapshot is not None
    assert calendar_payload(snapshot).gold_pass_start_at == "2026-12-01T08:00:00.000+00:00"


@fuzzed(short=10, long=2000)
@given(data=st.data())
def test_malformed_members_cause_no_bug_in_their_activity(data: DataObject) -> None:
    bridge = Bridge(WEEK + HOUR)
    poller = ClanPoller(bridge.context, CLAN_TAG, interval=60, track_activity=True, inactive_after=2 * DAY)
    for step in range(5):
        donated = data.draw(st.sampled_from([*range(0, 300, 50), 2**31, 2**63, 2**64 - 1, -5]))
        bridge.now += 20 * HOUR
        members = [member("#2P2", donations=donated), member("#2P8", donations=100 * step), member("#2PG")]
        bridge.show(f"/clans/{CLAN_TAG}", clan(*members), data if step else None)
        bridge.poll(poller)


def reminders(bridge: Bridge, *parts: Any) -> ReminderPoller:
    return ReminderPoller(
        bridge.context,
        CLAN_TAG,
        reminders=REMINDERS,
        parts={part.kind: part for part in parts if part.kind in CLAN_PARTS},
    )


@fuzzed(short=8, long=2000)
@given(data=st.data())
def test_malformed_wars_and_weekends_cause_no_bug_in_reminders(data: DataObject) -> None:
    bridge = Bridge(FRIDAY.timestamp())
    parts: list[Any] = [
        ClanPoller(bridge.context, CLAN_TAG, interval=60),
        WarPoller(bridge.context, CLAN_TAG, interval=60),
        RaidPoller(bridge.context, CLAN_TAG, interval=60),
    ]
    reminder = reminders(bridge, *parts)
    friday = FRIDAY.timestamp()
    end = friday + 2.5 * DAY
    weekend = seasons(play_weekend(random.Random(1), FRIDAY)[9])
    battle = {
        **war("inWar", attack("#2P2", "#8Q2", 1)),
        **dict(
            zip(
                ("preparationStartTime", "startTime", "endTime"),
                map(api_text, (end - 2 * DAY, end - DAY, end)),
                strict=True,
            )
        ),
        "attacksPerMember": 2,
    }
    for at in (1.6 * DAY, 2 * DAY - 60, 2 * DAY + 60, 2.3 * DAY, 2.48 * DAY, 2.9 * DAY):
        bridge.now = friday + at
        bridge.show(f"/clans/{CLAN_TAG}", clan(member("#2P2", role="leader"), member("#2P8")), data)
        bridge.show(f"/clans/{CLAN_TAG}/currentwar", battle, data)
        bridge.show(f"/clans/{CLAN_TAG}/capitalraidseasons?limit=1", weekend, data)
        for part in parts:
            bridge.poll(part)
            reminder.notify(part.kind, changed=True)
        bridge.poll(reminder)


def ranked_bridge(**changed: Json) -> tuple[Bridge, RankedPoller]:
    """Return a bridge that polls a player on the third day of a ranked week; ``changed`` are keys of the player."""
    bridge = Bridge(WEEK + 2.2 * DAY)
    for path, body in ranked_bodies(bridge.now, legend=False).items():
        bridge.show(path, {**body, **(changed if path == f"/players/{TAG}" else {})}, None)
    bridge.poll(PlayerPoller(bridge.context, TAG, interval=60))
    return bridge, RankedPoller(bridge.context, TAG, interval=600)


@pytest.mark.parametrize("group", ["hello", "#2YY/../x", "", "#", 5, None, ["#2YY"]])
def test_malformed_tag_of_a_league_group_is_not_requested(group: Any) -> None:
    bridge, poller = ranked_bridge(currentLeagueGroupTag=group)
    bridge.poll(poller)
    assert not [path for path in bridge.api.requests if "leaguegroup" in path]


def test_malformed_fields_of_a_league_group_are_counted_and_the_rest_is_used() -> None:
    bridge, poller = ranked_bridge()
    path = f"/leaguegroup/#2YY/{WEEK}?playerTag={TAG}"
    good = ranked_bodies(bridge.now, legend=False)[path]
    bridge.show(path, {**good, "attackLogs": []}, None)
    bridge.poll(poller)
    bridge.now += 600
    odd = {**good["attackLogs"][0], "stars": "two", "trophies": 2**40, "creationTime": iso(bridge.now - 60)}
    bridge.show(path, {**good, "attackLogs": [odd, 7]}, None)
    bridge.poll(poller)
    (event,) = bridge.events
    assert (event.metadata["stars"], event.metadata["trophies"], event.metadata["destruction"]) == (None, None, 65)
    assert bridge.malformed == {"ranked.attackLogs.stars": 1, "ranked.attackLogs.trophies": 1, "ranked.attackLogs": 1}


def test_malformed_entry_of_a_full_battle_log_does_not_complete_earlier_days() -> None:
    log: Json = {
        "items": [{"battleType": "legend", "attack": True, "battleTimestamp": iso(WEEK - n)} for n in range(50)]
    }
    log["items"][7] = "broken"
    assert [field.path for field in validate_battle_log(log)] == ["items"]
    known = legend_battles(log)
    assert known is not None
    assert known.since == WEEK - 49


@pytest.mark.parametrize(
    ("start", "end"),
    [("99990101T000000.000Z", "99990201T000000.000Z"), ("00010101T000000.000Z", "20270101T000000.000Z"), (5, None)],
)
def test_impossible_gold_pass_is_ignored(start: Any, end: Any) -> None:
    bridge = Bridge(datetime(2026, 11, 30, 12, tzinfo=UTC).timestamp())
    bridge.show("/goldpass/seasons/current", {"startTime": start, "endTime": end}, None)
    bridge.poll(CalendarPoller(bridge.context, interval=60))
    snapshot = bridge.state.snapshot(CALENDAR)
    assert snapshot is not None
    assert calendar_payload(snapshot).gold_pass_start_at is None


@pytest.mark.parametrize("value", [-1, 2**31, 2**63, 1.5, "5", None, True])
def test_impossible_value_of_the_games_achievement_is_unknown(value: Any) -> None:
    assert games_value({"achievements": [{"name": "Games Champion", "village": "home", "value": value}]}) is None


def test_malformed_tag_in_a_member_list_does_not_stop_the_clan_games() -> None:
    bridge = Bridge(GAMES_START + HOUR)
    bridge.show(f"/clans/{CLAN_TAG}", clan(member("hello"), member("#2P8")), None)
    bridge.poll(ClanPoller(bridge.context, CLAN_TAG, interval=60))
    bridge.show("/players/#2P8", games_player("#2P8", 1000), None)
    games = GamesPoller(bridge.context, CLAN_TAG, interval=HOUR)
    for _ in range(2):
        bridge.poll(games)
        bridge.now += 60
    assert [path for path in bridge.api.requests if "players" in path] == ["/players/#2P8"]


@pytest.mark.parametrize("donations", [-1, 2**31 + 1, 2**63, 2**64 - 1])
def test_impossible_donations_are_counted_and_not_added_up(donations: int) -> None:
    bridge = Bridge(WEEK + HOUR)
    poller = ClanPoller(bridge.context, CLAN_TAG, interval=60, track_activity=True)
    for number in (100, donations, 130):
        bridge.now += HOUR
        bridge.show(f"/clans/{CLAN_TAG}", clan(member("#2P2", donations=number)), None)
        bridge.poll(poller)
    snapshot = bridge.state.snapshot(poller.resource)
    assert snapshot is not None
    activity = clan_activity(snapshot)
    assert activity is not None
    assert activity.donations_today in (0, 30)
    assert bridge.malformed == {"clan.memberList.donations": 1}
