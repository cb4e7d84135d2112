"""A permanent bug in one part does not affect the rest of the bridge."""

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
from coc2mqtt.mqtt.payloads.models import EventPayload
from coc2mqtt.mqtt.payloads.state import state_payloads
from coc2mqtt.mqtt.publish import retained_state
from coc2mqtt.mqtt.publish.discovery import Discovery
from coc2mqtt.mqtt.publish.event_delivery import EventDelivery
from coc2mqtt.mqtt.publish.orphan_cleanup import OrphanCleanup
from coc2mqtt.supervisor import TooManyFailuresError
from coc2mqtt.watch_list import WatchList
from tests.crash.harness import events
from tests.crash.harness import retained as retained_by
from tests.recovery.injection import Bug
from tests.recovery.simulation import Simulation, run

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from coc2mqtt.mqtt.client.poison_messages import PoisonMessageFilter

FIVE_MINUTES_S = 300.0


def bug(*_: Any, **__: Any) -> Any:
    raise Bug("permanent")


async def async_bug(*_: Any, **__: Any) -> Any:
    raise Bug("permanent")


def buggy_if(condition: Callable[..., bool], original: Callable[..., Any]) -> Callable[..., Any]:
    """Return a function that has a bug for some arguments."""

    def function(*args: Any, **kwargs: Any) -> Any:
        return bug() if condition(*args) else original(*args, **kwargs)

    return function


def simulate(folder: Path, seconds: float = FIVE_MINUTES_S) -> Simulation:
    return run("changing", folder, play=partial(Simulation.live, seconds=seconds))


def event_subjects(simulation: Simulation) -> list[str]:
    return [one.topic.split("/")[1] for one in events(simulation.broker.published)]


def bridge_states(simulation: Simulation) -> list[str]:
    return [one.data["state"] for one in simulation.broker.published if one.topic == "coc/bridge/state"]


def response(simulation: Simulation, command: str) -> Any:
    return next(one.data for one in simulation.broker.published if one.topic == f"coc/bridge/response/{command}")


def parts_with_traceback(simulation: Simulation) -> list[str]:
    return [line["part"] for line in simulation.lines if line["event"] == "internal error"]


def check_contained(simulation: Simulation, *, part: str) -> None:
    """Check that the bridge kept running and reported the bug once with its traceback."""
    assert bridge_states(simulation) == ["online", "offline"]
    assert parts_with_traceback(simulation) == [part]
    assert simulation.health["healthy"] is False
    assert simulation.health["internal_errors"] >= 1
    assert simulation.health["queue"] == 0


def test_poll_with_a_bug_is_retried_with_backoff_and_others_continue(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clan_poller.ClanPoller, "_fetch", async_bug)
    simulation = simulate(tmp_path)
    check_contained(simulation, part="poll")
    assert set(event_subjects(simulation)) == {"clan", "player"}, "events of the war belong to the clan"
    assert simulation.health["polls"] > 4
    # After 1, 2, 4, 8, 16 and 32 s, then at the interval of the watch, which is an hour; and on the poll command.
    assert 7 <= simulation.health["errors"]["internal"] == simulation.health["internal_errors"] <= 8


def test_response_that_causes_a_bug_in_comparing_is_ignored_and_reported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clan_poller, "compare_clan", bug)
    simulation = simulate(tmp_path)
    check_contained(simulation, part="comparing")
    assert "clan" in event_subjects(simulation)
    (line,) = (line for line in simulation.lines if line["event"] == "internal error")
    assert line["place"].startswith("events/polling/clan_poller.py:")
    assert line["tag"] == simulation.scenario.watched[0].tag


def test_event_that_cannot_be_encoded_is_skipped_and_logged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    buggy = buggy_if(lambda entry: entry.record.event_type == "member_left", EventPayload.of)
    monkeypatch.setattr(EventPayload, "of", buggy)
    simulation = simulate(tmp_path)
    check_contained(simulation, part="event")
    assert len(event_subjects(simulation)) == len(simulation.scenario.changes) - 1
    assert simulation.health["events_skipped"] == 1
    (line,) = (line for line in simulation.lines if line["event"] == "event cannot be encoded; skipping it")
    assert (line["event_type"], line["tag"]) == ("member_left", simulation.scenario.watched[0].tag)
    assert line["seq"] > 0


