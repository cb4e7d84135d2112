"""The summaries of the events of a war."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from coc2mqtt.events.event import Event
    from coc2mqtt.translations import Language


def war_declared(event: Event, language: Language) -> str:
    """Describe a new war."""
    return language.text("{clan} was matched against {opponent}", **_war(event, language))


def war_state_changed(event: Event, language: Language) -> str:
    """Describe the new state of a war."""
    war = _war(event, language)
    match event.metadata.get("war_state_to"):
        case "preparation":
            return language.text("{clan} is preparing for war against {opponent}", **war)
        case "inWar":
            return language.text("Battle day against {opponent} has started for {clan}", **war)
        case "warEnded":
            return language.text("The war of {clan} against {opponent} is over", **war)
        case _:
            return language.text("{clan} is no longer in a war", **war)


def attacked(event: Event, language: Language) -> str:
    """Describe an attack in a war."""
    metadata = event.metadata
    opponent = metadata.get("opponent_name") or metadata.get("opponent_tag")
    who = {
        "attacker": metadata.get("attacker_name") or metadata.get("attacker_tag"),
        "defender": metadata.get("defender_name") or metadata.get("defender_tag"),
        "clan": (event.name or event.tag) if metadata.get("side") == "clan" else opponent,
    }
    stars, destruction = metadata.get("stars"), metadata.get("destruction")
    result = [] if stars is None else [language.plural("{n} star", "{n} stars", stars)]
    result += [] if destruction is None else [language.percent(destruction)]
    if not result:
        return language.text("{attacker} attacked {defender}", **who)
    if who["clan"] is None:
        return language.text("{attacker} attacked {defender}: {result}", **who, result=", ".join(result))
    return language.text("{attacker} of {clan} attacked {defender}: {result}", **who, result=", ".join(result))


def war_ended(event: Event, language: Language) -> str:
    """Describe the result of a war."""
    war, metadata = _war(event, language), event.metadata
    result, stars, opponent_stars = (metadata.get(key) for key in ("result", "stars", "opponent_stars"))
    if stars is None or opponent_stars is None or result not in {"win", "lose", "tie"}:
        return _result_without_score(result, war, language)
    if result == "tie":
        return language.plural(
            "The war of {clan} against {opponent} ended in a tie, {n} star each",
            "The war of {clan} against {opponent} ended in a tie, {n} stars each",
            stars,
            **war,
        )
    if stars == opponent_stars:
        own, other = (language.percent(metadata.get(key)) for key in ("destruction", "opponent_destruction"))
        return _decided_by_destruction(result, {**war, "own": own, "other": other}, language)
    score = {**war, "other": language.number(opponent_stars)}
    if result == "win":
        return language.plural(
            "{clan} won the war against {opponent} by {n} star to {other}",
            "{clan} won the war against {opponent} by {n} stars to {other}",
            stars,
            **score,
        )
    return language.plural(
        "{clan} lost the war against {opponent} by {n} star to {other}",
        "{clan} lost the war against {opponent} by {n} stars to {other}",
        stars,
        **score,
    )


def _decided_by_destruction(result: str, values: dict[str, Any], language: Language) -> str:
    """Describe a war in which both clans have the same stars."""
    if result == "win":
        return language.text("{clan} won the war against {opponent} on destruction, {own} to {other}", **values)
    return language.text("{clan} lost the war against {opponent} on destruction, {own} to {other}", **values)


def _result_without_score(result: object, war: dict[str, Any], language: Language) -> str:
    match result:
        case "win":
            return language.text("{clan} won the war against {opponent}", **war)
        case "lose":
            return language.text("{clan} lost the war against {opponent}", **war)
        case "tie":
            return language.text("The war of {clan} against {opponent} ended in a tie", **war)
        case "cancelled":
            return language.text("The war of {clan} against {opponent} was cancelled before the battle", **war)
        case _:
            return language.text("The war of {clan} against {opponent} is over, but its result is unknown", **war)


def _war(event: Event, language: Language) -> dict[str, Any]:
    """Return the names of both clans; the opponent always follows ``against``."""
    opponent = event.metadata.get("opponent_name") or event.metadata.get("opponent_tag")
    return {"clan": event.name or event.tag, "opponent": opponent or language.text("an unknown clan")}
