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
        return language.text("{clan} started its clan war league in {league}", **values, league=league)
    return language.text("{clan} started its clan war league", **values)


def round_new(event: Event, language: Language) -> str:
    """Describe the opponent of a round."""
    return language.text("{clan} faces {opponent} in league round {round}", **_round(event, language))


def round_state_changed(event: Event, language: Language) -> str:
    """Describe the new state of the clan's war in a round."""
    values = _round(event, language)
    if event.metadata.get("war_state_to") == "inWar":
        return language.text("Battle day against {opponent} in league round {round} has started for {clan}", **values)
    return language.text("Battle day against {opponent} in league round {round} is over for {clan}", **values)


def lineup_changed(event: Event, language: Language) -> str:
    """Describe a changed line-up."""
    added, removed = (_names(event.metadata.get(key), language) for key in ("added", "removed"))
    values = {**_round(event, language), "added": added, "removed": removed}
    if event.metadata.get("side") == "opponent":
        values["clan"] = values["opponent"]
    if added and removed:
        return language.text("{clan} replaced {removed} with {added} in the line-up of league round {round}", **values)
    if added:
        return language.text("{clan} added {added} to the line-up of league round {round}", **values)
    return language.text("{clan} removed {removed} from the line-up of league round {round}", **values)


def attacked(event: Event, language: Language) -> str:
    """Describe an attack, like one in a regular war."""
    return war_summary.attacked(event, language)


def round_ended(event: Event, language: Language) -> str:
    """Describe the result of a round."""
    values, metadata = _round(event, language), event.metadata
    result, stars, other = (metadata.get(key) for key in ("result", "stars", "opponent_stars"))
    if stars is None or other is None or result not in {"win", "lose", "tie"}:
        return language.text(
            "League round {round} of {clan} against {opponent} is over, but its result is unknown", **values
        )
    if result == "tie":
        return language.plural(
            "League round {round} of {clan} against {opponent} ended in a tie, {n} star each",
            "League round {round} of {clan} against {opponent} ended in a tie, {n} stars each",
            stars,
            **values,
        )
    if stars == other:
        ours, theirs = (language.percent(metadata.get(key)) for key in ("destruction", "opponent_destruction"))
        return _decided_by_destruction(result, {**values, "own": ours, "other": theirs}, language)
    values["other"] = language.number(other)
    if result == "win":
        return language.plural(
            "{clan} won league round {round} against {opponent} by {n} star to {other}",
            "{clan} won league round {round} against {opponent} by {n} stars to {other}",
            stars,
            **values,
        )
    return language.plural(
        "{clan} lost league round {round} against {opponent} by {n} star to {other}",
        "{clan} lost league round {round} against {opponent} by {n} stars to {other}",
        stars,
        **values,
    )


def _decided_by_destruction(result: str, values: dict[str, Any], language: Language) -> str:
    """Describe a round in which both clans have the same stars."""
    if result == "win":
        return language.text(
            "{clan} won league round {round} against {opponent} on destruction, {own} to {other}", **values
        )
    return language.text(
        "{clan} lost league round {round} against {opponent} on destruction, {own} to {other}", **values
    )


def ended(event: Event, language: Language) -> str:
    """Describe the end of a clan war league."""
    metadata = event.metadata
    values = {"clan": event.name or event.tag, "position": metadata.get("position"), "clans": metadata.get("clans")}
    stars = metadata.get("stars", 0)
    if not metadata.get("complete"):
        return language.plural(
            "The clan war league of {clan} is over with at least {n} star",
            "The clan war league of {clan} is over with at least {n} stars",
            stars,
            **values,
        )
    if values["position"] is None:
        return language.plural(
            "{clan} finished its clan war league with {n} star",
            "{clan} finished its clan war league with {n} stars",
            stars,
            **values,
        )
    return language.plural(
        "{clan} finished its clan war league in position {position} of {clans} with {n} star",
        "{clan} finished its clan war league in position {position} of {clans} with {n} stars",
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
            return language.text("{clan} was placed in {new} in the clan war leagues", **values)
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
