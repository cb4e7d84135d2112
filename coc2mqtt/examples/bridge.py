"""Examples of the bridge's own topics, requests and responses."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from coc2mqtt.clash.client import DEFAULT_BASE_URL
from coc2mqtt.events.resource import CLAN_INTERVAL_S, PLAYER_INTERVAL_S, Kind, Watch
from coc2mqtt.mqtt.control import sentences
from coc2mqtt.mqtt.control.commands import ListData, LogLevelData, PollData, UnwatchData, WatchData, Watched
from coc2mqtt.mqtt.control.dispatcher import COMMANDS
from coc2mqtt.mqtt.control.replay import ReplayData
from coc2mqtt.mqtt.control.reset import ResetData
from coc2mqtt.mqtt.payloads.models import (
    HealthPayload,
    InfoPayload,
    LastCommandPayload,
    LastEventPayload,
    OnlinePayload,
    Payload,
    ResponsePayload,
    WatchesPayload,
    WatchPayload,
    iso_time,
)
from coc2mqtt.mqtt.topics import Topics

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from coc2mqtt.examples.game import Game
    from coc2mqtt.mqtt.payloads.models import EventPayload

Json = dict[str, Any]

_TOPICS = Topics()

_TRANSACTION = "4711"


def bridge_examples(game: Game, events: Sequence[EventPayload]) -> dict[str, bytes]:
    """Return an example of the payload of each topic of the bridge; ``events`` are examples of events."""
    watches, now = _watches(game), game.now.timestamp()
    health = health_example(now, events[0])
    payloads: dict[str, Payload] = {
        _TOPICS.bridge("state"): OnlinePayload(state="online"),
        _TOPICS.bridge("info"): info_example(now),
        _TOPICS.bridge("health"): health,
        _TOPICS.bridge("watches"): WatchesPayload(watches=watches),
        _TOPICS.bridge("last_command"): _last_command(game, watches[0]),
    }
    for command, data in _responses(watches, health, events).items():
        payloads[_TOPICS.response(command)] = ResponsePayload(
            status="ok", data=data.model_dump(), transaction=_TRANSACTION
        )
    requests = {
        _TOPICS.request(command): COMMANDS[command].request(transaction=_TRANSACTION, **keys)
        for command, keys in _requests(watches[0].tag, events).items()
    }
    return {
        **{topic: payload.encode() for topic, payload in payloads.items()},
        **{topic: request.model_dump_json(exclude_unset=True).encode() for topic, request in requests.items()},
    }


def _requests(tag: str, events: Sequence[EventPayload]) -> dict[str, Json]:
    return {
        "watch": {"tag": tag, "kind": "clan", "interval": CLAN_INTERVAL_S},
        "unwatch": {"tag": tag, "kind": "clan"},
        "list": {"kind": "clan"},
        "poll": {"tag": tag},
        "replay": {"since_seq": events[0].seq - 1, "limit": 1},
        "log_level": {"level": "debug"},
        "health_check": {},
        "reset": {},
    }


def _responses(
    watches: Sequence[WatchPayload], health: HealthPayload, events: Sequence[EventPayload]
) -> Mapping[str, Payload]:
    clan = watches[0]
    identity = Watched(kind=clan.kind, tag=clan.tag)
    return {
        "watch": WatchData(**clan.model_dump()),
        "unwatch": UnwatchData(unwatched=[identity]),
        "list": ListData(watches=[one for one in watches if one.kind == "clan"]),
        "poll": PollData(polled=[identity]),
        "replay": ReplayData(events=list(events[:1]), next_seq=events[0].seq),
        "log_level": LogLevelData(level="debug"),
        "health_check": health,
        "reset": ResetData(removed=[], restored=[identity]),
    }


def _watches(game: Game) -> list[WatchPayload]:
    clan, player = game.world.clan_tags[0], game.world.player_tags[0]
    watches = (
        Watch(Kind.CLAN, clan, CLAN_INTERVAL_S, cwl=True, raids=True),
        Watch(Kind.PLAYER, player, PLAYER_INTERVAL_S, exclude_fields=frozenset({"achievements"})),
    )
    return [WatchPayload.of(watch, game.name(watch.kind, watch.tag)) for watch in watches]


def _last_command(game: Game, watch: WatchPayload) -> LastCommandPayload:
    return LastCommandPayload(
        command="watch",
        kind=watch.kind,
        tag=watch.tag,
        status="ok",
        summary=str(sentences.now_watching(watch)),
        time=iso_time(game.now.timestamp()),
        running=None,
    )


def info_example(now: float) -> InfoPayload:
    """Return an example of ``bridge/info``; ``now`` is Unix time in seconds."""
    return InfoPayload(
        version="0.1.0",
        instance="home",
        run_id="1e25e0a518874ce28d39a65fedd29517",
        host="raspberrypi",
        started_at=iso_time(now),
        protocol="5",
        base_topic=_TOPICS.base,
        api_base_url=DEFAULT_BASE_URL,
        requests_per_second=25.0,
        tokens=1,
        homeassistant=True,
        commands=list(COMMANDS),
        log_level="info",
    )


def health_example(now: float, last_event: EventPayload | None) -> HealthPayload:
    """Return an example of ``bridge/health``; ``now`` is Unix time in seconds."""
    count = 0 if last_event is None else last_event.seq
    return HealthPayload(
        healthy=True,
        problems=[],
        uptime_seconds=86400.0,
        connected_since=iso_time(now),
        reconnects=0,
        api_status="ok",
        polls=7200,
        polls_changed=240,
        polls_per_second=0.08,
        errors={"server_error": 2},
        malformed_fields={},
        last_poll_age_seconds=4.2,
        overdue=0,
        overdue_seconds=0.0,
        load=0.01,
        watches=2,
        clans=1,
        players=1,
        events=count,
        published=count,
        resent=0,
        denied=0,
        states_denied=0,
        deferred=0,
        restored=0,
        requests_dropped=0,
        queue=0,
        queue_age_seconds=None,
        dropped=0,
        events_skipped=0,
        internal_errors=0,
        last_event=None if last_event is None else LastEventPayload.of(last_event),
    )
