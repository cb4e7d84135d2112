"""What every journal does with watches."""

from __future__ import annotations

from typing import TYPE_CHECKING

from coc2mqtt.events.resource import Kind, Resource, Snapshot
from coc2mqtt.events.watch import Watch
from coc2mqtt.journal import StoredWatch

if TYPE_CHECKING:
    from tests.journal.test_contract import Begin

CLAN, WAR, OTHER = Resource(Kind.CLAN, "#2PP"), Resource(Kind.WAR, "#2PP"), Resource(Kind.CLAN, "#8QQ")


async def test_watches_come_back_in_the_order_in_which_they_were_first_stored(begin: Begin) -> None:
    clan = Watch(Kind.CLAN, "#2PP", 60.0, members=False, war=True, war_interval=45.0)
    fields, none = frozenset({"trophies", "name"}), frozenset[str]()
    player = Watch(Kind.PLAYER, "#PYL", 120.0, include_fields=fields, exclude_fields=none)
    war = Watch(Kind.WAR, "#2PP", 30.0)
    slower = Watch(Kind.CLAN, "#2PP", 600.0)
    async with begin() as journal:
        for watch in (clan, player, war):
            await journal.save_watch(watch)
        assert [stored.watch for stored in await journal.watches()] == [clan, player, war]
        await journal.save_watch(slower)
    async with begin() as journal:
        assert await journal.watches() == [
            StoredWatch(Kind.CLAN, "#2PP", slower),
            StoredWatch(Kind.PLAYER, "#PYL", player),
            StoredWatch(Kind.WAR, "#2PP", war),
        ]


async def test_a_removed_watch_leaves_a_tombstone_until_it_is_saved_again(begin: Begin) -> None:
    watch = Watch(Kind.CLAN, "#2PP", 60.0)
    async with begin() as journal:
        await journal.save_watch(watch)
        await journal.mark_watch_removed(Kind.CLAN, "#2PP")
        await journal.mark_watch_removed(Kind.PLAYER, "#PYL")  # of the user's file: never saved here
    async with begin() as journal:
        assert await journal.watches() == [
            StoredWatch(Kind.CLAN, "#2PP", None),
            StoredWatch(Kind.PLAYER, "#PYL", None),
        ]
        await journal.save_watch(watch)
        assert (await journal.watches())[0] == StoredWatch(Kind.CLAN, "#2PP", watch)


async def test_a_watch_that_is_forgotten_leaves_nothing(begin: Begin) -> None:
    async with begin() as journal:
        await journal.save_watch(Watch(Kind.CLAN, "#2PP", 60.0))
        await journal.save_watch(Watch(Kind.PLAYER, "#2PP", 60.0))
        await journal.delete_watch(Kind.CLAN, "#2PP")
        await journal.delete_watch(Kind.CLAN, "#8QQ")
    async with begin() as journal:
        assert [(stored.kind, stored.tag) for stored in await journal.watches()] == [(Kind.PLAYER, "#2PP")]


async def test_a_watch_and_the_first_sight_that_it_begins_with_are_stored_in_one(begin: Begin) -> None:
    async with begin() as journal:
        for resource in (CLAN, WAR, OTHER):
            await journal.commit(resource, Snapshot({"name": "The Order"}), [])
        await journal.save_watch(Watch(Kind.CLAN, "#2PP", 60.0), reset_snapshots=[CLAN, WAR])
        assert await journal.resources() == [OTHER]
    async with begin() as journal:
        assert await journal.resources() == [OTHER]
        assert [stored.tag for stored in await journal.watches()] == ["#2PP"]
