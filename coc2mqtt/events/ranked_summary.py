"""The summaries of the events of a player's ranked battles."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from coc2mqtt.events.event import Event
    from coc2mqtt.translations import Language


def week_started(event: Event, language: Language) -> str:
    """Describe a new ranked week."""
    player, tier = event.name or event.tag, event.metadata.get("tier_name")
    if tier:
        return language.text("The ranked week of {player} in {tier} has started", player=player, tier=tier)
    return language.text("The ranked week of {player} has started", player=player)


def week_ended(event: Event, language: Language) -> str:
    """Describe the result of a ranked week."""
    metadata = event.metadata
    values: dict[str, Any] = {"player": event.name or event.tag, "tier": metadata.get("new_tier_name")}
    if values["tier"] and metadata.get("direction") == "promoted":
        return language.text("The ranked week of {player} is over: promoted to {tier}", **values)
    if values["tier"] and metadata.get("direction") == "demoted":
        return language.text("The ranked week of {player} is over: demoted to {tier}", **values)
    if metadata.get("placement") is not None:
        return language.text(
            "The ranked week of {player} is over: place {place}", **values, place=metadata["placement"]
        )
    return language.text("The ranked week of {player} is over", **values)


def attacked(event: Event, language: Language) -> str:
    """Describe a ranked attack."""
    if _is_unknown(event):
        return language.text("{player} attacked {opponent} in a ranked battle", **_battle(event, language))
    return language.plural(
        "{player} attacked {opponent} in a ranked battle: {n} star, {destruction}",
        "{player} attacked {opponent} in a ranked battle: {n} stars, {destruction}",
        event.metadata.get("stars"),
        **_battle(event, language),
    )


def defended(event: Event, language: Language) -> str:
    """Describe a ranked defence."""
    if _is_unknown(event):
        return language.text("{opponent} attacked {player} in a ranked battle", **_battle(event, language))
    return language.plural(
        "{opponent} attacked {player} in a ranked battle: {n} star, {destruction}",
        "{opponent} attacked {player} in a ranked battle: {n} stars, {destruction}",
        event.metadata.get("stars"),
        **_battle(event, language),
    )


def legend_day_ended(event: Event, language: Language) -> str:
    """Describe a day in the Legend League."""
    metadata, player = event.metadata, event.name or event.tag
    gained, lost = metadata.get("trophies_gained"), metadata.get("trophies_lost")
    if gained is None or lost is None:
        return language.text("The legend day of {player} is over", player=player)
    return language.text(
        "The legend day of {player} is over: {gained} trophies won, {lost} lost",
        player=player,
        gained=gained,
        lost=lost,
    )


def _is_unknown(event: Event) -> bool:
    return None in (event.metadata.get("stars"), event.metadata.get("destruction"))


def _battle(event: Event, language: Language) -> dict[str, Any]:
    metadata = event.metadata
    return {
        "player": event.name or event.tag,
        "opponent": metadata.get("opponent_name") or metadata.get("opponent_tag") or language.text("an unknown player"),
        "destruction": language.percent(metadata.get("destruction")),
    }
