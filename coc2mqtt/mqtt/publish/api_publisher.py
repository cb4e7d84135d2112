"""Publishing the retained state of the API and the game's calendar."""

from __future__ import annotations

from typing import TYPE_CHECKING

from coc2mqtt.events.resource import API, CALENDAR
from coc2mqtt.mqtt.payloads.calendar import calendar_payload
from coc2mqtt.mqtt.payloads.state import api_status_payload

if TYPE_CHECKING:
    from coc2mqtt.journal.protocol import Journal
    from coc2mqtt.mqtt.client.connection import Session
    from coc2mqtt.mqtt.publish.retained_publisher import RetainedPublisher
    from coc2mqtt.mqtt.topics import Topics


class ApiPublisher:
    """Publishes the status of the API, and the calendar if it is watched.

    If it is watched no longer, its topic is emptied and its snapshot is deleted.
    """

    def __init__(self, journal: Journal, topics: Topics, publisher: RetainedPublisher, *, calendar: bool) -> None:
        self._journal = journal
        self._topics = topics
        self._publisher = publisher
        self._calendar = calendar

    async def publish(self, session: Session) -> bool:
        """Publish both; return whether the broker accepted them."""
        status = await self._journal.snapshot(API)
        calendar = await self._journal.snapshot(CALENDAR)
        accepted = True
        if status is not None:
            payload = api_status_payload(status).encode()
            accepted = await self._publisher.publish(session, self._topics.api_status, payload)
        if calendar is None:
            return accepted
        if not self._calendar:
            emptied = await self._publisher.publish(session, self._topics.api_calendar, b"")
            if emptied:
                await self._journal.delete_snapshot(CALENDAR)
            return accepted and emptied
        payload = calendar_payload(calendar).encode()
        if self._publisher.matches_published(self._topics.api_calendar, payload):
            return accepted
        return await self._publisher.publish(session, self._topics.api_calendar, payload) and accepted
