from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from coc2mqtt.clash.errors import (
    BadRequestError,
    ClashError,
    DeniedError,
    InvalidResponseError,
    IpNotAllowedError,
    MaintenanceError,
    NotFoundError,
    PrivateWarLogError,
    ServerError,
    ThrottledError,
    UnreachableError,
    WrongTokenError,
)
from coc2mqtt.events.compare.api_state import ApiState, ApiStatus, observe_api

if TYPE_CHECKING:
    from coc2mqtt.events.event import Event

DOWN = MaintenanceError("in maintenance")
LOST = UnreachableError("no route")
WRONG = WrongTokenError("wrong token")


def play(*outcomes: ClashError | None, from_probe: bool = True) -> tuple[ApiState, list[Event]]:
    """Observe outcomes one second apart, the first as the baseline; return the last state and all events."""
    state, all_events = observe_api(ApiState(None, since=100.0), outcomes[0], at=100.0, from_probe=False)
    assert all_events == [], "the baseline causes no event"
    for second, outcome in enumerate(outcomes[1:], 1):
        state, events = observe_api(state, outcome, at=100.0 + second, from_probe=from_probe)
        all_events += events
    return state, all_events


def event_types(*outcomes: ClashError | None) -> list[str]:
    return [event.event_type.value for event in play(*outcomes)[1]]


def test_maintenance_starts_and_ends_once_with_its_duration() -> None:
    state, events = play(None, DOWN, DOWN, DOWN, None, None, None)
    assert [event.event_type.value for event in events] == ["maintenance_start", "maintenance_end"]
    assert (events[0].tag, events[0].timestamp) == ("api", 101.0)
    assert events[1].metadata["duration_seconds"] == 4.0
    assert (state.status, state.since, state.message) == (ApiStatus.OK, 105.0, None)


def test_maintenance_that_flaps_at_its_end_ends_once() -> None:
    assert event_types(None, DOWN, None, DOWN, None, DOWN, None, None) == ["maintenance_start", "maintenance_end"]


def test_cached_responses_of_other_endpoints_do_not_end_maintenance() -> None:
    state, _ = play(None, DOWN)
    for second in range(5):
        state, events = observe_api(state, None, at=110.0 + second, from_probe=False)
        assert (state.status, events) == (ApiStatus.MAINTENANCE, [])


def test_maintenance_error_of_lagging_server_only_requests_a_probe() -> None:
    state, events = play(None, DOWN, None, DOWN, DOWN, None, from_probe=False)
    assert (state.status, state.needs_probe, events) == (ApiStatus.OK, True, [])


def test_repeated_denials_of_the_probe_end_maintenance() -> None:
    moved = IpNotAllowedError("bound to another address", address="203.0.113.7")
    assert event_types(None, DOWN, moved, moved, DOWN, moved, moved) == ["maintenance_start"]
    state, events = play(None, DOWN, moved, moved, moved, None)
    assert [event.event_type.value for event in events] == [
        *("maintenance_start", "maintenance_end", "api_denied", "api_restored")
    ]
    assert events[2].metadata["address"] == "203.0.113.7"
    assert state.status is ApiStatus.OK


def test_denial_is_reported_again_for_another_address_only() -> None:
    first, second = (IpNotAllowedError(f"bound, not to {ip}", address=ip) for ip in ("203.0.113.7", "198.51.100.9"))
    state, events = play(None, first, first, second, second)
    assert [event.metadata["address"] for event in events] == ["203.0.113.7", "198.51.100.9"]
    assert (state.address, state.message, state.since) == ("198.51.100.9", "bound, not to 198.51.100.9", 101.0)


def test_denial_for_a_first_address_is_reported_once() -> None:
    moved = IpNotAllowedError("bound to another address", address="203.0.113.7")
    _, events = play(None, WRONG, moved, WRONG, moved)
    assert [event.metadata["address"] for event in events] == [None, "203.0.113.7"]


def test_denial_for_another_reason_updates_the_message() -> None:
    moved = IpNotAllowedError("bound to another address", address="203.0.113.7")
    assert play(None, moved, WRONG)[0].message == "wrong token"


def test_denial_for_unknown_reason_counts_from_the_probe_only() -> None:
    firewall = DeniedError("this path is not for you")
    assert play(None, firewall, firewall, None, firewall, from_probe=False)[1] == []
    assert event_types(None, firewall) == ["api_denied"], "the probe"


def test_maintenance_duration_is_not_negative_after_clock_is_set_back() -> None:
    state, _ = play(None, DOWN)
    for second in (1.0, 2.0):
        state, events = observe_api(state, None, at=second, from_probe=True)
    assert events[0].metadata["duration_seconds"] == 0.0


def test_reported_maintenance_is_confirmed_or_denied_by_the_probe() -> None:
    state, events = play(None, DOWN, from_probe=False)
    assert (state.status, state.needs_probe, events) == (ApiStatus.OK, True, [])
    denied, _ = observe_api(state, None, at=102.0, from_probe=True)
    assert not denied.needs_probe
    confirmed, (event,) = observe_api(state, DOWN, at=102.0, from_probe=True)
    assert (confirmed.status, event.event_type.value) == (ApiStatus.MAINTENANCE, "maintenance_start")
    assert (confirmed.since, event.timestamp) == (101.0, 102.0)


