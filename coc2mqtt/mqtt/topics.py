"""Builds and parses all topics of the bridge."""

from __future__ import annotations

import contextlib
import re
from dataclasses import dataclass

from coc2mqtt.clash.tags import InvalidTagError, normalize_tag, tag_to_topic
from coc2mqtt.events.resource import PLAYER_PARTS, Kind, Resource

# The facets of a state that do not belong to the clan or player itself.
_FACET_KINDS = {"war": Kind.WAR, "last_war": Kind.WAR, "cwl": Kind.CWL, "raid": Kind.RAID, "games": Kind.GAMES}
_PLAYER_FACET_KINDS = {"ranked": Kind.RANKED}
_API_KINDS = (Kind.API, Kind.CALENDAR)
_COMMAND = re.compile(r"[a-z][a-z0-9_]{0,31}")


@dataclass(frozen=True, slots=True)
class Topics:
    """All topics below a base topic."""

    base: str = "coc"

    def event(self, kind: Kind, tag: str, event_type: str) -> str:
        """Return the topic of an event; events of a war are published below its clan."""
        if kind in _API_KINDS:
            return f"{self.base}/api/{event_type}"
        return f"{self._subject(kind, tag)}/{event_type}"

    def events(self, kind: Kind, tag: str) -> str:
        """Return the filter for all events of a clan, a player or the API, and nothing else."""
        if kind in _API_KINDS:
            return f"{self.base}/api/+"
        return f"{self._subject(kind, tag)}/+"

    def state(self, kind: Kind, tag: str, facet: str) -> str:
        """Return the topic of one facet of the retained state of a clan or a player."""
        return f"{self._subject(kind, tag)}/state/{facet}"

    def states(self, kind: Kind, facet: str) -> str:
        """Return the filter for one facet of all clans or of all players."""
        return f"{self.base}/{kind}/+/state/{facet}"

    def parse_tag(self, topic: str) -> str | None:
        """Return the tag of the clan or player in a topic, None if the topic contains no normalised tag."""
        level = topic.removeprefix(f"{self.base}/").split("/")[1:2]
        with contextlib.suppress(InvalidTagError):
            if level and tag_to_topic(normalize_tag(level[0])) == level[0]:
                return normalize_tag(level[0])
        return None

    def parse_state(self, topic: str) -> tuple[Resource, str] | None:
        """Return the resource and the facet of a state topic, None for any other topic."""
        if not topic.startswith((f"{self.base}/clan/", f"{self.base}/player/")):
            return None
        noun, level, *rest = topic.removeprefix(f"{self.base}/").split("/")
        tag = self.parse_tag(topic)
        if tag is None or level != tag_to_topic(tag) or len(rest) != 2 or rest[0] != "state":  # noqa: PLR2004
            return None
        kinds, default = (_PLAYER_FACET_KINDS, Kind.PLAYER) if noun == "player" else (_FACET_KINDS, Kind.CLAN)
        kind = kinds.get(rest[1], default)
        return Resource(kind, tag), rest[1]

    @property
    def api_status(self) -> str:
        """The topic of the API's retained state."""
        return f"{self.base}/api/state/status"

    @property
    def api_calendar(self) -> str:
        """The topic of the retained calendar of the game."""
        return f"{self.base}/api/state/calendar"

    def bridge(self, name: str) -> str:
        """Return a topic of the bridge itself: such as ``state``, ``info`` or ``watches``."""
        return f"{self.base}/bridge/{name}"

    @property
    def requests(self) -> str:
        """The filter for all requests."""
        return f"{self.base}/bridge/request/+"

    def request(self, command: str) -> str:
        """Return the request topic of a command."""
        return f"{self.base}/bridge/request/{command}"

    def response(self, command: str) -> str:
        """Return the default response topic of a command."""
        return f"{self.base}/bridge/response/{command}"

    def parse_command(self, topic: str) -> str | None:
        """Return the command in a request topic, None if it cannot be the name of one."""
        prefix = self.request("")
        name = topic.removeprefix(prefix)
        return name if topic.startswith(prefix) and _COMMAND.fullmatch(name) else None

    def _subject(self, kind: Kind, tag: str) -> str:
        noun = Kind.PLAYER if kind is Kind.PLAYER or kind in PLAYER_PARTS else Kind.CLAN
        return f"{self.base}/{noun}/{tag_to_topic(tag)}"
