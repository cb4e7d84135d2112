"""A bug that stays in one part: that part is left out, and the rest of the bridge goes on."""

from __future__ import annotations

import itertools
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

from coc2mqtt import service
from coc2mqtt.events.polling import clan_poller
from coc2mqtt.events.polling.engine import Engine
from coc2mqtt.events.polling.scheduler import Scheduler
from coc2mqtt.health import Health
from coc2mqtt.mqtt.duplicate_instance import DuplicateInstanceDetector
from coc2mqtt.mqtt.payloads.event import encode_event
from coc2mqtt.mqtt.payloads.state import state_payloads
from coc2mqtt.mqtt.publish import event_delivery, retained_state
from coc2mqtt.mqtt.publish.discovery import Discovery
from coc2mqtt.mqtt.publish.event_delivery import EventDelivery
from coc2mqtt.mqtt.publish.orphan_cleanup import OrphanCleanup
from coc2mqtt.supervisor import TooManyFailuresError
from coc2mqtt.watch_list import WatchList
from tests.crash.outside import events
from tests.crash.outside import retained as retained_by
from tests.recovery.injection import Bug
from tests.recovery.stage import Stage, run

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from coc2mqtt.mqtt.client.poison_messages import PoisonMessageFilter

MINUTES = 300.0


def bug(*_: Any, **__: Any) -> Any:
    raise Bug("stays")


async def late_bug(*_: Any, **__: Any) -> Any:
    raise Bug("stays")


def buggy_for(original: Callable[..., Any], unlucky: Callable[..., bool]) -> Callable[..., Any]:
    """Return a function that has a bug for some arguments."""

    def function(*args: Any, **kwargs: Any) -> Any:
        return bug() if unlucky(*args) else original(*args, **kwargs)

    return function


def live(folder: Path, seconds: float = MINUTES) -> Stage:
    return run("changing", folder, play=partial(Stage.live, seconds=seconds))


def told(stage: Stage) -> list[str]:
    return [one.topic.split("/")[1] for one in events(stage.broker.published)]


def states(stage: Stage) -> list[str]:
    return [one.data["state"] for one in stage.broker.published if one.topic == "coc/bridge/state"]


def answer(stage: Stage, command: str) -> Any:
    return next(one.data for one in stage.broker.published if one.topic == f"coc/bridge/response/{command}")


def tracebacks(stage: Stage) -> list[str]:
    return [line["part"] for line in stage.lines if line["event"] == "internal error"]


def check_the_rest(stage: Stage, *, part: str) -> None:
    """Check that the bridge stayed, and that the bug was reported once with its traceback."""
    assert states(stage) == ["online", "offline"]
    assert tracebacks(stage) == [part]
    assert stage.health["healthy"] is False
    assert stage.health["internal_errors"] >= 1
    assert stage.health["queue"] == 0


def test_poll_with_a_bug_is_left_with_a_backoff_and_the_others_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clan_poller.ClanPoller, "_fetch", late_bug)
    stage = live(tmp_path)
    check_the_rest(stage, part="poll")
    assert set(told(stage)) == {"clan", "player"}, "the war is of the clan, and is told of"
    assert stage.health["polls"] > 4
    # After 1, 2, 4, 8, 16 and 32 s, then at the watch's interval, which is an hour; and when a command asks for it.
    assert 7 <= stage.health["errors"]["internal"] == stage.health["internal_errors"] <= 8


def test_response_that_hits_a_bug_in_comparing_is_ignored_and_reported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clan_poller, "compare_clan", bug)
    stage = live(tmp_path)
    check_the_rest(stage, part="comparing")
    assert "clan" in told(stage)
    (line,) = (line for line in stage.lines if line["event"] == "internal error")
    assert line["place"].startswith("events/polling/clan_poller.py:")
    assert line["tag"] == stage.story.watched[0].tag


def test_event_that_cannot_be_encoded_is_skipped_and_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    unlucky = buggy_for(encode_event, lambda entry: entry.record.event_type == "member_left")
    monkeypatch.setattr(event_delivery, "encode_event", unlucky)
    stage = live(tmp_path)
    check_the_rest(stage, part="event")
    assert len(told(stage)) == len(stage.story.changes) - 1
    assert stage.health["events_skipped"] == 1
    (line,) = (line for line in stage.lines if line["event"] == "event cannot be encoded; skipping it")
    assert (line["event_type"], line["tag"]) == ("member_left", stage.story.watched[0].tag)
    assert line["seq"] > 0


