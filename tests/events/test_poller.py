from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import orjson
import pytest
from aiohttp import web
from pydantic import SecretStr

from coc2mqtt.clash import Answer, ClashClient
from coc2mqtt.demo import faults
from coc2mqtt.events.api_monitor import ApiMonitor
from coc2mqtt.events.poller import PollContext, Poller
from coc2mqtt.events.pollers import ClanPoller, PlayerPoller
from coc2mqtt.events.queue_store import QueueStore
from coc2mqtt.events.resource import Kind, Resource, Snapshot
from coc2mqtt.events.war_poller import WarPoller

if TYPE_CHECKING:
    from collections.abc import Sequence

    from coc2mqtt.demo.faults import Fault, Handler
    from coc2mqtt.events import Event
    from coc2mqtt.events.store import Store
    from tests.events.conftest import Bench, Until

POLLERS: dict[Kind, type[Poller]] = {Kind.CLAN: ClanPoller, Kind.WAR: WarPoller, Kind.PLAYER: PlayerPoller}
KINDS = [Kind.CLAN, Kind.WAR, Kind.PLAYER]


def poller(bench: Bench, kind: Kind = Kind.CLAN, tag: str | None = None, store: Store | None = None) -> Poller:
    """A poller as in a new run of the program."""
    tag = tag or (bench.player if kind is Kind.PLAYER else bench.clan)
    store = store or bench.store
    monitor = ApiMonitor(store, now=bench.clock, changed=lambda _: None)
    context = PollContext(bench.api, store, monitor, bench.clock)
    return POLLERS[kind](context, tag, interval=60)


async def told(subject: Poller) -> list[str]:
    return [event.event_type.value for event in (await subject.poll()).events]


def answering(body: Any) -> Fault:
    async def fault(_: web.Request, __: Handler) -> web.Response:
        return web.Response(body=orjson.dumps(body), content_type="application/json")

    return fault


def happen(bench: Bench, kind: Kind) -> str:
    """Let something happen; returns the type of its one event."""
    if kind is Kind.CLAN:
        return bench.world.gain_points(bench.clan)[0].event_type
    if kind is Kind.PLAYER:
        return bench.world.win_trophies(bench.player)[0].event_type
    return bench.world.attack(bench.clan)[0].event_type


@pytest.fixture(autouse=True)
def _at_war(bench: Bench) -> None:
    bench.world.declare_war(bench.clan)
    bench.world.begin_battle(bench.clan)
    bench.world.attack(bench.clan)


@pytest.mark.parametrize("kind", KINDS)
async def test_the_first_sight_is_the_baseline_and_what_follows_is_told(bench: Bench, kind: Kind) -> None:
    subject = poller(bench, kind)
    polled = await subject.poll()
    assert (polled.events, polled.committed) == ([], True)
    event_type = happen(bench, kind)
    polled = await subject.poll()
    assert [event.event_type.value for event in polled.events] == [event_type]
    assert polled.events[0].timestamp == bench.clock.now
    assert polled.committed
    assert bench.told() == [event_type]


async def test_the_same_answer_is_neither_decoded_nor_stored(bench: Bench) -> None:
    answers: list[Answer] = []

    class Client(ClashClient):
        async def clan(self, tag: str) -> Answer:
            answers.append(await super().clan(tag))
            return answers[-1]

    async with Client([SecretStr("token-of-a-test")], base_url=bench.server.base_url) as bench.api:
        subject = poller(bench)
        assert (await subject.poll()).committed
        assert (await subject.poll())[:3] == ([], 0, False)
    decoded = ["data" in vars(answer) for answer in answers]
    assert decoded == [True, False]


async def test_it_says_for_how_long_the_answer_holds(bench: Bench) -> None:
    async def held(request: web.Request, handler: Handler) -> web.Response:
        response = await handler(request)
        response.headers["Cache-Control"] = "max-age=91"
        return response

    bench.server.faults.add(held)
    subject = poller(bench)
    assert [(await subject.poll()).not_before for _ in range(2)] == [91, 91]


