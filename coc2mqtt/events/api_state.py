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
# One word of maintenance that is not the probe's may come from a server that lags behind the others.
_WORDS_TO_START_MAINTENANCE = 2
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
    the token for it. ``evidence`` counts what speaks for another status than the present one: answers during a
    maintenance, else failures in a row. ``words`` counts refusals for a maintenance that has not begun yet, since
    ``first_word``.
    """

    status: ApiStatus
    since: float
    message: str | None = None
    address: str | None = None
    evidence: int = 0
    words: int = 0
    first_word: float = 0.0

    @property
    def suspicious(self) -> bool:
        """Whether the probe should look at once: something but not yet enough speaks for a maintenance."""
        return self.status is not ApiStatus.MAINTENANCE and self.words > 0

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

    Returns the new state and the events that it causes: none while the status stays. The probe is the judge of a
    maintenance: other endpoints go on answering from a cache when it has begun, and their answers end none.
    """
    seen = _status_of(error)
    if state.status is ApiStatus.MAINTENANCE:
        return _observe_in_maintenance(state, seen, at=at, from_probe=from_probe)
    if seen is None:
        return state, []
    if seen is ApiStatus.OK or error is None:
        return _observe_answer(state, at=at, from_probe=from_probe)
    if seen is ApiStatus.MAINTENANCE:
        return _observe_word(state, error, at=at, from_probe=from_probe)
    if seen is state.status:
        return replace(state, evidence=0), []
    return _observe_failure(state, seen, error, at=at)


def _observe_in_maintenance(
    state: ApiState, seen: ApiStatus | None, *, at: float, from_probe: bool
) -> tuple[ApiState, list[Event]]:
    if seen is not ApiStatus.OK:
        # While the game is down its API refuses in every way: the maintenance is over when it answers.
        return replace(state, evidence=0), []
    if not from_probe:
        return state, []
    if state.evidence + 1 < _ANSWERS_TO_END_MAINTENANCE:
        return replace(state, evidence=state.evidence + 1), []
    return _restore(state, EventType.MAINTENANCE_END, at)


def _observe_answer(state: ApiState, *, at: float, from_probe: bool) -> tuple[ApiState, list[Event]]:
    if state.status is not ApiStatus.OK:
        return _restore(state, EventType.API_RESTORED, at)
    words = 0 if from_probe else state.words
    return (replace(state, evidence=0, words=words) if state.evidence or state.words else state), []


def _observe_word(state: ApiState, error: ClashError, *, at: float, from_probe: bool) -> tuple[ApiState, list[Event]]:
    first, words = (state.first_word, state.words + 1) if state.words else (at, 1)
    if words < _WORDS_TO_START_MAINTENANCE and not from_probe:
        return replace(state, words=words, first_word=first), []
    metadata = {"error": error.kind, "message": str(error)}
    return _enter(ApiStatus.MAINTENANCE, error, first), [_event(EventType.MAINTENANCE_START, at, metadata)]


def _restore(state: ApiState, event_type: EventType, at: float) -> tuple[ApiState, list[Event]]:
    return ApiState(ApiStatus.OK, at), [_event(event_type, at, {"duration_seconds": round(at - state.since, 3)})]


def _observe_failure(state: ApiState, seen: ApiStatus, error: ClashError, *, at: float) -> tuple[ApiState, list[Event]]:
    entered = _enter(seen, error, at)
    metadata = {"error": error.kind, "message": str(error)}
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
