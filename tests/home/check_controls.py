"""Whether what can be pressed, chosen and typed in Home Assistant does what it says."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.home.home_assistant import until
from tests.home.listener import retained

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from tests.home.report import Report
    from tests.home.stage import Stage

_SOON = 15.0


async def check_controls(stage: Stage, report: Report) -> None:
    """Check the fields, the buttons and the choice, on the bridge and on a player."""
    await _check_watch(stage, report)
    await _check_buttons(stage, report)
    await _check_log_level(stage, report)


async def _check_watch(stage: Stage, report: Report) -> None:
    tag, device = stage.other_player, stage.device(stage.other_player)
    field = await stage.bridge_entity("watch_player")
    await stage.home.call("text.set_value", entity_id=field, value=tag)

    async def there() -> bool:
        return device in await stage.home.devices()

    wrong = await _fails(f"a device of {tag}", there)

    async def empty() -> bool:
        return bool((await stage.home.states())[field]["state"] == "")

    wrong += await _fails("an empty field after its use", empty)
    report.check("'Watch a player' watches and empties itself", wrong, tag)
    await check_unwatch(stage, report, tag)
    clan = await stage.bridge_entity("watch_clan")
    await check_unwatch(stage, report, stage.private_clan)
    await stage.home.call("text.set_value", entity_id=clan, value=f" {stage.private_clan.lower()} ")

    async def clan_there() -> bool:
        return stage.device(stage.private_clan) in await stage.home.devices()

    report.check("'Watch a clan' takes a tag as people write it", await _fails("the clan's device", clan_there))


async def check_unwatch(stage: Stage, report: Report, tag: str) -> None:
    """Stop watching by the field in Home Assistant, and check that nothing at all is left of it."""
    field, bare = await stage.bridge_entity("unwatch"), tag.removeprefix("#")
    await stage.home.call("text.set_value", entity_id=field, value=tag)

    async def left() -> list[str]:
        entities = [unique_id for unique_id in await stage.home.entities() if bare in unique_id]
        states = [entity_id for entity_id in await stage.home.states() if bare.lower() in entity_id]
        devices = [device for device in await stage.home.devices() if bare in device]
        topics = [topic for topic in await retained(stage.broker.port) if bare in topic]
        return [*entities, *states, *devices, *topics]

    async def nothing() -> bool:
        return not await left()

    await _fails("nothing left", nothing)
    report.check(f"'Stop watching' leaves nothing of {tag}", [f"{one} is left" for one in await left()])


async def _check_buttons(stage: Stage, report: Report) -> None:
    path = f"/v1/players/{stage.fighter}"

    async def pressed(button: str) -> list[str]:
        before = stage.server.requests[path]
        await stage.home.call("button.press", entity_id=button)

        async def asked() -> bool:
            return stage.server.requests[path] > before

        return await _fails(f"a request for {stage.fighter}", asked)

    entities = await stage.home.entities()
    own = entities[f"{stage.device(stage.fighter)}_refresh"]["entity_id"]
    report.check("a player's 'Refresh' has the API asked at once", await pressed(own))
    report.check("'Refresh all' as well", await pressed(await stage.bridge_entity("refresh")))


async def _check_log_level(stage: Stage, report: Report) -> None:
    select = await stage.bridge_entity("log_level")
    wrong: list[str] = []
    for level in ("debug", "warning", "info"):
        await stage.home.call("select.select_option", entity_id=select, option=level)

        async def shown(level: str = level) -> bool:
            info = (await retained(stage.broker.port, "coc/bridge/info")).get("coc/bridge/info", {})
            state = (await stage.home.states())[select]["state"]
            return bool(info.get("log_level") == level == state)

        wrong += await _fails(f"the log level {level}, in bridge/info and as the state", shown)
    report.check("'Log level' sets it, and shows it", wrong, "debug, warning, info")


async def _fails(what: str, look: Callable[[], Awaitable[bool]]) -> list[str]:
    try:
        await until(what, _SOON, look)
    except TimeoutError as error:
        return [str(error)]
    return []
