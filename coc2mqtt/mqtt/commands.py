"""The control topic: requests, strictly checked, and their answers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal, Protocol

import orjson
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from coc2mqtt.clash.tags import normalize_tag
from coc2mqtt.events.resource import Kind
from coc2mqtt.events.watch import CLAN_INTERVAL, MINIMUM_INTERVAL, PLAYER_INTERVAL, WAR_INTERVAL, Watch
from coc2mqtt.mqtt.payloads import HealthPayload, ResponsePayload, WatchPayload

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

Json = dict[str, Any]

# Commands are small; what is larger is a mistake or an attack.
_LARGEST_REQUEST = 64 * 1024
_LONGEST_INTERVAL = 7 * 24 * 3600.0
_LONGEST_TRANSACTION = 256


def _check_transaction(value: object) -> str | int | None:
    """Return a transaction as it is echoed; raises ValueError for what is none."""
    # Not isinstance: to Python, JSON's true is an int.
    if value is None or type(value) is int or (isinstance(value, str) and len(value) <= _LONGEST_TRANSACTION):
        return value
    raise ValueError(f"must be a text of at most {_LONGEST_TRANSACTION} characters or a whole number")


Seconds = Annotated[float, Field(ge=MINIMUM_INTERVAL, le=_LONGEST_INTERVAL)]
Tag = Annotated[str, AfterValidator(normalize_tag)]
WatchedKind = Literal["clan", "player"]
Fields = Annotated[list[Annotated[str, Field(max_length=64)]], Field(max_length=100)] | None


class CommandError(Exception):
    """A request that cannot be carried out; the text says why and goes to who asked."""


class Watches(Protocol):
    """The list of watches, which is all that commands can change."""

    async def watch(self, watch: Watch) -> None:
        """Watch from now on and after a restart; raises CommandError where that cannot be."""

    async def unwatch(self, kind: Kind, tag: str) -> bool:
        """Stop watching for good; returns whether it was watched."""

    def watched(self, tag: str | None, kind: Kind | None) -> list[Watch]:
        """Return the watches of a tag and a kind, None being any."""

    async def describe(self, watch: Watch) -> WatchPayload:
        """Return a watch as it is published."""

    def poll_now(self, kind: Kind, tag: str) -> None:
        """Make what a watch polls due at once."""


class _Request(BaseModel):
    # Strict: else `"interval": true` would be one second, and `"war": "off"` a guess.
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    transaction: Annotated[str | int | None, BeforeValidator(_check_transaction)] = None


class WatchRequest(_Request):
    """Watch a clan or a player; intervals are seconds. A bare tag is a clan's."""

    tag: Tag
    kind: WatchedKind = "clan"
    interval: Seconds | None = None
    members: bool = True
    war: bool = True
    war_interval: Seconds = WAR_INTERVAL
    include_fields: Fields = None
    exclude_fields: Fields = None

    def watch(self) -> Watch:
        """Return the watch that is asked for; raises CommandError for keys that do not concern its kind."""
        foreign = {"clan": {"include_fields", "exclude_fields"}, "player": {"members", "war", "war_interval"}}[
            self.kind
        ]
        if wrong := sorted(foreign & self.model_fields_set):
            raise CommandError(f"{wrong[0]} does not concern a {self.kind}: leave it out")
        default = CLAN_INTERVAL if self.kind == "clan" else PLAYER_INTERVAL
        return Watch(
            Kind(self.kind),
            self.tag,
            self.interval or default,
            members=self.members,
            war=self.war,
            war_interval=self.war_interval,
            include_fields=None if self.include_fields is None else frozenset(self.include_fields),
            exclude_fields=None if self.exclude_fields is None else frozenset(self.exclude_fields),
        )


class SelectRequest(_Request):
    """Name watches: of a kind, of a tag, or all."""

    tag: Tag | None = None
    kind: WatchedKind | None = None


class UnwatchRequest(SelectRequest):
    """Stop watching; without a kind whatever is watched under the tag."""

    tag: Tag


class PlainRequest(_Request):
    """Ask for something that needs no more words."""


