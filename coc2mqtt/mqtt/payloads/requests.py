"""What can be asked for on the control topic, strictly checked."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, ClassVar, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema

from coc2mqtt.clash.tags import normalize_tag
from coc2mqtt.events.event import EventType
from coc2mqtt.events.resource import Kind
from coc2mqtt.events.watch import CLAN_INTERVAL_S, MIN_INTERVAL_S, PLAYER_INTERVAL_S, WAR_INTERVAL_S, Watch
from coc2mqtt.journal.protocol import Selection
from coc2mqtt.logs import LogLevelName  # noqa: TC001 - pydantic reads it
from coc2mqtt.util.durations import parse_duration

Json = dict[str, Any]

MOST_REPLAYED = 500
_LONGEST_INTERVAL = 7 * 24 * 3600.0
_LONGEST_TRANSACTION = 256
# As far as SQLite counts.
_LAST_SEQ = 2**63 - 1
_SEQ_DIGITS = 19
_EVENT_TYPES = [event_type.value for event_type in EventType]


class CommandError(Exception):
    """A request that cannot be carried out; the text says why and goes to who asked."""


def check_transaction(value: object) -> str | int | None:
    """Return a transaction as it is echoed; raises ValueError for what is none."""
    # Not isinstance: to Python, JSON's true is an int.
    if value is None or type(value) is int or (isinstance(value, str) and len(value) <= _LONGEST_TRANSACTION):
        return value
    raise ValueError(f"must be a text of at most {_LONGEST_TRANSACTION} characters or a whole number")


def _check_event_type(value: str) -> str:
    if value not in _EVENT_TYPES:
        raise ValueError(f"{value[:64]!r} is no type of event: write one such as {EventType.MEMBER_JOINED.value}")
    return value


def _read_since(value: object) -> object:
    """Return the time (aware) or the age that a text is."""
    if value is None:
        return None
    text = str(value).strip()[:64] if isinstance(value, str) else ""
    try:
        # A number alone is more likely a seq that went under the wrong key than an age in seconds.
        return parse_duration(text if not text.replace(".", "").isdigit() else "")
    except ValueError:
        pass
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        time = None
    if time is None or time.tzinfo is None:
        raise ValueError("must be a time with its offset, such as 2026-11-24T12:00:00+00:00, or an age, such as 1h")
    return time


Transaction = Annotated[
    str | int | None,
    BeforeValidator(check_transaction),
    WithJsonSchema(
        {"anyOf": [{"type": "string", "maxLength": _LONGEST_TRANSACTION}, {"type": "integer"}, {"type": "null"}]}
    ),
]
Seconds = Annotated[float, Field(ge=MIN_INTERVAL_S, le=_LONGEST_INTERVAL)]
Tag = Annotated[str, AfterValidator(normalize_tag)]
WatchedKind = Literal["clan", "player"]
Fields = Annotated[list[Annotated[str, Field(max_length=64)]], Field(max_length=100)] | None
Since = Annotated[
    datetime | timedelta | None,
    BeforeValidator(_read_since),
    WithJsonSchema({"anyOf": [{"type": "string", "examples": ["2026-11-24T12:00:00+00:00", "1h"]}, {"type": "null"}]}),
]


class Request(BaseModel):
    """A request. ``transaction`` comes back with the answer."""

    # Strict: else `"interval": true` would be one second, and `"war": "off"` a guess.
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)
    # What a text that is no JSON object stands for, None where it is of no use.
    main_key: ClassVar[str] = "tag"

    transaction: Transaction = Field(default=None, description="Comes back with the answer, to tell it from others.")

    @classmethod
    def of_text(cls, text: str) -> Json:
        """Return the keys that a bare text stands for."""
        return {cls.main_key: text}


class WatchRequest(Request):
    """Watch a clan or a player. A bare text is a clan's tag.

    Of what is watched already, keys that are not given keep the values that they have: a bare tag changes nothing.
    """

    tag: Tag = Field(description="The tag, with or without its '#'.")
    kind: WatchedKind = "clan"
    interval: Seconds | None = Field(default=None, description="Seconds between two polls; null: 60 (player: 120).")
    members: bool = Field(default=True, description="Of a clan: whether its members are compared.")
    war: bool = Field(default=True, description="Of a clan: whether its war is polled.")
    war_interval: Seconds = Field(
        default=WAR_INTERVAL_S, description="Of a clan: seconds between two polls of its war."
    )
    include_fields: Fields = Field(
        default=None, description="Of a player: the API's keys that are compared; null: all of them."
    )
    exclude_fields: Fields = Field(default=None, description="Of a player: the API's keys that are not compared.")

    def watch(self, present: Watch | None = None) -> Watch:
        """Return the watch that is asked for: of one that is ``present``, what is not given stays as it is.

        Raises CommandError for keys that do not concern its kind.
        """
        foreign = {"clan": {"include_fields", "exclude_fields"}, "player": {"members", "war", "war_interval"}}[
            self.kind
        ]
        if wrong := sorted(foreign & self.model_fields_set):
            raise CommandError(f"{wrong[0]} does not concern a {self.kind}: leave it out")
        default = CLAN_INTERVAL_S if self.kind == "clan" else PLAYER_INTERVAL_S
        before = present or Watch(Kind(self.kind), self.tag, default)
        given = self.model_fields_set
        return Watch(
            before.kind,
            before.tag,
            (self.interval or default) if "interval" in given else before.interval,
            members=self.members if "members" in given else before.members,
            war=self.war if "war" in given else before.war,
            war_interval=self.war_interval if "war_interval" in given else before.war_interval,
            include_fields=_as_set(self.include_fields) if "include_fields" in given else before.include_fields,
            exclude_fields=_as_set(self.exclude_fields) if "exclude_fields" in given else before.exclude_fields,
        )


class SelectRequest(Request):
    """Name watches: of a kind, of a tag, or all."""

    tag: Tag | None = Field(default=None, description="The tag, with or without its '#'; null: any.")
    kind: WatchedKind | None = Field(default=None, description="Null: any.")


class ListRequest(SelectRequest):
    """Ask what is watched, by kind and tag. A bare text is a tag."""


class PollRequest(SelectRequest):
    """Poll watches now, by kind and tag. A bare text is a tag."""


class UnwatchRequest(SelectRequest):
    """Stop watching; without a kind whatever is watched under the tag. A bare text is a tag."""

    tag: Tag = Field(description="The tag, with or without its '#'.")


class HealthCheckRequest(Request):
    """Ask how the bridge is doing."""


class LogLevelRequest(Request):
    """Set the level of the log until the program ends; without a level only ask for it. A bare text is a level."""

    main_key = "level"

    level: LogLevelName | None = Field(default=None, description="Lines of this level and above are logged.")

    @classmethod
    def of_text(cls, text: str) -> Json:
        """Return the level, which needs no capitals."""
        return {cls.main_key: text.lower()}


class ReplayRequest(Request):
    """Ask for events that were published before. A bare text is a seq, a time or an age.

    Either ``since_seq`` or ``since`` says where to begin. What waits for the broker is not among them: it will be
    published. What the broker refused is.
    """

    model_config = ConfigDict(
        json_schema_extra={
            "oneOf": [
                {"required": ["since_seq"], "properties": {"since_seq": {"type": "integer"}}},
                {"required": ["since"], "properties": {"since": {"type": "string"}}},
            ]
        }
    )
    main_key = "since"

    since_seq: Annotated[int, Field(ge=0, le=_LAST_SEQ)] | None = Field(
        default=None, description="The events after this one, such as the answer's 'next_seq'."
    )
    since: Since = Field(
        default=None, description="A time in ISO 8601 with its offset, or an age: a number with s, m, h or d."
    )
    kind: Literal["clan", "player", "api"] | None = Field(
        default=None, description="A clan's war is the clan's; null: any."
    )
    tag: Tag | None = Field(default=None, description="The clan's or player's; null: any.")
    event_type: Annotated[str, AfterValidator(_check_event_type)] | None = Field(
        default=None, description="Null: any.", json_schema_extra={"enum": [*_EVENT_TYPES, None]}
    )
    limit: Annotated[int, Field(ge=1, le=MOST_REPLAYED)] = Field(default=100, description="At most so many events.")

    @classmethod
    def of_text(cls, text: str) -> Json:
        """Return the seq, where it is a whole number, else the time or the age."""
        if text.isascii() and text.isdigit() and len(text) <= _SEQ_DIGITS:
            return {"since_seq": int(text)}
        return {cls.main_key: text}

    def begin(self, now: float) -> tuple[int, float | None]:
        """Return the seq after which to begin, and the Unix time from which on; ``now`` is the present one.

        Raises CommandError where it is not clear where to begin.
        """
        if (self.since_seq is None) == (self.since is None):
            raise CommandError("say where to begin: give either since_seq or since")
        if self.since_seq is not None:
            return self.since_seq, None
        if isinstance(self.since, timedelta):
            return 0, now - self.since.total_seconds()
        return 0, (self.since or datetime.now(UTC)).timestamp()

    def selection(self) -> Selection:
        """Return which events are wanted; raises CommandError for a tag of the API, which has none."""
        if self.kind == "api" and self.tag is not None:
            raise CommandError("the API has no tag: leave it out")
        kinds = {None: None, "clan": {Kind.CLAN, Kind.WAR}, "player": {Kind.PLAYER}, "api": {Kind.API}}[self.kind]
        return Selection(None if kinds is None else frozenset(kinds), self.tag, self.event_type)


def _as_set(fields: list[str] | None) -> frozenset[str] | None:
    return None if fields is None else frozenset(fields)
