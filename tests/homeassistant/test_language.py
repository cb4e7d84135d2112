"""The devices in another language: other names and texts, but the same ids, topics, states and triggers."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import orjson
import pytest
from syrupy.extensions.json import JSONSnapshotExtension

from coc2mqtt.translations import CODES
from tests.homeassistant.builders import activity, bridge, clan, cwl, decode, games, player, raid, ranked, reminders
from tests.homeassistant.rendering import attributes, shown
from tests.homeassistant.retained_states import retained
from tests.homeassistant.rules import violations

if TYPE_CHECKING:
    from collections.abc import Callable

    from syrupy.assertion import SnapshotAssertion

    from coc2mqtt.homeassistant import DiscoveryMessage

Json = dict[str, Any]

# In discovery payloads, only these differ between languages.
TEXTS = {"name", "json_attributes_template"}
DEVICES = [
    pytest.param(bridge, id="bridge"),
    pytest.param(clan, id="clan"),
    pytest.param(partial(clan, war=False), id="clan without war"),
    pytest.param(cwl, id="league"),
    pytest.param(raid, id="raid"),
    pytest.param(player, id="player"),
    *(pytest.param(announce, id=announce.__name__) for announce in (activity, games, ranked, reminders)),
]
STATE_TOPICS = {
    "war_state": "coc/clan/2PP/state/war",
    "war_status": "coc/clan/2PP/state/war",
    "war_preference": "coc/player/900PUCPV/state/player",
    "role": "coc/player/900PUCPV/state/player",
    "api_status": "coc/api/state/status",
    "cwl_state": "coc/clan/2PP/state/cwl",
    "raid_state": "coc/clan/2PP/state/raid",
    "clan_games_state": "coc/clan/2PP/state/games",
}


# Update with `pytest tests/homeassistant --snapshot-update` and review the diff.
@pytest.fixture
def golden(snapshot: SnapshotAssertion) -> SnapshotAssertion:
    return snapshot.use_extension(JSONSnapshotExtension)


def component(key: str, language: str) -> Json:
    devices = [
        decode(announce(language=language))["components"] for announce in (clan, cwl, raid, games, player, bridge)
    ]
    found: Json = next(one[key] for one in devices if key in one)
    return found


def without_texts(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: without_texts(item) for key, item in value.items() if key not in TEXTS}
    return [without_texts(item) for item in value] if isinstance(value, list) else value


def test_german_bridge_device_matches_golden_payload(golden: SnapshotAssertion) -> None:
    assert decode(bridge(language="de")) == golden


def test_german_clan_device_matches_golden_payload(golden: SnapshotAssertion) -> None:
    assert decode(clan(language="de")) == golden


def test_german_league_matches_golden_payload(golden: SnapshotAssertion) -> None:
    assert decode(cwl(language="de")) == golden


def test_german_raid_matches_golden_payload(golden: SnapshotAssertion) -> None:
    assert decode(raid(language="de")) == golden


def test_german_player_device_matches_golden_payload(golden: SnapshotAssertion) -> None:
    assert decode(player(language="de")) == golden


@pytest.mark.parametrize("announce", DEVICES)
@pytest.mark.parametrize("language", CODES)
def test_language_changes_only_texts_for_people(announce: Callable[..., DiscoveryMessage], language: str) -> None:
    english, message = announce(), announce(language=language)
    assert message.topic == english.topic
    assert violations(message.topic, decode(message)) == []
    assert without_texts(decode(message)) == without_texts(decode(english))


@pytest.mark.parametrize("announce", DEVICES)
@pytest.mark.parametrize("language", CODES)
def test_names_of_a_device_differ_in_every_language(announce: Callable[..., DiscoveryMessage], language: str) -> None:
    components = decode(announce(language=language))["components"].values()
    names = [one["name"] for one in components if "name" in one]
    assert len(set(names)) == len(names)


def test_names_of_war_entities_start_alike_in_german() -> None:
    english, german = (decode(clan(language=language))["components"] for language in ("en", "de"))
    war = {key for key, one in english.items() if one.get("name", "").startswith("War")}
    assert {key for key in war if not german[key]["name"].startswith("Krieg")} == set()


@pytest.mark.parametrize("language", CODES)
def test_names_in_the_device_of_a_clan_differ_in_every_language(language: str) -> None:
    devices = [decode(announce(language=language))["components"] for announce in (clan, cwl, raid)]
    names = [one["name"] for components in devices for one in components.values() if "name" in one]
    assert len(set(names)) == len(names)


@pytest.mark.parametrize(("announce", "start"), [(cwl, "CKL"), (raid, "Raid")])
def test_names_of_a_part_start_alike_in_german(announce: Callable[..., DiscoveryMessage], start: str) -> None:
    components = decode(announce(language="de"))["components"].values()
    assert {one["name"] for one in components if not one.get("name", start).startswith(start)} == set()


@pytest.mark.parametrize("state", ["notInWar", "preparation", "inWar", "warEnded"])
@pytest.mark.parametrize(
    ("language", "labels"),
    [
        ("en", ("Not in a war", "Preparation day", "Battle day", "War ended")),
        ("de", ("Kein Clankrieg", "Vorbereitungstag", "Kampftag", "Clankrieg beendet")),
    ],
)
def test_war_state_has_a_label_for_people(state: str, language: str, labels: tuple[str, ...]) -> None:
    states = ("notInWar", "preparation", "inWar", "warEnded")
    payload = orjson.dumps({"state": state})
    sensor = component("war_state", language)
    assert shown(sensor, payload) == ("not_in_war", "preparation", "in_war", "war_ended")[states.index(state)]
    assert attributes(sensor, payload) == {"label": labels[states.index(state)]}


@pytest.mark.parametrize(
    ("key", "state", "english", "german"),
    [
        ("war_status", "losing", "Losing", "Im Rückstand"),
        ("war_preference", "in", "Opted in", "Dabei"),
        ("role", "leader", "Leader", "Anführer"),
        ("api_status", "denied", "Token rejected", "Token abgelehnt"),
        ("cwl_state", "in_war", "Battle day", "Kampftag"),
        ("raid_state", "ongoing", "Raid weekend", "Raid-Wochenende"),
        ("clan_games_state", "ongoing", "Clan games", "Clan-Spiele"),
    ],
)
def test_enum_sensor_has_a_label_for_people(key: str, state: str, english: str, german: str) -> None:
    payload = orjson.dumps(retained()[STATE_TOPICS[key]])
    for language, expected in (("en", english), ("de", german)):
        sensor = component(key, language)
        assert shown(sensor, payload) == state
        assert attributes(sensor, payload) == {"label": expected}


@pytest.mark.parametrize("payload", [b"", b"{", b"[]", b"{}", b'{"state": 5}', b'{"state": "new"}', b'{"state": null}'])
@pytest.mark.parametrize("key", STATE_TOPICS)
def test_enum_sensor_without_a_known_state_has_no_label(key: str, payload: bytes) -> None:
    assert attributes(component(key, "de"), payload) == {}


@pytest.mark.parametrize("language", CODES)
def test_every_state_of_every_enum_sensor_has_a_label(language: str) -> None:
    for announce in (bridge, clan, cwl, raid, games, player):
        for one in decode(announce(language=language))["components"].values():
            if one.get("device_class") == "enum":
                assert "'label'" in one["json_attributes_template"]
                assert all(
                    attributes(one, orjson.dumps(payload)).get("label")
                    for option in one["options"]
                    for payload in _payloads(one, option)
                )


def _payloads(sensor: Json, option: str) -> list[Json]:
    """Return a payload for which the sensor shows an option."""
    key = next(
        key
        for key in ("state", "status", "war_preference", "role", "result")
        if f"o.get('{key}')" in sensor["value_template"]
    )
    raw = ("notInWar", "preparation", "inWar", "warEnded", "none", "admin", "coLeader", option)
    found = [{key: value} for value in raw if shown(sensor, orjson.dumps({key: value})) == option]
    assert found
    return found
