"""The floor: fetches the same bodies with aiohttp and decodes them with orjson, sequentially."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import orjson
import uvloop
from aiohttp import ClientSession
from yarl import URL


async def fetch(base: str, tags: list[str], pace: float) -> None:
    """Fetch until killed."""
    urls = [URL(f"{base}/clans/%23{tag.removeprefix('#')}", encoded=True) for tag in tags]
    async with ClientSession(headers={"Authorization": "Bearer bench-0"}) as session:
        loop = asyncio.get_running_loop()
        due = loop.time()
        while True:
            for url in urls:
                if pace:
                    due += 1 / pace
                    await asyncio.sleep(due - loop.time())
                async with session.get(url) as response:
                    orjson.loads(await response.read())


def main() -> None:
    """Take the URL, the event loop, a file of tags and the polls per second (0: unlimited) from the command line."""
    url, loop, file, pace = sys.argv[1:]
    fetching = fetch(url, Path(file).read_text(encoding="ascii").split(), float(pace))
    if loop == "uvloop":
        uvloop.run(fetching)
    else:
        asyncio.run(fetching)


if __name__ == "__main__":
    main()
