"""The world that the scripted API shows: clans, wars and players, and what can happen to them."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Literal

from coc2mqtt.demo import war as wars
from coc2mqtt.demo.catalogue import LARGEST_CLAN
from coc2mqtt.demo.change import ImpossibleError, ScriptedChange
from coc2mqtt.demo.clan import Clan, draw_clan
from coc2mqtt.demo.names import PROBE_TAG, new_tags, seeded
from coc2mqtt.demo.player import Player, draw_player

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from coc2mqtt.demo.change import Sighting
    from coc2mqtt.demo.war import War

Json = dict[str, Any]
Kind = Literal["clan", "war", "player"]
Changes = list[ScriptedChange]

PREPARATION = timedelta(hours=23)
BATTLE = timedelta(hours=24)


def utc_now() -> datetime:
    """Return the present time in UTC."""
    return datetime.now(UTC)


class World:
    """A small Clash of Clans in memory, the same for the same seed and the same verbs.

    ``clans`` clans to be watched (the first with a public war log, every second with a private one) of ``members``
    each (10 to 50; None: drawn for each), and ``players`` players to be watched. These live in other clans, so that
    a change of theirs is no change of a watched clan. Every member of any clan has a player's page as well. ``now``
    gives the time in UTC; wars carry it.

    Each verb makes one change, appends to ``changes`` every event that a perfect watcher of ``clan_tags`` and
    ``player_tags`` reports for it, and returns these. A verb that is not possible raises ImpossibleError and changes
    nothing; KeyError for a tag that is not to be watched. While a war log is private its war stands still, as nobody
    could tell.
    """

    def __init__(
        self,
        *,
        seed: int = 1,
        now: Callable[[], datetime] = utc_now,
        clans: int = 2,
        members: int | None = None,
        players: int = 2,
    ) -> None:
        self.changes: Changes = []
        self.in_maintenance = False
        self._now = now
        self._rng = seeded(seed)
        self._tags = new_tags(self._rng)
        self._versions: Counter[tuple[Kind, str]] = Counter()
        self._clans: dict[str, Clan] = {}
        # The clan of everybody: a player's page shows it.
        self._homes: dict[str, Clan] = {}
        self._players: dict[str, Player] = {}
        for number in range(clans):
            clan = self._settle([], self._rng.randint(18, 40) if members is None else members)
            clan.war_log_public = number % 2 == 0
        self._clan_tags = tuple(self._clans)
        watched = [draw_player(self._rng, next(self._tags)) for _ in range(players)]
        self._player_tags = tuple(player.tag for player in watched)
        pages = [*watched, draw_player(self._rng, PROBE_TAG)]
        for first in range(0, len(pages), LARGEST_CLAN):
            residents = pages[first : first + LARGEST_CLAN]
            self._settle(residents, max(10, len(residents)))

    @property
    def clan_tags(self) -> tuple[str, ...]:
        """The clans to be watched."""
        return self._clan_tags

    @property
    def player_tags(self) -> tuple[str, ...]:
        """The players to be watched."""
        return self._player_tags

    def clan(self, tag: str) -> Json | None:
        """Return the body of a clan, None where there is none."""
        clan = self._clans.get(tag)
        return None if clan is None else clan.body()

    def current_war(self, tag: str) -> Json | None:
        """Return the body of a clan's war, None where there is no such clan or its war log is private."""
        clan = self._clans.get(tag)
        if clan is None or not clan.war_log_public:
            return None
        return wars.no_war_body() if clan.war is None else clan.war.body()

    def player(self, tag: str) -> Json | None:
        """Return the body of a player, None where there is none."""
        player = self._players.get(tag)
        return None if player is None else player.body(self._homes[tag].card())

    def is_war_log_private(self, tag: str) -> bool:
        """Whether there is such a clan, and it hides its wars."""
        clan = self._clans.get(tag)
        return clan is not None and not clan.war_log_public

    def version(self, kind: Kind, tag: str) -> int:
        """Return a number that changes whenever the body of this resource does."""
        return self._versions[kind, tag]

    def join(self, clan: str) -> Changes:
        """Let a new player join."""
        home, player = self._watched_clan(clan), draw_player(self._rng, next(self._tags))
        sightings = home.join(player)
        self._players[player.tag], self._homes[player.tag] = player, home
        return self._record("clan", clan, sightings)

    def leave(self, clan: str, member: str | None = None) -> Changes:
        """Let a member leave, the leader excepted; who has left is not heard of again."""
        sightings = self._watched_clan(clan).leave(member, self._rng)
        changes = self._record("clan", clan, sightings)
        gone = changes[-1].details["member_tag"]
        del self._players[gone], self._homes[gone]
        return changes

    def promote(self, clan: str, member: str | None = None) -> Changes:
        """Raise a member by one role, as far as co-leader."""
        return self._record("clan", clan, self._watched_clan(clan).promote(member, self._rng))

    def demote(self, clan: str, member: str | None = None) -> Changes:
        """Lower an elder or co-leader by one role."""
        return self._record("clan", clan, self._watched_clan(clan).demote(member, self._rng))

    def donate(self, clan: str, member: str | None = None, amount: int | None = None) -> Changes:
        """Let a member donate ``amount`` troops, one to forty by default, to another: both are seen."""
        amount = self._rng.randint(1, 40) if amount is None else amount
        return self._record("clan", clan, self._watched_clan(clan).donate(member, amount, self._rng))

    def rename_member(self, clan: str, member: str | None = None) -> Changes:
        """Give a member another name."""
        return self._record("clan", clan, self._watched_clan(clan).rename_member(member, self._rng))

    def upgrade_member_town_hall(self, clan: str, member: str | None = None) -> Changes:
        """Raise a member's town hall by one level."""
        return self._record("clan", clan, self._watched_clan(clan).upgrade_member_town_hall(member, self._rng))

    def gain_points(self, clan: str) -> Changes:
        """Let the clan's points grow."""
        return self._record("clan", clan, self._watched_clan(clan).gain_points(self._rng.randint(5, 300)))

    def set_war_log_public(self, clan: str, public: bool) -> Changes:
        """Open or close the war log: seen in the clan and at its war."""
        changes = self._record("clan", clan, self._watched_clan(clan).set_war_log_public(public))
        return changes + self._record("war", clan, [("war_log_public" if public else "war_log_private", {})])

    def declare_war(self, clan: str, preparation: timedelta = PREPARATION, battle: timedelta = BATTLE) -> Changes:
        """Begin the preparation of a war against a new opponent; one that has ended makes room for it."""
        home = self._visible_clan(clan)
        home.war, sightings = wars.declare(
            home, self._rng, self._tags, now=self._now(), preparation=preparation, battle=battle
        )
        return self._record("war", clan, sightings)

    def begin_battle(self, clan: str) -> Changes:
        """Go from the preparation of a war into battle."""
        return self._record("war", clan, self._war(clan).begin_battle())

    def attack(self, clan: str, side: wars.SideName | None = None) -> Changes:
        """Let one of the clan or of the opponent attack; ``side`` None: either."""
        return self._record("war", clan, self._war(clan).attack(side, self._rng))

    def end_war(self, clan: str) -> Changes:
        """End the battle: seen at the war, and the result in the clan."""
        war = self._war(clan)
        changes = self._record("war", clan, war.finish())
        return changes + self._record("clan", clan, self._clans[clan].count_war(war.result()))

    def clear_war(self, clan: str) -> Changes:
        """Leave the war that has ended."""
        sightings = self._war(clan).clear()
        self._clans[clan].war = None
        return self._record("war", clan, sightings)

    def upgrade_troop(self, player: str) -> Changes:
        """Raise one of the player's troops by one level."""
        return self._happen(player, self._watched_player(player).upgrade("troops", self._rng))

    def upgrade_spell(self, player: str) -> Changes:
        """Raise one of the player's spells by one level."""
        return self._happen(player, self._watched_player(player).upgrade("spells", self._rng))

    def upgrade_hero(self, player: str) -> Changes:
        """Raise one of the player's heroes by one level."""
        return self._happen(player, self._watched_player(player).upgrade("heroes", self._rng))

    def upgrade_equipment(self, player: str) -> Changes:
        """Raise one piece of the player's hero equipment by one level."""
        return self._happen(player, self._watched_player(player).upgrade("heroEquipment", self._rng))

    def upgrade_town_hall(self, player: str) -> Changes:
        """Raise the player's town hall by one level."""
        return self._happen(player, self._watched_player(player).upgrade_town_hall())

    def upgrade_builder_hall(self, player: str) -> Changes:
        """Raise the player's builder hall by one level."""
        return self._happen(player, self._watched_player(player).upgrade_builder_hall())

    def rename_player(self, player: str) -> Changes:
        """Give the player another name."""
        return self._happen(player, self._watched_player(player).rename(self._rng))

    def change_league(self, player: str) -> Changes:
        """Move the player one league up or down."""
        return self._happen(player, self._watched_player(player).change_league(self._rng))

    def change_labels(self, player: str) -> Changes:
        """Give the player other labels."""
        return self._happen(player, self._watched_player(player).change_labels(self._rng))

    def win_trophies(self, player: str) -> Changes:
        """Let the player win trophies."""
        return self._happen(player, self._watched_player(player).win_trophies(self._rng.randint(1, 40)))

    def begin_maintenance(self) -> Changes:
        """Begin a maintenance: the API answers nothing else meanwhile."""
        return self._maintain("maintenance_start", running=True)

    def end_maintenance(self) -> Changes:
        """End the maintenance."""
        return self._maintain("maintenance_end", running=False)

    def _maintain(self, event_type: str, *, running: bool) -> Changes:
        if self.in_maintenance == running:
            raise ImpossibleError("the maintenance has begun already" if running else "there is no maintenance to end")
        self.in_maintenance = running
        self.changes.append(ScriptedChange(event_type, "api", "api", {}))
        return self.changes[-1:]

    def _settle(self, residents: list[Player], size: int) -> Clan:
        clan = draw_clan(self._rng, self._tags, residents, size)
        self._clans[clan.tag] = clan
        for member in clan.members:
            self._players[member.tag], self._homes[member.tag] = member, clan
        return clan

    def _watched_clan(self, tag: str) -> Clan:
        if tag not in self._clan_tags:
            raise KeyError(f"{tag} is none of the world's clan_tags")
        return self._clans[tag]

    def _visible_clan(self, tag: str) -> Clan:
        clan = self._watched_clan(tag)
        if not clan.war_log_public:
            raise ImpossibleError(f"the war log of {clan.name} is private, so its war stands still: make it public")
        return clan

    def _war(self, tag: str) -> War:
        clan = self._visible_clan(tag)
        if clan.war is None:
            raise ImpossibleError(f"{clan.name} is not in a war: declare one first")
        return clan.war

    def _watched_player(self, tag: str) -> Player:
        if tag not in self._player_tags:
            raise KeyError(f"{tag} is none of the world's player_tags")
        return self._players[tag]

    def _happen(self, player: str, sighting: Sighting) -> Changes:
        # What a player's page shows may stand in the member list of the player's clan as well.
        self._versions["clan", self._homes[player].tag] += 1
        return self._record("player", player, [sighting])

    def _record(self, kind: Kind, tag: str, sightings: Iterable[Sighting]) -> Changes:
        self._versions[kind, tag] += 1
        changes = []
        for event_type, details in sightings:
            if "member_tag" in details:
                self._versions["player", details["member_tag"]] += 1
            changes.append(ScriptedChange(event_type, "player" if kind == "player" else "clan", tag, details))
        self.changes += changes
        return changes
