"""The first 2,000 events of the demo's story: their texts are for people, and their names are known."""

from __future__ import annotations

import re
from functools import cache
from itertools import chain, islice
from typing import TYPE_CHECKING

import pytest

from coc2mqtt.events.event import GAMES_EVENTS, RANKED_EVENTS, REMINDER_EVENTS, EventType
from coc2mqtt.events.metadata import metadata_model
from coc2mqtt.events.summary import summarize
from coc2mqtt.translations.language import CODES, language_of
from tests.support.world_replay import WorldReplay

if TYPE_CHECKING:
    from coc2mqtt.events import Event
    from coc2mqtt.translations import Language

COUNT = 2000
# A minute of the game for each second of the story, because the API's caches and the end of a war take minutes.
SPEED = 1 / 60
# The demo's maintenance and watches that are never lost cause none of these.
NOT_IN_STORY = {
    *(EventType.MAINTENANCE_START, EventType.MAINTENANCE_END, EventType.API_DENIED, EventType.API_RESTORED),
    *(EventType.WATCH_UNAVAILABLE, EventType.WATCH_AVAILABLE, EventType.POLL_ERROR),
    # The calendar causes these, or a watch with options; the examples of the documentation contain them.
    *(EventType.SEASON_ENDED, EventType.RANKED_WEEK_CHANGED, EventType.GOLD_PASS_SEASON_STARTED),
    *(*GAMES_EVENTS, *REMINDER_EVENTS, *RANKED_EVENTS, EventType.MEMBER_INACTIVE),
}
TAG = re.compile(r"#[0289PYLQGRJCUV]{3,}")
API_KEY = re.compile(r"\b[a-z]+[A-Z]\w*")
ROLE = re.compile(r"\badmin\b")


def flaws(summary: str) -> list[str]:
    """Return the tags, API keys and API roles in a text."""
    return [found[0] for pattern in (TAG, API_KEY, ROLE) if (found := pattern.search(summary))]


@cache
def story_events() -> list[Event]:
    story = WorldReplay(seed=3).play_story(3, speed=SPEED)
    return list(islice(chain.from_iterable(events for _, events in story), COUNT))


@pytest.mark.parametrize("text", ["Moss Forge: clanPoints changed", "#2PP was found", "Ash is now admin", "coLeader"])
def test_flaws_of_a_summary_are_found(text: str) -> None:
    assert flaws(text)


def test_story_has_every_event_type_of_clans_wars_and_players() -> None:
    assert {event.event_type for event in story_events()} == set(EventType) - NOT_IN_STORY


@pytest.mark.parametrize("language", [*map(language_of, CODES)], ids=CODES)
def test_summary_has_no_tag_no_api_key_and_no_role_of_the_api(language: Language) -> None:
    summaries = [(event.event_type.value, summarize(event, language)) for event in story_events()]
    assert [one for one in summaries if flaws(one[1])] == []


def test_events_have_all_names() -> None:
    for event in story_events():
        metadata_model(event.event_type).model_validate(event.metadata)
        assert event.name
        names = {key: value for key, value in event.metadata.items() if key.endswith("_name")}
        assert all(value and not TAG.search(value) for value in names.values()), (event.event_type, names)


def test_event_is_secondary_only_next_to_its_cause() -> None:
    events = story_events()
    secondary = [event for event in events if "caused_by" in event.metadata]
    assert {event.event_type for event in secondary} == {
        EventType.CLAN_UPDATED,
        EventType.WAR_STATE_CHANGED,
        EventType.CWL_ROUND_STATE_CHANGED,
        EventType.PLAYER_UPDATED,
    }
    for event in secondary:
        causes = [one for one in events if (one.tag, one.timestamp) == (event.tag, event.timestamp)]
        assert event.metadata["caused_by"] in [one.event_type.value for one in causes if one is not event]
