"""What is watched, as it is retained for whoever wants to know."""

from __future__ import annotations

from typing import TYPE_CHECKING

from coc2mqtt.util.fair_iteration import yield_periodically

if TYPE_CHECKING:
    from coc2mqtt.mqtt.control.commands import Watches


async def watches_payload(watches: Watches) -> bytes:
    """Return the payload of ``bridge/watches``, a WatchesPayload.

    It is put together piece by piece: ten thousand watches in one go would hold up everything else for longer than
    anything may.
    """
    pieces = [
        (await watches.describe(watch)).encode() async for watch in yield_periodically(watches.watched(None, None))
    ]
    return b'{"watches":[%b]}' % b",".join(pieces)
