"""What is known of the API itself, from every answer and every failure. Pure: no clock, no I/O."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

from coc2mqtt.clash.errors import (
    ClashError,
    DeniedError,
    MaintenanceError,
    NotFoundError,
    PrivateWarLogError,
    UnreachableError,
    WrongAddressError,
)
from coc2mqtt.events.event import Event, EventType
from coc2mqtt.events.resource import API

# One lost connection is no outage.
_FAILURES_TO_BE_UNREACHABLE = 3
# A maintenance flaps at its end: the first answer after it may be followed by another refusal.
_ANSWERS_TO_END_MAINTENANCE = 2


class ApiStatus(StrEnum):
    """Whether the API can be asked."""

    OK = "ok"
    MAINTENANCE = "maintenance"
    UNREACHABLE = "unreachable"
    DENIED = "denied"


@dataclass(frozen=True, slots=True)
class ApiState:
    """The status, since when (Unix time in seconds), and how far the evidence for the next one has grown.

    ``message`` says what is wrong, None when nothing is. ``address`` is the one that the API sees when it denies
    the token for it.
    """

    status: ApiStatus
    since: float
    message: str | None = None
    address: str | None = None
    evidence: int = 0

    def to_json(self) -> dict[str, Any]:
        """Return what is remembered over restarts."""
        return {
            "status": self.status.value,
            "since": self.since,
            "message": self.message,
            "address": self.address,
        }

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> ApiState:
        """Return the state that ``to_json`` was called on, without its evidence."""
        return cls(ApiStatus(data["status"]), data["since"], data["message"], data["address"])


def first_api_state(error: ClashError | None, *, at: float) -> ApiState:
    """Return the state after the very first answer (None) or failure: it is the baseline and no event."""
    if isinstance(error, MaintenanceError | DeniedError):
        return _enter(_status_of(error) or ApiStatus.OK, error, at)
    return ApiState(ApiStatus.OK, at, evidence=int(isinstance(error, UnreachableError)))


def observe_api(
    state: ApiState, error: ClashError | None, *, at: float, from_probe: bool
) -> tuple[ApiState, list[Event]]:
    """Take up one answer (``error`` None, or one that only concerns its own resource) or failure.

    Returns the new state and the events that it causes: none while the status stays. A maintenance ends by the
    probe's answers alone, because other endpoints go on answering from a cache.
    """
    seen = _status_of(error)
    if seen is None:
        return state, []
    if seen is ApiStatus.OK or error is None:
        return _observe_answer(state, at=at, from_probe=from_probe)
    if seen is state.status or (state.status is ApiStatus.MAINTENANCE):
        # While the game is down its API refuses in every way: the maintenance is over when it answers.
        return replace(state, evidence=0), []
    return _observe_failure(state, seen, error, at=at)


def _observe_answer(state: ApiState, *, at: float, from_probe: bool) -> tuple[ApiState, list[Event]]:
    if state.status is ApiStatus.OK:
        return (replace(state, evidence=0) if state.evidence else state), []
    if state.status is ApiStatus.MAINTENANCE:
        if not from_probe:
            return state, []
        if state.evidence + 1 < _ANSWERS_TO_END_MAINTENANCE:
            return replace(state, evidence=state.evidence + 1), []
    duration = {"duration_seconds": round(at - state.since, 3)}
    event_type = EventType.MAINTENANCE_END if state.status is ApiStatus.MAINTENANCE else EventType.API_RESTORED
    return ApiState(ApiStatus.OK, at), [_event(event_type, at, duration)]


def _observe_failure(state: ApiState, seen: ApiStatus, error: ClashError, *, at: float) -> tuple[ApiState, list[Event]]:
    entered = _enter(seen, error, at)
    metadata = {"error": error.kind, "message": str(error)}
    if seen is ApiStatus.MAINTENANCE:
        return entered, [_event(EventType.MAINTENANCE_START, at, metadata)]
    if seen is ApiStatus.DENIED:
        return entered, [_event(EventType.API_DENIED, at, {**metadata, "address": entered.address})]
    if state.status is ApiStatus.DENIED or state.evidence + 1 < _FAILURES_TO_BE_UNREACHABLE:
        return replace(state, evidence=state.evidence + 1), []
    return entered, [_event(EventType.POLL_ERROR, at, metadata)]


def _status_of(error: ClashError | None) -> ApiStatus | None:
    """Return what the failure says of the API, None when it says nothing either way."""
    match error:
        case None | NotFoundError() | PrivateWarLogError():
            return ApiStatus.OK
        case MaintenanceError():
            return ApiStatus.MAINTENANCE
        case UnreachableError():
            return ApiStatus.UNREACHABLE
        case DeniedError():
            return ApiStatus.DENIED
        case _:
            return None


def _enter(status: ApiStatus, error: ClashError, at: float) -> ApiState:
    address = error.address if isinstance(error, WrongAddressError) else None
    return ApiState(status, at, message=str(error), address=address)


def _event(event_type: EventType, at: float, metadata: dict[str, Any]) -> Event:
    return Event(event_type, API.tag, timestamp=at, metadata=metadata, name="The API")
