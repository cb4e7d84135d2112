"""What the broker says to a message or a subscription of ours."""

from __future__ import annotations

from typing import NamedTuple

from coc2mqtt.mqtt.client.errors import (
    MessageTooLargeError,
    PublishDeferredError,
    PublishDeniedError,
    SubscribeDeniedError,
)

_REFUSED = 0x80
_NOT_AUTHORIZED = 0x87
_TOPIC_NAME_INVALID = 0x90
# No code of a PUBACK, but Mosquitto's word for a payload above its message_size_limit.
_PACKET_TOO_LARGE = 0x95
_QUOTA_EXCEEDED = 0x97
# Unspecified, implementation specific, packet identifier in use: the same message can go through the next time.
_PASSING = {0x80, 0x83, 0x91, _QUOTA_EXCEEDED}


class BrokerResponse(NamedTuple):
    """A reason code of MQTT 5 (section 2.4) and its name; from 3.1.1 only 0 and the 0x80 of a SUBACK come."""

    code: int
    reason: str


def check_puback(answer: BrokerResponse, topic: str, user: str, *, size: int) -> None:
    """Raise an error if a message was not taken; ``size`` is that of its packet in bytes.

    PublishDeferredError is for what may pass, MessageTooLargeError and PublishDeniedError for what stays.
    """
    code, reason = answer
    if code < _REFUSED:  # such as 0x10: taken, and nobody is there to read it
        return
    if code in _PASSING:
        what = "its queue limits" if code == _QUOTA_EXCEEDED else "its log"
        raise PublishDeferredError(
            f"the broker does not take messages on {topic} just now ({reason}): see {what} if this stays"
        )
    if code == _PACKET_TOO_LARGE:
        raise MessageTooLargeError(
            f"a message of {size} bytes on {topic} is larger than the broker takes ({reason}): raise the broker's"
            " limit (Mosquitto: message_size_limit)"
        )
    remedy = {
        _NOT_AUTHORIZED: f"allow the topic for {user} on the broker",
        _TOPIC_NAME_INVALID: "choose another mqtt.base_topic, or allow such topics on the broker",
    }.get(code, "see the broker's log")
    raise PublishDeniedError(f"the broker does not take messages on {topic} ({reason}): {remedy}")


def check_suback(answer: BrokerResponse, topic_filter: str, user: str) -> None:
    """Raise SubscribeDeniedError where a subscription was not granted."""
    code, reason = answer
    if code < _REFUSED:
        return
    # A 3.1.1 broker has this one code for every reason, and it is nearly always the access list.
    remedy = f"allow the topic for {user} on the broker" if code in {_REFUSED, _NOT_AUTHORIZED} else "see its log"
    raise SubscribeDeniedError(f"the broker does not grant a subscription to {topic_filter} ({reason}): {remedy}")
