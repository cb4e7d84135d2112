"""The summary of an event: one sentence to show to people, in their language."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from coc2mqtt.events import changed_fields
from coc2mqtt.events.field_names import role_name
from coc2mqtt.events.resource import API
from coc2mqtt.translations import ENGLISH, Language, message

if TYPE_CHECKING:
    from coc2mqtt.events.event import Event

# Returns the summary of an event.
Sentence = Callable[["Event", Language], str]

_DEVELOPER_SITE = "https://developer.clashofclans.com"
# By the direction and the new role in the API's spelling; the game calls the role `admin` Elder.
_ROLE_CHANGES = {
    ("promoted", "admin"): message("{member} of {clan} was promoted to elder"),
    ("promoted", "coLeader"): message("{member} of {clan} was promoted to co-leader"),
    ("promoted", "leader"): message("{member} is the new leader of {clan}"),
    ("demoted", "coLeader"): message("{member} of {clan} was demoted to co-leader"),
    ("demoted", "admin"): message("{member} of {clan} was demoted to elder"),
    ("demoted", "member"): message("{member} of {clan} was demoted to member"),
}
# By the kind of the error.
_POLL_FAILURES = {
    "unreachable": message("{name} cannot be updated: the Clash of Clans API cannot be reached"),
    "throttled": message("{name} cannot be updated: the bridge sends too many requests"),
    "denied": message("{name} cannot be updated: the Clash of Clans API denies access"),
    "server_error": message("{name} cannot be updated: the Clash of Clans API reports an error"),
    "bad_answer": message("{name} cannot be updated: the response is invalid"),
    "bad_request": message("{name} cannot be updated: the Clash of Clans API rejects the request"),
}
_MAX_SECONDS = 90
_MAX_MINUTES = 90


def summarize(event: Event, language: Language = ENGLISH) -> str:
    """Return one sentence, without a full stop, that describes the event."""
    return event.event_type.sentence(event, language)


def template(text: str) -> Sentence:
    """Return a sentence with placeholders for metadata and for the name of the clan or player, ``{subject}``."""
    return lambda event, language: language.text(text, **{**event.metadata, "subject": _subject(event)})


def role_changed(event: Event, language: Language) -> str:
    """Describe a promotion or demotion."""
    role = event.metadata.get("new_role")
    who = {"member": _member(event), "clan": _subject(event)}
    known = _ROLE_CHANGES.get((str(event.metadata.get("direction")), str(role)))
    if known is None:
        return language.text("{member} of {clan} now has the role {role}", **who, role=role_name(role, language))
    return language.text(known, **who)


def donated(event: Event, language: Language) -> str:
    """Describe the donated and received troops."""
    given, received = event.metadata.get("donations"), event.metadata.get("donationsReceived")
    who = {"member": _member(event), "clan": _subject(event)}
    if given and received:
        return language.plural(
            "{member} of {clan} donated {n} troop and received {received}",
            "{member} of {clan} donated {n} troops and received {received}",
            given,
            **who,
            received=language.number(received),
        )
    if received:
        return language.plural(
            "{member} of {clan} received {n} troop", "{member} of {clan} received {n} troops", received, **who
        )
    return language.plural(
        "{member} of {clan} donated {n} troop", "{member} of {clan} donated {n} troops", given, **who
    )


def season_reset(event: Event, language: Language) -> str:
    """Describe the end of a season, with the member who donated most if the name is known."""
    metadata, clan = event.metadata, _subject(event)
    troops = metadata.get("season_donations")
    if metadata.get("top_donor_name") and metadata.get("top_donations"):
        return language.plural(
            "A new season started: {clan} donated {n} troop in the last one, {member} the most ({top})",
            "A new season started: {clan} donated {n} troops in the last one, {member} the most ({top})",
            troops,
            clan=clan,
            member=metadata["top_donor_name"],
            top=language.number(metadata["top_donations"]),
        )
    return language.plural(
        "A new season started: {clan} donated {n} troop in the last one",
        "A new season started: {clan} donated {n} troops in the last one",
        troops,
        clan=clan,
    )


def unit_upgraded(event: Event, language: Language) -> str:
    """Describe an upgraded or unlocked unit."""
    level = event.metadata.get("new_level")
    values = {"player": _subject(event), "unit": event.metadata.get("name"), "level": level}
    if event.metadata.get("old_level") is not None:
        return language.text("{player} upgraded {unit} to level {level}", **values)
    if level == 1:
        return language.text("{player} unlocked {unit}", **values)
    return language.text("{player} unlocked {unit} at level {level}", **values)


def equipment_changed(event: Event, language: Language) -> str:
    """Describe the changed equipment of a hero."""
    added, removed = event.metadata.get("added"), event.metadata.get("removed")
    values = {
        "player": _subject(event),
        "hero": event.metadata.get("name"),
        "added": language.join(added or ()),
        "removed": language.join(removed or ()),
    }
    if added and removed:
        return language.text("{player}'s {hero} equipped {added} and unequipped {removed}", **values)
    if added:
        return language.text("{player}'s {hero} equipped {added}", **values)
    return language.text("{player}'s {hero} unequipped {removed}", **values)


def town_hall_upgraded(event: Event, language: Language) -> str:
    """Describe an upgraded town hall."""
    old, new = event.metadata.get("old_value"), event.metadata.get("new_value")
    return changed_fields.town_hall_upgraded(_subject(event), old, new, language)


def weapon_upgraded(event: Event, language: Language) -> str:
    """Describe an upgraded weapon of a town hall."""
    values = {"player": _subject(event), **event.metadata}
    if values.get("old_value") is None:
        return language.text("{player} upgraded the town hall weapon to level {new_value}", **values)
    return language.text("{player} upgraded the town hall weapon from level {old_value} to {new_value}", **values)


def builder_hall_upgraded(event: Event, language: Language) -> str:
    """Describe an upgraded builder hall."""
    values = {"player": _subject(event), **event.metadata}
    if values.get("old_value") is None:
        return language.text("{player} upgraded the builder hall to level {new_value}", **values)
    return language.text("{player} upgraded the builder hall from level {old_value} to {new_value}", **values)


def league_changed(event: Event, language: Language) -> str:
    """Describe a player's new league."""
    old, new = event.metadata.get("old_value"), event.metadata.get("new_value")
    values = {"player": _subject(event), "old": old, "new": new}
    if not new:
        return language.text("{player} is now unranked", **values)
    if not old:
        return language.text("{player} is now in {new}", **values)
    match event.metadata.get("direction"):
        case "promoted":
            return language.text("{player} was promoted from {old} to {new}", **values)
        case "demoted":
            return language.text("{player} was demoted from {old} to {new}", **values)
        case _:
            return language.text("{player} moved from {old} to {new}", **values)


