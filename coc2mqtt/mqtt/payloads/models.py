"""Every payload that is published, as a model: what is not in here does not leave the bridge.

Times are ISO 8601 with milliseconds and offset, always UTC. Keys are only ever added.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from coc2mqtt.logs import LogLevelName  # noqa: TC001 - pydantic reads it

WarStatus = Literal["winning", "losing", "tied", "won", "lost"]

_LONGEST_TEXT = 255


def iso_time(unix_time: float) -> str:
    """Return a Unix time in seconds as it is published, such as ``2026-11-23T12:00:00.123+00:00``."""
    return datetime.fromtimestamp(unix_time, UTC).isoformat(timespec="milliseconds")


def shorten(text: str) -> str:
    """Return a text of the API, which bounds none of its own, cut to the 255 characters that Home Assistant shows."""
    return text if len(text) <= _LONGEST_TEXT else f"{text[: _LONGEST_TEXT - 1]}…"


Time = Annotated[str, Field(json_schema_extra={"format": "date-time"})]


class Payload(BaseModel):
    """A JSON object that is published.

    A text below a field says in its schema what the name does not.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    def encode(self) -> bytes:
        """Return the bytes to publish."""
        return self.model_dump_json().encode()


class ChangePayload(Payload):
    """One field that differs."""

    field: str
    """The API's key, such as `clanPoints`; in deeper levels with dots, such as `warLeague.name`."""
    old_value: Any
    """Null where there was none. Of a list only the entries that differ, of a long text its beginning."""
    new_value: Any
    """As `old_value`."""


class EventPayload(Payload):
    """An event. ``id`` is the same whenever the same event is sent again; ``seq`` grows with each event."""

    id: str
    """32 hexadecimal digits; the same whenever the same event is sent again."""
    seq: int
    """Grows with each event of a bridge, with gaps."""
    event_type: str
    tag: str
    """The clan's or player's, with its `#`; `api` for the API."""
    name: str | None
    """The clan's or player's; null where it is not known."""
    timestamp: Time
    """When the change was seen."""
    summary: str
    """One English sentence, to be shown as it is."""
    changes: list[ChangePayload]
    metadata: dict[str, Any]
    """What else there is to say; its keys depend on the type of the event."""


class OnlinePayload(Payload):
    """Whether the bridge, or what a watch is about, is there."""

    state: Literal["online", "offline"]


class ApiStatusPayload(Payload):
    """Whether the Clash of Clans API can be asked, since when, and what is wrong."""

    state: Literal["ok", "maintenance", "unreachable", "denied"]
    since: Time
    message: str | None
    """What is wrong, and what to do; null while all is well."""
    address: str | None
    """The address that the API sees, where it refuses the token for it."""


class ClanPayload(Payload):
    """A clan as it is now."""

    tag: str
    name: str | None
    level: int | None
    points: int | None
    builder_base_points: int | None
    capital_points: int | None
    members: int | None
    war_league: str | None
    capital_league: str | None
    war_win_streak: int | None
    """Wars won in a row."""
    war_wins: int | None
    is_war_log_public: bool | None
    """Whether its wars can be seen."""
    badge_url: str | None
    updated_at: Time
    """When the API gave what is shown here first."""


class BadgePayload(Payload):
    """Where a clan's badge can be had; said when it changes, because each message is a new picture to who shows it."""

    badge_url: str | None


class PollPayload(Payload):
    """When the API last answered for a clan or a player; said every five minutes."""

    polled_at: Time


class WarSidePayload(Payload):
    """One side of a war; destruction is per cent. After the end ``attacks_left`` are those that were not used."""

    tag: str | None
    name: str | None
    """The tag where the API names none."""
    level: int | None
    stars: int | None
    attacks: int | None
    attacks_left: int | None
    destruction: float | None


class WarMemberPayload(Payload):
    """A member of our side who has not used all attacks; ``position`` is that on the map."""

    tag: str | None
    name: str | None
    position: int | None
    attacks_left: int


class WarPayload(Payload):
    """A clan's current war as it is now; without one, or behind a private war log, most of it is null."""

    state: str | None
    """`notInWar`, `preparation`, `inWar` or `warEnded`, as the API says it; null where it was never seen."""
    war_log: Literal["public", "private"]
    war_id: str | None
    """The same as in the events of this war."""
    preparation_start_time: Time | None
    start_time: Time | None
    end_time: Time | None
    team_size: int | None
    """How many fight on each side."""
    attacks_per_member: int | None
    status: WarStatus | None
    """The clan's, by stars, then by destruction; null without a war."""
    clan: WarSidePayload | None
    """The watched clan."""
    opponent: WarSidePayload | None
    members_with_attacks_left: list[WarMemberPayload]
    """The clan's, in the order of the map."""
    updated_at: Time


