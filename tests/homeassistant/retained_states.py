"""Retained states of a full clan at war, in a league and raiding, of a player in it, and of the bridge, by topic."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

import orjson

from coc2mqtt.events.compare.activity import Activity, MemberActivity
from coc2mqtt.events.resource import Kind, Resource, Snapshot
from coc2mqtt.mqtt.payloads.cwl import CwlPayload, CwlStandingPayload, CwlWarPayload
from coc2mqtt.mqtt.payloads.player import PlayerParts, player_war_payload
from coc2mqtt.mqtt.payloads.raid import RaidMemberLeftPayload, RaidMemberPayload, RaidOpponentPayload, RaidPayload
from coc2mqtt.mqtt.payloads.state import api_status_payload, state_payloads
from coc2mqtt.mqtt.payloads.values import short_text
from coc2mqtt.mqtt.payloads.war import WarMemberPayload, WarSidePayload
from coc2mqtt.mqtt.topics import Topics
from tests.homeassistant.builders import BADGE
from tests.support.bodies import attack, clan, member, player, war

if TYPE_CHECKING:
    from collections.abc import Mapping

    from coc2mqtt.mqtt.payloads.models import Payload

Json = dict[str, Any]

AT = 1_800_000_000.0
SEEN = "2027-01-15T08:00:00.000+00:00"
# The longest name that the bridge publishes, of characters with four bytes.
LONG_NAME = "\N{CASTLE}\N{CROSSED SWORDS}\N{EUROPEAN CASTLE}" * 85
_LAST_RESULT = {
    "war_id": "20261101T080000.000Z-2PP-8QQ",
    "opponent_tag": "#8QQ",
    "opponent_name": LONG_NAME,
    "result": "win",
    "stars": 88,
    "opponent_stars": 79,
    "destruction": 97.5,
    "opponent_destruction": 91,
    "team_size": 30,
    "end_time": "20261031T070000.000Z",
    "at": AT,
}
_ACTIVITY = Activity(AT, AT, {f"#2P{number}": MemberActivity(2, 10, AT, number < 7) for number in range(50)})
_TOPICS = Topics()
_CLAN, _WAR, _PLAYER = Resource(Kind.CLAN, "#2PP"), Resource(Kind.WAR, "#2PP"), Resource(Kind.PLAYER, "#900PUCPV")


def retained(*, state: str = "inWar") -> Json:
    """Return the decoded payloads by topic."""
    decoded: Json = orjson.loads(_encoded(state))
    return decoded


# A copy is decoded far faster than it is built.
@cache
def _encoded(state: str) -> bytes:
    return orjson.dumps(_retained(state))


def _retained(state: str) -> Json:
    clan_now, player_now = Snapshot(_clan(), {"activity": _ACTIVITY.to_memo()}, AT), Snapshot(_player(), {}, AT)
    war_now = Snapshot(_war(state), {"last_result": _LAST_RESULT}, AT)
    parts = PlayerParts(war=player_war_payload("#900PUCPV", "#2PP", war_now), activity=MemberActivity(3, 20, AT))
    return {
        **_of(_CLAN, state_payloads(_CLAN, clan_now, polled_at=AT)),
        **_of(_WAR, state_payloads(_WAR, war_now)),
        **_of(Resource(Kind.CWL, "#2PP"), {"cwl": _cwl()}),
        **_of(Resource(Kind.RAID, "#2PP"), {"raid": _raid()}),
        **_of(_PLAYER, state_payloads(_PLAYER, player_now, polled_at=AT, parts=parts)),
        _TOPICS.state(Kind.GAMES, "#2PP", "games"): _games(),
        _TOPICS.state(Kind.RANKED, "#900PUCPV", "ranked"): _ranked(),
        _TOPICS.api_calendar: _calendar(),
        _TOPICS.api_status: orjson.loads(api_status_payload(Snapshot(_api(), {}, AT)).encode()),
        _TOPICS.bridge("state"): {"state": "online"},
        _TOPICS.bridge("info"): {"version": "1.2.3", "log_level": "info"},
        _TOPICS.bridge("health"): _health(),
        _TOPICS.bridge("last_command"): _last_command(),
    }


def _of(resource: Resource, states: Mapping[str, Payload]) -> Json:
    return {
        _TOPICS.state(resource.kind, resource.tag, facet): orjson.loads(payload.encode())
        for facet, payload in states.items()
    }


def _clan() -> Json:
    return clan(
        *(member(f"#2P{number}", name=LONG_NAME, role="admin") for number in range(50)),
        badgeUrls={"large": BADGE},
        clanBuilderBasePoints=1900,
        clanCapitalPoints=800,
        capitalLeague={"id": 1, "name": "Master League"},
        warWinStreak=0,
        warWins=300,
        isWarLogPublic=True,
    )


def _war(state: str) -> Json:
    whole = war(state)
    whole["teamSize"] = 50
    for side, stars, destruction in (("clan", 7, 12.3456), ("opponent", 8, 13.0)):
        whole[side] |= {
            "stars": stars,
            "attacks": 3,
            "destructionPercentage": destruction,
            "name": LONG_NAME if side == "opponent" else "The Order",
            "members": [{"tag": f"#2P{number}", "name": LONG_NAME, "mapPosition": number} for number in range(1, 51)],
        }
    whole["clan"]["members"][49] |= {"tag": "#900PUCPV", "attacks": [attack("#900PUCPV", "#8Q2", 1)]}
    return whole


def _cwl() -> CwlPayload:
    return CwlPayload(
        state="inWar",
        season="2026-11-02",
        league="Crystal League I",
        rounds=7,
        clans=8,
        round=3,
        war=_cwl_war(3, "inWar"),
        next_war=_cwl_war(4, "preparation"),
        position=2,
        stars=214,
        standings=[
            CwlStandingPayload(
                position=position,
                tag=f"#2P{position}",
                name=short_text(LONG_NAME),
                stars=300 - position,
                destruction=4321.25,
                wins=2,
                losses=1,
                ties=0,
            )
            for position in range(1, 17)
        ],
        updated_at=SEEN,
    )


def _cwl_war(number: int, state: str) -> CwlWarPayload:
    side = {"level": 10, "attacks": 3, "attacks_left": 27, "destruction": 12.3456}
    left = [
        WarMemberPayload(tag=f"#2P{position}", name=short_text(LONG_NAME), position=position, attacks_left=1)
        for position in range(1, 51)
    ]
    return CwlWarPayload(
        round=number,
        war_id=f"#8QQ{number}",
        state=state,
        preparation_start_time=f"2026-11-0{number}T07:00:00.000+00:00",
        start_time=f"2026-11-0{number + 1}T07:00:00.000+00:00",
        end_time=f"2026-11-0{number + 2}T07:00:00.000+00:00",
        team_size=30,
        status="losing",
        clan=WarSidePayload(tag="#2PP", name="The Order", stars=7, **side),
        opponent=WarSidePayload(tag=f"#8Q{number}", name=LONG_NAME, stars=8, **side),
        members_with_attacks_left=left,
    )


def _raid() -> RaidPayload:
    return RaidPayload(
        state="ongoing",
        start_time="2026-11-06T07:00:00.000+00:00",
        end_time="2026-11-09T07:00:00.000+00:00",
        loot=512_345,
        attacks=120,
        attacks_left=60,
        districts_destroyed=44,
        raids_completed=5,
        opponent=RaidOpponentPayload(tag="#8QQ", name=LONG_NAME, districts_left=3),
        estimated_medals=211,
        offensive_reward=None,
        defensive_reward=None,
        max_medals=None,
        members_with_attacks_left=[
            RaidMemberLeftPayload(tag=f"#2P{number}", name=short_text(LONG_NAME), attacks_left=5)
            for number in range(60)
        ],
        members_not_started=[RaidMemberPayload(tag=f"#2Q{number}", name=short_text(LONG_NAME)) for number in range(60)],
        updated_at=SEEN,
    )


def _player() -> Json:
    return player(
        expLevel=200,
        warStars=1500,
        donations=0,
        donationsReceived=12,
        warPreference="in",
        role="leader",
        clan={"tag": "#2PP", "name": "The Order"},
    )


def _api() -> Json:
    return {"status": "denied", "since": AT, "message": "accessDenied", "address": "203.0.113.9"}


def _health() -> Json:
    last = {
        "event_type": "member_joined",
        "tag": "#2PP",
        "name": LONG_NAME,
        "summary": f"{LONG_NAME} joined",
        "timestamp": SEEN,
        "seq": 7,
    }
    return {"polls_per_second": 0.35, "queue": 0, "watches": 3, "clans": 1, "players": 2, "last_event": last}


def _last_command() -> Json:
    return {
        "command": "watch",
        "kind": "clan",
        "tag": "#2PP",
        "status": "ok",
        "summary": "Now watching The Order (#2PP)",
        "time": SEEN,
        "running": None,
    }


def _games() -> Json:
    below = [
        {"tag": f"#2P{number}", "name": LONG_NAME[:16], "points": number, "partial": False} for number in range(60)
    ]
    times = {"start_at": "2026-11-22T08:00:00.000+00:00", "end_at": "2026-11-28T08:00:00.000+00:00"}
    state = {"state": "ongoing", "total": 31_500, "max_points": 4000, "partial": False, "members_below": below}
    return {**state, **times, "updated_at": SEEN}


def _ranked() -> Json:
    times = {"end_at": "2026-12-07T05:00:00.000+00:00"}
    battles = {"attacks": 5, "defenses": 7, "attack_wins": 4, "attack_losses": 1, "group_size": 100}
    week = {"season": 1_796_014_800, "tier": "Titan League 25", "placement": 12, "trophies": 140}
    return {**week, **battles, **times, "updated_at": SEEN}


def _calendar() -> Json:
    names = ("gold_pass", "season", "ranked_week", "clan_games", "raid_weekend")
    return {f"{name}_{edge}_at": SEEN for name in names for edge in ("start", "end")}
