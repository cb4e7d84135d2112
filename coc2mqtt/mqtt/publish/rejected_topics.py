"""The retained topics whose last message the broker refused."""

from __future__ import annotations

import structlog

from coc2mqtt.mqtt.client.errors import MessageTooLargeError, PublishDeniedError

_log = structlog.get_logger()

# How many topics are logged over one connection: a broker may refuse every one of thousands.
_MAX_LOGGED = 20


class RejectedTopics:
    """Remembers which retained topics the broker refuses, and why.

    ``count`` is how many messages were refused since the start.
    """

    def __init__(self) -> None:
        self.count = 0
        # Whether the broker may take the same message another time.
        self._may_pass: dict[str, bool] = {}
        self._logged = 0
        self._last_reason = ""

    def note(self, topic: str, error: PublishDeniedError | MessageTooLargeError) -> None:
        """Take note of a refusal; the first of its topic is logged."""
        self.count += 1
        self._last_reason = str(error)
        if topic not in self._may_pass and self._logged < _MAX_LOGGED:
            self._logged += 1
            _log.error("a state was not accepted", topic=topic, reason=str(error))
        # A limit that the broker gave at the connect stays for as long as the connection.
        self._may_pass[topic] = not (isinstance(error, MessageTooLargeError) and error.exceeds_announced_limit)

    def accepted(self, topic: str) -> None:
        """Take note that the broker took a message on a topic."""
        if self._may_pass.pop(topic, None) is not None:
            _log.info("a state is accepted again", topic=topic)

    def forget(self, topic: str) -> None:
        """Forget a topic on which nothing is published any more."""
        self._may_pass.pop(topic, None)

    def clear(self) -> None:
        """Forget all topics, for a new connection."""
        self._may_pass.clear()
        self._logged = 0

    def may_pass(self, topic: str) -> bool:
        """Return whether the last message on a topic was refused and may be taken another time."""
        return self._may_pass.get(topic, False)

    @property
    def any_may_pass(self) -> bool:
        """Whether any refused message may be taken another time."""
        return any(self._may_pass.values())

    @property
    def problem(self) -> str | None:
        """What is refused now, in words, None if nothing is."""
        if not self._may_pass:
            return None
        return f"the broker refuses {len(self._may_pass)} of the retained messages: {self._last_reason}"