def labels_changed(event: Event, language: Language) -> str:
    """Describe a player's new labels."""
    return changed_fields.labels_changed(_subject(event), event.metadata.get("new_value") or (), language)


def war_preference_changed(event: Event, language: Language) -> str:
    """Describe a player's new war preference."""
    player, value = _subject(event), event.metadata.get("new_value")
    match value:
        case "in":
            return language.text("{player} opted in to clan wars", player=player)
        case "out":
            return language.text("{player} opted out of clan wars", player=player)
        case _:
            return language.text("{player} now has the war preference {value}", player=player, value=value)


def joined_clan(event: Event, language: Language) -> str:
    """Describe a player who joined a clan."""
    return language.text("{player} joined {clan}", player=_subject(event), clan=_clan(event))


def left_clan(event: Event, language: Language) -> str:
    """Describe a player who left a clan."""
    return language.text("{player} left {clan}", player=_subject(event), clan=_clan(event))


def member_joined(event: Event, language: Language) -> str:
    """Describe a new member."""
    return language.text("{player} joined {clan}", player=_member(event), clan=_subject(event))


def member_left(event: Event, language: Language) -> str:
    """Describe a member who left."""
    return language.text("{player} left {clan}", player=_member(event), clan=_subject(event))


def member_inactive(event: Event, language: Language) -> str:
    """Describe a member who has changed nothing for days."""
    days = event.metadata.get("days")
    return language.plural(
        "{player} of {clan} has been inactive for {n} day",
        "{player} of {clan} has been inactive for {n} days",
        int(days) if isinstance(days, float) and days.is_integer() else days,
        player=_member(event),
        clan=_subject(event),
    )


def member_moved(event: Event, language: Language) -> str:
    """Describe a member who moved to another clan."""
    metadata = event.metadata
    clans = {
        key: metadata.get(f"{key}_clan_name") or metadata.get(f"{key}_clan") or language.text("an unknown clan")
        for key in ("from", "to")
    }
    return language.text(
        "{player} moved from {origin} to {destination}",
        player=_member(event),
        origin=clans["from"],
        destination=clans["to"],
    )


def maintenance_ended(event: Event, language: Language) -> str:
    """Describe the end of a maintenance."""
    duration = _duration(event.metadata.get("duration_seconds") or 0, language)
    return language.text("Clash of Clans maintenance ended after {duration}", duration=duration)


def api_denied(event: Event, language: Language) -> str:
    """Describe a rejected token, and the remedy."""
    values = {"address": event.metadata.get("address"), "site": _DEVELOPER_SITE}
    if values["address"]:
        return language.text("The Clash of Clans API rejects the token: create a key for {address} at {site}", **values)
    match event.metadata.get("error"):
        case "wrong_address":
            return language.text(
                "The Clash of Clans API rejects the token: create a key for your current IP address at {site}", **values
            )
        case "wrong_token":
            return language.text("The Clash of Clans API rejects the token: create a new key at {site}", **values)
        case _:
            return language.text("The Clash of Clans API rejects the token: check the key at {site}", **values)


def api_restored(event: Event, language: Language) -> str:
    """Describe the end of a failure of the API."""
    seconds = event.metadata.get("duration_seconds")
    if not seconds:
        return language.text("The Clash of Clans API is available again")
    duration = _duration(seconds, language)
    return language.text("The Clash of Clans API is available again after {duration}", duration=duration)


def poll_failed(event: Event, language: Language) -> str:
    """Describe why a clan or player, or the API as a whole, cannot be polled."""
    error = str(event.metadata.get("error"))
    if event.tag == API.tag:
        if error == "unreachable":
            return language.text("The Clash of Clans API cannot be reached")
        return language.text("The Clash of Clans API is not working")
    known = _POLL_FAILURES.get(error, message("{name} cannot be updated: {message}"))
    return language.text(known, name=_subject(event), message=event.metadata.get("message"))


def _duration(seconds: float, language: Language) -> str:
    """Return a duration that completes a sentence with ``after``."""
    if seconds < _MAX_SECONDS:
        return language.plural("{n} second", "{n} seconds", round(seconds))
    minutes = round(seconds / 60)
    if minutes < _MAX_MINUTES:
        return language.plural("{n} minute", "{n} minutes", minutes)
    hours, minutes = divmod(minutes, 60)
    parts = [language.plural("{n} hour", "{n} hours", hours)]
    parts += [language.plural("{n} minute", "{n} minutes", minutes)] if minutes else []
    return language.join(parts)


def _subject(event: Event) -> str:
    return event.name or event.tag


def _member(event: Event) -> object:
    return event.metadata.get("member_name") or event.metadata.get("member_tag")


def _clan(event: Event) -> object:
    return event.metadata.get("clan_name") or event.metadata.get("clan_tag")
