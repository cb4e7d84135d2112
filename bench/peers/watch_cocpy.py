"""Watch clans with coc.py's EventsClient and receive its donation events, with or without a rate limit."""

from __future__ import annotations

import asyncio
import sys
import traceback

import coc
import coc.events

# Above the possible request rate, so unlimited; it starts at most 200 polls per second anyway.
_UNPACED = 10_000


async def watch(url: str, tags: list[str], pace: float) -> None:
    """Watch until killed."""
    # Patched: it sleeps for ten seconds after each round of all clans, which leaves nothing to measure.
    coc.events.DEFAULT_SLEEP = 0
    client = coc.EventsClient(
        base_url=url,
        throttle_limit=int(pace) or _UNPACED,
        cache_max_size=0,
        load_game_data=coc.LoadGameData(never=True),
        loop=asyncio.get_running_loop(),
    )
    # Patched: its other requests (players, wars, the raid weekend) would count as costs of the clans.
    for name, task in client._updater_tasks.items():  # noqa: SLF001 it has no option for them
        if name != "clan":
            task.cancel()

    async def donated(_old: coc.ClanMember, _new: coc.ClanMember) -> None:
        pass

    async def failed(error: BaseException) -> None:
        traceback.print_exception(error)

    client.event(coc.ClanEvents.member_donations()(donated))
    client.event(coc.ClientEvents.event_error()(failed))
    client.add_clan_updates(*tags)
    await client.login_with_tokens("bench-0")
    await asyncio.Event().wait()


def main() -> None:
    """Take the URL, the event loop, a file of tags and the polls per second (0: unlimited) from the command line."""
    url, loop, file, pace = sys.argv[1:]
    with open(file, encoding="ascii") as lines:  # noqa: PTH123 avoids an import
        watching = watch(url, lines.read().split(), float(pace))
    if loop == "uvloop":
        import uvloop  # noqa: PLC0415 imported only if used

        uvloop.run(watching)
    else:
        asyncio.run(watching)


if __name__ == "__main__":
    main()