@pytest.mark.parametrize("error", [LOST, ServerError("502")])
def test_other_failures_during_maintenance_are_not_reported(error: ClashError) -> None:
    assert event_types(None, DOWN, error, error, error, error, DOWN, None, None) == [
        "maintenance_start",
        "maintenance_end",
    ]


def test_failure_between_two_responses_continues_maintenance() -> None:
    assert play(None, DOWN, None, LOST, None)[0].status is ApiStatus.MAINTENANCE


OTHER_FAILURES = pytest.mark.parametrize(
    "error", [ServerError("HTML 502"), ThrottledError("slow"), InvalidResponseError("half"), BadRequestError("400")]
)


@OTHER_FAILURES
def test_failures_of_resources_do_not_change_status(error: ClashError) -> None:
    state, events = play(None, error, error, error, error, error, from_probe=False)
    assert (state.status, events) == (ApiStatus.OK, [])


@OTHER_FAILURES
def test_three_consecutive_failed_probes_make_api_unreachable(error: ClashError) -> None:
    assert event_types(None, error, error, None, error, error) == []
    state, events = play(None, error, LOST, error)
    assert (state.status, state.message, state.error) == (ApiStatus.UNREACHABLE, str(error), error.kind)
    assert [event.event_type.value for event in events] == ["poll_error"]
    assert event_types(None, error, error, error, None) == ["poll_error", "api_restored"]


def test_lost_connections_of_resources_count_with_a_failed_probe_only() -> None:
    state, events = play(None, LOST, LOST, LOST, LOST, from_probe=False)
    assert (state.status, events) == (ApiStatus.OK, [])
    state, events = observe_api(state, ServerError("502"), at=200.0, from_probe=True)
    assert state.status is ApiStatus.UNREACHABLE


def test_failures_of_one_source_do_not_count_if_two_are_needed() -> None:
    state = ApiState(ApiStatus.OK, 0.0)
    for second, source in enumerate("aaaa"):
        state, _ = observe_api(state, LOST, at=float(second), from_probe=True, source=source, min_sources=2)
        assert state.status is ApiStatus.OK
    state, _ = observe_api(state, LOST, at=9.0, from_probe=True, source="b", min_sources=2)
    assert state.status is ApiStatus.UNREACHABLE


def test_status_is_unknown_until_a_usable_response_or_enough_failures() -> None:
    assert play(LOST)[0].status is None
    assert play(LOST, LOST, None)[0].status is ApiStatus.OK
    assert event_types(LOST, LOST, None) == []
    assert play(LOST, DOWN)[0].status is ApiStatus.MAINTENANCE
    assert event_types(LOST, DOWN) == event_types(LOST, WRONG) == [], "the first usable outcome is the baseline"


def test_probe_updates_reason_of_outage_without_event() -> None:
    state, _ = play(None, LOST, LOST, LOST)
    changed, events = observe_api(state, ServerError("502"), at=200.0, from_probe=True)
    assert (changed.message, changed.since, events) == ("502", state.since, [])
    assert observe_api(state, ServerError("502"), at=200.0, from_probe=False) == (state, [])


def test_three_consecutive_lost_connections_make_api_unreachable() -> None:
    assert event_types(None, LOST, LOST, None, LOST, LOST) == []
    state, events = play(None, LOST, LOST, LOST, LOST)
    assert state.status is ApiStatus.UNREACHABLE
    assert [event.event_type.value for event in events] == ["poll_error"]
    assert events[0].metadata == {"error": "unreachable", "message": "no route"}
    assert event_types(None, LOST, LOST, LOST, None) == ["poll_error", "api_restored"]


def test_wrong_token_denies_immediately_and_response_restores() -> None:
    assert event_types(None, WRONG, WRONG, None, None) == ["api_denied", "api_restored"]


def test_denial_for_address_contains_the_address() -> None:
    state, events = play(None, IpNotAllowedError("bound to another address", address="203.0.113.7"))
    assert state.address == "203.0.113.7"
    assert events[0].metadata["address"] == "203.0.113.7"


@pytest.mark.parametrize("error", [NotFoundError("no clan"), PrivateWarLogError("private")])
def test_error_of_one_clan_restores_api(error: ClashError) -> None:
    assert event_types(None, WRONG, error) == ["api_denied", "api_restored"]


@pytest.mark.parametrize(("error", "status"), [(DOWN, ApiStatus.MAINTENANCE), (WRONG, ApiStatus.DENIED)])
def test_first_failure_is_baseline_without_event(error: ClashError, status: ApiStatus) -> None:
    state, events = play(error)
    assert (state.status, state.since, events) == (status, 100.0, [])


def test_state_is_restored_from_json() -> None:
    state = play(None, IpNotAllowedError("bound", address="203.0.113.7"))[0]
    assert ApiState.from_json(state.to_json()) == state


def test_denied_api_does_not_become_unreachable() -> None:
    assert event_types(None, WRONG, LOST, LOST, LOST, LOST, None) == ["api_denied", "api_restored"]


def test_first_lost_connection_counts_towards_three() -> None:
    assert event_types(LOST, LOST) == []
    assert event_types(LOST, LOST, LOST) == ["poll_error"]