class PlayerClanPayload(Payload):
    """The clan that a player is in."""

    tag: str
    name: str | None
    """The tag where the API names none."""


class PlayerWarPayload(Payload):
    """A player's part in the current war of their clan. An attack is pending while the war is on and one is left."""

    clan_tag: str
    state: str | None
    attacks_left: int | None
    attack_pending: bool | None
    end_time: Time | None


class PlayerPayload(Payload):
    """A player as they are now; ``war`` is null where the war of their clan is not watched."""

    tag: str
    name: str | None
    town_hall_level: int | None
    builder_hall_level: int | None
    exp_level: int | None
    league_tier: str | None
    trophies: int | None
    war_stars: int | None
    donations: int | None
    donations_received: int | None
    war_preference: str | None
    """`in` or `out`."""
    role: str | None
    """In the clan, as the API says it: `member`, `admin` (an elder), `coLeader` or `leader`."""
    clan: PlayerClanPayload | None
    """Null: in none."""
    war: PlayerWarPayload | None
    updated_at: Time


class InfoPayload(Payload):
    """What runs here, and how it is set up, without secrets. ``run_id`` is another one after each start."""

    version: str
    instance: str
    run_id: str
    host: str
    started_at: Time
    protocol: str
    """The version of MQTT: `5` or `3.1.1`."""
    base_topic: str
    api_base_url: str
    requests_per_second: float
    tokens: int
    """How many there are."""
    homeassistant: bool
    commands: list[str]
    log_level: LogLevelName
    """From this level on lines are logged, until `log_level` sets another one."""


class WatchPayload(Payload):
    """One watch; what does not concern its kind is null. Intervals are seconds."""

    kind: Literal["clan", "player"]
    tag: str
    name: str | None
    interval: float
    members: bool | None
    war: bool | None
    war_interval: float | None
    include_fields: list[str] | None
    exclude_fields: list[str] | None


class WatchesPayload(Payload):
    """Everything that is watched."""

    watches: list[WatchPayload]


class LastEventPayload(Payload):
    """The last event that the broker has acknowledged, also one of the run before."""

    event_type: str
    tag: str
    name: str | None
    summary: str
    timestamp: Time
    seq: int


class HealthPayload(Payload):
    """How the bridge is doing; counters since the start, ages in seconds.

    ``overdue`` is how many resources wait for a poll that should have been made, ``overdue_seconds`` how long the
    first of them has been waiting; ``load`` is the share of the tokens' pace that all intervals together ask for.
    ``polls_per_second`` is that of the last minute, ``errors`` counts failed polls by kind, ``malformed_fields`` fields
    that were left out of responses because they are not what the API documents.

    Of events: ``published`` counts those that the broker has acknowledged, ``resent`` those published once more with
    the same id because a connection broke before that, ``denied`` those put aside because the broker takes them
    never, ``dropped`` those given up, ever, because too many waited or too long; ``queue`` wait, the oldest since
    ``queue_age_seconds``. ``states_denied`` is as ``denied`` of retained state, ``deferred`` how often the broker
    asked to wait, ``requests_dropped`` how many requests came too fast.

    ``internal_errors`` counts unexpected failures of the bridge itself, ``events_skipped`` the events that such a
    failure kept from being published.
    """

    healthy: bool
    problems: list[str]
    """What is not well, in words."""
    uptime_seconds: float
    connected_since: Time | None
    reconnects: int
    api_status: str | None
    polls: int
    polls_changed: int
    polls_per_second: float
    errors: dict[str, int]
    malformed_fields: dict[str, int]
    """By field, such as `clan.memberList.donations`."""
    last_poll_age_seconds: float | None
    overdue: int
    overdue_seconds: float
    load: float
    watches: int
    clans: int
    players: int
    events: int
    published: int
    resent: int
    denied: int
    states_denied: int
    deferred: int
    restored: int
    """How often a retained topic was published again because another client had published on it."""
    requests_dropped: int
    queue: int
    queue_age_seconds: float | None
    dropped: int
    events_skipped: int
    internal_errors: int
    last_event: LastEventPayload | None


class ResponsePayload(Payload):
    """The answer to a request; ``transaction`` is the request's own, null where it had none."""

    status: Literal["ok", "error"]
    data: dict[str, Any]
    error: str | None = None
    transaction: Any = None

    def encode(self) -> bytes:
        """Return the bytes to publish: an error only where there is one, a transaction only where one was given."""
        unsaid = {key for key in ("error", "transaction") if getattr(self, key) is None}
        return self.model_dump_json(exclude=unsaid).encode()
