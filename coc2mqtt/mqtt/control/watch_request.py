"""The request of the command ``watch``."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Any

from pydantic import Field

from coc2mqtt.events.resource import (
    CWL_INTERVAL_S,
    GAMES_INTERVAL_S,
    INACTIVE_AFTER_S,
    MIN_INTERVAL_S,
    RAID_INTERVAL_S,
    RANKED_INTERVAL_S,
    WAR_INTERVAL_S,
    Kind,
    Watch,
    default_watch,
)
from coc2mqtt.events.watch_options import InactiveAfter, ReminderOptions, ReminderSwitch
from coc2mqtt.mqtt.control.request import CommandError, Request, Tag, WatchedKind

Json = dict[str, Any]

_MAX_INTERVAL_S = 7 * 24 * 3600.0
# The options of a watch that apply to one kind only.
_WAR_KEYS = frozenset(["war", "war_interval", "cwl", "cwl_interval", "cwl_standings"])
_CLAN_KEYS = _WAR_KEYS | {
    "members",
    "raids",
    "raid_interval",
    "raid_defenses",
    "reminders",
    "inactive_after",
    "games",
    "games_interval",
}
_FIELD_KEYS = frozenset(("include_fields", "exclude_fields"))
_PLAYER_KEYS = _FIELD_KEYS | {"ranked", "ranked_interval"}

Seconds = Annotated[float, Field(ge=MIN_INTERVAL_S, le=_MAX_INTERVAL_S)]
Fields = Annotated[list[Annotated[str, Field(max_length=64)]], Field(max_length=100)] | None


class WatchRequest(Request):
    """Watch a clan or a player. Plain text is read as a clan's tag.

    If the clan or player is already watched, keys that are missing keep their current values: a request with only a
    tag changes nothing. If it is in the configuration but was removed, they have the values of the configuration. Any
    other tag is looked up first, and refused if the API does not know it or cannot respond.
    """

    tag: Tag = Field(description="The tag, with or without its '#'.")
    kind: WatchedKind = "clan"
    interval: Seconds | None = Field(
        default=None, description="Seconds between two polls; null: the default, 60 for a clan and 120 for a player."
    )
    members: bool = Field(default=True, description="Clans only: whether changes of its members are published.")
    war: bool = Field(default=True, description="Clans only: whether its war is polled.")
    war_interval: Seconds = Field(default=WAR_INTERVAL_S, description="Clans only: seconds between polls of its war.")
    cwl: bool = Field(default=True, description="Clans only: whether its clan war leagues are polled.")
    cwl_interval: Seconds = Field(
        default=CWL_INTERVAL_S, description="Clans only: seconds between polls of its clan war league."
    )
    cwl_standings: bool = Field(
        default=False, description="Clans only: whether all wars of the league group are polled, for the standings."
    )
    raids: bool = Field(default=True, description="Clans only: whether its raid weekends are polled.")
    raid_interval: Seconds = Field(
        default=RAID_INTERVAL_S, description="Clans only: seconds between polls of its raid weekend, while it lasts."
    )
    raid_defenses: bool = Field(
        default=False, description="Clans only: whether completed raids on the clan are published."
    )
    games: bool = Field(default=False, description="Clans only: whether the clan games are polled.")
    games_interval: Seconds = Field(
        default=GAMES_INTERVAL_S,
        description="Clans only: seconds in which each member is polled once during the clan games.",
    )
    reminders: ReminderSwitch = Field(
        default=ReminderOptions(),
        description="Clans only: the reminders before the end of wars, league rounds, raid weekends and clan games."
        " Keys that are missing keep their current values; true: the default times; false: none.",
    )
    inactive_after: InactiveAfter = Field(
        default=INACTIVE_AFTER_S,
        description="Clans only: after what time a member is reported as inactive (seconds or 7d); false: never.",
    )
    ranked: bool = Field(default=False, description="Players only: whether their ranked battles are polled.")
    ranked_interval: Seconds = Field(
        default=RANKED_INTERVAL_S, description="Players only: seconds between polls of their ranked battles."
    )
    include_fields: Fields = Field(
        default=None, description="Players only: the API's keys that are compared; null: all of them."
    )
    exclude_fields: Fields = Field(default=None, description="Players only: the API's keys that are not compared.")
    force: bool = Field(default=False, description="Whether the tag is watched without looking it up first.")

    def watch(self, current: Watch | None = None) -> Watch:
        """Return the requested watch; keys that are missing keep the values of the ``current`` one.

        Raises CommandError for keys that do not apply to its kind.
        """
        inapplicable = {"clan": _PLAYER_KEYS, "player": _CLAN_KEYS}
        given = self.model_fields_set
        if wrong := sorted(inapplicable[self.kind] & given):
            raise CommandError(f"{wrong[0]} does not apply to a {self.kind}: remove it")
        default = default_watch(Kind(self.kind), self.tag)
        values: Json = {key: getattr(self, key) for key in _CLAN_KEYS & given}
        if "reminders" in given:
            try:
                values["reminders"] = self.reminders.reminders((current or default).reminders)
            except ValueError as error:
                raise CommandError(f"reminders: {error}") from None
        values |= {key: _as_set(getattr(self, key)) for key in _FIELD_KEYS & given}
        values |= {key: getattr(self, key) for key in (_PLAYER_KEYS - _FIELD_KEYS) & given}
        if "interval" in given:
            values["interval"] = self.interval or default.interval
        return replace(current or default, **values)


def _as_set(fields: list[str] | None) -> frozenset[str] | None:
    return None if fields is None else frozenset(fields)
