"""The summaries of the events of a raid weekend."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from coc2mqtt.events.event import Event
    from coc2mqtt.translations import Language


def opponent_new(event: Event, language: Language) -> str:
    """Describe a new opponent."""
    return language.text("{clan} started to raid {defender}", **_raid(event, language))


def attacked(event: Event, language: Language) -> str:
    """Describe an attack on a district."""
    metadata, values = event.metadata, _raid(event, language)
    values["attacker"] = metadata.get("attacker_name") or metadata.get("attacker_tag") or values["clan"]
    if metadata.get("finished"):
        return language.text("{attacker} destroyed {district} of {defender}", **values)
    values["destruction"] = language.percent(metadata.get("destruction"))
    return language.text("{attacker} attacked {district} of {defender}: {destruction}", **values)


def district_destroyed(event: Event, language: Language) -> str:
    """Describe a destroyed district."""
    values, attacks = _raid(event, language), event.metadata.get("attacks")
    if attacks is None:
        return language.text("{clan} destroyed {district} of {defender}", **values)
    return language.plural(
        "{clan} destroyed {district} of {defender} with {n} attack",
        "{clan} destroyed {district} of {defender} with {n} attacks",
        attacks,
        **values,
    )


def clan_destroyed(event: Event, language: Language) -> str:
    """Describe a completed raid."""
    values, attacks = _raid(event, language), event.metadata.get("attacks")
    if attacks is None:
        return language.text("{clan} completed the raid on {defender}", **values)
    return language.plural(
        "{clan} completed the raid on {defender} with {n} attack",
        "{clan} completed the raid on {defender} with {n} attacks",
        attacks,
        **values,
    )


def defense_ended(event: Event, language: Language) -> str:
    """Describe a completed raid on the clan."""
    metadata, clan = event.metadata, event.name or event.tag
    attacker = metadata.get("attacker_name") or metadata.get("attacker_tag") or language.text("Another clan")
    attacks = metadata.get("attacks")
    if attacks is None:
        return language.text("{attacker} completed a raid on {clan}", attacker=attacker, clan=clan)
    return language.plural(
        "{attacker} completed a raid on {clan} with {n} attack",
        "{attacker} completed a raid on {clan} with {n} attacks",
        attacks,
        attacker=attacker,
        clan=clan,
    )


def ended(event: Event, language: Language) -> str:
    """Describe the end of a raid weekend."""
    metadata, clan = event.metadata, event.name or event.tag
    loot = metadata.get("loot")
    if loot is None:
        return language.text("The raid weekend of {clan} is over", clan=clan)
    if not metadata.get("max_medals"):
        return language.text(
            "The raid weekend of {clan} is over: {loot} capital gold looted", clan=clan, loot=language.number(loot)
        )
    return language.text(
        "The raid weekend of {clan} is over: {loot} capital gold looted, up to {medals} raid medals",
        clan=clan,
        loot=language.number(loot),
        medals=language.number(metadata["max_medals"]),
    )


def contributed(event: Event, language: Language) -> str:
    """Describe a contribution to the clan capital."""
    amount = language.number(event.metadata.get("amount"))
    return language.text("{player} contributed {amount} capital gold", player=event.name or event.tag, amount=amount)


def _raid(event: Event, language: Language) -> dict[str, Any]:
    metadata = event.metadata
    defender = metadata.get("defender_name") or metadata.get("defender_tag")
    return {
        "clan": event.name or event.tag,
        "defender": defender or language.text("an unknown clan"),
        "district": metadata.get("district_name") or language.text("a district"),
    }
