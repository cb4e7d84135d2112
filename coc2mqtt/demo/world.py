"""The world of the simulated API: clans, wars, leagues, raids, players and their changes."""

from __future__ import annotations

from typing import Any

from coc2mqtt.demo import war as wars
from coc2mqtt.demo.clan_changes import ClanChanges
from coc2mqtt.demo.league_changes import LeagueChanges
from coc2mqtt.demo.player_changes import PlayerChanges
from coc2mqtt.demo.raid_changes import RaidChanges
from coc2mqtt.demo.season_changes import SeasonChanges
from coc2mqtt.demo.war_changes import WarChanges

Json = dict[str, Any]


class World(ClanChanges, WarChanges, LeagueChanges, RaidChanges, PlayerChanges, SeasonChanges):
    """A small Clash of Clans in memory, the same for the same seed and the same method calls.

    It has ``clans`` clans to watch (the first with a public war log, every second with a private one) with ``members``
    each (10 to 50; None: random), and ``players`` players to watch. These are members of other clans, so that their
    changes do not change a watched clan. Every member of any clan is also available as a player. ``now`` returns the
    time in UTC for wars, leagues and raids.

    Each method that changes the world appends the events that must be published for ``clan_tags`` and ``player_tags``
    to ``changes``, and returns them. An impossible change raises ImpossibleError and changes nothing; KeyError for a
    tag that is not to be watched. While a war log is private, its war does not change. The opponents of wars are known
    only through these wars, not as clans; the other clans of a league only through its group and its wars.
    """

    def clan(self, tag: str) -> Json | None:
        """Return the body of a clan, None if it does not exist."""
        clan = self._population.clan(tag)
        return None if clan is None else clan.body()

    def current_war(self, tag: str) -> Json | None:
        """Return the body of a clan's or an opponent's war, None if unknown or its war log is private."""
        if tag in self._wars:
            return self._wars[tag].seen_by_opponent().body()
        clan = self._population.clan(tag)
        if clan is None or not clan.war_log_public:
            return None
        return wars.no_war_body() if clan.war is None else clan.war.body()

    def war_log(self, tag: str) -> Json | None:
        """Return the body of a clan's war log, None if the clan is unknown or the log is private."""
        clan = self._population.clan(tag)
        return clan.war_log.body() if clan is not None and clan.war_log_public else None

    def league_group(self, tag: str) -> Json | None:
        """Return the body of the league group of a clan, None without one."""
        return self._leagues.group_body(tag)

    def league_war(self, war_tag: str) -> Json | None:
        """Return the body of a war of a clan war league, None if it is unknown."""
        war = self._leagues.war(war_tag)
        return None if war is None else war.body()

    def raid_seasons(self, tag: str, limit: int | None = None) -> Json | None:
        """Return the body of a clan's last ``limit`` raid weekends (None: all), None if the clan is unknown."""
        clan = self._population.clan(tag)
        return None if clan is None else clan.raids.body(limit)

    def player(self, tag: str) -> Json | None:
        """Return the body of a player, None if they do not exist."""
        player, home = self._population.player(tag), self._population.home(tag)
        if player is None:
            return None
        body = player.body(None if home is None else home.card())
        return body | self._season_fields(tag, body)

    def is_war_log_private(self, tag: str) -> bool:
        """Whether the clan exists and has a private war log."""
        clan = self._population.clan(tag)
        return clan is not None and not clan.war_log_public