def test_state_that_cannot_be_built_is_omitted_and_retried(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    buggy = buggy_if(lambda resource, *_: resource.kind == "war", state_payloads)
    monkeypatch.setattr(retained_state, "state_payloads", buggy)
    simulation = simulate(tmp_path)
    check_contained(simulation, part="retained state")
    assert len(event_subjects(simulation)) == len(simulation.scenario.changes)
    expected_states = retained_by(simulation.broker.published)
    assert not [topic for topic in expected_states if topic.endswith("/state/war")]
    assert [topic for topic in expected_states if topic.endswith("/state/clan")]
    # After 1, 2, 4 … 60 s: neither in a busy loop nor never.
    assert 9 <= simulation.health["internal_errors"] <= 18


def test_device_that_cannot_be_announced_is_retried_and_others_are_published(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Discovery, "_player_payload", bug)
    simulation = simulate(tmp_path)
    check_contained(simulation, part="announcement")
    devices = [topic for topic in retained_by(simulation.broker.published) if topic.startswith("homeassistant/")]
    assert [device for device in devices if "_player_" in device] == []
    assert any("_bridge/" in device for device in devices)
    assert any("_clan_" in device for device in devices)
    assert len(event_subjects(simulation)) == len(simulation.scenario.changes)
    assert 9 <= simulation.health["internal_errors"] <= 18


def test_command_with_a_bug_is_answered_with_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(WatchList, "poll_now", bug)
    simulation = simulate(tmp_path)
    assert bridge_states(simulation) == ["online", "offline"]
    assert parts_with_traceback(simulation) == ["command"]
    assert response(simulation, "list")["status"] == "ok"
    assert response(simulation, "poll")["status"] == "error"
    assert response(simulation, "poll")["error"] == "internal error, see the bridge's log: please report it"


@pytest.mark.parametrize(
    ("place", "name", "part"),
    [
        (service, "_prune", "pruning"),
        (Health, "monitor", "health"),
        (OrphanCleanup, "_read", "orphan cleanup"),
        (DuplicateInstanceDetector, "handle", "message"),
    ],
)
def test_bug_in_a_background_task_is_contained(
    place: Any, name: str, part: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(place, name, bug if name == "handle" else async_bug)
    if name == "handle":
        monkeypatch.setattr(DuplicateInstanceDetector, "_read_retained", async_nothing)
    simulation = simulate(tmp_path)
    check_contained(simulation, part=part)
    assert len(event_subjects(simulation)) == len(simulation.scenario.changes)


async def async_nothing(*_: Any) -> dict[str, bytes]:
    return {}


def test_bug_in_the_health_report_is_contained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Health, "payload", async_bug)
    simulation = simulate(tmp_path)
    assert bridge_states(simulation) == ["online", "offline"]
    assert simulation.health is None
    assert response(simulation, "health_check")["status"] == "error"
    assert response(simulation, "list")["status"] == "ok"
    assert len(event_subjects(simulation)) == len(simulation.scenario.changes)


@pytest.mark.parametrize(
    ("place", "name"),
    [(Scheduler, "_start_due_polls"), (Engine, "run"), (EventDelivery, "_acknowledge"), (WatchList, "load")],
    ids=lambda one: getattr(one, "__name__", one),
)
def test_bug_that_rebuilding_does_not_fix_stops_the_bridge(
    place: Any, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(place, name, bug if name == "_start_due_polls" else async_bug)
    with pytest.raises(TooManyFailuresError, match="10 times within 10 minutes"):
        simulate(tmp_path, 2 * FIVE_MINUTES_S)


def test_bug_in_every_poll_stops_the_bridge(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.crash.harness.ScriptedApi._respond", async_bug)
    with pytest.raises(TooManyFailuresError):
        simulate(tmp_path, 2 * FIVE_MINUTES_S)


def test_rebuilt_bridge_keeps_its_metrics_and_poison_filter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    poison_filters: list[PoisonMessageFilter] = []
    engines: list[Engine] = []
    calls = itertools.count()
    open_session, start_due, init = Simulation.open_session, Scheduler._start_due_polls, Engine.__init__

    async def open_recorded(
        simulation: Simulation, *args: object, poison_filter: PoisonMessageFilter, **_: object
    ) -> Any:
        poison_filters.append(poison_filter)
        return await open_session(simulation, *args)

    def record_engine(engine: Engine, *args: Any, **kwargs: Any) -> None:
        init(engine, *args, **kwargs)
        engines.append(engine)

    def fail_once(*args: Any) -> float:
        if next(calls) == 5:
            engines[0].metrics.malformed["clan.name"] += 3
            bug()
        return start_due(*args)

    monkeypatch.setattr(Simulation, "open_session", open_recorded)
    monkeypatch.setattr(Scheduler, "_start_due_polls", fail_once)
    monkeypatch.setattr(Engine, "__init__", record_engine)
    simulation = simulate(tmp_path)
    assert simulation.health["internal_errors"] == 1
    assert simulation.health["malformed_fields"] == {"clan.name": 3}
    assert len(poison_filters) == 2
    assert poison_filters[0] is poison_filters[1]


def test_device_that_cannot_be_built_is_omitted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Discovery, "player", bug)
    simulation = simulate(tmp_path)
    check_contained(simulation, part="retained state")
    assert len(event_subjects(simulation)) == len(simulation.scenario.changes)
