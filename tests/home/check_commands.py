"""Checks the sentences that *Last command* shows for commands of automations, which have no text field."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, NamedTuple

from tests.home.home_assistant import wait_until

if TYPE_CHECKING:
    from tests.home.report import Report
    from tests.home.setup import Setup

# A tag of no clan and no player.
UNKNOWN = "#2PP2PP"
_TIMEOUT_S = 15.0
# The longest state in Home Assistant.
_MAX_STATE_LENGTH = 255


class _Command(NamedTuple):
    """A command, its request, and the status and sentence that *Last command* shows for it."""

    name: str
    request: str
    status: str
    sentence: str


_WATCH, _FORCED = json.dumps({"tag": UNKNOWN}), json.dumps({"tag": UNKNOWN, "force": True})
_PLAYER = json.dumps({"kind": "player", "tag": UNKNOWN})
# In this order: each depends on those before it.
_COMMANDS = {
    "en": (
        _Command(
            "watch",
            _WATCH,
            "error",
            f"No clan has the tag {UNKNOWN}: check the tag, and that it is not a player's",
        ),
        _Command(
            "watch",
            _PLAYER,
            "error",
            f"No player has the tag {UNKNOWN}: check the tag, and that it is not a clan's",
        ),
        _Command("unwatch", UNKNOWN, "error", f"{UNKNOWN} is not watched"),
        _Command("unwatch", _PLAYER, "error", f"{UNKNOWN} is not watched as a player"),
        _Command("watch", _FORCED, "ok", f"Now watching {UNKNOWN}"),
        _Command("watch", _FORCED, "ok", f"{UNKNOWN} is already watched"),
        _Command("reset", UNKNOWN, "ok", f"Reset the watch of {UNKNOWN}"),
        _Command("reset", UNKNOWN, "ok", "Nothing to reset: no command has changed a watch"),
    ),
    "de": (
        _Command(
            "watch",
            _WATCH,
            "error",
            f"Es gibt keinen Clan mit dem Tag {UNKNOWN}: Prüfe, ob der Tag stimmt und nicht der eines Spielers ist",
        ),
        _Command("unwatch", UNKNOWN, "error", f"{UNKNOWN} wird nicht beobachtet"),
        _Command("watch", _FORCED, "ok", f"{UNKNOWN} wird jetzt beobachtet"),
        _Command("reset", UNKNOWN, "ok", f"Die Beobachtung von {UNKNOWN} wurde zurückgesetzt"),
    ),
}


async def check_commands(setup: Setup, report: Report, *, language: str = "en") -> None:
    """Publish each command as an automation does, and read its result in a bridge of this language."""
    sensor = await setup.bridge_entity("last_command")
    problems: list[str] = []
    shown: list[str] = []
    for command in _COMMANDS[language]:
        topic = f"coc/bridge/request/{command.name}"
        await setup.home.call("mqtt.publish", topic=topic, payload=command.request)

        async def is_shown(command: _Command = command) -> bool:
            state = (await setup.home.states())[sensor]
            attributes = {key: state["attributes"].get(key) for key in ("command", "status")}
            return state["state"] == command.sentence and attributes == {
                "command": command.name,
                "status": command.status,
            }

        try:
            await wait_until(f"the result of {command.name} {command.request}", _TIMEOUT_S, is_shown)
        except TimeoutError as error:
            state = (await setup.home.states())[sensor]
            problems.append(f"{error}: {state['state']!r}, {state['attributes'].get('status')}")
        shown.append(command.sentence)
    problems += [f"longer than a state: {one}" for one in shown if len(one) > _MAX_STATE_LENGTH]
    report.check(
        f"'Last command' shows the result of each command in a sentence ({language})", problems, "; ".join(shown)
    )

    async def is_removed() -> bool:
        return not any(UNKNOWN[1:] in one for one in await setup.home.devices())

    try:
        await wait_until(f"the end of the device of {UNKNOWN}", _TIMEOUT_S, is_removed)
        problems = []
    except TimeoutError as error:
        problems = [str(error)]
    report.check("'reset' removes the device that a command added", problems)
