"""Checks Home Assistant with a bridge in German: its names, labels and texts are German, and nothing else changes."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from coc2mqtt.translations import Language, language_of
from tests.home.check_commands import check_commands
from tests.home.check_members import names_of_members
from tests.home.discovered import discovery_payloads
from tests.home.home_assistant import wait_until
from tests.home.report import differences

if TYPE_CHECKING:
    from tests.home.report import Report
    from tests.home.setup import Setup

Json = dict[str, Any]

_TIMEOUT_S = 30.0
# The same words in the German game and in its players' language.
_SAME_IN_GERMAN = {"API", "Clan", "Level"}
# Names that a German player expects, by the end of the unique id.
_NAMES = {"_members": "Mitglieder", "_trophies": "Trophäen", "_last_command": "Letzter Befehl"}


async def check_language(setup: Setup, report: Report) -> None:
    """Switch the bridge to German, with the sensors of the members, and back to English without them."""
    english, ids, states = await _names(setup), await _entity_ids(setup), await _enum_states(setup)
    await setup.configure_home_assistant(language="de", member_sensors=True)
    names = await _check_names(setup, report, english)
    report.check("the members' sensors have German names", await names_of_members(setup, "Mitglied"))
    now = {one: entity_id for one, entity_id in (await _entity_ids(setup)).items() if "_member_" not in one}
    problems = differences(ids, now) + differences(states, await _enum_states(setup))
    report.check("entity ids and the states of enumerations do not change with the language", problems)
    await _check_texts(setup, report)
    await check_commands(setup, report, language="de")
    await setup.configure_home_assistant(language="en", member_sensors=False)
    problems = await _wait_for_names(setup, english)
    report.check("the names are English again", problems, f"{len(names)} names changed twice")


async def _check_names(setup: Setup, report: Report, english: dict[str, str]) -> dict[str, str]:
    german = language_of("de")
    wanted = {unique_id: german.text(name) for unique_id, name in english.items()}
    problems = await _wait_for_names(setup, wanted)
    shown = await _names(setup)
    problems += [
        f"{one} is still {name}"
        for one, name in english.items()
        if shown.get(one) == name and name not in _SAME_IN_GERMAN
    ]
    for end, name in _NAMES.items():
        found = {shown_name for one, shown_name in shown.items() if re.search(f"_([0-9A-Z]+|bridge){end}$", one)}
        problems += [] if found == {name} else [f"{end} is named {found}, expected {name}"]
    report.check("all names of entities are German", problems, f"{len(wanted)} names")
    return shown


async def _wait_for_names(setup: Setup, wanted: dict[str, str]) -> list[str]:
    async def wrong_names() -> list[str]:
        shown = await _names(setup)
        return [f"{one} is {shown.get(one)}, expected {name}" for one, name in wanted.items() if shown.get(one) != name]

    async def are_shown() -> bool:
        return not await wrong_names()

    try:
        await wait_until("the names in the other language", _TIMEOUT_S, are_shown)
    except TimeoutError:
        return await wrong_names()
    return []


async def _check_texts(setup: Setup, report: Report) -> None:
    """Check the label of a state and the summary of an event."""
    entities, german = await setup.home.entities(), language_of("de")
    clan = setup.device(setup.clan)
    war_state = entities[f"{clan}_war_state"]["entity_id"]
    problems: list[str] = []

    async def label_is_german() -> bool:
        return not _label_problems((await setup.home.states())[war_state], german)

    try:
        await wait_until("a German label", _TIMEOUT_S, label_is_german)
    except TimeoutError:
        problems += _label_problems((await setup.home.states())[war_state], german)
    label = (await setup.home.states())[war_state]["attributes"].get("label")
    activity = entities[f"{clan}_activity"]["entity_id"]
    joined = setup.world.join(setup.clan)[-1].details["member_tag"]
    body = setup.world.clan(setup.clan)
    assert body is not None
    name = next(member["name"] for member in body["memberList"] if member["tag"] == joined)
    sentence = f"{name} ist {body['name']} beigetreten"

    async def is_shown() -> bool:
        return bool((await setup.home.states())[activity]["attributes"].get("summary") == sentence)

    try:
        await wait_until(f"the summary {sentence!r}", _TIMEOUT_S, is_shown)
    except TimeoutError as error:
        problems.append(f"{error}: {(await setup.home.states())[activity]['attributes'].get('summary')!r}")
    report.check("labels and summaries are German", problems, f"{label}; {sentence}")


def _label_problems(state: Json, german: Language) -> list[str]:
    words = {
        "preparation": "Preparation day",
        "in_war": "Battle day",
        "war_ended": "War ended",
        "not_in_war": "Not in a war",
    }
    label, wanted = state["attributes"].get("label"), german.text(words.get(state["state"], ""))
    return [] if label == wanted else [f"the label of {state['state']} is {label!r}, expected {wanted!r}"]


async def _names(setup: Setup) -> dict[str, str]:
    """Return the name of each enabled entity without that of its device, as Home Assistant shows it."""
    entities, states = await setup.home.entities(), await setup.home.states()
    devices = {device["id"]: device["name"] for device in (await setup.home.devices()).values()}
    return {
        unique_id: states[entry["entity_id"]]["attributes"]["friendly_name"].removeprefix(
            devices[entry["device_id"]] + " "
        )
        for unique_id, entry in entities.items()
        if entry["entity_id"] in states and "_member_" not in unique_id
    }


async def _entity_ids(setup: Setup) -> dict[str, str]:
    return {unique_id: entry["entity_id"] for unique_id, entry in (await setup.home.entities()).items()}


async def _enum_states(setup: Setup) -> dict[str, str]:
    """Return the states of the sensors whose states are identifiers, by unique id."""
    entities, states = await setup.home.entities(), await setup.home.states()
    enums = {
        component["unique_id"]
        for payload in (await discovery_payloads(setup.broker.port)).values()
        for component in payload["components"].values()
        if component.get("device_class") == "enum"
    }
    found = {one: states.get(entities[one]["entity_id"]) for one in enums if one in entities}
    return {one: state["state"] for one, state in found.items() if state is not None}
