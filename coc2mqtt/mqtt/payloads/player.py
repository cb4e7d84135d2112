"""The retained state of a player, with their part in the wars and raids of their clan. Pure: no clock, no I/O."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from coc2mqtt.clash.response import api_time
from coc2mqtt.events.compare.activity import clan_activity
from coc2mqtt.events.compare.cwl_state import cwl_state
from coc2mqtt.events.compare.raid_state import raid_state
from coc2mqtt.events.compare.reminder import is_included
from coc2mqtt.events.compare.war import war_sides
from coc2mqtt.mqtt.payloads.cwl import CwlPhase  # noqa: TC001 - pydantic reads it
from coc2mqtt.mqtt.payloads.models import Payload, Time, iso_time
from coc2mqtt.mqtt.payloads.raid import RaidPhase  # noqa: TC001 - pydantic reads it
from coc2mqtt.mqtt.payloads.values import integer, json_object, json_objects, name_of, text
from coc2mqtt.mqtt.payloads.war import war_attacks_left, war_data
from coc2mqtt.util.text import shorten

if TYPE_CHECKING:
    from coc2mqtt.events.compare.activity import MemberActivity
    from coc2mqtt.events.resource import Reminders, Snapshot

Json = dict[str, Any]

_BATTLE = "inWar"
# Of a member who has not started to raid; a sixth one is earned by destroying a district.
_RAID_ATTACKS = 5


class PlayerClanPayload(Payload):
    """The clan of a player."""

    tag: str
    name: str | None
    """The tag if the API returns no name."""


class PlayerWarPayload(Payload):
    """A player's part in the current war of their clan.

    An attack is pending if one is left during the battle, and the reminders of the clan include the player.
    """

    clan_tag: str
    state: str | None
    attacks_left: int | None
    attack_pending: bool | None
    end_time: Time | None


class PlayerCwlPayload(Payload):
    """A player's part in the clan war league of their clan.

    An attack is pending if one is left during a battle, and the reminders of the clan include the player.
    """

    clan_tag: str
    state: CwlPhase
    round: int | None
    """The round of the war that ``end_time`` is about."""
    attacks_left: int | None
    """In the battle, or in both if the battles of two rounds overlap; before a battle, in the next one. 0 for a player
    who is not in the line-up."""
    attack_pending: bool | None
    end_time: Time | None
    """The end of the battle with a pending attack, otherwise that of the current war."""


class PlayerRaidPayload(Payload):
    """A player's part in the raid weekend of their clan.

    An attack is pending if one is left during the weekend, and the reminders of the clan include the player.
    """

    clan_tag: str
    state: RaidPhase
    attacks_left: int
    """During the weekend: 5 less those used, or 6 for a player who has destroyed a district."""
    attack_pending: bool
    end_time: Time | None


class PlayerParts(NamedTuple):
    """A player's part in the war, clan war league and raid weekend of their clan, None for one that is not watched.

    ``activity`` is what the clan shows of the player, None if it is not watched. ``taken_at`` is the Unix time of the
    latest response about them.
    """

    war: PlayerWarPayload | None = None
    cwl: PlayerCwlPayload | None = None
    raid: PlayerRaidPayload | None = None
    activity: MemberActivity | None = None
    taken_at: float = 0.0


class PlayerPayload(Payload):
    """The current state of a player; ``war``, ``cwl`` and ``raid`` are null if their clan's are not watched."""

    tag: str
    name: str | None
    town_hall_level: int | None
    builder_hall_level: int | None
    exp_level: int | None
    league_tier: str | None
    trophies: int | None
    war_stars: int | None
    donations: int | None
    donations_received: int | None
    donations_today: int | None
    """Since 05:00 UTC, like `donations_week` since Monday at 05:00 UTC; null unless the player's clan is watched."""
    donations_week: int | None
    last_seen_at: Time | None
    """When the bridge last saw something that only the player can do, or first saw them; null unless their clan is
    watched."""
    war_preference: str | None
    """`in` or `out`."""
    role: str | None
    """The API's value of their role in the clan: `member`, `admin` (the game's Elder), `coLeader` or `leader`."""
    clan: PlayerClanPayload | None
    """Null without a clan."""
    war: PlayerWarPayload | None
    cwl: PlayerCwlPayload | None
    raid: PlayerRaidPayload | None
    attacks_left: int | None
    """The sum of the attacks left in war, clan war league and raid weekend, as far as they are known."""
    attack_pending: bool | None
    """Whether an attack is pending in any of them, as far as they are known."""
    updated_at: Time
    """When the bridge first received this state, including that of war, clan war league and raid weekend."""


def clan_of(player: Snapshot) -> str | None:
    """Return the tag of a player's clan, None without one."""
    tag = json_object(json_object(player.data).get("clan")).get("tag")
    return tag if isinstance(tag, str) else None


def player_activity(player_tag: str, clan: Snapshot) -> MemberActivity | None:
    """Return what a clan shows of the activity of a player, None if it is unknown."""
    activity = clan_activity(clan)
    return None if activity is None else activity.members.get(player_tag)


