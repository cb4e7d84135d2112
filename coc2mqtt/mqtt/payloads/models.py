"""The models of all published payloads.

Times are ISO 8601 with milliseconds and an offset, always in UTC. Keys may be added, but are never removed or renamed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field

from coc2mqtt.clash.response import iso_time as iso_time  # noqa: PLC0414 - the modules of payloads import it from here
from coc2mqtt.events.resource import Kind
from coc2mqtt.logs import LogLevelName  # noqa: TC001 - pydantic reads it

if TYPE_CHECKING:
    from coc2mqtt.events.resource import Reminders, Watch
    from coc2mqtt.journal.protocol import JournalEntry


Time = Annotated[str, Field(json_schema_extra={"format": "date-time"})]


class Payload(BaseModel):
    """The base of all published JSON objects.

    The docstring below a field becomes its description in the JSON schema.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    def encode(self) -> bytes:
        """Return the bytes to publish."""
        return self.model_dump_json().encode()


class ChangePayload(Payload):
    """One changed field."""

    field: str
    """The API's key, such as `clanPoints`; nested keys are joined by dots, such as `warLeague.name`."""
    old_value: Any
    """Null if the field had no value. Lists contain only the entries that differ, and long texts are truncated."""
    new_value: Any
    """Null if the field has no value. Lists and texts are shortened as in `old_value`."""


class EventPayload(Payload):
    """An event. Use ``id`` to detect duplicates and ``seq`` to order events."""

    id: str
    """32 hexadecimal digits; an event that is published again has the same id."""
    seq: int
    """Increases with each event of a bridge, with gaps."""
    event_type: str
    tag: str
    """The clan's or player's tag, with its `#`; `api` for the API."""
    name: str | None
    """The clan's or player's name; null if unknown."""
    timestamp: Time
    """When the bridge noticed the change."""
    summary: str
    """One English sentence for display."""
    changes: list[ChangePayload]
    metadata: dict[str, Any]
    """Details; the keys depend on the event type."""

    @classmethod
    def of(cls, entry: JournalEntry) -> Self:
        """Return the payload of a journal entry; ``EventRecord`` limits its size to 2 kB."""
        record = entry.record
        return cls(
            id=entry.id,
            seq=entry.seq,
            event_type=record.event_type,
            tag=record.tag,
            name=record.name,
            timestamp=iso_time(record.timestamp),
            summary=record.summary,
            changes=[ChangePayload(**change) for change in record.changes],
            metadata=record.metadata,
        )


class OnlinePayload(Payload):
    """Whether the bridge, or a watched clan or player, is available."""

    state: Literal["online", "offline"]


class ApiStatusPayload(Payload):
    """Whether the Clash of Clans API is available, since when, and the problem."""

    state: Literal["ok", "maintenance", "unreachable", "denied"]
    since: Time
    message: str | None
    """The problem and its remedy; null while the state is `ok`."""
    address: str | None
    """The bridge's IP address as the API sees it, if the API denies access because of it; otherwise null."""


class ClanPayload(Payload):
    """The current state of a clan."""

    tag: str
    name: str | None
    level: int | None
    points: int | None
    builder_base_points: int | None
    capital_points: int | None
    members: int | None
    donations: int | None
    """The sum of the present members' donations in this season; null while the members are unknown."""
    donations_received: int | None
    """The sum of what the present members received in this season; null while the members are unknown."""
    donations_today: int | None
    """Troops that the present members donated since 05:00 UTC, as far as the bridge saw them; null if unknown."""
    donations_week: int | None
    """The same since Monday at 05:00 UTC."""
    inactive_members: int | None
    """The number of members for whom `member_inactive` was published and who were not seen since."""
    war_league: str | None
    capital_league: str | None
    war_win_streak: int | None
    """Wars won in a row."""
    war_wins: int | None
    is_war_log_public: bool | None
    """Whether the clan's wars are visible."""
    badge_url: str | None
    updated_at: Time
    """When the bridge first received this state."""


class BadgePayload(Payload):
    """The URL of a clan's badge; published only on changes, because an image entity reloads it on every message."""

    badge_url: str | None


class PollPayload(Payload):
    """When the API last returned a clan or a player; published at most every five minutes."""

    polled_at: Time


class InfoPayload(Payload):
    """The version and settings of the bridge, without secrets. ``run_id`` changes with each start."""

    version: str
    instance: str
    run_id: str
    host: str
    started_at: Time
    protocol: str
    """The MQTT version in use: `5` or `3.1.1`."""
    base_topic: str
    api_base_url: str
    requests_per_second: float
    tokens: int
    """The number of API tokens."""
    homeassistant: bool
    commands: list[str]
    log_level: LogLevelName
    """Lines of this level and above are logged."""


class RemindersPayload(Payload):
    """The reminders of a clan: seconds before the end, the longest first, and whom they list."""

    war: list[float]
    cwl: list[float]
    raid: list[float]
    games: list[float]
    min_attacks_left: int
    roles: list[str] | None
    """The API's values; null: any."""
    min_town_hall: int | None
    max_town_hall: int | None

    @classmethod
    def of(cls, reminders: Reminders) -> Self:
        """Return the payload of the reminders of a watch."""
        return cls(
            war=list(reminders.war),
            cwl=list(reminders.cwl),
            raid=list(reminders.raid),
            games=list(reminders.games),
            min_attacks_left=reminders.min_attacks_left,
            roles=None if reminders.roles is None else sorted(reminders.roles),
            min_town_hall=reminders.min_town_hall,
            max_town_hall=reminders.max_town_hall,
        )


