"""The floor: the same bodies with aiohttp alone, read and decoded, one after the other, at a pace or without a rest."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import orjson
import uvloop
from aiohttp import ClientSession
from yarl import URL


async def ask(base: str, tags: list[str], pace: float) -> None:
    """Ask until killed."""
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
    """Take the URL, the loop's name, a file of tags and the polls per second (0: unpaced) from the command line."""
    url, loop, file, pace = sys.argv[1:]
    asking = ask(url, Path(file).read_text(encoding="ascii").split(), float(pace))
    if loop == "uvloop":
        uvloop.run(asking)
    else:
        asyncio.run(asking)


if __name__ == "__main__":
    main()
