"""Retained states of a full clan at war, of a player in it, of the API and of the bridge, by topic."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson

from coc2mqtt.events.resource import Kind, Resource, Snapshot
from coc2mqtt.mqtt.payloads.player import PlayerParts, player_war_payload
from coc2mqtt.mqtt.payloads.state import api_status_payload, state_payloads
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
_TOPICS = Topics()
_CLAN, _WAR, _PLAYER = Resource(Kind.CLAN, "#2PP"), Resource(Kind.WAR, "#2PP"), Resource(Kind.PLAYER, "#900PUCPV")


def retained(*, state: str = "inWar") -> Json:
    """Return the decoded payloads by topic."""
    clan_now, player_now = (Snapshot(data, {}, AT) for data in (_clan(), _player()))
    war_now = Snapshot(_war(state), {"last_result": _LAST_RESULT}, AT)
    parts = PlayerParts(war=player_war_payload("#900PUCPV", "#2PP", war_now))
    return {
        **_of(_CLAN, state_payloads(_CLAN, clan_now, polled_at=AT)),
        **_of(_WAR, state_payloads(_WAR, war_now)),
        **_of(_PLAYER, state_payloads(_PLAYER, player_now, polled_at=AT, parts=parts)),
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