@pytest.mark.parametrize("kind", KINDS)
async def test_what_changed_while_nobody_watched_is_marked_as_caught_up(bench: Bench, kind: Kind) -> None:
    await poller(bench, kind).poll()
    happen(bench, kind)
    bench.clock.now += 3600.25
    subject = poller(bench, kind)
    (event,) = (await subject.poll()).events
    assert event.metadata["catch_up"] is True
    assert event.metadata["snapshot_age_seconds"] == 3600.25
    happen(bench, kind)
    (event,) = (await subject.poll()).events
    assert not event.metadata.keys() & {"catch_up", "snapshot_age_seconds"}


async def test_a_failure_at_start_does_not_keep_it_from_being_marked(bench: Bench) -> None:
    await poller(bench).poll()
    happen(bench, Kind.CLAN)
    bench.clock.now += 10
    bench.server.faults.add(faults.html_page(502), times=1)
    subject = poller(bench)
    assert await told(subject) == ["poll_error"]
    (event,) = (await subject.poll()).events
    assert event.metadata["catch_up"] is True


@pytest.mark.parametrize("kind", [Kind.CLAN, Kind.PLAYER])
async def test_what_cannot_be_found_is_said_once_and_asked_slowly_until_it_is_back(bench: Bench, kind: Kind) -> None:
    subject = poller(bench, kind)
    await subject.poll()
    bench.server.faults.add(faults.refusal(404, "notFound"))
    polled = await subject.poll()
    assert [event.event_type.value for event in polled.events] == ["watch_unavailable"]
    assert polled.events[0].metadata["endpoint"] == kind.value
    assert await told(subject) == []
    assert await told(poller(bench, kind)) == [], "a restart changes nothing"
    for _ in range(10):
        polled = await subject.poll()
    assert polled.backoff == 600
    bench.server.faults.clear()
    event_type = happen(bench, kind)
    assert await told(subject) == ["watch_available", event_type]
    assert await told(subject) == []


async def test_other_trouble_in_between_does_not_say_it_again(bench: Bench) -> None:
    subject = poller(bench)
    await subject.poll()
    seen = []
    for fault in (faults.refusal(404, "notFound"), faults.html_page(502), faults.refusal(404, "notFound")):
        bench.server.faults.add(fault, times=1)
        seen += await told(subject)
    assert seen == ["watch_unavailable", "poll_error"]
    assert await told(subject) == ["watch_available"]


async def test_a_tag_that_never_was_is_unavailable_until_it_is_and_not_caught_up_then(bench: Bench) -> None:
    assert await told(poller(bench, tag="#2PPP")) == ["watch_unavailable"]
    bench.clock.now += 10
    bench.server.faults.add(answering({**(bench.world.clan(bench.clan) or {}), "tag": "#2PPP"}))
    (event,) = (await poller(bench, tag="#2PPP").poll()).events
    assert event.event_type.value == "watch_available"
    assert "catch_up" not in event.metadata


async def test_the_war_of_a_clan_that_cannot_be_found_is_left_to_the_clan(bench: Bench) -> None:
    subject = poller(bench, Kind.WAR)
    await subject.poll()
    bench.server.faults.add(faults.refusal(404, "notFound"), times=1)
    assert await told(subject) == []
    happen(bench, Kind.WAR)
    assert await told(subject) == ["war_attack_new"]


async def test_a_war_log_made_private_and_public_again_is_said_once_each(bench: Bench) -> None:
    subject = poller(bench, Kind.WAR)
    await subject.poll()
    bench.world.set_war_log_public(bench.clan, public=False)
    assert await told(subject) == ["war_log_private"]
    assert await told(subject) == []
    assert await told(poller(bench, Kind.WAR)) == [], "a restart changes nothing"
    bench.world.set_war_log_public(bench.clan, public=True)
    happen(bench, Kind.WAR)
    assert await told(subject) == ["war_log_public", "war_attack_new"]
    assert await told(subject) == []


