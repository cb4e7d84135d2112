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
from coc2mqtt.events.compare.api_state import ApiState, ApiStatus, initial_api_state, observe_api

if TYPE_CHECKING:
    from coc2mqtt.events.event import Event

DOWN = MaintenanceError("in maintenance")
LOST = UnreachableError("no route")
WRONG = WrongTokenError("wrong token")


def play(*outcomes: ClashError | None, from_probe: bool = True) -> tuple[ApiState, list[Event]]:
    """Feed outcomes a second apart, the first as the baseline; returns the last state and all events."""
    state = initial_api_state(outcomes[0], at=100.0)
    told: list[Event] = []
    for second, outcome in enumerate(outcomes[1:], 1):
        state, events = observe_api(state, outcome, at=100.0 + second, from_probe=from_probe)
        told += events
    return state, told


def names(*outcomes: ClashError | None) -> list[str]:
    return [event.event_type.value for event in play(*outcomes)[1]]


def test_a_maintenance_starts_once_and_ends_once_with_its_duration() -> None:
    state, events = play(None, DOWN, DOWN, DOWN, None, None, None)
    assert [event.event_type.value for event in events] == ["maintenance_start", "maintenance_end"]
    assert (events[0].tag, events[0].timestamp) == ("api", 101.0)
    assert events[1].metadata["duration_seconds"] == 4.0
    assert (state.status, state.since, state.message) == (ApiStatus.OK, 105.0, None)


def test_a_maintenance_that_flaps_at_its_end_does_not_end_twice() -> None:
    assert names(None, DOWN, None, DOWN, None, DOWN, None, None) == ["maintenance_start", "maintenance_end"]


def test_answers_from_the_cache_of_other_endpoints_end_no_maintenance() -> None:
    state, _ = play(None, DOWN)
    for second in range(5):
        state, events = observe_api(state, None, at=110.0 + second, from_probe=False)
        assert (state.status, events) == (ApiStatus.MAINTENANCE, [])


def test_a_server_that_goes_on_refusing_after_the_maintenance_begins_none() -> None:
    state, events = play(None, DOWN, None, DOWN, DOWN, None, from_probe=False)
    assert (state.status, state.needs_probe, events) == (ApiStatus.OK, True, [])


def test_a_refused_token_is_no_maintenance_for_ever() -> None:
    moved = IpNotAllowedError("bound to another address", address="203.0.113.7")
    assert names(None, DOWN, moved, moved, DOWN, moved, moved) == ["maintenance_start"]
    state, events = play(None, DOWN, moved, moved, moved, None)
    assert [event.event_type.value for event in events] == [
        *("maintenance_start", "maintenance_end", "api_denied", "api_restored")
    ]
    assert events[2].metadata["address"] == "203.0.113.7"
    assert state.status is ApiStatus.OK


def test_another_address_is_another_denial_and_another_reason_is_taken_up() -> None:
    first, second = (IpNotAllowedError(f"bound, not to {ip}", address=ip) for ip in ("203.0.113.7", "198.51.100.9"))
    state, events = play(None, first, first, second, second)
    assert [event.metadata["address"] for event in events] == ["203.0.113.7", "198.51.100.9"]
    assert (state.address, state.message, state.since) == ("198.51.100.9", "bound, not to 198.51.100.9", 101.0)
    state, events = play(None, WRONG, first, WRONG, first)
    assert [event.metadata["address"] for event in events] == [None, "203.0.113.7"]
    assert play(None, first, WRONG)[0].message == "wrong token"


def test_a_refusal_of_one_path_alone_is_not_the_apis() -> None:
    firewall = DeniedError("this path is not for you")
    assert play(None, firewall, firewall, None, firewall, from_probe=False)[1] == []
    assert names(None, firewall) == ["api_denied"], "the probe is asked for everything"


def test_a_clock_that_is_set_back_makes_no_negative_duration() -> None:
    state, _ = play(None, DOWN)
    for second in (1.0, 2.0):
        state, events = observe_api(state, None, at=second, from_probe=True)
    assert events[0].metadata["duration_seconds"] == 0.0


def test_one_word_of_maintenance_is_for_the_probe_to_confirm_or_to_deny() -> None:
    state, events = play(None, DOWN, from_probe=False)
    assert (state.status, state.needs_probe, events) == (ApiStatus.OK, True, [])
    denied, _ = observe_api(state, None, at=102.0, from_probe=True)
    assert not denied.needs_probe
    confirmed, (event,) = observe_api(state, DOWN, at=102.0, from_probe=True)
    assert (confirmed.status, event.event_type.value) == (ApiStatus.MAINTENANCE, "maintenance_start")
    assert (confirmed.since, event.timestamp) == (101.0, 102.0)


@pytest.mark.parametrize("error", [LOST, ServerError("502")])
def test_other_failures_during_a_maintenance_belong_to_it(error: ClashError) -> None:
    assert names(None, DOWN, error, error, error, error, DOWN, None, None) == ["maintenance_start", "maintenance_end"]


