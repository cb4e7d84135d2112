"""The first 2,000 events of the demo's story: their texts are for people, and their names are known."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import TYPE_CHECKING, Any, cast

import pytest

from coc2mqtt.clash import ClashError, MaintenanceError, NotFoundError, PrivateWarLogError
from coc2mqtt.demo import World, demo_script
from coc2mqtt.events.event import EventType
from coc2mqtt.events.metadata import metadata_model
from coc2mqtt.events.resource import Kind
from coc2mqtt.events.summary import summarize
from coc2mqtt.translations.language import CODES, language_of
from tests.support.replay import Replay

if TYPE_CHECKING:
    from collections.abc import Iterator

    from coc2mqtt.demo.changes import Kind as WorldKind
    from coc2mqtt.events import Event
    from coc2mqtt.translations import Language

Json = dict[str, Any]

COUNT = 2000
# A minute of the game for each second of the story, because the API's caches and the end of a war take minutes.
SPEED = 1 / 60
# The demo's maintenance and watches that are never lost cause none of these.
NOT_IN_STORY = {
    *(EventType.MAINTENANCE_START, EventType.MAINTENANCE_END, EventType.API_DENIED, EventType.API_RESTORED),
    *(EventType.WATCH_UNAVAILABLE, EventType.WATCH_AVAILABLE, EventType.POLL_ERROR),
}
TAG = re.compile(r"#[0289PYLQGRJCUV]{3,}")
API_KEY = re.compile(r"\b[a-z]+[A-Z]\w*")
ROLE = re.compile(r"\badmin\b")


def flaws(summary: str) -> list[str]:
    """Return the tags, API keys and API roles in a text."""
    return [found[0] for pattern in (TAG, API_KEY, ROLE) if (found := pattern.search(summary))]


class Story:
    """The demo's story, whose resources are polled after each change."""

    def __init__(self) -> None:
        self.now = datetime(2026, 11, 24, 12, tzinfo=UTC)
        self.world = World(seed=3, now=lambda: self.now, members=12)
        clans = [(kind, tag) for tag in self.world.clan_tags for kind in (Kind.CLAN, Kind.WAR)]
        players = [(Kind.PLAYER, tag) for tag in self.world.player_tags]
        self.watches = {watch: Replay(*watch, now=self.now.timestamp()) for watch in [*clans, *players]}
        # As in a store of the bridge, a clan's name is known to the poller of its war.
        for kind, tag in clans:
            self.watches[kind, tag].share(self.watches[Kind.CLAN, tag])

    def events(self) -> Iterator[Event]:
        """Yield the events of the endless story."""
        yield from self._poll(list(self.watches))
        changed: list[tuple[Kind, str]] = []
        for step in demo_script(self.world, seed=3).steps(SPEED):
            self.now += timedelta(seconds=step.delay / SPEED)
            # Again, because a response that looks stale is accepted when it is repeated.
            yield from self._poll(changed)
            before = self._versions()
            step.apply(self.world)
            changed = [watch for watch, version in self._versions().items() if version != before[watch]]
            yield from self._poll(changed)

    def _versions(self) -> dict[tuple[Kind, str], int]:
        return {(kind, tag): self.world.version(cast("WorldKind", kind.value), tag) for kind, tag in self.watches}

    def _poll(self, watches: list[tuple[Kind, str]]) -> Iterator[Event]:
        for kind, tag in watches:
            replay = self.watches[kind, tag]
            replay.now = self.now.timestamp()
            count = len(replay.events)
            replay.feed(self._response(kind, tag), after=0.0)
            yield from replay.events[count:]

    def _response(self, kind: Kind, tag: str) -> Json | ClashError:
        if self.world.in_maintenance:
            return MaintenanceError("later")
        if kind is Kind.WAR and self.world.is_war_log_private(tag):
            return PrivateWarLogError("private")
        of_kind = {Kind.CLAN: self.world.clan, Kind.WAR: self.world.current_war, Kind.PLAYER: self.world.player}
        return of_kind[kind](tag) or NotFoundError("not found")


@cache
def story_events() -> list[Event]:
    return [event for event, _ in zip(Story().events(), range(COUNT), strict=False)]


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
        EventType.PLAYER_UPDATED,
    }
    for event in secondary:
        causes = [one for one in events if (one.tag, one.timestamp) == (event.tag, event.timestamp)]
        assert event.metadata["caused_by"] in [one.event_type.value for one in causes if one is not event]
