"""The reported events of a clan's raid weekend, so that each is reported once. Pure: no clock, no I/O."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from coc2mqtt.events.compare.raid import (
    ENDED,
    districts,
    is_completed,
    is_destroyed,
    own_raids,
    raids_on_us,
)

Json = dict[str, Any]

_MEMO_KEY = "raid"


@dataclass(slots=True)
class ReportedRaid:
    """One raid on a clan: the number of reported attacks by district, and what was reported as destroyed.

    Districts are identified by their id as text, because the keys of JSON objects are texts.
    """

    defender: str | None
    attacks: dict[str, int] = field(default_factory=dict)
    destroyed: set[str] = field(default_factory=set)
    completed: bool = False


@dataclass(slots=True)
class RaidHistory:
    """The latest raid weekend of one clan.

    ``start`` is its start in the API's format, None if the clan never raided. ``raids`` are the reported raids in the
    order of the log, ``defenses`` the positions of the completed raids on the clan. ``waiting_since`` is the Unix time
    in seconds since when the end is expected, or its rewards are. ``not_started`` are the tags and names of the members
    who had not attacked at the end, None before it or if they are unknown.
    """

    start: str | None = None
    raids: list[ReportedRaid] = field(default_factory=list)
    defenses: set[int] = field(default_factory=set)
    ended: bool = False
    waiting_since: float | None = None
    not_started: list[Json] | None = None

    @classmethod
    def from_first_response(cls, season: Json | None) -> RaidHistory:
        """Return the history after the first response: everything in it counts as reported."""
        if season is None:
            return cls()
        raids = [
            ReportedRaid(
                defender_tag(raid),
                {str(one["id"]): len(one.get("attacks") or []) for one in districts(raid)},
                {str(one["id"]) for one in districts(raid) if is_destroyed(one)},
                is_completed(raid),
            )
            for raid in own_raids(season)
        ]
        defenses = {index for index, raid in enumerate(raids_on_us(season)) if is_completed(raid)}
        return cls(season["startTime"], raids, defenses, ended=season["state"] == ENDED)

    @classmethod
    def from_json(cls, memo: Json, season: Json | None) -> RaidHistory:
        """Return the history that ``to_json`` encoded; without one, that of the first response ``season``."""
        stored = memo.get(_MEMO_KEY)
        if stored is None:
            return cls.from_first_response(season)
        raids = [
            ReportedRaid(raid["defender"], dict(raid["attacks"]), set(raid["destroyed"]), raid["completed"])
            for raid in stored["raids"]
        ]
        return cls(
            stored["start"],
            raids,
            set(stored["defenses"]),
            stored["ended"],
            stored["waiting_since"],
            stored["not_started"],
        )

    def to_json(self) -> Json:
        """Return the snapshot's memo."""
        return {
            _MEMO_KEY: {
                "start": self.start,
                "raids": [
                    {
                        "defender": raid.defender,
                        "attacks": raid.attacks,
                        "destroyed": sorted(raid.destroyed),
                        "completed": raid.completed,
                    }
                    for raid in self.raids
                ],
                "defenses": sorted(self.defenses),
                "ended": self.ended,
                "waiting_since": self.waiting_since,
                "not_started": self.not_started,
            }
        }

    def is_contained_in(self, season: Json) -> bool:
        """Return whether a response about the same weekend shows everything that was reported."""
        raids = own_raids(season)
        if len(raids) < len(self.raids):
            return False
        return all(map(_includes, raids, self.raids))

    def matches(self, season: Json) -> bool:
        """Return whether the raids of a response are on the reported clans, as far as both are known."""
        return all(
            None in (reported.defender, tag) or reported.defender == tag
            for reported, tag in zip(self.raids, map(defender_tag, own_raids(season)), strict=False)
        )

    def shift_times(self, jump: float) -> None:
        """Shift the stored time by the seconds by which the wall clock was set."""
        if self.waiting_since is not None:
            self.waiting_since += jump


def defender_tag(raid: Json) -> str | None:
    """Return the tag of the raided clan."""
    return (raid.get("defender") or {}).get("tag")


def _includes(raid: Json, reported: ReportedRaid) -> bool:
    counts = {str(one["id"]): len(one.get("attacks") or []) for one in districts(raid)}
    destroyed = {str(one["id"]) for one in districts(raid) if is_destroyed(one)}
    return (
        all(counts.get(key, 0) >= count for key, count in reported.attacks.items())
        and reported.destroyed <= destroyed
        and (is_completed(raid) or not reported.completed)
    )
