"""What is known of the API itself, from every answer and every failure. Pure: no clock, no I/O."""

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

# One failed request is no outage.
_FAILURES_UNTIL_UNREACHABLE = 3
# A maintenance flaps at its end: the first answer after it may be followed by another refusal.
_RESPONSES_TO_END_MAINTENANCE = 2
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

    ``status`` is None until a usable response, or enough failures, have decided it. ``message`` says what is wrong,
    None when nothing is, and ``error`` is the kind of that failure. ``address`` is the one that the API sees when it
    denies the token for it. ``evidence`` counts what speaks for another status than the present one, in a row:
    responses during a maintenance, failures else. ``failing`` holds the sources of those failures and ``judged`` tells
    whether the probe's is among them. ``denials`` counts the refusals of the token during a maintenance.
    ``first_word`` is when a maintenance was first reported that the probe has not confirmed, None without one.
    """

    status: ApiStatus | None
    since: float
    message: str | None = None
    address: str | None = None
    error: str | None = None
    evidence: int = 0
    failing: frozenset[object] = frozenset()
    judged: bool = False
    denials: int = 0
    first_word: float | None = None

    @property
    def suspicious(self) -> bool:
        """Whether the probe should look at once: a maintenance was spoken of and is not confirmed."""
        return self.first_word is not None

    def to_json(self) -> dict[str, Any]:
        """Return what is remembered over restarts."""
        return {
            "status": None if self.status is None else self.status.value,
            "since": self.since,
            "message": self.message,
            "address": self.address,
            "error": self.error,
        }

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> ApiState:
        """Return the state that ``to_json`` was called on, without its evidence."""
        return cls(ApiStatus(data["status"]), data["since"], data["message"], data["address"], data.get("error"))


def initial_api_state(error: ClashError | None, *, at: float) -> ApiState:
    """Return the state after the very first response (None) or failure: it is the baseline and no event."""
    return observe_api(ApiState(None, at), error, at=at, from_probe=False)[0]


def observe_api(  # noqa: PLR0911 - one return for each verdict
    state: ApiState,
    error: ClashError | None,
    *,
    at: float,
    from_probe: bool,
    source: object = None,
    witnesses: int = 1,
) -> tuple[ApiState, list[Event]]:
    """Take one response (``error`` None, or one that only concerns its own resource) or failure into account.

    Returns the new state and the events that it causes: none while the status stays, but for a token that is denied
    for another address. The probe is the judge of a maintenance: other endpoints go on answering from a cache when it
    has begun, and a server that lags behind goes on refusing when it is over.

    The API becomes unreachable by three failures of any kind with no usable response in between. At least one of them
    must be the probe's, and beside those only lost connections count: a single endpoint in trouble says nothing of the
    API. ``source`` names what failed; the failures must come from at least ``witnesses`` different sources.
    """
    seen = _status_of(error, from_probe=from_probe)
    if state.status is ApiStatus.MAINTENANCE:
        return _observe_in_maintenance(state, seen, error, at=at, from_probe=from_probe)
    if seen is None:
        return state, []
    if seen is ApiStatus.OK or error is None:
        return _observe_response(state, at=at, from_probe=from_probe)
    if state.status is None and seen is not ApiStatus.UNREACHABLE:
        return _enter(seen, error, at), []
    if seen is ApiStatus.MAINTENANCE:
        return _observe_maintenance_report(state, error, at=at, from_probe=from_probe)
    if seen is ApiStatus.DENIED:
        return _observe_denial(state, error, at=at)
    return _observe_failure(state, error, at=at, from_probe=from_probe, source=source, witnesses=witnesses)


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
    if state.evidence + 1 < _RESPONSES_TO_END_MAINTENANCE:
        return replace(state, evidence=state.evidence + 1, denials=0), []
    return _restore(state, EventType.MAINTENANCE_END, at)


def _observe_response(state: ApiState, *, at: float, from_probe: bool) -> tuple[ApiState, list[Event]]:
    if state.status is None:
        return ApiState(ApiStatus.OK, at), []
    if state.status is not ApiStatus.OK:
        return _restore(state, EventType.API_RESTORED, at)
    first_word = None if from_probe else state.first_word
    if not state.evidence and first_word is state.first_word:
        return state, []  # of nearly every response
    return ApiState(ApiStatus.OK, state.since, first_word=first_word), []


def _observe_maintenance_report(
    state: ApiState, error: ClashError, *, at: float, from_probe: bool
) -> tuple[ApiState, list[Event]]:
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


def _observe_failure(
    state: ApiState, error: ClashError, *, at: float, from_probe: bool, source: object, witnesses: int
) -> tuple[ApiState, list[Event]]:
    if state.status is ApiStatus.UNREACHABLE:
        # The reason may change during an outage: a router without a line, then a captive portal.
        news = from_probe and error.kind != state.error
        return (replace(state, message=str(error), error=error.kind) if news else state), []
    if state.status is ApiStatus.DENIED:
        return state, []
    state = replace(
        state,
        evidence=state.evidence + 1,
        failing=state.failing if len(state.failing) >= witnesses else state.failing | {source},
        judged=state.judged or from_probe,
    )
    if state.evidence < _FAILURES_UNTIL_UNREACHABLE or not state.judged or len(state.failing) < witnesses:
        return state, []
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
        case WrongTokenError() | IpNotAllowedError():
            return ApiStatus.DENIED
        # Refused for a reason that nobody knows: a firewall may refuse one path and no other.
        case DeniedError() if from_probe:
            return ApiStatus.DENIED
        # Not what the API gives, or nothing that can be used: of one endpoint alone it says nothing.
        case _:
            return ApiStatus.UNREACHABLE if from_probe else None


def _enter(status: ApiStatus, error: ClashError, at: float) -> ApiState:
    address = error.address if isinstance(error, IpNotAllowedError) else None
    return ApiState(status, at, message=str(error), address=address, error=error.kind)


def _event(event_type: EventType, at: float, metadata: dict[str, Any]) -> Event:
    return Event(event_type, API.tag, timestamp=at, metadata=metadata, name="The API")