async def test_a_war_log_that_was_never_seen_is_not_private_now(bench: Bench) -> None:
    subject = poller(bench, Kind.WAR, bench.private_clan)
    bench.server.faults.add(faults.html_page(502), times=1)
    assert [await told(subject), await told(subject)] == [["poll_error"], []]


async def test_what_is_private_keeps_the_age_of_what_was_seen_before(bench: Bench) -> None:
    subject = poller(bench, Kind.WAR)
    await subject.poll()
    bench.clock.now += 100
    bench.world.set_war_log_public(bench.clan, public=False)
    await subject.poll()
    bench.clock.now += 100
    subject = poller(bench, Kind.WAR)
    bench.world.set_war_log_public(bench.clan, public=True)
    happen(bench, Kind.WAR)
    events = (await subject.poll()).events
    assert [event.metadata["snapshot_age_seconds"] for event in events] == [200, 200]


async def test_an_answer_that_nobody_understands_is_the_trouble_of_its_resource_alone(bench: Bench) -> None:
    deep: Any = {}
    for _ in range(300):
        deep = {"deeper": deep}
    subject = poller(bench)
    await subject.poll()
    before = bench.believed(subject.resource)
    bench.server.faults.add(answering({**(bench.world.clan(bench.clan) or {}), "news": deep}), times=2)
    assert [await told(subject), await told(subject)] == [["poll_error"], []]
    assert bench.believed(subject.resource) == before
    assert await told(subject) == []


async def test_what_is_doubted_is_looked_at_again_in_a_few_seconds_however_often_it_comes(bench: Bench) -> None:
    subject = poller(bench)
    older = bench.world.clan(bench.clan)
    await subject.poll()
    bench.world.gain_points(bench.clan)
    await subject.poll()
    bench.server.faults.add(answering(older))
    wanted = []
    for _ in range(3):
        wanted.append((await subject.poll()).wanted)
        bench.clock.now += 2
    assert wanted == [5, 3, 1]
    assert await told(subject) == ["clan_updated"]


async def test_a_doubt_is_over_with_the_next_good_answer(bench: Bench) -> None:
    subject = poller(bench, Kind.PLAYER)
    older = bench.world.player(bench.player)
    bench.world.win_trophies(bench.player)
    await subject.poll()
    stale = {**(older or {}), "expLevel": 1, "name": "Old"}
    for _ in range(3):
        bench.server.faults.add(answering(stale), times=1)
        assert [await told(subject), await told(subject)] == [[], []]
        bench.clock.now += 60


async def test_a_war_log_that_is_private_at_first_sight_is_the_baseline(bench: Bench) -> None:
    subject = poller(bench, Kind.WAR, bench.private_clan)
    assert await told(subject) == []
    bench.world.set_war_log_public(bench.private_clan, public=True)
    assert await told(subject) == ["war_log_public"]


async def test_trouble_with_a_private_war_log_is_said_each_time_it_comes(bench: Bench) -> None:
    subject = poller(bench, Kind.WAR, bench.private_clan)
    await subject.poll()
    for _ in range(2):
        bench.server.faults.add(faults.html_page(502), times=1)
        polled = await subject.poll()
        assert [event.event_type.value for event in polled.events] == ["poll_error"]
        assert polled.backoff == 120, "twice the interval: being private is no failure"
        assert await told(subject) == []


TROUBLE = [
    pytest.param(faults.html_page(502), "server_error", id="a proxy's page"),
    pytest.param(faults.html_page(200), "bad_answer", id="a page with status 200"),
    pytest.param(faults.not_json(), "bad_answer", id="no JSON"),
    pytest.param(faults.truncated(), "bad_answer", id="half an answer"),
    pytest.param(faults.refusal(400, "badRequest"), "bad_request", id="a bad request"),
    pytest.param(answering([1]), "bad_answer", id="a list"),
    pytest.param(answering({"reason": "unknown"}), "bad_answer", id="an error with status 200"),
    pytest.param(
        answering({"tag": "#2PPPP", "name": "Other", "members": 0, "memberList": []}), "bad_answer", id="another tag"
    ),
]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("fault", "error"), TROUBLE)
async def test_a_bad_answer_is_said_once_and_changes_nothing(
    bench: Bench, kind: Kind, fault: Fault, error: str
) -> None:
    subject = poller(bench, kind)
    await subject.poll()
    before = bench.believed(subject.resource)
    for _ in range(2):
        bench.server.faults.add(fault)
        polled = await subject.poll()
        assert [event.event_type.value for event in polled.events] == ["poll_error"]
        assert polled.events[0].metadata["error"] == error
        assert polled.events[0].metadata["message"]
        assert [await told(subject) for _ in range(3)] == [[], [], []]
        assert await told(poller(bench, kind)) == [], "a restart changes nothing"
        assert bench.believed(subject.resource) == before
        bench.server.faults.clear()
        assert await told(subject) == [], "the good answer is the one of before"
        assert bench.believed(subject.resource) == before


