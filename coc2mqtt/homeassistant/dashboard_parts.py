"""The sections of a dashboard about the parts of a clan or player and the game's calendar, and their badges.

Those of a clan war league, a raid weekend and clan games are visible only while there is one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from coc2mqtt.homeassistant.dashboard_cards import NO_STATE, heading, section, state, state_not

if TYPE_CHECKING:
    from coc2mqtt.homeassistant.dashboard_cards import Cards, Json

_TOP_DONORS = 5
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


def games_badges(cards: Cards) -> list[Json]:
    """Return the badge with the end of the clan games."""
    ends = cards.badge("sensor", "clan_games_end", cards.language.text("Clan games end"))
    return [{**ends, "visibility": [state(cards.id("sensor", "clan_games_state"), "ongoing")]}]


def games(cards: Cards) -> Json:
    """Return the section of the clan games."""
    language, below = cards.language, cards.id("sensor", "clan_games_members_below")
    whole = section(
        heading(language.text("Clan games"), "mdi:trophy-variant"),
        cards.tile("clan_games_points", language.text("Points"), color="amber"),
        cards.tile("clan_games_members_below", language.text("Members below the maximum")),
        {
            "type": "markdown",
            "title": language.text("Members below the maximum"),
            "content": (
                f"{{% for member in state_attr('{below}', 'members') or [] -%}}\n"
                "- {{ member.name }} ({{ member.points }})\n"
                f"{{% else -%}}\n{language.text('Everybody has reached the maximum.')}\n{{% endfor %}}\n"
            ),
        },
    )
    return {**whole, "visibility": [state(cards.id("sensor", "clan_games_state"), ["ongoing", "ended"])]}


def activity(cards: Cards) -> Json:
    """Return the section with the donations and the inactive members of a clan."""
    language = cards.language
    today, inactive = cards.id("sensor", "donations_today"), cards.id("sensor", "inactive_members")
    return section(
        heading(language.text("Member activity"), "mdi:account-clock"),
        cards.tile("donations_today", language.text("Donations today")),
        cards.tile("donations_week", language.text("Donations this week")),
        {
            "type": "markdown",
            "title": language.text("Top donors today"),
            "content": (
                f"{{% for member in (state_attr('{today}', 'members') or [])[:{_TOP_DONORS}] -%}}\n"
                "- {{ member.name }} ({{ member.donations }})\n"
                f"{{% else -%}}\n{language.text('Nobody has donated yet.')}\n{{% endfor %}}\n"
            ),
        },
        {
            "type": "markdown",
            "title": language.text("Inactive members"),
            "content": (
                f"{{% for member in state_attr('{inactive}', 'members') or [] -%}}\n"
                "- {{ member.name }}{% if member.last_seen %} "
                "({{ (member.last_seen | as_datetime | as_local).strftime('%Y-%m-%d') }}){% endif %}\n"
                f"{{% else -%}}\n{language.text('Everybody is active.')}\n{{% endfor %}}\n"
            ),
            "visibility": [state_not(inactive, *NO_STATE)],
        },
    )


def ranked(cards: Cards) -> list[Json]:
    """Return the tiles of a player's ranked week."""
    language = cards.language
    tiles = {
        "ranked_tier": language.text("Ranked tier"),
        "ranked_placement": language.text("Ranked placement"),
        "ranked_trophies": language.text("Ranked trophies"),
        "ranked_attacks": language.text("Ranked attacks"),
        "ranked_week_end": language.text("Ranked week end"),
    }
    return [cards.tile(key, name, hidden_without_value=True) for key, name in tiles.items()]


def calendar(cards: Cards) -> Json:
    """Return the section with the game's calendar, which is visible only if the calendar is watched."""
    language = cards.language
    tiles = {
        "gold_pass_end": language.text("Gold pass end"),
        "season_end": language.text("Season end"),
        "ranked_week_end": language.text("Ranked week end"),
        "clan_games_start": language.text("Clan games start"),
        "clan_games_end": language.text("Clan games end"),
        "raid_weekend_start": language.text("Raid weekend start"),
        "raid_weekend_end": language.text("Raid weekend end"),
    }
    whole = section(
        heading(language.text("Calendar"), "mdi:calendar"),
        *(cards.tile(key, name, hidden_without_value=True) for key, name in tiles.items()),
    )
    return {**whole, "visibility": [state_not(cards.id("sensor", "season_end"), *NO_STATE)]}


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
