"""Checks that buttons, selects and text fields in Home Assistant work."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING

from coc2mqtt.homeassistant.identity import object_id
from tests.home.browser import WALK, browsing, has_browser
from tests.home.check_commands import UNKNOWN, check_commands
from tests.home.home_assistant import wait_until
from tests.home.mqtt import retained
from tests.home.setup import INSTANCE

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    from tests.home.browser import Browser
    from tests.home.report import Report
    from tests.home.setup import Setup

_TIMEOUT_S = 15.0
_PAGE_TIMEOUT_S = 60.0
# Home Assistant sends its birth message when discovery has been quiet for 5 s; until then, the checks are quiet.
_BIRTH_TIMEOUT_S = 30.0
# The bridge responds to the birth message after up to 5 s: it announces removed devices again, and removes them again.
_BIRTH_RESPONSE_S = 10.0
# Returns the input element of a text entity's row, null until the page shows it.
_INPUT = (
    WALK
    + """
  const row = found.find(one => one.localName === 'hui-text-entity-row' && one._config?.entity === arguments[0]);
  let input = null;
  const search = root => root.querySelectorAll('*').forEach(one => {
    if (one.localName === 'input') input = one;
    if (one.shadowRoot) search(one.shadowRoot);
  });
  if (row) search(row.shadowRoot);
"""
)


async def check_controls(setup: Setup, report: Report) -> None:
    """Check the text fields, the buttons, the select and the commands, of the bridge and of a player."""
    await setup.home.wait_for_birth(_BIRTH_TIMEOUT_S)
    await asyncio.sleep(_BIRTH_RESPONSE_S)
    await _check_watch(setup, report)
    await _check_buttons(setup, report)
    await _check_log_level(setup, report)
    await _check_first_event(setup, report)
    await check_commands(setup, report)


async def _check_watch(setup: Setup, report: Report) -> None:
    tag, device = setup.other_player, setup.device(setup.other_player)
    field = await setup.bridge_entity("watch_player")
    await setup.home.call("text.set_value", entity_id=field, value=tag)

    async def device_exists() -> bool:
        return device in await setup.home.devices()

    problems = await _wait(f"a device of {tag}", device_exists)

    async def field_is_empty() -> bool:
        return bool((await setup.home.states())[field]["state"] == "")

    problems += await _wait("an empty field after its use", field_is_empty)
    report.check("'Watch a player' watches the player and clears itself", problems, tag)
    await check_unwatch(setup, report, tag)
    clan = await setup.bridge_entity("watch_clan")
    await check_unwatch(setup, report, setup.private_clan)
    await setup.home.call("text.set_value", entity_id=clan, value=f" {setup.private_clan.lower()} ")

    async def clan_exists() -> bool:
        return setup.device(setup.private_clan) in await setup.home.devices()

    report.check("'Watch a clan' accepts an unnormalised tag", await _wait("the clan's device", clan_exists))


async def check_unwatch(setup: Setup, report: Report, tag: str) -> None:
    """Stop watching with the text field, and check that nothing remains in Home Assistant and on the broker."""
    field, bare = await setup.bridge_entity("unwatch"), tag.removeprefix("#")
    await setup.home.call("text.set_value", entity_id=field, value=tag)

    async def remaining() -> list[str]:
        entities = [unique_id for unique_id in await setup.home.entities() if bare in unique_id]
        states = [entity_id for entity_id in await setup.home.states() if bare.lower() in entity_id]
        devices = [device for device in await setup.home.devices() if bare in device]
        topics = [topic for topic in await retained(setup.broker.port) if bare in topic]
        return [*entities, *states, *devices, *topics]

    async def nothing_remains() -> bool:
        return not await remaining()

    await _wait("removal of all traces", nothing_remains)
    report.check(f"'Stop watching' leaves nothing of {tag}", [f"{one} remains" for one in await remaining()])


async def _check_first_event(setup: Setup, report: Report) -> None:
    """Watch a tag that the API does not know, whose first event must reach the new event entity."""
    request = {"tag": UNKNOWN, "force": True}
    await setup.home.call("mqtt.publish", topic="coc/bridge/request/watch", payload=json.dumps(request))
    unique_id = f"{object_id(INSTANCE, 'clan', UNKNOWN)}_activity"

    async def is_shown() -> bool:
        entry = (await setup.home.entities()).get(unique_id)
        state = (await setup.home.states()).get(entry["entity_id"]) if entry else None
        return state is not None and state["attributes"].get("event_type") == "watch_unavailable"

    problems = await _wait("'watch_unavailable' in the event entity of a new watch", is_shown)
    report.check("the first event of a new watch reaches its event entity", problems)
    await check_unwatch(setup, report, UNKNOWN)


async def check_fields(setup: Setup, report: Report, folder: Path) -> None:
    """Type tags into the text fields of the bridge's page, which must become empty, and read *Last command*."""
    if not has_browser():
        report.info("The text fields were not tried in a browser: chromedriver is not installed")
        return
    devices = await setup.home.devices()
    bridge = next(device["id"] for device in devices.values() if device["model"] == "Bridge")
    async with browsing(folder) as browser:
        await browser.resize(1280, 1500)
        await browser.log_in(setup.home)
        await browser.open(f"{setup.home.address}/config/devices/device/{bridge}")
        for key, tag, sentence in (
            ("watch_player", setup.other_player, f"({setup.other_player})"),
            ("unwatch", setup.other_player, "Stopped watching "),
            ("unwatch", setup.other_player, f"{setup.other_player} is not watched"),
            ("watch_clan", UNKNOWN, f"No clan has the tag {UNKNOWN}"),
        ):
            problems = await _use_field(setup, browser, await setup.bridge_entity(key), tag)
            problems += await _last_command_problems(setup, sentence)
            report.check(f"the field '{key}' becomes empty, and 'Last command' shows the result", problems, sentence)
    unknown = [device for device in await setup.home.devices() if UNKNOWN[1:] in device]
    report.check("an unknown tag gets no device", unknown)


