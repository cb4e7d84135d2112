from __future__ import annotations

from coc2mqtt.events.resource import API
from tests.support.bodies import clan, player
from tests.support.retained import (
    API_STATUS,
    AVAILABILITY,
    CLAN,
    PLAYER,
    PLAYER_WATCH,
    RetainedStateHarness,
    retained_messages,
)


async def test_unreachable_api_makes_every_watch_unavailable_and_nothing_else(harness: RetainedStateHarness) -> None:
    await harness.poll_clan()
    harness.watch(PLAYER_WATCH)
    await harness.poll(PLAYER, player())
    await harness.poll(API, {"status": "ok", "since": 1.0, "message": None, "address": None})
    await harness.publish()
    player_availability = "coc/player/900PUCPV/state/availability"
    for reachable, status, shown in ((False, "unreachable", "offline"), (True, "ok", "online")):
        harness.api_reachable = reachable
        await harness.poll(API, {"status": status, "since": 2.0, "message": None, "address": None})
        recording = await harness.publish()
        assert sorted(recording.topics) == sorted([API_STATUS, AVAILABILITY, player_availability])
        assert (
            retained_messages(recording)[AVAILABILITY]
            == retained_messages(recording)[player_availability]
            == {"state": shown}
        )


async def test_clan_polled_or_unknown_while_the_api_is_unreachable_is_unavailable(
    harness: RetainedStateHarness,
) -> None:
    harness.api_reachable = False
    await harness.poll_clan()
    assert retained_messages(await harness.publish())[AVAILABILITY] == {"state": "offline"}
    await harness.poll(CLAN, clan(), unavailable=True)
    await harness.publish()
    harness.api_reachable = True
    await harness.poll(API, {"status": "ok", "since": 2.0, "message": None, "address": None})
    assert AVAILABILITY not in (await harness.publish()).topics, "the clan is still not found"
