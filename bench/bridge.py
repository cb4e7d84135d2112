"""The measured bridge: the real program with its own configuration."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson

from bench.programs import Program

if TYPE_CHECKING:
    from collections.abc import Iterable

    from bench.servers import Api, Broker

Json = dict[str, Any]


@dataclass(frozen=True)
class Watching:
    """The settings of the bridge. Intervals are seconds, the pace is requests per second for each token.

    With ``cwl`` or ``raids``, the interval is that of the leagues or raid weekends, and the clans are polled hourly.
    """

    interval: float
    pace: float = 1000.0
    tokens: int = 1
    war: bool = False
    war_interval: float = 30.0
    home_assistant: bool = False
    cwl: bool = False
    raids: bool = False


def bridge(folder: Path, api: Api, broker: Broker, tags: Iterable[str], watching: Watching) -> Program:
    """Return a bridge that watches these clans, not started yet; its journal is in the folder."""
    options = {
        "interval": 3600 if watching.cwl or watching.raids else watching.interval,
        "war": watching.war,
        "war_interval": watching.war_interval,
        "cwl": watching.cwl,
        "cwl_interval": watching.interval,
        "raids": watching.raids,
        "raid_interval": watching.interval,
    }
    clans = [{"tag": tag, **options} for tag in tags]
    settings: Json = {
        "instance": "bench",
        "api": {
            "base_url": api.url,
            "tokens": [f"bench-{number}" for number in range(watching.tokens)],
            "requests_per_second": watching.pace,
        },
        "mqtt": {"host": "127.0.0.1", "port": broker.port},
        "homeassistant": {"enabled": watching.home_assistant},
        # The maintenance probe would be a poll that does not belong to a clan.
        "watch": {"clans": clans, "maximum": 2 * len(clans), "maintenance": {"enabled": False}},
        "journal": {"path": str(folder / "bench.db")},
        "log": {"format": "json"},
    }
    config = folder / "bench.yaml"
    # JSON is YAML.
    config.write_bytes(orjson.dumps(settings))
    command: list[str | Path] = [Path(sys.executable).with_name("coc2mqtt"), "run", "--config", config]
    return Program("coc2mqtt", command, folder, measured=True, ours=True)