async def test_a_lost_connection_now_and_then_is_nothing(bench: Bench) -> None:
    subject = poller(bench)
    await subject.poll()
    for _ in range(2):
        bench.server.faults.add(faults.reset())
        assert await told(subject) == []
        bench.server.faults.clear()
        assert await told(subject) == []
    bench.server.faults.add(faults.html_page(502), times=1)
    assert await told(subject) == ["poll_error"]
    bench.server.faults.add(faults.reset())
    assert [await told(subject), await told(subject)] == [[], []], "other trouble does not count"


async def test_three_lost_connections_in_a_row_are_the_resources_where_the_others_answer(bench: Bench) -> None:
    monitor = ApiMonitor(bench.store, now=bench.clock, changed=lambda _: None)
    context = PollContext(bench.api, bench.store, monitor, bench.clock)
    lost, other = (ClanPoller(context, tag, interval=60) for tag in bench.world.clan_tags)
    await lost.poll()
    bench.server.faults.add(faults.reset(), path=bench.world.clan_tags[0])
    seen = []
    for _ in range(4):
        seen.append(await told(lost))
        await other.poll()
    assert seen == [[], [], ["poll_error"], []]
    bench.server.faults.clear()
    assert await told(lost) == []


async def test_while_nothing_is_reachable_no_resource_is_to_blame(bench: Bench) -> None:
    monitor = ApiMonitor(bench.store, now=bench.clock, changed=lambda _: None)
    context = PollContext(bench.api, bench.store, monitor, bench.clock)
    subjects = [ClanPoller(context, tag, interval=60) for tag in bench.world.clan_tags]
    for subject in subjects:
        await subject.poll()
    bench.server.faults.add(faults.reset())
    for _ in range(3):
        for subject in subjects:
            assert await told(subject) == []
    assert bench.told() == ["poll_error"], "that of the API itself"
    bench.server.faults.add(faults.html_page(502))
    assert await told(subjects[0]) == []


async def test_another_trouble_is_another_error(bench: Bench) -> None:
    subject = poller(bench)
    seen = []
    for fault in (faults.html_page(502), faults.not_json(), faults.not_json(), faults.html_page(500)):
        bench.server.faults.add(fault, times=1)
        seen += [event.metadata["error"] for event in (await subject.poll()).events]
    assert seen == ["server_error", "bad_answer", "server_error"]


@pytest.mark.parametrize(
    "fault", [faults.html_page(502), faults.not_json(), answering({"tag": "#2PP"})], ids=["502", "no JSON", "no clan"]
)
async def test_what_fails_is_asked_less_and_less_often_and_what_works_again_is_not(bench: Bench, fault: Fault) -> None:
    subject = poller(bench)
    await subject.poll()
    bench.server.faults.add(fault, times=6)
    assert [(await subject.poll()).backoff for _ in range(6)] == [120, 240, 480, 600, 600, 600]
    assert (await subject.poll()).backoff == 0
    bench.server.faults.add(faults.html_page(502), times=1)
    assert (await subject.poll()).backoff == 120


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "fault",
    [
        pytest.param(faults.refusal(503, "inMaintenance"), id="maintenance"),
        pytest.param(faults.wrong_token(), id="wrong token"),
        pytest.param(faults.wrong_address(), id="wrong address"),
    ],
)
async def test_what_concerns_the_whole_api_is_not_said_of_each_tag(bench: Bench, kind: Kind, fault: Fault) -> None:
    subject = poller(bench, kind)
    await subject.poll()
    bench.server.faults.add(fault, times=5)
    for _ in range(5):
        assert (await subject.poll())[:3] == ([], 0, False)
    bench.server.faults.add(faults.html_page(502), times=1)
    assert (await subject.poll()).backoff == 120, "it was no failure of the tag"


