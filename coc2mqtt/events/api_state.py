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
    WrongTokenError,
)
from coc2mqtt.events.event import Event, EventType
from coc2mqtt.events.resource import API

# One lost connection is no outage.
_FAILURES_TO_BE_UNREACHABLE = 3
# A maintenance flaps at its end: the first answer after it may be followed by another refusal.
_ANSWERS_TO_END_MAINTENANCE = 2
# While the game is down its API refuses in every way. One that goes on refusing the token alone has come back.
_DENIALS_TO_END_MAINTENANCE = 3


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
    the token for it. ``evidence`` counts what speaks for another status than the present one, in a row: answers during
    a maintenance, failures else; ``denials`` those of the token during a maintenance. ``first_word`` is when a
    maintenance was first spoken of that the probe has not confirmed, None without one.
    """

    status: ApiStatus
    since: float
    message: str | None = None
    address: str | None = None
    evidence: int = 0
    denials: int = 0
    first_word: float | None = None

    @property
    def suspicious(self) -> bool:
        """Whether the probe should look at once: a maintenance was spoken of and is not confirmed."""
        return self.first_word is not None

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
    status = _status_of(error, from_probe=False)
    if error is not None and status in (ApiStatus.MAINTENANCE, ApiStatus.DENIED):
        return _enter(status, error, at)
    return ApiState(ApiStatus.OK, at, evidence=int(isinstance(error, UnreachableError)))


def observe_api(
    state: ApiState, error: ClashError | None, *, at: float, from_probe: bool
) -> tuple[ApiState, list[Event]]:
    """Take up one answer (``error`` None, or one that only concerns its own resource) or failure.

    Returns the new state and the events that it causes: none while the status stays, but for a token that is denied
    for another address. The probe is the judge of a maintenance: other endpoints go on answering from a cache when it
    has begun, and a server that lags behind goes on refusing when it is over.
    """
    seen = _status_of(error, from_probe=from_probe)
    if state.status is ApiStatus.MAINTENANCE:
        return _observe_in_maintenance(state, seen, error, at=at, from_probe=from_probe)
    if seen is None:
        return state, []
    if seen is ApiStatus.OK or error is None:
        return _observe_answer(state, at=at, from_probe=from_probe)
    if seen is ApiStatus.MAINTENANCE:
        return _observe_word(state, error, at=at, from_probe=from_probe)
    if seen is ApiStatus.DENIED:
        return _observe_denial(state, error, at=at)
    return _observe_loss(state, error, at=at)


def _observe_in_maintenance(
    state: ApiState, seen: ApiStatus | None, error: ClashError | None, *, at: float, from_probe: bool
) -> tuple[ApiState, list[Event]]:
    if seen is ApiStatus.DENIED and from_probe and error is not None:
        if state.denials + 1 < _DENIALS_TO_END_MAINTENANCE:
            return replace(state, evidence=0, denials=state.denials + 1), []
        over, ended = _restore(state, EventType.MAINTENANCE_END, at)
        denied, events = _observe_denial(over, error, at=at)
        return denied, ended + events
    if seen is not ApiStatus.OK:
        return replace(state, evidence=0, denials=0), []
    if not from_probe:
        return state, []
    if state.evidence + 1 < _ANSWERS_TO_END_MAINTENANCE:
        return replace(state, evidence=state.evidence + 1, denials=0), []
    return _restore(state, EventType.MAINTENANCE_END, at)


def _observe_answer(state: ApiState, *, at: float, from_probe: bool) -> tuple[ApiState, list[Event]]:
    if state.status is not ApiStatus.OK:
        return _restore(state, EventType.API_RESTORED, at)
    first_word = None if from_probe else state.first_word
    if not state.evidence and first_word is state.first_word:
        return state, []  # of nearly every answer
    return replace(state, evidence=0, first_word=first_word), []


def _observe_word(state: ApiState, error: ClashError, *, at: float, from_probe: bool) -> tuple[ApiState, list[Event]]:
    first = at if state.first_word is None else state.first_word
    if not from_probe:
        return replace(state, first_word=first), []
    metadata = {"error": error.kind, "message": str(error)}
    return _enter(ApiStatus.MAINTENANCE, error, first), [_event(EventType.MAINTENANCE_START, at, metadata)]


def _observe_denial(state: ApiState, error: ClashError, *, at: float) -> tuple[ApiState, list[Event]]:
    entered = _enter(ApiStatus.DENIED, error, at)
    if state.status is ApiStatus.DENIED:
        # Of several tokens each may be refused for a reason of its own: that alone is no news.
        address = entered.address or state.address
        entered = replace(entered, since=state.since, address=address)
        if address == state.address:
            return entered, []
    metadata = {"error": error.kind, "message": str(error), "address": entered.address}
    return entered, [_event(EventType.API_DENIED, at, metadata)]


def _observe_loss(state: ApiState, error: ClashError, *, at: float) -> tuple[ApiState, list[Event]]:
    if state.status is not ApiStatus.OK:
        return state, []
    if state.evidence + 1 < _FAILURES_TO_BE_UNREACHABLE:
        return replace(state, evidence=state.evidence + 1), []
    metadata = {"error": error.kind, "message": str(error)}
    return _enter(ApiStatus.UNREACHABLE, error, at), [_event(EventType.POLL_ERROR, at, metadata)]


def _restore(state: ApiState, event_type: EventType, at: float) -> tuple[ApiState, list[Event]]:
    # A wall clock may have been set back meanwhile.
    duration = {"duration_seconds": round(max(0.0, at - state.since), 3)}
    return ApiState(ApiStatus.OK, at), [_event(event_type, at, duration)]


def _status_of(error: ClashError | None, *, from_probe: bool) -> ApiStatus | None:
    """Return what the failure says of the API, None when it says nothing either way."""
    match error:
        case None | NotFoundError() | PrivateWarLogError():
            return ApiStatus.OK
        case MaintenanceError():
            return ApiStatus.MAINTENANCE
        case UnreachableError():
            return ApiStatus.UNREACHABLE
        case WrongTokenError() | WrongAddressError():
            return ApiStatus.DENIED
        # Refused for a reason that nobody knows: a firewall may refuse one path and no other.
        case DeniedError() if from_probe:
            return ApiStatus.DENIED
        case _:
            return None


def _enter(status: ApiStatus, error: ClashError, at: float) -> ApiState:
    address = error.address if isinstance(error, WrongAddressError) else None
    return ApiState(status, at, message=str(error), address=address)


def _event(event_type: EventType, at: float, metadata: dict[str, Any]) -> Event:
    return Event(event_type, API.tag, timestamp=at, metadata=metadata, name="The API")