def test_state_that_cannot_be_built_is_left_out_and_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        retained_state, "state_payloads", buggy_for(state_payloads, lambda resource, *_: resource.kind == "war")
    )
    stage = live(tmp_path)
    check_the_rest(stage, part="retained state")
    assert len(told(stage)) == len(stage.story.changes)
    shown = retained_by(stage.broker.published)
    assert not [topic for topic in shown if topic.endswith("/state/war")]
    assert [topic for topic in shown if topic.endswith("/state/clan")]
    # After 1, 2, 4 … 60 s: not in a loop, and not never.
    assert 9 <= stage.health["internal_errors"] <= 18


def test_device_that_cannot_be_announced_waits_and_the_others_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Discovery, "_player_payload", bug)
    stage = live(tmp_path)
    check_the_rest(stage, part="announcement")
    devices = [topic for topic in retained_by(stage.broker.published) if topic.startswith("homeassistant/")]
    assert ["_player_" in device for device in sorted(devices)] == [False, False]
    assert len(told(stage)) == len(stage.story.changes)
    assert 9 <= stage.health["internal_errors"] <= 18


def test_command_with_a_bug_is_answered_with_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(WatchList, "poll_now", bug)
    stage = live(tmp_path)
    assert states(stage) == ["online", "offline"]
    assert tracebacks(stage) == ["command"]
    assert answer(stage, "list")["status"] == "ok"
    assert answer(stage, "poll")["status"] == "error"
    assert answer(stage, "poll")["error"] == "internal error, see the bridge's log: please report it"


@pytest.mark.parametrize(
    ("place", "name", "part"),
    [
        (service, "_prune", "pruning"),
        (Health, "monitor", "health"),
        (OrphanCleanup, "_read", "orphan cleanup"),
        (DuplicateInstanceDetector, "handle", "message"),
    ],
)
def test_bug_in_a_chore_leaves_the_bridge_alone(
    place: Any, name: str, part: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(place, name, bug if name == "handle" else late_bug)
    if name == "handle":
        monkeypatch.setattr(DuplicateInstanceDetector, "_read_retained", late_nothing)
    stage = live(tmp_path)
    check_the_rest(stage, part=part)
    assert len(told(stage)) == len(stage.story.changes)


async def late_nothing(*_: Any) -> dict[str, bytes]:
    return {}


def test_health_report_with_a_bug_leaves_the_bridge_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Health, "payload", late_bug)
    stage = live(tmp_path)
    assert states(stage) == ["online", "offline"]
    assert stage.health is None
    assert answer(stage, "health_check")["status"] == "error"
    assert answer(stage, "list")["status"] == "ok"
    assert len(told(stage)) == len(stage.story.changes)


@pytest.mark.parametrize(
    ("place", "name"),
    [(Scheduler, "_start_due_polls"), (Engine, "run"), (EventDelivery, "_acknowledge"), (WatchList, "load")],
    ids=lambda one: getattr(one, "__name__", one),
)
def test_bug_that_rebuilding_does_not_help_against_ends_the_bridge(
    place: Any, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(place, name, bug if name == "_start_due_polls" else late_bug)
    with pytest.raises(TooManyFailuresError, match="10 times within 10 minutes"):
        live(tmp_path, 2 * MINUTES)


def test_bug_in_every_poll_rebuilds_all_and_ends_the_bridge(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.crash.outside.ScriptedApi._answer", late_bug)
    with pytest.raises(TooManyFailuresError):
        live(tmp_path, 2 * MINUTES)


def test_rebuilt_bridge_keeps_its_figures_and_what_it_learned_about_messages(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    poison_filters: list[PoisonMessageFilter] = []
    engines: list[Engine] = []
    looks = itertools.count()
    open_session, start_due, count = Stage.open_session, Scheduler._start_due_polls, Engine.__init__

    async def open_noted(stage: Stage, *args: object, poison_filter: PoisonMessageFilter, **_: object) -> Any:
        poison_filters.append(poison_filter)
        return await open_session(stage, *args)

    def build(engine: Engine, *args: Any, **kwargs: Any) -> None:
        count(engine, *args, **kwargs)
        engines.append(engine)

    def fail_once(*args: Any) -> float:
        if next(looks) == 5:
            engines[0].metrics.malformed["clan.name"] += 3
            bug()
        return start_due(*args)

    monkeypatch.setattr(Stage, "open_session", open_noted)
    monkeypatch.setattr(Scheduler, "_start_due_polls", fail_once)
    monkeypatch.setattr(Engine, "__init__", build)
    stage = live(tmp_path)
    assert stage.health["internal_errors"] == 1
    assert stage.health["malformed_fields"] == {"clan.name": 3}
    assert len(poison_filters) == 2
    assert poison_filters[0] is poison_filters[1]


def test_device_with_a_bug_in_building_is_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Discovery, "player", bug)
    stage = live(tmp_path)
    check_the_rest(stage, part="retained state")
    assert len(told(stage)) == len(stage.story.changes)
