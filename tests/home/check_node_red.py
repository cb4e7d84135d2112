"""Checks that the flows show events and send requests in a real Node-RED."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson

from coc2mqtt.homeassistant.identity import object_id
from tests.home.home_assistant import wait_until
from tests.home.mqtt import publish
from tests.home.node_red import node_red
from tests.home.setup import INSTANCE

if TYPE_CHECKING:
    import aiohttp

    from tests.home.lab import Lab
    from tests.home.node_red import NodeRed
    from tests.home.report import Report
    from tests.home.setup import Setup

_TIMEOUT_S = 15.0


async def check_node_red(lab: Lab, setup: Setup, report: Report) -> str:
    """Load the flows, cause events and press the buttons; return Node-RED's version."""
    async with node_red(lab, setup.broker.port, setup.example_tags()) as (red, session):
        await _check_states(red, report)
        await _check_events(red, setup, report)
        await _check_requests(red, session, setup, report)
        report.check("no node reported an error", red.errors, f"{len(red.messages)} messages")
        return red.version


async def _check_states(red: NodeRed, report: Report) -> None:
    problems = await _missing(red, {"bridge state": ["online"], "API status": ["ok"]})
    early = [f"{name}: {text}" for name, text in red.messages if name not in ("bridge state", "API status")]
    report.check("only the retained states are shown at the start", problems + early)


async def _check_events(red: NodeRed, setup: Setup, report: Report) -> None:
    setup.world.join(setup.clan)
    setup.world.upgrade_troop(setup.player)
    setup.world.gain_points(setup.clan)
    problems = await _missing(red, {"members": [" joined "], "upgrades": [" upgraded "], "other": ["points"]})
    setup.world.start_maintenance()
    problems += await _missing(red, {"maintenance": ["Clash of Clans maintenance started"]})
    setup.world.end_maintenance()
    problems += await _missing(red, {"maintenance": ["ended"]})
    report.check("events appear at the right nodes, as sentences", problems)


async def _check_requests(red: NodeRed, session: aiohttp.ClientSession, setup: Setup, report: Report) -> None:
    # The response to a request of another client must not be shown.
    await publish(setup.broker.port, "coc/bridge/request/list", b'{"transaction": "of another client"}')
    await red.press(session, "list the watches")
    problems = await _missing(red, {"response": [setup.clan]})
    clan, player = setup.example_tags().values()
    for button, where, words in (
        ("watch the clan #2PP", "response", clan),
        ("watch the player #900PUCPV", "response", player),
        ("poll #2PP now", "response", "polled"),
        ("stop watching #2PP", "response", "unwatched"),
        ("poll #2PP now", "rejected", f"{clan} is not watched"),
    ):
        await red.press(session, button)
        problems += await _missing(red, {where: [words]})
    responses = [text for name, text in red.messages if name in ("response", "rejected")]
    problems += [] if len(responses) == 6 else [f"{len(responses)} responses to 6 requests"]
    report.check("each request gets its response", problems, f"{len(responses)} responses")
    request = orjson.dumps({"kind": "player", "tag": player})
    await publish(setup.broker.port, "coc/bridge/request/unwatch", request)

    async def is_removed() -> bool:
        return not {setup.device(player), object_id(INSTANCE, "clan", clan)} & set(await setup.home.devices())

    # Home Assistant must process the removal before it stops.
    await wait_until("the end of the devices of the flows' tags", _TIMEOUT_S, is_removed)


async def _missing(red: NodeRed, expected: dict[str, list[str]]) -> list[str]:
    """Wait for messages by debug node; return the missing ones."""

    def remaining() -> list[str]:
        return [
            f"{name!r} did not show {words!r}, but {[str(text)[:200] for where, text in red.messages if where == name]}"
            for name, all_words in expected.items()
            for words in all_words
            if not any(where == name and words in _text(text) for where, text in red.messages)
        ]

    async def complete() -> bool:
        return not remaining()

    try:
        await wait_until("", _TIMEOUT_S, complete)
    except TimeoutError:
        return remaining()
    return []


def _text(messages: Any) -> str:
    return messages if isinstance(messages, str) else repr(messages)
