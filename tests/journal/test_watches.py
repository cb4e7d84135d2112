"""Stored watches: the contract of every journal."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import orjson
import pytest

from coc2mqtt.events.resource import Kind, Reminders, Resource, Snapshot, Watch, default_watch
from coc2mqtt.journal import StoredWatch
from coc2mqtt.journal.codec import decode_watch, encode_watch

if TYPE_CHECKING:
    from tests.journal.test_contract import MakeJournal

CLAN, WAR, OTHER = Resource(Kind.CLAN, "#2PP"), Resource(Kind.WAR, "#2PP"), Resource(Kind.CLAN, "#8QQ")


async def test_watches_are_returned_in_the_order_they_were_first_stored(make_journal: MakeJournal) -> None:
    clan = Watch(Kind.CLAN, "#2PP", 60.0, members=False, war=True, war_interval=45.0, raids=True, raid_interval=90.0)
    fields, none = frozenset({"trophies", "name"}), frozenset[str]()
    player = Watch(Kind.PLAYER, "#PYL", 120.0, include_fields=fields, exclude_fields=none)
    war = Watch(Kind.WAR, "#2PP", 30.0)
    slower = Watch(Kind.CLAN, "#2PP", 600.0)
    async with make_journal() as journal:
        for watch in (clan, player, war):
            await journal.save_watch(watch)
        assert [stored.watch for stored in await journal.watches()] == [clan, player, war]
        await journal.save_watch(slower)
    async with make_journal() as journal:
        assert await journal.watches() == [
            StoredWatch(Kind.CLAN, "#2PP", slower),
            StoredWatch(Kind.PLAYER, "#PYL", player),
            StoredWatch(Kind.WAR, "#2PP", war),
        ]


@pytest.mark.parametrize(
    ("kind", "expected"),
    [(Kind.CLAN, default_watch(Kind.CLAN, "#2PP")), (Kind.PLAYER, Watch(Kind.PLAYER, "#2PP", 60.0))],
)
def test_watch_stored_by_an_earlier_version_is_like_a_new_one(kind: Kind, expected: Watch) -> None:
    stored = orjson.loads(encode_watch(Watch(kind, "#2PP", 60.0)))
    earlier = {"kind", "tag", "interval", "members", "war", "war_interval", "include_fields", "exclude_fields"}
    stored = {key: stored[key] for key in earlier}
    assert decode_watch(orjson.dumps(stored).decode()) == expected


async def test_clan_with_other_options_than_the_default_is_stored(make_journal: MakeJournal) -> None:
    reminders = Reminders(war=(90.0,), roles=frozenset({"leader", "admin"}), max_town_hall=17)
    watch = replace(default_watch(Kind.CLAN, "#2PP"), cwl=False, raids=False, reminders=reminders, inactive_after=None)
    async with make_journal() as journal:
        await journal.save_watch(watch)
    async with make_journal() as journal:
        assert [stored.watch for stored in await journal.watches()] == [watch]


async def test_removed_watch_is_stored_as_none_until_it_is_saved_again(make_journal: MakeJournal) -> None:
    watch = Watch(Kind.CLAN, "#2PP", 60.0)
    async with make_journal() as journal:
        await journal.save_watch(watch)
        await journal.mark_watch_removed(Kind.CLAN, "#2PP")
        await journal.mark_watch_removed(Kind.PLAYER, "#PYL")  # from the configuration file: never saved here
    async with make_journal() as journal:
        assert await journal.watches() == [
            StoredWatch(Kind.CLAN, "#2PP", None),
            StoredWatch(Kind.PLAYER, "#PYL", None),
        ]
        await journal.save_watch(watch)
        assert (await journal.watches())[0] == StoredWatch(Kind.CLAN, "#2PP", watch)


async def test_deleted_watch_is_not_returned(make_journal: MakeJournal) -> None:
    async with make_journal() as journal:
        await journal.save_watch(Watch(Kind.CLAN, "#2PP", 60.0))
        await journal.save_watch(Watch(Kind.PLAYER, "#2PP", 60.0))
        await journal.delete_watch(Kind.CLAN, "#2PP")
        await journal.delete_watch(Kind.CLAN, "#8QQ")
    async with make_journal() as journal:
        assert [(stored.kind, stored.tag) for stored in await journal.watches()] == [(Kind.PLAYER, "#2PP")]


async def test_save_watch_deletes_the_given_snapshots(make_journal: MakeJournal) -> None:
    async with make_journal() as journal:
        for resource in (CLAN, WAR, OTHER):
            await journal.commit(resource, Snapshot({"name": "The Order"}), [])
        await journal.save_watch(Watch(Kind.CLAN, "#2PP", 60.0), reset_snapshots=[CLAN, WAR])
        assert await journal.resources() == [OTHER]
    async with make_journal() as journal:
        assert await journal.resources() == [OTHER]
        assert [stored.tag for stored in await journal.watches()] == ["#2PP"]
