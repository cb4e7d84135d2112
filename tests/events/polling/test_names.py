"""Events have the name of their clan or player as soon as any snapshot contains it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from coc2mqtt.clash import NotFoundError, PrivateWarLogError, ServerError
from coc2mqtt.demo import faults
from coc2mqtt.events.record import EventRecord
from coc2mqtt.events.resource import Kind
from tests.support.bodies import CLAN_TAG, clan, no_war, player, war
from tests.support.pollers import poller
from tests.support.replay import Replay

if TYPE_CHECKING:
    from tests.events.conftest import Bench

PRIVATE = PrivateWarLogError("private")


def names(replay: Replay) -> list[tuple[str, str | None]]:
    return [(event.event_type.value, event.name) for event in replay.events]


async def test_war_log_of_a_clan_that_is_not_in_a_war_has_the_name_of_the_clan(bench: Bench) -> None:
    name = (bench.world.clan(bench.clan) or {})["name"]
    await poller(bench, Kind.CLAN).poll()
    subject = poller(bench, Kind.WAR)
    await subject.poll()
    events = []
    for public in (False, True):
        bench.world.set_war_log_public(bench.clan, public=public)
        events += (await subject.poll()).events
    bench.server.faults.add(faults.html_page(502), times=1)
    events += (await subject.poll()).events
    assert [(event.event_type.value, event.name) for event in events] == [
        ("war_log_private", name),
        ("war_log_public", name),
        ("poll_error", name),
    ]
    summaries = [EventRecord.of(event).summary for event in events]
    assert all(name in summary and bench.clan not in summary for summary in summaries)


async def test_war_log_that_was_always_private_has_the_name_of_the_clan(bench: Bench) -> None:
    name = (bench.world.clan(bench.private_clan) or {})["name"]
    await poller(bench, Kind.CLAN, bench.private_clan).poll()
    subject = poller(bench, Kind.WAR, bench.private_clan)
    await subject.poll()
    bench.world.set_war_log_public(bench.private_clan, public=True)
    (event,) = (await subject.poll()).events
    assert (event.event_type.value, event.name) == ("war_log_public", name)


@pytest.mark.usefixtures("at_war")
async def test_clan_that_was_never_found_has_the_name_in_its_war(bench: Bench) -> None:
    name = (bench.world.clan(bench.clan) or {})["name"]
    await poller(bench, Kind.WAR).poll()
    bench.server.faults.add(faults.refusal(404, "notFound"), times=1)
    (event,) = (await poller(bench, Kind.CLAN).poll()).events
    assert (event.event_type.value, event.name) == ("watch_unavailable", name)


@pytest.mark.usefixtures("at_war")
async def test_war_event_has_the_latest_name_of_a_renamed_clan(bench: Bench) -> None:
    subject = poller(bench, Kind.WAR)
    await subject.poll()
    await poller(bench, Kind.CLAN).poll()
    snapshot = await bench.store.snapshot(poller(bench, Kind.CLAN).resource)
    assert snapshot is not None
    assert snapshot.data is not None
    snapshot.data["name"] = "Renamed"
    bench.world.set_war_log_public(bench.clan, public=False)
    assert [event.name for event in (await subject.poll()).events] == ["Renamed"]


def test_war_that_is_watched_alone_has_the_name_in_its_own_snapshot() -> None:
    replay = Replay(Kind.WAR, CLAN_TAG, standalone=True)
    for response in (war("warEnded"), NotFoundError("gone"), war("warEnded"), PRIVATE, no_war()):
        replay.feed(response)
    name = f"Name of {CLAN_TAG}"
    assert names(replay) == [
        ("watch_unavailable", name),
        ("watch_available", name),
        ("war_log_private", name),
        ("war_log_public", name),
        ("war_state_changed", name),
    ]


@pytest.mark.parametrize(("kind", "body"), [(Kind.CLAN, clan()), (Kind.PLAYER, player())])
def test_event_about_a_watch_has_the_last_name(kind: Kind, body: dict[str, Any]) -> None:
    replay = Replay(kind, body["tag"])
    for response in (body, NotFoundError("gone"), ServerError("broken"), body):
        replay.feed(response)
    assert {name for _, name in names(replay)} == {body["name"]}
    assert len(replay.events) == 3


@pytest.mark.parametrize("kind", [Kind.CLAN, Kind.WAR, Kind.PLAYER])
def test_event_has_no_name_if_no_snapshot_has_one(kind: Kind) -> None:
    replay = Replay(kind, CLAN_TAG)
    replay.feed(ServerError("broken"))
    assert names(replay) == [("poll_error", None)]
    assert CLAN_TAG in EventRecord.of(replay.events[0]).summary
