"""The watchers with recorded responses of one real clan over a month, served over real HTTP."""

from __future__ import annotations

import asyncio
import itertools
from collections import Counter
from typing import TYPE_CHECKING, Any

import orjson
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from coc2mqtt.events import BaseWatcher, ClanWatcher, Event, EventType, PollingState, WarWatcher
from coc2mqtt.events.record import EventRecord
from coc2mqtt.events.resource import Kind
from tests.support.paths import SHARED
from tests.support.replay import Replay

if TYPE_CHECKING:
    from tests.events.conftest import OpenClient

Json = dict[str, Any]

RECORDINGS = SHARED / "fixtures" / "seq-coreym7"
TAG = "#2Y08VQ2GJ"

pytestmark = pytest.mark.skipif(not RECORDINGS.is_dir(), reason="no recorded responses in ../shared/fixtures")


def recorded(kind: str) -> list[bytes]:
    return [path.read_bytes() for path in sorted(RECORDINGS.glob(f"*_{kind}_*.json"))]


async def play(watcher_type: type[ClanWatcher | WarWatcher], kind: str, open_client: OpenClient) -> list[Event]:
    """Serve each response three times to one watcher, and return all events.

    The second response has the same bytes, the third has other white space, so that it has to be parsed.
    """
    responses = recorded(kind)
    served = iter([body for response in responses for body in (response, response, response + b"\n")])

    async def respond(request: web.Request) -> web.Response:
        # The opponents' wars and the war log were not recorded.
        if TAG not in request.path or request.path.endswith("warlog"):
            return web.Response(status=404, body=b'{"reason": "notFound"}', content_type="application/json")
        return web.Response(body=next(served), content_type="application/json")

    app = web.Application()
    app.router.add_get("/{path:.*}", respond)
    events: list[Event] = []
    async with TestServer(app) as server:
        queue: asyncio.Queue[Event] = asyncio.Queue()
        api = await open_client(str(server.make_url("/v1")))
        watcher: BaseWatcher = watcher_type(api, PollingState(), queue, [TAG])
        for _ in responses:
            events += await watcher._poll_once()
            assert await watcher._poll_once() == []
            assert await watcher._poll_once() == []
        assert [queue.get_nowait() for _ in range(queue.qsize())] == events
    assert next(served, None) is None
    return events


async def test_recorded_joins_leaves_and_roles_match_the_member_lists(open_client: OpenClient) -> None:
    expected: Counter[tuple[str, ...]] = Counter()
    rosters = [{one["tag"]: one["role"] for one in orjson.loads(body)["memberList"]} for body in recorded("clan")]
    for old, new in itertools.pairwise(rosters):
        expected.update(("member_joined", tag) for tag in new.keys() - old.keys())
        expected.update(("member_left", tag) for tag in old.keys() - new.keys())
        changed = {tag for tag in new.keys() & old.keys() if old[tag] != new[tag]}
        expected.update(("member_role_changed", tag, old[tag], new[tag]) for tag in changed)

    seen: Counter[tuple[str, ...]] = Counter()
    for event in await play(ClanWatcher, "clan", open_client):
        who = str(event.metadata.get("member_tag"))
        if event.event_type in (EventType.MEMBER_JOINED, EventType.MEMBER_LEFT):
            seen[event.event_type.value, who] += 1
        elif event.event_type is EventType.MEMBER_ROLE_CHANGED:
            seen[event.event_type.value, who, event.metadata["old_role"], event.metadata["new_role"]] += 1
    assert seen == expected
    assert {what for what, *_ in expected} >= {"member_joined", "member_left"}


async def test_recorded_wars_and_attacks_are_reported_once(open_client: OpenClient) -> None:
    wars = [orjson.loads(body) for body in recorded("currentwar")]
    starts = list(dict.fromkeys(war["preparationStartTime"] for war in wars))
    first = orders(wars[0])
    attacks = {(war["preparationStartTime"], order) for war in wars for order in orders(war)}
    baseline = {(wars[0]["preparationStartTime"], order) for order in first}
    finished = {war["preparationStartTime"] for war in wars if war["state"] == "warEnded"}

    events = await play(WarWatcher, "currentwar", open_client)
    new = [start_of(event) for event in events if event.event_type is EventType.WAR_NEW]
    ended = [
        (start_of(event), event.metadata["observed"]) for event in events if event.event_type is EventType.WAR_ENDED
    ]
    reported = [
        (start_of(event), event.metadata["order"]) for event in events if event.event_type is EventType.WAR_ATTACK_NEW
    ]
    assert new == starts[1:], "the first war had started before the first poll"
    assert ended == [(start, start in finished) for start in starts if start in finished or start != starts[-1]]
    assert Counter(reported) == Counter(attacks - baseline)
    assert len(reported) > 100


def test_recorded_wars_are_reported_completely_from_any_subset() -> None:
    wars = [orjson.loads(body) for body in recorded("currentwar")]
    for choice in itertools.product([False, True], repeat=len(wars)):
        seen = [war for war, chosen in zip(wars, choice, strict=True) if chosen]
        if not seen:
            continue
        replay = Replay(Kind.WAR, TAG)
        # Later than all recordings, so that each result is final immediately.
        replay.now = 1_800_000_000.0
        for war in seen:
            replay.feed(war)
            assert replay.feed(war) == []
        starts = list(dict.fromkeys(war["preparationStartTime"] for war in seen))
        over = starts if seen[-1]["state"] == "warEnded" else starts[:-1]
        if seen[0]["state"] == "warEnded":
            over = over[1:]
        types = Counter((event.event_type, start_of(event)) for event in replay.events)
        assert [start for start in starts if types[EventType.WAR_NEW, start]] == starts[1:]
        assert [start for start in starts if types[EventType.WAR_ENDED, start]] == over
        reported = Counter(
            (start_of(event), event.metadata["order"])
            for event in replay.events
            if event.event_type is EventType.WAR_ATTACK_NEW
        )
        shown = {(war["preparationStartTime"], order) for war in seen for order in orders(war)}
        assert reported == Counter(shown - {(starts[0], order) for order in orders(seen[0])})


@pytest.mark.parametrize(("watcher", "kind"), [(ClanWatcher, "clan"), (WarWatcher, "currentwar")])
async def test_events_of_recordings_have_small_records_with_a_summary(
    watcher: type[ClanWatcher | WarWatcher], kind: str, open_client: OpenClient
) -> None:
    events = await play(watcher, kind, open_client)
    records = [EventRecord.of(event) for event in events]
    assert len(records) > 20
    assert max(len(orjson.dumps(record)) for record in records) < 2000
    assert all(record.tag == TAG and record.name and record.summary for record in records)
    assert not any("None" in record.summary for record in records)


def orders(war: Json) -> set[int]:
    return {
        attack["order"]
        for side in ("clan", "opponent")
        for member in war[side]["members"]
        for attack in member.get("attacks", [])
    }


def start_of(event: Event) -> str:
    return str(event.metadata["war_id"]).split("-")[0]
