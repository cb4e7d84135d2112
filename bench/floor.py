"""The floor: the same bodies with aiohttp alone, read and decoded, one after the other."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import orjson
import uvloop
from aiohttp import ClientSession
from yarl import URL


async def ask(base: str, tags: list[str]) -> None:
    """Ask until killed."""
    urls = [URL(f"{base}/clans/%23{tag.removeprefix('#')}", encoded=True) for tag in tags]
    async with ClientSession(headers={"Authorization": "Bearer bench-0"}) as session:
        while True:
            for url in urls:
                async with session.get(url) as response:
                    orjson.loads(await response.read())


def main() -> None:
    """Take the URL, the loop's name and a file of tags, one a line, from the command line."""
    url, loop, file = sys.argv[1:]
    asking = ask(url, Path(file).read_text(encoding="ascii").split())
    if loop == "uvloop":
        uvloop.run(asking)
    else:
        asyncio.run(asking)


if __name__ == "__main__":
    main()