def test_a_failure_between_two_answers_begins_the_count_to_the_end_anew() -> None:
    assert play(None, DOWN, None, LOST, None)[0].status is ApiStatus.MAINTENANCE


OTHER_FAILURES = pytest.mark.parametrize(
    "error", [ServerError("HTML 502"), ThrottledError("slow"), InvalidResponseError("half"), BadRequestError("400")]
)


@OTHER_FAILURES
def test_failures_of_resources_beside_a_probe_say_nothing_of_the_api(error: ClashError) -> None:
    state, events = play(None, error, error, error, error, error, from_probe=False)
    assert (state.status, events) == (ApiStatus.OK, [])


@OTHER_FAILURES
def test_three_failed_probes_of_any_kind_make_the_api_unreachable(error: ClashError) -> None:
    assert names(None, error, error, None, error, error) == []
    state, events = play(None, error, LOST, error)
    assert (state.status, state.message, state.error) == (ApiStatus.UNREACHABLE, str(error), error.kind)
    assert [event.event_type.value for event in events] == ["poll_error"]
    assert names(None, error, error, error, None) == ["poll_error", "api_restored"]


def test_lost_connections_count_only_beside_a_failed_probe() -> None:
    state, events = play(None, LOST, LOST, LOST, LOST, from_probe=False)
    assert (state.status, events) == (ApiStatus.OK, [])
    state, events = observe_api(state, ServerError("502"), at=200.0, from_probe=True)
    assert state.status is ApiStatus.UNREACHABLE


def test_failures_of_one_source_are_not_enough_where_two_are_needed() -> None:
    state = ApiState(ApiStatus.OK, 0.0)
    for second, source in enumerate("aaaa"):
        state, _ = observe_api(state, LOST, at=float(second), from_probe=True, source=source, min_sources=2)
        assert state.status is ApiStatus.OK
    state, _ = observe_api(state, LOST, at=9.0, from_probe=True, source="b", min_sources=2)
    assert state.status is ApiStatus.UNREACHABLE


def test_status_is_unknown_until_a_usable_response_or_enough_failures() -> None:
    assert play(LOST)[0].status is None
    assert play(LOST, LOST, None)[0].status is ApiStatus.OK
    assert names(LOST, LOST, None) == []
    assert play(LOST, DOWN)[0].status is ApiStatus.MAINTENANCE
    assert names(LOST, DOWN) == names(LOST, WRONG) == [], "the first look is the baseline"


def test_reason_of_an_outage_follows_the_probe_without_an_event() -> None:
    state, _ = play(None, LOST, LOST, LOST)
    changed, events = observe_api(state, ServerError("502"), at=200.0, from_probe=True)
    assert (changed.message, changed.since, events) == ("502", state.since, [])
    assert observe_api(state, ServerError("502"), at=200.0, from_probe=False) == (state, [])


def test_one_lost_connection_is_no_outage_and_three_in_a_row_are() -> None:
    assert names(None, LOST, LOST, None, LOST, LOST) == []
    state, events = play(None, LOST, LOST, LOST, LOST)
    assert state.status is ApiStatus.UNREACHABLE
    assert [event.event_type.value for event in events] == ["poll_error"]
    assert events[0].metadata == {"error": "unreachable", "message": "no route"}
    assert names(None, LOST, LOST, LOST, None) == ["poll_error", "api_restored"]


def test_a_wrong_token_denies_at_once_and_an_answer_restores() -> None:
    assert names(None, WRONG, WRONG, None, None) == ["api_denied", "api_restored"]


def test_a_wrong_address_says_which_one_the_api_sees() -> None:
    state, events = play(None, IpNotAllowedError("bound to another address", address="203.0.113.7"))
    assert state.address == "203.0.113.7"
    assert events[0].metadata["address"] == "203.0.113.7"


@pytest.mark.parametrize("error", [NotFoundError("no clan"), PrivateWarLogError("private")])
def test_what_concerns_one_clan_proves_that_the_api_answers(error: ClashError) -> None:
    assert names(None, WRONG, error) == ["api_denied", "api_restored"]


@pytest.mark.parametrize(("error", "status"), [(DOWN, ApiStatus.MAINTENANCE), (WRONG, ApiStatus.DENIED)])
def test_the_first_look_is_the_baseline_and_no_event(error: ClashError, status: ApiStatus) -> None:
    state, events = play(error)
    assert (state.status, state.since, events) == (status, 100.0, [])


def test_the_state_survives_a_restart() -> None:
    state = play(None, IpNotAllowedError("bound", address="203.0.113.7"))[0]
    assert ApiState.from_json(state.to_json()) == state


def test_a_denied_token_does_not_become_unreachable() -> None:
    assert names(None, WRONG, LOST, LOST, LOST, LOST, None) == ["api_denied", "api_restored"]


def test_the_first_look_counts_as_one_lost_connection() -> None:
    assert names(LOST, LOST) == []
    assert names(LOST, LOST, LOST) == ["poll_error"]
