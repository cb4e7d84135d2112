"""Whether what can be pressed, chosen and typed in Home Assistant does what it says."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.home.home_assistant import until
from tests.home.mqtt import retained

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from tests.home.report import Report
    from tests.home.setup import Setup

_SOON = 15.0


async def check_controls(setup: Setup, report: Report) -> None:
    """Check the fields, the buttons and the choice, on the bridge and on a player."""
    await _check_watch(setup, report)
    await _check_buttons(setup, report)
    await _check_log_level(setup, report)


async def _check_watch(setup: Setup, report: Report) -> None:
    tag, device = setup.other_player, setup.device(setup.other_player)
    field = await setup.bridge_entity("watch_player")
    await setup.home.call("text.set_value", entity_id=field, value=tag)

    async def there() -> bool:
        return device in await setup.home.devices()

    wrong = await _fails(f"a device of {tag}", there)

    async def empty() -> bool:
        return bool((await setup.home.states())[field]["state"] == "")

    wrong += await _fails("an empty field after its use", empty)
    report.check("'Watch a player' watches and empties itself", wrong, tag)
    await check_unwatch(setup, report, tag)
    clan = await setup.bridge_entity("watch_clan")
    await check_unwatch(setup, report, setup.private_clan)
    await setup.home.call("text.set_value", entity_id=clan, value=f" {setup.private_clan.lower()} ")

    async def clan_there() -> bool:
        return setup.device(setup.private_clan) in await setup.home.devices()

    report.check("'Watch a clan' takes a tag as people write it", await _fails("the clan's device", clan_there))


async def check_unwatch(setup: Setup, report: Report, tag: str) -> None:
    """Stop watching by the field in Home Assistant, and check that nothing at all is left of it."""
    field, bare = await setup.bridge_entity("unwatch"), tag.removeprefix("#")
    await setup.home.call("text.set_value", entity_id=field, value=tag)

    async def left() -> list[str]:
        entities = [unique_id for unique_id in await setup.home.entities() if bare in unique_id]
        states = [entity_id for entity_id in await setup.home.states() if bare.lower() in entity_id]
        devices = [device for device in await setup.home.devices() if bare in device]
        topics = [topic for topic in await retained(setup.broker.port) if bare in topic]
        return [*entities, *states, *devices, *topics]

    async def nothing() -> bool:
        return not await left()

    await _fails("nothing left", nothing)
    report.check(f"'Stop watching' leaves nothing of {tag}", [f"{one} is left" for one in await left()])


async def _check_buttons(setup: Setup, report: Report) -> None:
    path = f"/v1/players/{setup.fighter}"

    async def pressed(button: str) -> list[str]:
        before = setup.server.requests[path]
        await setup.home.call("button.press", entity_id=button)

        async def asked() -> bool:
            return setup.server.requests[path] > before

        return await _fails(f"a request for {setup.fighter}", asked)

    entities = await setup.home.entities()
    own = entities[f"{setup.device(setup.fighter)}_refresh"]["entity_id"]
    report.check("a player's 'Refresh' has the API asked at once", await pressed(own))
    report.check("'Refresh all' as well", await pressed(await setup.bridge_entity("refresh")))


async def _check_log_level(setup: Setup, report: Report) -> None:
    select = await setup.bridge_entity("log_level")
    wrong: list[str] = []
    for level in ("debug", "warning", "info"):
        await setup.home.call("select.select_option", entity_id=select, option=level)

        async def shown(level: str = level) -> bool:
            info = (await retained(setup.broker.port, "coc/bridge/info")).get("coc/bridge/info", {})
            state = (await setup.home.states())[select]["state"]
            return bool(info.get("log_level") == level == state)

        wrong += await _fails(f"the log level {level}, in bridge/info and as the state", shown)
    report.check("'Log level' sets it, and shows it", wrong, "debug, warning, info")


async def _fails(what: str, look: Callable[[], Awaitable[bool]]) -> list[str]:
    try:
        await until(what, _SOON, look)
    except TimeoutError as error:
        return [str(error)]
    return []