def player_war_payload(player_tag: str, clan_tag: str, snapshot: Snapshot) -> PlayerWarPayload:
    """Return a player's part in the current war of their clan.

    A player who does not take part has no attacks left. With a private war log everything is null.
    """
    data = war_data(snapshot)
    own, _ = war_sides(data, clan_tag)
    state, members = data.get("state"), own.get("members")
    left: int | None = 0
    if snapshot.memo.get("private"):
        left = None
    elif state in ("preparation", "inWar"):
        left = _attacks_left(data, members, player_tag)
    return PlayerWarPayload(
        clan_tag=clan_tag,
        state=text(state),
        attacks_left=left,
        attack_pending=None if left is None else state == "inWar" and left > 0,
        end_time=api_time(data.get("endTime")),
    )


def player_cwl_payload(player_tag: str, clan_tag: str, snapshot: Snapshot) -> PlayerCwlPayload:
    """Return a player's part in the clan war league of their clan."""
    state = cwl_state(snapshot, clan_tag)
    rounds = [one for one in (state.current, state.next) if one is not None]
    # The battles of two rounds can overlap.
    battles = [one for one in rounds if one.war.get("state") == _BATTLE]
    shown_rounds = battles or rounds[:1]
    left = [_cwl_attacks_left(one.war, clan_tag, player_tag) for one in shown_rounds]
    known = [one for one in left if one is not None]
    with_attacks = (one for one, attacks in zip(shown_rounds, left, strict=True) if attacks)
    shown = next(with_attacks, next(iter(shown_rounds), None))
    return PlayerCwlPayload(
        clan_tag=clan_tag,
        state=state.state,
        round=None if shown is None else shown.number,
        attacks_left=sum(known) if known or not left else None,
        attack_pending=(bool(battles) and sum(known) > 0) if known or not left else None,
        end_time=None if shown is None else api_time(shown.war.get("endTime")),
    )


def _cwl_attacks_left(war: Json, clan_tag: str, player_tag: str) -> int | None:
    if war.get("state") not in ("preparation", _BATTLE):
        return 0
    return _attacks_left(war, war_sides(war, clan_tag)[0].get("members"), player_tag)


def _attacks_left(war: Json, members: object, player_tag: str) -> int | None:
    """Return a player's attacks left in a war, 0 if they do not take part, None if its members are unknown."""
    found = [member for member in json_objects(members) if member.get("tag") == player_tag]
    return war_attacks_left(war, found[0]) if found else 0 if isinstance(members, list) else None


def player_raid_payload(player_tag: str, clan_tag: str, snapshot: Snapshot) -> PlayerRaidPayload:
    """Return a player's part in the raid weekend of their clan."""
    state = raid_state(snapshot)
    left = 0
    if state.state == "ongoing":
        started = (member["attacks_left"] for member in state.members if member["tag"] == player_tag)
        left = next(started, _RAID_ATTACKS)
    return PlayerRaidPayload(
        clan_tag=clan_tag,
        state=state.state,
        attacks_left=left,
        attack_pending=left > 0,
        end_time=api_time(state.end_time),
    )


def without_excluded(parts: PlayerParts, player: Json, reminders: Reminders) -> PlayerParts:
    """Return the parts without pending attacks of which the reminders of the clan would not remind the player."""
    included = partial(is_included, reminders, role=player.get("role"), town_hall=player.get("townHallLevel"))
    war, cwl, raid = parts.war, parts.cwl, parts.raid
    if war is not None and war.attack_pending and not included(attacks_left=war.attacks_left or 0):
        war = war.model_copy(update={"attack_pending": False})
    if cwl is not None and cwl.attack_pending and not included(attacks_left=cwl.attacks_left or 0):
        cwl = cwl.model_copy(update={"attack_pending": False})
    if raid is not None and raid.attack_pending and not included(attacks_left=raid.attacks_left):
        raid = raid.model_copy(update={"attack_pending": False})
    return parts._replace(war=war, cwl=cwl, raid=raid)


def player_payload(tag: str, data: Json, taken_at: float, parts: PlayerParts) -> PlayerPayload:
    """Return the state of a player from a response at the Unix time ``taken_at``."""
    clan = json_object(data.get("clan"))
    known = [part for part in (parts.war, parts.cwl, parts.raid) if part is not None and part.attacks_left is not None]
    return PlayerPayload(
        tag=tag,
        name=text(data.get("name")),
        town_hall_level=integer(data.get("townHallLevel")),
        builder_hall_level=integer(data.get("builderHallLevel")),
        exp_level=integer(data.get("expLevel")),
        league_tier=name_of(data.get("leagueTier") or data.get("league")),
        trophies=integer(data.get("trophies")),
        war_stars=integer(data.get("warStars")),
        donations=integer(data.get("donations")),
        donations_received=integer(data.get("donationsReceived")),
        donations_today=None if parts.activity is None else parts.activity.donations_today,
        donations_week=None if parts.activity is None else parts.activity.donations_week,
        last_seen_at=None if parts.activity is None else iso_time(parts.activity.last_seen),
        war_preference=text(data.get("warPreference")),
        role=text(data.get("role")),
        clan=PlayerClanPayload(tag=shorten(clan["tag"]), name=text(clan.get("name")) or shorten(clan["tag"]))
        if isinstance(clan.get("tag"), str)
        else None,
        war=parts.war,
        cwl=parts.cwl,
        raid=parts.raid,
        attacks_left=sum(part.attacks_left or 0 for part in known) if known else None,
        attack_pending=any(part.attack_pending for part in known) if known else None,
        updated_at=iso_time(max(taken_at, parts.taken_at)),
    )