class WatchPayload(Payload):
    """One watch; keys that do not apply to its kind, or to what it polls, are null. Intervals are in seconds."""

    kind: Literal["clan", "player"]
    tag: str
    name: str | None
    interval: float
    members: bool | None
    war: bool | None
    war_interval: float | None
    cwl: bool | None
    """Whether the clan's clan war leagues are polled."""
    cwl_interval: float | None
    cwl_standings: bool | None
    raids: bool | None
    """Whether the clan's raid weekends are polled."""
    raid_interval: float | None
    raid_defenses: bool | None
    games: bool | None
    """Whether the clan games are polled."""
    games_interval: float | None
    reminders: RemindersPayload | None
    inactive_after: float | None
    """Seconds; null: never."""
    ranked: bool | None
    """Whether the player's ranked battles are polled."""
    ranked_interval: float | None
    include_fields: list[str] | None
    exclude_fields: list[str] | None

    @classmethod
    def of(cls, watch: Watch, name: str | None) -> Self:
        """Return the payload of a watch; ``name`` is that of its clan or player."""
        clan = watch.kind is Kind.CLAN
        return cls(
            kind="clan" if clan else "player",
            tag=watch.tag,
            name=name,
            interval=watch.interval,
            members=watch.members if clan else None,
            war=watch.war if clan else None,
            war_interval=watch.war_interval if clan and watch.war else None,
            cwl=watch.cwl if clan else None,
            cwl_interval=watch.cwl_interval if clan and watch.cwl else None,
            cwl_standings=watch.cwl_standings if clan and watch.cwl else None,
            raids=watch.raids if clan else None,
            raid_interval=watch.raid_interval if clan and watch.raids else None,
            raid_defenses=watch.raid_defenses if clan and watch.raids else None,
            games=watch.games if clan else None,
            games_interval=watch.games_interval if clan and watch.games else None,
            reminders=RemindersPayload.of(watch.reminders) if clan else None,
            inactive_after=watch.inactive_after,
            ranked=None if clan else watch.ranked,
            ranked_interval=watch.ranked_interval if watch.ranked else None,
            include_fields=None if watch.include_fields is None else sorted(watch.include_fields),
            exclude_fields=None if watch.exclude_fields is None else sorted(watch.exclude_fields),
        )


class WatchesPayload(Payload):
    """All watches."""

    watches: list[WatchPayload]


class RunningCommandPayload(Payload):
    """A command that is being executed; ``kind`` is null if the request does not contain one."""

    command: str | None
    kind: Literal["clan", "player"] | None
    tag: str | None


class LastCommandPayload(Payload):
    """The last command and its result; queries such as `list` are not included.

    Null until the first command. A restart of the bridge does not change it, unless the broker has lost it.
    """

    command: str | None
    """The command's name; null if it is not a valid one."""
    kind: Literal["clan", "player"] | None
    """Null if the request contains none."""
    tag: str | None
    """Null if the request contains none, or an invalid one."""
    status: Literal["ok", "error"] | None
    summary: str | None
    """A sentence for display of at most 255 characters, such as `Now watching Raven Watch (#2PP)`."""
    time: Time | None
    """When the command ended."""
    running: RunningCommandPayload | None
    """The command that is being executed, or the last one that was started."""


class LastEventPayload(Payload):
    """The last event that the broker acknowledged, possibly in an earlier run."""

    event_type: str
    tag: str
    name: str | None
    summary: str
    timestamp: Time
    seq: int

    @classmethod
    def of(cls, event: EventPayload) -> Self:
        """Return the keys of an event that identify and summarise it."""
        return cls.model_validate(event, from_attributes=True)


class HealthPayload(Payload):
    """The health of the bridge; counters are reset at each start, ages are in seconds.

    Polling: ``overdue`` is the number of resources whose poll is late, ``overdue_seconds`` how late the first of them
    is, ``load`` the share of the tokens' request rate that all intervals together need. ``polls_per_second`` is the
    average of the last minute. ``errors`` counts failed polls by kind, ``malformed_fields`` the fields that were
    ignored in responses because their values contradict the API's documentation.

    Events: ``published`` counts events that the broker acknowledged, ``resent`` events that were published again with
    the same id after a lost connection, ``denied`` events that the broker rejected for good, ``dropped`` events (of
    all runs) that were deleted because too many were queued or they were queued for too long. ``queue`` is the number
    of queued events, ``queue_age_seconds`` the age of the oldest. ``events_skipped`` counts events that were not
    published because of a bug in the bridge.

    ``states_denied`` counts rejected retained messages, ``deferred`` how often the broker asked the bridge to wait,
    ``requests_dropped`` requests that were dropped because too many arrived, ``internal_errors`` unexpected failures of
    the bridge itself.
    """

    healthy: bool
    problems: list[str]
    """The error, for display."""
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
    """How often a retained topic was published again because another client had overwritten it."""
    requests_dropped: int
    queue: int
    queue_age_seconds: float | None
    dropped: int
    events_skipped: int
    internal_errors: int
    last_event: LastEventPayload | None


class ResponsePayload(Payload):
    """The response to a request."""

    status: Literal["ok", "error"]
    data: dict[str, Any]
    error: str | None = None
    transaction: Any = None

    def encode(self) -> bytes:
        """Return the bytes to publish; ``error`` and ``transaction`` are omitted if they are None."""
        omitted = {key for key in ("error", "transaction") if getattr(self, key) is None}
        return self.model_dump_json(exclude=omitted).encode()
