"""The sections of a dashboard about a clan's clan war league and its raid weekend, and their badges.

Each is visible only while there is a league, or during the weekend.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from coc2mqtt.homeassistant.dashboard_cards import NO_STATE, heading, section, state, state_not

if TYPE_CHECKING:
    from coc2mqtt.homeassistant.dashboard_cards import Cards, Json

_LEAGUE_STATES = ["preparation", "in_war", "ended"]


def league_badges(cards: Cards) -> list[Json]:
    """Return the badges with the start of a round's battle, during the preparation, and its end, during the battle."""
    cwl_state = cards.id("sensor", "cwl_state")
    starts = cards.badge("sensor", "cwl_round_start", cards.language.text("CWL battle starts"))
    ends = cards.badge("sensor", "cwl_round_end", cards.language.text("CWL battle ends"))
    return [
        {**starts, "visibility": [state(cwl_state, "preparation")]},
        {**ends, "visibility": [state(cwl_state, "in_war")]},
    ]


def raid_badges(cards: Cards) -> list[Json]:
    """Return the badge with the end of the raid weekend."""
    ends = cards.badge("sensor", "raid_end", cards.language.text("Raid weekend ends"))
    return [{**ends, "visibility": [state(cards.id("sensor", "raid_state"), "ongoing")]}]


def league(cards: Cards) -> Json:
    """Return the section of a clan war league."""
    language = cards.language
    cwl_state, position = cards.id("sensor", "cwl_state"), cards.id("sensor", "cwl_position")
    whole = section(
        heading(language.text("Clan war league"), "mdi:shield-star"),
        {
            "type": "markdown",
            "content": _round_sentence(cards),
            "visibility": [state(cwl_state, ["preparation", "in_war"])],
        },
        cards.tile("cwl_stars", language.text("Our stars"), color="amber", hidden_without_value=True),
        cards.tile("cwl_opponent_stars", language.text("Their stars"), hidden_without_value=True),
        cards.tile("cwl_destruction", language.text("Our destruction"), color="amber", hidden_without_value=True),
        cards.tile("cwl_attacks_left", language.text("Attacks left"), hidden_without_value=True),
        cards.tile("cwl_total_stars", language.text("Stars in all rounds"), hidden_without_value=True),
        cards.tile("cwl_position", language.text("Position"), hidden_without_value=True),
        cards.tile("cwl_next_opponent_name", language.text("Next opponent"), hidden_without_value=True),
        cards.label("cwl_state", language.text("CWL state")),
        {
            **cards.members("cwl_attacks_left", language.text("All attacks have been used.")),
            "visibility": [state(cwl_state, "in_war")],
        },
        {
            "type": "markdown",
            "title": language.text("Table"),
            "content": _table(cards),
            # It exists only with `cwl_standings`.
            "visibility": [state_not(position, *NO_STATE)],
        },
    )
    return {**whole, "visibility": [state(cwl_state, _LEAGUE_STATES)]}


def raid(cards: Cards) -> Json:
    """Return the section of a raid weekend."""
    language, left = cards.language, cards.id("sensor", "raid_attacks_left")
    whole = section(
        heading(language.text("Raid weekend"), "mdi:castle"),
        cards.tile("raid_loot", language.text("Capital gold looted"), color="amber"),
        cards.tile("raid_medals", language.text("Estimated medals"), hidden_without_value=True),
        cards.tile("raid_districts_destroyed", language.text("Districts destroyed")),
        cards.tile("raids_completed", language.text("Raids completed")),
        {
            **cards.tile("raid_opponent_name", language.text("Opponent"), hidden_without_value=True),
            "grid_options": {"columns": "full"},
        },
        cards.members("raid_attacks_left", language.text("No member who has attacked has attacks left.")),
        {
            "type": "markdown",
            "title": language.text("Members who have not attacked"),
            "content": (
                f"{{% set names = state_attr('{left}', 'members_not_started') or [] %}}\n"
                f"{{% if names %}}{{{{ names | join(', ') }}}}{{% else %}}{language.text('Everybody has attacked.')}"
                "{% endif %}\n"
            ),
        },
    )
    return {**whole, "visibility": [state(cards.id("sensor", "raid_state"), "ongoing")]}


def _round_sentence(cards: Cards) -> str:
    """Return a template for the number of the round and the opponent in it."""
    number, opponent = cards.id("sensor", "cwl_round"), cards.id("sensor", "cwl_opponent_name")
    sentence = cards.language.text(
        "Round {round} of {rounds} against {opponent}",
        round=f"{{{{ states('{number}') }}}}",
        rounds=f"{{{{ state_attr('{number}', 'rounds') }}}}",
        opponent=f"**{{{{ states('{opponent}') }}}}**",
    )
    return f"{{% if has_value('{opponent}') %}}{sentence}{{% endif %}}\n"


def _table(cards: Cards) -> str:
    """Return a template for the table of the group."""
    language = cards.language
    titles = (language.text("Clan"), language.text("Stars"), language.text("Destruction"))
    # A vertical bar in a name would start a new cell.
    cells = ("clan.position", "(clan.name or clan.tag or '') | replace('|', '/')", "clan.stars", "clan.destruction")
    return (
        f"| | {' | '.join(titles)} |\n|--:|---|--:|--:|\n"
        f"{{% for clan in state_attr('{cards.id('sensor', 'cwl_position')}', 'standings') or [] -%}}\n"
        f"| {' | '.join(f'{{{{ {cell} }}}}' for cell in cells)} |\n"
        "{% endfor %}\n"
    )
