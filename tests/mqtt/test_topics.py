from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coc2mqtt.events.event import EventType
from coc2mqtt.events.resource import Kind, Resource
from coc2mqtt.mqtt.client.messages import topic_matches
from coc2mqtt.mqtt.payloads.state import FACETS
from coc2mqtt.mqtt.topics import Topics

TOPICS = Topics("coc")


@pytest.mark.parametrize(
    ("topic", "expected"),
    [
        (TOPICS.event(Kind.CLAN, "#2PP", "member_joined"), "coc/clan/2PP/member_joined"),
        (TOPICS.event(Kind.WAR, "#2PP", "war_ended"), "coc/clan/2PP/war_ended"),
        (TOPICS.event(Kind.PLAYER, "#900PUCPV", "hero_upgraded"), "coc/player/900PUCPV/hero_upgraded"),
        (TOPICS.event(Kind.API, "api", "maintenance_start"), "coc/api/maintenance_start"),
        (TOPICS.events(Kind.CLAN, "#2PP"), "coc/clan/2PP/+"),
        (TOPICS.events(Kind.PLAYER, "#2PP"), "coc/player/2PP/+"),
        (TOPICS.state(Kind.CLAN, "#2PP", "availability"), "coc/clan/2PP/state/availability"),
        (TOPICS.state(Kind.WAR, "#2PP", "war"), "coc/clan/2PP/state/war"),
        (TOPICS.state(Kind.PLAYER, "#2PP", "player"), "coc/player/2PP/state/player"),
        (TOPICS.api_status, "coc/api/state/status"),
        (TOPICS.bridge("state"), "coc/bridge/state"),
        (TOPICS.requests, "coc/bridge/request/+"),
        (TOPICS.request("watch"), "coc/bridge/request/watch"),
        (TOPICS.response("watch"), "coc/bridge/response/watch"),
        (Topics("games/coc").state(Kind.CLAN, "#2PP", "clan"), "games/coc/clan/2PP/state/clan"),
        (Topics("games/coc").event(Kind.API, "api", "api_denied"), "games/coc/api/api_denied"),
    ],
)
def test_topic_is_the_documented_one(topic: str, expected: str) -> None:
    assert topic == expected


@pytest.mark.parametrize("kind", [Kind.CLAN, Kind.WAR, Kind.PLAYER])
@pytest.mark.parametrize("event_type", EventType)
def test_events_and_states_have_different_levels(kind: Kind, event_type: EventType) -> None:
    subject = TOPICS.events(kind, "#2PP").removesuffix("+")
    assert TOPICS.event(kind, "#2PP", event_type.value) == subject + event_type.value
    assert "/" in TOPICS.state(kind, "#2PP", "clan").removeprefix(subject)
    assert event_type.value != "state"


@given(st.from_regex(r"[a-z][a-z0-9_]{0,31}", fullmatch=True), st.sampled_from(["coc", "games/coc"]))
def test_command_is_parsed_from_request_topic(command: str, base: str) -> None:
    topics = Topics(base)
    assert topics.parse_command(topics.request(command)) == command


@pytest.mark.parametrize(
    "topic",
    [
        "coc/bridge/request/",
        "coc/bridge/request/Watch",
        "coc/bridge/request/watch/now",
        "coc/bridge/request/watch\n",
        "coc/bridge/request/1",
        "coc/bridge/request/" + "x" * 33,
        "coc/bridge/response/watch",
        "coc/clan/2PP/watch",
        "other/coc/bridge/request/watch",
        "watch",
    ],
)
def test_parse_command_returns_none_for_other_topic(topic: str) -> None:
    assert TOPICS.parse_command(topic) is None


@pytest.mark.parametrize("base", ["coc", "games/coc"])
def test_tag_is_parsed_from_topic(base: str) -> None:
    topics = Topics(base)
    for kind in (Kind.CLAN, Kind.PLAYER):
        topic = topics.state(kind, "#2PP", "availability")
        assert topics.parse_tag(topic) == "#2PP"
        assert topic_matches(topics.states(kind, "availability"), topic)
    assert topics.parse_tag(f"{base}/clan/2pp/state/availability") is None
    assert topics.parse_tag(f"{base}/clan") is None


@pytest.mark.parametrize(("kind", "facet"), [(kind, facet) for kind, facets in FACETS.items() for facet in facets])
def test_every_facet_is_parsed_from_its_topic(kind: Kind, facet: str) -> None:
    topics = Topics("home/coc")
    assert topics.parse_state(topics.state(kind, "#2PP", facet)) == (Resource(kind, "#2PP"), facet)