class Commands:
    """Carries out requests. Each one gets an answer, whatever it looks like.

    ``health`` tells how the bridge is doing.
    """

    def __init__(self, watches: Watches, *, health: Callable[[], Awaitable[HealthPayload]]) -> None:
        self._watches = watches
        self._health = health
        self._commands: dict[str, tuple[type[_Request], Callable[[Any], Awaitable[Json]]]] = {
            "watch": (WatchRequest, self._watch),
            "unwatch": (UnwatchRequest, self._unwatch),
            "list": (SelectRequest, self._list),
            "poll": (SelectRequest, self._poll),
            "health_check": (PlainRequest, self._health_check),
        }

    @property
    def names(self) -> list[str]:
        """The commands that there are."""
        return list(self._commands)

    async def answer(self, command: str | None, payload: bytes, *, retained: bool = False) -> ResponsePayload:
        """Carry out one request and return what to answer; never raises for what the request holds."""
        data: Json = {}
        try:
            data = _decode(payload)
            model, carry_out = self._find(command, retained=retained)
            request = model.model_validate(data)
            return ResponsePayload(status="ok", data=await carry_out(request), transaction=request.transaction)
        except ValidationError as error:
            message = _say(error)
        except CommandError as error:
            message = str(error)
        return ResponsePayload(status="error", data={}, error=message, transaction=_echo(data))

    def _find(self, command: str | None, *, retained: bool) -> tuple[type[_Request], Callable[[Any], Awaitable[Json]]]:
        if retained:
            raise CommandError("a retained request is not executed: publish it again without the retain flag")
        if command not in self._commands:
            raise CommandError(f"there is no such command: use one of {', '.join(self._commands)}")
        return self._commands[command]

    async def _watch(self, request: WatchRequest) -> Json:
        watch = request.watch()
        await self._watches.watch(watch)
        return (await self._watches.describe(watch)).model_dump()

    async def _unwatch(self, request: UnwatchRequest) -> Json:
        watches = self._selected(request)
        for watch in watches:
            await self._watches.unwatch(watch.kind, watch.tag)
        return {"unwatched": [{"kind": watch.kind.value, "tag": watch.tag} for watch in watches]}

    async def _list(self, request: SelectRequest) -> Json:
        kind = None if request.kind is None else Kind(request.kind)
        watches = self._watches.watched(request.tag, kind)
        return {"watches": [(await self._watches.describe(watch)).model_dump() for watch in watches]}

    async def _poll(self, request: SelectRequest) -> Json:
        watches = self._selected(request)
        for watch in watches:
            self._watches.poll_now(watch.kind, watch.tag)
        return {"polled": [{"kind": watch.kind.value, "tag": watch.tag} for watch in watches]}

    async def _health_check(self, _: PlainRequest) -> Json:
        return (await self._health()).model_dump()

    def _selected(self, request: SelectRequest) -> list[Watch]:
        kind = None if request.kind is None else Kind(request.kind)
        watches = self._watches.watched(request.tag, kind)
        if not watches and request.tag is not None:
            raise CommandError(f"{request.tag} is not watched{'' if kind is None else f' as a {kind}'}")
        return watches


def _decode(payload: bytes) -> Json:
    """Take a request apart: nothing, a bare tag, or a JSON object."""
    if len(payload) > _LARGEST_REQUEST:
        raise CommandError(f"the request is larger than {_LARGEST_REQUEST // 1024} kB")
    try:
        text = payload.decode().strip()
    except UnicodeDecodeError:
        raise CommandError("the request is no UTF-8 text") from None
    if not text:
        return {}
    if not text.startswith(("{", "[", '"')):
        return {"tag": text}
    try:
        data = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise CommandError(f"the request is no JSON: {error.msg}, line {error.lineno}, column {error.colno}") from None
    if isinstance(data, str):
        return {"tag": data}
    if not isinstance(data, dict):
        raise CommandError('the request must be a tag or a JSON object such as {"kind": "clan", "tag": "#2PP"}')
    return data


def _echo(data: Json) -> str | int | None:
    try:
        return _check_transaction(data.get("transaction"))
    except ValueError:
        return None


def _say(error: ValidationError) -> str:
    sentences = []
    for item in error.errors(include_url=False, include_input=False):
        key = ".".join(str(part) for part in item["loc"][:1])
        if item["type"] == "extra_forbidden":
            sentences.append(f"{key[:64]!r} is no key of this command")
        else:
            message = item["msg"].removeprefix("Value error, ")
            sentences.append(f"{key}: {message[0].lower() + message[1:]}")
    return "; ".join(sentences[:5])
