"""The options ``reminders`` and ``inactive_after`` of a clan, and the settings of the game's calendar."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from coc2mqtt.config.settings import FixedSettings
from coc2mqtt.events.resource import DEFAULT_REMINDERS, NO_REMINDERS, Kind, Reminders, Watch
from coc2mqtt.events.watch_options import ReminderOptions, ReminderSwitch
from coc2mqtt.mqtt.control.request import CommandError
from coc2mqtt.mqtt.control.watch_request import WatchRequest

TAG = "#2PP"


def watch_of(**options: Any) -> Watch:
    """Return the watch of a clan with these options."""
    settings = FixedSettings.model_validate({"watch": {"clans": [{"tag": TAG, **options}]}})
    return settings.watch.watches()[0]


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (True, DEFAULT_REMINDERS),
        ({}, DEFAULT_REMINDERS),
        (False, NO_REMINDERS),
        ("off", NO_REMINDERS),
        (None, NO_REMINDERS),
        ([], NO_REMINDERS),
        ("on", DEFAULT_REMINDERS),
        ({"war": "2h, 1h", "cwl": [], "raid": [], "games": []}, Reminders(war=(7200.0, 3600.0))),
        ({"war": "2h", "cwl": False, "raid": [], "games": None}, Reminders(war=(7200.0,))),
        ({"war": ["1h", 60, "3h", "1h"], "cwl": [], "raid": [], "games": []}, Reminders(war=(10800.0, 3600.0, 60.0))),
    ],
)
def test_reminders_are_durations_or_a_switch(value: Any, expected: Reminders) -> None:
    assert watch_of(reminders=value).reminders == expected


@pytest.mark.parametrize("value", [True, "on"])
def test_switch_turns_reminders_on_again_and_keeps_the_filters(value: Any) -> None:
    """A ``watch`` request is applied to the present watch, whose reminders may be off."""
    switched: ReminderOptions = TypeAdapter(ReminderSwitch).validate_python(value)
    assert switched.reminders(NO_REMINDERS) == DEFAULT_REMINDERS
    own = replace(DEFAULT_REMINDERS, war=(60.0,), min_attacks_left=2)
    assert switched.reminders(own) == replace(DEFAULT_REMINDERS, min_attacks_left=2)


def test_roles_have_the_names_of_the_game_or_of_the_api() -> None:
    reminders = watch_of(reminders={"roles": ["Elder", "co-leader", "admin", "leader"]}).reminders
    assert reminders.roles == frozenset({"admin", "coLeader", "leader"})


@pytest.mark.parametrize("value", ["leader, elder", ["leader", "elder"]])
def test_roles_can_be_a_text_with_commas(value: Any) -> None:
    assert watch_of(reminders={"roles": value}).reminders.roles == frozenset({"leader", "admin"})


@pytest.mark.parametrize(("value", "expected"), [("3d", 259_200.0), (90_000, 90_000.0), (False, None), ("off", None)])
def test_inactive_after_is_a_duration_or_off(value: Any, expected: float | None) -> None:
    assert watch_of(inactive_after=value).inactive_after == expected


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"reminders": {"war": ["10s"]}}, "must be between 1m and 7d before the end, got 10s"),
        ({"reminders": {"war": ["8d"]}}, "must be between 1m and 7d before the end, got 8d"),
        ({"reminders": {"war": ["soon"]}}, "must be seconds, or a number with s, m, h or d such as 7d, got 'soon'"),
        ({"reminders": {"war": 6}}, "must be between 1m and 7d before the end, got 6 seconds: add a unit, such as 6h"),
        (
            {"reminders": {"war": ["25h"]}},
            "must be at most 24h before the end, because a battle lasts that long, got 25h",
        ),
        ({"reminders": {"cwl": ["2d"]}}, "must be at most 24h before the end"),
        ({"reminders": {"raid": ["4d"]}}, "must be at most 72h before the end, because a raid weekend lasts that long"),
        ({"reminders": ["6h"]}, "must be times such as {war: [6h, 1h]}, or true or false, got a list"),
        ({"reminders": {"min_attacks_left": True}}, "must be a number, got true"),
        ({"reminders": {"war": [True]}}, "must be a duration such as 1h, got true"),
        ({"reminders": {"roles": ["king"]}}, "must be member, elder, co-leader or leader, got 'king'"),
        (
            {"reminders": {"min_town_hall": 16, "max_town_hall": 12}},
            "min_town_hall must not be above max_town_hall, got 16 and 12",
        ),
        ({"inactive_after": "1m"}, "must be between 1h and 366d, or false, got 1m"),
        ({"inactive_after": 30}, "must be between 1h and 366d, or false, got 30 seconds: add a unit, such as 30d"),
        ({"inactive_after": 0}, "must be between 1h and 366d, or false, got 0: write false to turn it off"),
        ({"inactive_after": "7 days"}, "must be a duration such as 7d, or false, got '7 days'"),
        ({"inactive_after": True}, "must be a duration such as 7d, or false, got true"),
    ],
)
def test_invalid_option_is_rejected_with_a_sentence(options: Any, sentence: str) -> None:
    with pytest.raises(ValidationError) as error:
        watch_of(**options)
    assert sentence in str(error.value)


@pytest.mark.parametrize(
    ("games", "sentence"),
    [
        ({"first_day": 28, "last_day": 22}, "first_day must be before last_day, got 28 and 22"),
        ({"first_day": 29}, "less than or equal to 28"),
        ({"hour": 24}, "less than or equal to 23"),
    ],
)
def test_invalid_clan_games_are_rejected(games: Any, sentence: str) -> None:
    with pytest.raises(ValidationError) as error:
        FixedSettings.model_validate({"watch": {"clan_games": games}})
    assert sentence in str(error.value)


def test_range_of_town_halls_cannot_become_empty_by_a_request() -> None:
    changed = WatchRequest.model_validate({"tag": TAG, "reminders": {"max_town_hall": 12}}).watch().reminders
    assert changed == replace(DEFAULT_REMINDERS, max_town_hall=12)
    request = WatchRequest.model_validate({"tag": TAG, "reminders": {"min_town_hall": 17}})
    with pytest.raises(CommandError, match="reminders: min_town_hall must not be above max_town_hall, got 17 and 12"):
        request.watch(Watch(Kind.CLAN, TAG, 60.0, reminders=changed))
