"""The summaries of the events of a clan war league."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from coc2mqtt.events import war_summary

if TYPE_CHECKING:
    from coc2mqtt.events.event import Event
    from coc2mqtt.translations import Language


def started(event: Event, language: Language) -> str:
    """Describe the start of a clan war league."""
    league, values = event.metadata.get("league_name"), _round(event, language)
    if league:
        return language.text("The clan war league of {clan} in {league} has started", **values, league=league)
    return language.text("The clan war league of {clan} has started", **values)


def round_new(event: Event, language: Language) -> str:
    """Describe the opponent of a round."""
    return language.text("{clan} plays against {opponent} in round {round} of the league", **_round(event, language))


def round_state_changed(event: Event, language: Language) -> str:
    """Describe the new state of the clan's war in a round."""
    values = _round(event, language)
    if event.metadata.get("war_state_to") == "inWar":
        return language.text("Battle day {round} of the league against {opponent} has started for {clan}", **values)
    return language.text("Battle day {round} of the league against {opponent} is over for {clan}", **values)


def lineup_changed(event: Event, language: Language) -> str:
    """Describe a changed line-up."""
    added, removed = (_names(event.metadata.get(key), language) for key in ("added", "removed"))
    values = {**_round(event, language), "added": added, "removed": removed}
    if event.metadata.get("side") == "opponent":
        values["clan"] = values["opponent"]
    if added and removed:
        return language.text("{clan} replaced {removed} with {added} in the line-up of round {round}", **values)
    if added:
        return language.text("{clan} added {added} to the line-up of round {round}", **values)
    return language.text("{clan} removed {removed} from the line-up of round {round}", **values)


def attacked(event: Event, language: Language) -> str:
    """Describe an attack, like one in a regular war."""
    return war_summary.attacked(event, language)


def round_ended(event: Event, language: Language) -> str:
    """Describe the result of a round."""
    values, metadata = _round(event, language), event.metadata
    stars, other = metadata.get("stars"), metadata.get("opponent_stars")
    if stars is not None and other is not None:
        values["score"] = f"{language.number(stars)}:{language.number(other)}"
        match metadata.get("result"):
            case "win":
                return language.text("{clan} won round {round} of the league against {opponent}, {score}", **values)
            case "lose":
                return language.text("{clan} lost round {round} of the league against {opponent}, {score}", **values)
            case "tie":
                return language.text(
                    "Round {round} of the league between {clan} and {opponent} ended in a tie, {score}", **values
                )
    return language.text(
        "Round {round} of the league against {opponent} is over for {clan}, but its result is unknown", **values
    )


def ended(event: Event, language: Language) -> str:
    """Describe the end of a clan war league."""
    metadata = event.metadata
    values = {"clan": event.name or event.tag, "position": metadata.get("position"), "clans": metadata.get("clans")}
    stars = metadata.get("stars")
    if values["position"] is None:
        return language.plural(
            "The clan war league of {clan} ended with {n} star",
            "The clan war league of {clan} ended with {n} stars",
            stars,
            **values,
        )
    return language.plural(
        "{clan} finished the clan war league in place {position} of {clans} with {n} star",
        "{clan} finished the clan war league in place {position} of {clans} with {n} stars",
        stars,
        **values,
    )


def league_changed(event: Event, language: Language) -> str:
    """Describe a clan's new war league."""
    values = _leagues(event, language)
    match event.metadata.get("direction"):
        case "promoted":
            return language.text("{clan} was promoted from {old} to {new} in the clan war leagues", **values)
        case "demoted":
            return language.text("{clan} was demoted from {old} to {new} in the clan war leagues", **values)
        case "seeded":
            return language.text("{clan} plays in {new} in the clan war leagues", **values)
        case _:
            return language.text("{clan} moved from {old} to {new} in the clan war leagues", **values)


def capital_league_changed(event: Event, language: Language) -> str:
    """Describe a clan's new capital league."""
    values = _leagues(event, language)
    match event.metadata.get("direction"):
        case "promoted":
            return language.text("The capital of {clan} was promoted from {old} to {new}", **values)
        case "demoted":
            return language.text("The capital of {clan} was demoted from {old} to {new}", **values)
        case _:
            return language.text("The capital of {clan} moved from {old} to {new}", **values)


def _leagues(event: Event, language: Language) -> dict[str, Any]:
    metadata, unknown = event.metadata, language.text("an unknown league")
    names = {"old": metadata.get("old_name") or unknown, "new": metadata.get("new_name") or unknown}
    return {"clan": event.name or event.tag, **names}


def _round(event: Event, language: Language) -> dict[str, Any]:
    opponent = event.metadata.get("opponent_name") or event.metadata.get("opponent_tag")
    return {
        "clan": event.name or event.tag,
        "opponent": opponent or language.text("an unknown clan"),
        "round": event.metadata.get("round"),
    }


def _names(members: Any, language: Language) -> str:
    return language.join([str(one.get("name") or one.get("tag")) for one in members or ()])