async def test_what_is_retired_while_it_is_polled_commits_nothing(bench: Bench, until: Until) -> None:
    subject = poller(bench)
    await subject.poll()
    answer = asyncio.Event()

    async def late(request: web.Request, handler: Handler) -> web.Response:
        await answer.wait()
        return await handler(request)

    bench.server.faults.add(late)
    happen(bench, Kind.CLAN)
    before = bench.believed(subject.resource)
    poll = asyncio.create_task(subject.poll())
    await until(lambda: bench.server.requests[f"/v1/clans/{bench.clan}"] == 2)
    subject.retire()
    answer.set()
    assert (await poll)[:3] == ([], 0, False)
    assert bench.believed(subject.resource) == before
    assert bench.told() == []


async def test_a_store_that_fails_is_not_hidden_and_the_change_is_found_again(bench: Bench) -> None:
    class FullDisk(QueueStore):
        full = False

        async def commit(self, resource: Resource, snapshot: Snapshot, events: Sequence[Event]) -> None:
            if self.full:
                raise OSError("no space left")
            await super().commit(resource, snapshot, events)

    store = FullDisk(bench.state, bench.queue)
    subject = poller(bench, store=store)
    await subject.poll()
    happen(bench, Kind.CLAN)
    store.full = True
    with pytest.raises(OSError, match="no space left"):
        await subject.poll()
    store.full = False
    assert await told(subject) == ["clan_updated"]


async def test_a_war_that_goes_back_is_believed_when_it_is_seen_twice(bench: Bench) -> None:
    older = bench.world.current_war(bench.clan)
    bench.world.attack(bench.clan)
    subject = poller(bench, Kind.WAR)
    await subject.poll()
    newest = bench.believed(subject.resource)
    bench.server.faults.add(answering(older), times=1)
    assert await told(subject) == []
    assert bench.believed(subject.resource) == newest
    assert await told(subject) == []
    bench.server.faults.add(answering(older), times=3)
    assert [await told(subject), await told(subject)] == [[], []]
    assert bench.believed(subject.resource) == newest, "the same at once is no second answer"
    bench.clock.now += 130
    assert await told(subject) == []
    assert bench.believed(subject.resource) == older
    bench.clock.now += 130
    assert await told(subject) == [], "the attack was told before"


async def test_an_upgrade_is_told_once_whatever_older_answers_follow(bench: Bench) -> None:
    older = bench.world.player(bench.player)
    gone = {**(older or {}), "troops": [], "heroes": None}
    subject = poller(bench, Kind.PLAYER)
    await subject.poll()
    bench.world.upgrade_hero(bench.player)
    bench.world.upgrade_troop(bench.player)
    assert sorted(await told(subject)) == ["hero_upgraded", "troop_upgraded"]
    for stale in (older, gone):
        bench.server.faults.add(answering(stale), times=1)
        assert [await told(subject), await told(subject)] == [[], []]


async def test_a_member_list_that_is_cut_at_first_sight_makes_nobody_join(bench: Bench) -> None:
    bench.server.faults.add(faults.empty_member_list(), times=2)
    subject = poller(bench)
    assert [await told(subject) for _ in range(3)] == [[], [], []]
    bench.world.join(bench.clan)
    assert await told(subject) == ["clan_updated", "member_joined"]


async def test_a_member_list_that_is_cut_later_makes_nobody_leave(bench: Bench) -> None:
    subject = poller(bench)
    await subject.poll()
    bench.server.faults.add(faults.empty_member_list(), times=1)
    assert [await told(subject), await told(subject)] == [[], []]
