"""Watch clans with cocapi's EventStream and take its events: one poll after the other, without a rest in between."""

from __future__ import annotations

import asyncio
import sys

from cocapi import ApiConfig, CocApi
from cocapi.events import EventStream


async def watch(url: str, tags: list[str]) -> None:
    """Watch until killed."""
    # Its own advice for events is to leave the cache out. Without its pace it makes as many polls as it can.
    config = ApiConfig(base_url=url, enable_caching=False, enable_rate_limiting=False)
    async with CocApi("bench-0", config=config) as api:
        # With an interval of 0 the next round begins at once, so that what is measured is polls.
        stream = EventStream(api).watch_clans(tags, interval=0)
        async with stream:
            async for event in stream:
                if event.event_type.value == "poll_error":
                    print(event.metadata, file=sys.stderr)


def main() -> None:
    """Take the URL, the loop's name and a file of tags, one a line, from the command line."""
    url, loop, file = sys.argv[1:]
    with open(file, encoding="ascii") as lines:  # noqa: PTH123 - so little is imported
        tags = lines.read().split()
    if loop == "uvloop":
        import uvloop  # noqa: PLC0415 - where it is asked for

        uvloop.run(watch(url, tags))
    else:
        asyncio.run(watch(url, tags))


if __name__ == "__main__":
    main()
