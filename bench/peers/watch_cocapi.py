"""Watch clans with cocapi's EventStream and take its events: one poll after the other, at a pace or without a rest."""

from __future__ import annotations

import asyncio
import sys

from cocapi import ApiConfig, CocApi
from cocapi.events import EventStream


async def watch(url: str, tags: list[str], pace: float) -> None:
    """Watch until killed."""
    # Its own advice for events is to leave the cache out.
    config = ApiConfig(
        base_url=url,
        enable_caching=False,
        enable_rate_limiting=pace > 0,
        requests_per_second=pace,
        burst_limit=1,
    )
    async with CocApi("bench-0", config=config) as api:
        # With an interval of 0 the next round begins at once, so that what is measured is polls.
        stream = EventStream(api).watch_clans(tags, interval=0)
        async with stream:
            async for event in stream:
                if event.event_type.value == "poll_error":
                    print(event.metadata, file=sys.stderr)


def main() -> None:
    """Take the URL, the loop's name, a file of tags and the polls per second (0: unpaced) from the command line."""
    url, loop, file, pace = sys.argv[1:]
    with open(file, encoding="ascii") as lines:  # noqa: PTH123 - so little is imported
        watching = watch(url, lines.read().split(), float(pace))
    if loop == "uvloop":
        import uvloop  # noqa: PLC0415 - where it is asked for

        uvloop.run(watching)
    else:
        asyncio.run(watching)


if __name__ == "__main__":
    main()
