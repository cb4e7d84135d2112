"""Watch clans with cocapi's EventStream and receive its events, with or without a rate limit."""

from __future__ import annotations

import asyncio
import sys

from cocapi import ApiConfig, CocApi
from cocapi.events import EventStream


async def watch(url: str, tags: list[str], pace: float) -> None:
    """Watch until killed."""
    # Its documentation recommends disabling the cache for events.
    config = ApiConfig(
        base_url=url,
        enable_caching=False,
        enable_rate_limiting=pace > 0,
        requests_per_second=pace,
        burst_limit=1,
    )
    async with CocApi("bench-0", config=config) as api:
        # With an interval of 0 the next round starts at once, so only polls are measured.
        stream = EventStream(api).watch_clans(tags, interval=0)
        async with stream:
            async for event in stream:
                if event.event_type.value == "poll_error":
                    print(event.metadata, file=sys.stderr)


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
