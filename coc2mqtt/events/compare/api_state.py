"""Derive the state of the API itself from every response and every failure. Pure: no clock, no I/O."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

from coc2mqtt.clash.errors import (
    ClashError,
    DeniedError,
    IpNotAllowedError,
    MaintenanceError,
    NotFoundError,
    PrivateWarLogError,
    UnreachableError,
    WrongTokenError,
)
from coc2mqtt.events.event import Event, EventType
from coc2mqtt.events.resource import API

# A single failed request is not an outage.
_FAILURES_UNTIL_UNREACHABLE = 3
# The API flaps at the end of a maintenance: another maintenance error may follow the first response.
_RESPONSES_TO_END_MAINTENANCE = 2
# During a maintenance the API returns all kinds of errors. If it keeps rejecting only the token, it is back.
_DENIALS_TO_END_MAINTENANCE = 3


class ApiStatus(StrEnum):
    """Whether the API can be used."""

    OK = "ok"
    MAINTENANCE = "maintenance"
    UNREACHABLE = "unreachable"
    DENIED = "denied"


@dataclass(frozen=True, slots=True)
class ApiState:
    """The status of the API, and the observations that may change it.

    ``status`` is None until a usable response, or enough failures, have determined it; it is valid ``since`` a Unix
    time in seconds. ``message`` and ``error`` describe the failure for people and by its kind, None if there is none.
    ``address`` is the IP address that the API sees if it rejects the token because of it.

    ``streak`` counts consecutive observations that contradict the status: responses during a maintenance, otherwise
    failures. ``failing_sources`` are the sources of these failures and ``probe_failed`` is whether the probe is among
    them. ``denials`` counts consecutive rejections of the token during a maintenance. ``maintenance_reported_at`` is
    when a maintenance was first reported that the probe has not confirmed yet, else None.
    """

    status: ApiStatus | None
    since: float
    message: str | None = None
    address: str | None = None
    error: str | None = None
    streak: int = 0
    failing_sources: frozenset[object] = frozenset()
    probe_failed: bool = False
    denials: int = 0
    maintenance_reported_at: float | None = None

    @property
    def needs_probe(self) -> bool:
        """Whether the probe should run immediately: a maintenance was reported and is not confirmed."""
        return self.maintenance_reported_at is not None

    def to_json(self) -> dict[str, Any]:
        """Return the part of the state that is kept across restarts."""
        return {
            "status": None if self.status is None else self.status.value,
            "since": self.since,
            "message": self.message,
            "address": self.address,
            "error": self.error,
        }

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> ApiState:
        """Return the state that ``to_json`` encoded."""
        return cls(ApiStatus(data["status"]), data["since"], data["message"], data["address"], data.get("error"))


def observe_api(  # noqa: PLR0911 - one return for each verdict
    state: ApiState,
    error: ClashError | None,
    *,
    at: float,
    from_probe: bool,
    source: object = None,
    min_sources: int = 1,
) -> tuple[ApiState, list[Event]]:
    """Return the new state after one response or failure, and the events that it causes.

    ``error`` is None for a response, and errors that concern only their own resource count as responses. No
    event is returned while the status stays the same, except if the token is rejected for another address.

    Only the probe decides about a maintenance: after its start other endpoints still return cached responses, and
    after its end a server that lags behind still returns errors.

    The API becomes unreachable after three consecutive failures, at least one of them of the probe. Every failure of
    the probe counts, but only lost connections of other polls, because an error of one endpoint does not concern the
    whole API. ``source`` identifies the failed resource; the failures must come from at least ``min_sources`` different
    ones.
    """
    observed = _status_of(error, from_probe=from_probe)
    if state.status is ApiStatus.MAINTENANCE:
        return _observe_in_maintenance(state, observed, error, at=at, from_probe=from_probe)
    if observed is None:
        return state, []
    if observed is ApiStatus.OK or error is None:
        return _observe_response(state, at=at, from_probe=from_probe)
    if state.status is None and observed is not ApiStatus.UNREACHABLE:
        return _enter(observed, error, at), []
    if observed is ApiStatus.MAINTENANCE:
        return _observe_maintenance_report(state, error, at=at, from_probe=from_probe)
    if observed is ApiStatus.DENIED:
        return _observe_denial(state, error, at=at)
    return _observe_failure(state, error, at=at, from_probe=from_probe, source=source, min_sources=min_sources)


def _observe_in_maintenance(
    state: ApiState, observed: ApiStatus | None, error: ClashError | None, *, at: float, from_probe: bool
) -> tuple[ApiState, list[Event]]:
    if observed is ApiStatus.DENIED and from_probe and error is not None:
        if state.denials + 1 < _DENIALS_TO_END_MAINTENANCE:
            return replace(state, streak=0, denials=state.denials + 1), []
        over, ended = _restore(state, EventType.MAINTENANCE_END, at)
        denied, events = _observe_denial(over, error, at=at)
        return denied, ended + events
    if observed is not ApiStatus.OK:
        return replace(state, streak=0, denials=0), []
    if not from_probe:
        return state, []
    if state.streak + 1 < _RESPONSES_TO_END_MAINTENANCE:
        return replace(state, streak=state.streak + 1, denials=0), []
    return _restore(state, EventType.MAINTENANCE_END, at)


def _observe_response(state: ApiState, *, at: float, from_probe: bool) -> tuple[ApiState, list[Event]]:
    if state.status is None:
        return ApiState(ApiStatus.OK, at), []
    if state.status is not ApiStatus.OK:
        return _restore(state, EventType.API_RESTORED, at)
    reported_at = None if from_probe else state.maintenance_reported_at
    if not state.streak and reported_at is state.maintenance_reported_at:
        return state, []  # the case of nearly every response
    return ApiState(ApiStatus.OK, state.since, maintenance_reported_at=reported_at), []


def _observe_maintenance_report(
    state: ApiState, error: ClashError, *, at: float, from_probe: bool
) -> tuple[ApiState, list[Event]]:
    first = at if state.maintenance_reported_at is None else state.maintenance_reported_at
    if not from_probe:
        return replace(state, maintenance_reported_at=first), []
    metadata = {"error": error.kind, "message": str(error)}
    return _enter(ApiStatus.MAINTENANCE, error, first), [_event(EventType.MAINTENANCE_START, at, metadata)]


def _observe_denial(state: ApiState, error: ClashError, *, at: float) -> tuple[ApiState, list[Event]]:
    entered = _enter(ApiStatus.DENIED, error, at)
    if state.status is ApiStatus.DENIED:
        # Several tokens may be rejected for different reasons; that alone is not an event.
        address = entered.address or state.address
        entered = replace(entered, since=state.since, address=address)
        if address == state.address:
            return entered, []
    metadata = {"error": error.kind, "message": str(error), "address": entered.address}
    return entered, [_event(EventType.API_DENIED, at, metadata)]


def _observe_failure(
    state: ApiState, error: ClashError, *, at: float, from_probe: bool, source: object, min_sources: int
) -> tuple[ApiState, list[Event]]:
    if state.status is ApiStatus.UNREACHABLE:
        # The reason may change during an outage: first a router without a connection, then a captive portal.
        changed = from_probe and error.kind != state.error
        return (replace(state, message=str(error), error=error.kind) if changed else state), []
    if state.status is ApiStatus.DENIED:
        return state, []
    enough_sources = len(state.failing_sources) >= min_sources
    state = replace(
        state,
        streak=state.streak + 1,
        failing_sources=state.failing_sources if enough_sources else state.failing_sources | {source},
        probe_failed=state.probe_failed or from_probe,
    )
    if state.streak < _FAILURES_UNTIL_UNREACHABLE or not state.probe_failed or len(state.failing_sources) < min_sources:
        return state, []
    metadata = {"error": error.kind, "message": str(error)}
    return _enter(ApiStatus.UNREACHABLE, error, at), [_event(EventType.POLL_ERROR, at, metadata)]


def _restore(state: ApiState, event_type: EventType, at: float) -> tuple[ApiState, list[Event]]:
    # The wall clock may have been set back in the meantime.
    duration = {"duration_seconds": round(max(0.0, at - state.since), 3)}
    return ApiState(ApiStatus.OK, at), [_event(event_type, at, duration)]


def _status_of(error: ClashError | None, *, from_probe: bool) -> ApiStatus | None:
    """Return the status that a response (None) or failure indicates, None if it indicates nothing."""
    match error:
        case None | NotFoundError() | PrivateWarLogError():
            return ApiStatus.OK
        case MaintenanceError():
            return ApiStatus.MAINTENANCE
        case UnreachableError():
            return ApiStatus.UNREACHABLE
        case WrongTokenError() | IpNotAllowedError():
            return ApiStatus.DENIED
        # Denied for an unknown reason: a firewall may block a single path.
        case DeniedError() if from_probe:
            return ApiStatus.DENIED
        # An invalid response or another error of one endpoint does not concern the whole API.
        case _:
            return ApiStatus.UNREACHABLE if from_probe else None


def _enter(status: ApiStatus, error: ClashError, at: float) -> ApiState:
    address = error.address if isinstance(error, IpNotAllowedError) else None
    return ApiState(status, at, message=str(error), address=address, error=error.kind)


def _event(event_type: EventType, at: float, metadata: dict[str, Any]) -> Event:
    return Event(event_type, API.tag, timestamp=at, metadata=metadata, name="The API")
