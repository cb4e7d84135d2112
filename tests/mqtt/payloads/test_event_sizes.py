"""Every event of the largest clan and war of the game, with the longest names, fits into 2 kB."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson
import pytest

from coc2mqtt.events.record import MAX_EVENT_BYTES, EventRecord
from coc2mqtt.events.resource import Kind
from coc2mqtt.journal.protocol import JournalEntry
from coc2mqtt.mqtt.payloads.models import EventPayload
from coc2mqtt.mqtt.schemas import schemas
from tests.support.bodies import CLAN_TAG, OPPONENT_TAG, attack, clan, member
from tests.support.replay import Replay

if TYPE_CHECKING:
    from collections.abc import Sequence

    from coc2mqtt.events.event import Event

Json = dict[str, Any]

# The game allows names of at most fifteen characters.
NAMES = {"long": "W" * 15, "wide": "😀" * 15, "escaped": '"\\' * 7, "odd": "\0" * 15}
END = "20261103T070000.000Z"


def war_of_fifty(state: str, name: str, *, attacks: int) -> Json:
    """Return a war of fifty against fifty; each of the first ``attacks`` members of the clan has attacked once."""
    made = [attack(f"#2{number:08}", f"#8{number:08}", number + 1) for number in range(attacks)]
    sides = {}
    for side, tag, prefix in (("clan", CLAN_TAG, "#2"), ("opponent", OPPONENT_TAG, "#8")):
        members: list[Json] = [
            {"tag": f"{prefix}{number:08}", "name": name, "townhallLevel": 17, "mapPosition": number + 1}
            for number in range(50)
        ]
        if side == "clan":
            for number, one in enumerate(made):
                members[number]["attacks"] = [one]
        sides[side] = {
            "tag": tag,
            "name": name,
            "clanLevel": 30,
            "attacks": attacks if side == "clan" else 0,
            "stars": 2 * attacks if side == "clan" else 0,
            "destructionPercentage": 33.333333333333336,
            "members": members,
        }
    return {
        "state": state,
        "teamSize": 50,
        "attacksPerMember": 2,
        "preparationStartTime": "20261101T080000.000Z",
        "startTime": "20261102T070000.000Z",
        "endTime": END,
        **sides,
    }


def clan_of_fifty(name: str, **fields: Any) -> Json:
    return clan(*(member(f"#2{number:08}", name=name, **fields) for number in range(50)), name=name)


def published(events: Sequence[Event], kind: Kind) -> list[tuple[bytes, Json]]:
    payloads = [
        EventPayload.of(JournalEntry(2**53, "f" * 32, kind, EventRecord.of(event))).encode() for event in events
    ]
    return [(payload, orjson.loads(payload)) for payload in payloads]


def check(events: list[tuple[bytes, Json]]) -> None:
    for payload, event in events:
        assert len(payload) <= MAX_EVENT_BYTES
        schemas()[f"event-{event['event_type']}"].adapter.validate_python(event, strict=True)


@pytest.mark.parametrize("name", NAMES.values(), ids=NAMES)
def test_events_of_a_war_of_fifty_against_fifty_fit(name: str) -> None:
    replay = Replay(Kind.WAR, CLAN_TAG)
    replay.feed(war_of_fifty("inWar", name, attacks=0))
    replay.feed(war_of_fifty("inWar", name, attacks=50))
    replay.feed(war_of_fifty("warEnded", name, attacks=50))
    replay.feed(war_of_fifty("warEnded", name, attacks=50), after=400)
    events = published(replay.events, Kind.WAR)
    check(events)
    types = [event["event_type"] for _, event in events]
    assert types == ["war_attack_new"] * 50 + ["war_state_changed", "war_ended"]
    ended = events[-1][1]["metadata"]
    assert (ended["result"], ended["attacks_left"]) == ("win", 50)
    kept = ended["members_attacks_left"]
    assert kept == [
        {"tag": f"#2{number:08}", "name": kept[0]["name"], "attacks_left": 1} for number in range(len(kept))
    ]
    assert len(kept) + ended["left_out"] == 50
    if name == NAMES["long"]:
        assert len(kept) >= 20


@pytest.mark.parametrize("name", NAMES.values(), ids=NAMES)
def test_events_of_a_clan_of_fifty_fit_if_all_members_change_at_once(name: str) -> None:
    replay = Replay(Kind.CLAN, CLAN_TAG)
    replay.feed(clan_of_fifty(name))
    league = {"id": 105000030, "name": name, "iconUrls": {"small": "https://api-assets.clashofclans.com/" + "x" * 100}}
    changed = {"role": "coLeader", "donations": 9000, "townHallLevel": 17, "leagueTier": league, "playerHouse": [name]}
    labels = [{"id": number, "name": name} for number in range(50)]
    after = {**clan_of_fifty(name[1:], **changed), "description": name * 20, "labels": labels}
    replay.feed(after)
    replay.feed({**after, "members": 1, "memberList": after["memberList"][:1]})
    events = published(replay.events, Kind.CLAN)
    check(events)
    types = [event["event_type"] for _, event in events]
    assert [types.count(one) for one in ("clan_updated", "member_role_changed", "member_donations")] == [2, 50, 50]
    assert [types.count(one) for one in ("member_updated", "member_left")] == [50, 49]
