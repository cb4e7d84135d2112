"""Whether our flows show what happens, and ask the bridge, in a real Node-RED."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.home.home_assistant import until
from tests.home.mqtt import publish
from tests.home.node_red import node_red

if TYPE_CHECKING:
    import aiohttp

    from tests.home.lab import Lab
    from tests.home.node_red import NodeRed
    from tests.home.report import Report
    from tests.home.setup import Setup

_SOON = 15.0


async def check_node_red(lab: Lab, setup: Setup, report: Report) -> str:
    """Load the flows, let things happen and press the buttons; return Node-RED's version."""
    async with node_red(lab, setup.broker.port) as (red, session):
        await _check_states(red, report)
        await _check_events(red, setup, report)
        await _check_requests(red, session, setup, report)
        report.check("no node complained", red.complaints, f"{len(red.said)} messages seen")
        return red.version


async def _check_states(red: NodeRed, report: Report) -> None:
    wrong = await _missing(red, {"the bridge": ["online"], "the API": ["ok"]})
    early = [f"{name}: {text}" for name, text in red.said if name not in ("the bridge", "the API")]
    report.check("the retained states are shown at the start, and no event", wrong + early)


async def _check_events(red: NodeRed, setup: Setup, report: Report) -> None:
    setup.world.join(setup.clan)
    setup.world.upgrade_troop(setup.player)
    setup.world.gain_points(setup.clan)
    wrong = await _missing(red, {"members": [" joined "], "upgrades": [" upgraded "], "other": ["Points"]})
    setup.world.start_maintenance()
    wrong += await _missing(red, {"maintenance": ["Clash of Clans maintenance started"]})
    setup.world.end_maintenance()
    wrong += await _missing(red, {"maintenance": ["is over"]})
    report.check("events come out where they belong, as sentences", wrong)


async def _check_requests(red: NodeRed, session: aiohttp.ClientSession, setup: Setup, report: Report) -> None:
    # Another's request, whose answer is not ours.
    await publish(setup.broker.port, "coc/bridge/request/list", b'{"transaction": "of somebody else"}')
    await red.press(session, "list the watches")
    wrong = await _missing(red, {"response": [setup.clan]})
    for button, where, words in (
        # These tags are in the flows; the scripted game knows neither, and both can be watched.
        ("watch the clan #2PP", "response", "#2PP"),
        ("watch the player #900PUCPV", "response", "#900PUCPV"),
        ("poll #2PP now", "response", "polled"),
        ("stop watching #2PP", "response", "unwatched"),
        ("poll #2PP now", "rejected", "#2PP is not watched"),
    ):
        await red.press(session, button)
        wrong += await _missing(red, {where: [words]})
    answers = [text for name, text in red.said if name in ("response", "rejected")]
    wrong += [] if len(answers) == 6 else [f"{len(answers)} answers to 6 requests"]
    report.check("each request gets its answer", wrong, f"{len(answers)} answers")
    await publish(setup.broker.port, "coc/bridge/request/unwatch", b'{"kind": "player", "tag": "#900PUCPV"}')

    async def gone() -> bool:
        return not any(bare in device for device in await setup.home.devices() for bare in ("2PP", "900PUCPV"))

    # What Home Assistant is not told before it stops, it never hears of.
    await until("the end of the devices of the flows' tags", _SOON, gone)


async def _missing(red: NodeRed, expected: dict[str, list[str]]) -> list[str]:
    """Wait for what must be said, by debug node; return what never came."""

    def left() -> list[str]:
        return [
            f"{name!r} never said {words!r}, but {[str(text)[:200] for where, text in red.said if where == name]}"
            for name, all_words in expected.items()
            for words in all_words
            if not any(where == name and words in _text(text) for where, text in red.said)
        ]

    async def complete() -> bool:
        return not left()

    try:
        await until("", _SOON, complete)
    except TimeoutError:
        return left()
    return []


def _text(said: Any) -> str:
    return said if isinstance(said, str) else repr(said)