async def _use_field(setup: Setup, browser: Browser, field: str, tag: str) -> list[str]:
    """Type a tag into a field of the open page; return the problems."""

    async def is_shown() -> bool:
        return bool(await browser.run(_INPUT + "return input;", field))

    async def is_empty() -> bool:
        shown = await browser.run(_INPUT + "return input.value;", field)
        return (shown, (await setup.home.states())[field]["state"]) == ("", "")

    await wait_until(f"{field} on the page", _PAGE_TIMEOUT_S, is_shown)
    await browser.type(_INPUT + "return input;", field, text=tag)
    return await _wait(f"an empty {field} on the page", is_empty)


async def _last_command_problems(setup: Setup, part: str) -> list[str]:
    sensor = await setup.bridge_entity("last_command")

    async def is_shown() -> bool:
        return part in (await setup.home.states())[sensor]["state"]

    return await _wait(f"'{part}' in {sensor}", is_shown)


async def _check_buttons(setup: Setup, report: Report) -> None:
    path = f"/v1/players/{setup.attacker}"

    async def press_problems(button: str) -> list[str]:
        before = setup.server.requests[path]
        await setup.home.call("button.press", entity_id=button)

        async def was_polled() -> bool:
            return setup.server.requests[path] > before

        return await _wait(f"a request for {setup.attacker}", was_polled)

    entities = await setup.home.entities()
    own = entities[f"{setup.device(setup.attacker)}_refresh"]["entity_id"]
    report.check("a player's 'Refresh' polls the API at once", await press_problems(own))
    report.check("'Refresh all' polls the API at once", await press_problems(await setup.bridge_entity("refresh")))


async def _check_log_level(setup: Setup, report: Report) -> None:
    select = await setup.bridge_entity("log_level")
    problems: list[str] = []
    for level in ("debug", "warning", "info"):
        await setup.home.call("select.select_option", entity_id=select, option=level)

        async def shown(level: str = level) -> bool:
            info = (await retained(setup.broker.port, "coc/bridge/info")).get("coc/bridge/info", {})
            state = (await setup.home.states())[select]["state"]
            return bool(info.get("log_level") == level == state)

        problems += await _wait(f"the log level {level}, in bridge/info and as the state", shown)
    report.check("'Log level' sets the level and shows it", problems, "debug, warning, info")


async def _wait(what: str, condition: Callable[[], Awaitable[bool]]) -> list[str]:
    try:
        await wait_until(what, _TIMEOUT_S, condition)
    except TimeoutError as error:
        return [str(error)]
    return []
