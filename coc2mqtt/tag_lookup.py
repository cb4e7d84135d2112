"""Asking the API about the tag of a new watch before it is added."""

from __future__ import annotations

import asyncio
import math
from typing import TYPE_CHECKING

import structlog

from coc2mqtt.clash.errors import (
    BadRequestError,
    ClashError,
    DeniedError,
    InvalidResponseError,
    MaintenanceError,
    NotFoundError,
    ThrottledError,
    UnreachableError,
)
from coc2mqtt.events.resource import Kind
from coc2mqtt.mqtt.control import sentences
from coc2mqtt.mqtt.control.request import CommandError

if TYPE_CHECKING:
    from coc2mqtt.clash.client import ClashApi
    from coc2mqtt.mqtt.control.sentences import Sentence

_log = structlog.get_logger()

# A person waits for the result. The API usually responds within a second, but its rate limit may delay the request.
_TIMEOUT_S = 10.0
# Concurrent requests: enough for scripts that add many watches, and few compared to the polls.
_MAX_CONCURRENT = 4


class TagLookup:
    """Asks the API whether there is a clan or player with a tag: ``name = await look_up(Kind.CLAN, "#2PP")``.

    At most four requests are made at a time. Each takes at most ten seconds, including the time that it waits for the
    rate limit, but not the time that it waits for the others: a script can add hundreds of watches at once. If a
    request fails because of the API, those that wait behind it fail as well, as they would one by one.
    """

    def __init__(self, api: ClashApi) -> None:
        self._api = api
        self._slots = asyncio.Semaphore(_MAX_CONCURRENT)
        self._failed_at = -math.inf
        self._failure = sentences.UNREACHABLE

    async def __call__(self, kind: Kind, tag: str) -> str | None:
        """Return the name of a clan or player, None if the response has none.

        Raises CommandError if there is none with this tag, and if the API cannot say.
        """
        requested_at = asyncio.get_running_loop().time()
        async with self._slots:
            if self._failed_at >= requested_at:
                raise CommandError(sentences.not_checked(tag, self._failure))
            try:
                async with asyncio.timeout(_TIMEOUT_S):
                    response = await (self._api.clan(tag) if kind is Kind.CLAN else self._api.player(tag))
                name = response.data.get("name")
            except NotFoundError:
                raise CommandError(sentences.unknown_tag(tag, kind.value)) from None
            except (ClashError, TimeoutError) as error:
                reason = _reason(error)
                _log.info("cannot look up tag", kind=kind.value, tag=tag, reason=str(error) or str(reason))
                if not isinstance(error, BadRequestError | InvalidResponseError):
                    self._failed_at, self._failure = asyncio.get_running_loop().time(), reason
                raise CommandError(sentences.not_checked(tag, reason)) from None
        return name if isinstance(name, str) else None


def _reason(error: Exception) -> Sentence:
    for kind, sentence in (
        (TimeoutError, sentences.NO_RESPONSE),
        (MaintenanceError, sentences.IN_MAINTENANCE),
        (DeniedError, sentences.TOKEN_REJECTED),
        (ThrottledError, sentences.THROTTLED),
        (UnreachableError, sentences.UNREACHABLE),
    ):
        if isinstance(error, kind):
            return sentence
    return sentences.UNUSABLE_RESPONSE
