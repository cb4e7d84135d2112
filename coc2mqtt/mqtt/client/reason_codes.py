"""The reason codes of MQTT 5 with which a broker answers messages and subscriptions."""

from __future__ import annotations

from typing import NamedTuple

from coc2mqtt.mqtt.client.errors import (
    MessageTooLargeError,
    PublishDeferredError,
    PublishDeniedError,
    SubscribeDeniedError,
)

# From here on, a reason code is a failure.
FAILURE = 0x80
PROTOCOL_ERROR = 0x82
_NOT_AUTHORIZED = 0x87
_TOPIC_NAME_INVALID = 0x90
# Not a valid code of a PUBACK, but Mosquitto sends it for a payload above its message_size_limit.
PACKET_TOO_LARGE = 0x95
_QUOTA_EXCEEDED = 0x97
# Unspecified, implementation specific, packet identifier in use: the same message can succeed next time.
_RETRYABLE = {0x80, 0x83, 0x91, _QUOTA_EXCEEDED}

_PUBACK, _DISCONNECT = 4, 14
# Per packet type: the index of the code in the packet's body, and the codes that the standard allows
# (MQTT 5, sections 3.4.2.1 and 3.14.2.1).
_ALLOWED = {
    _PUBACK: (2, {0x00, 0x10, 0x80, 0x83, 0x87, 0x90, 0x91, 0x97, 0x99}),
    _DISCONNECT: (0, {0x00, 0x04, *range(0x80, 0x84), 0x87, 0x89, *range(0x8B, 0x91), *range(0x93, 0xA3)} - {0x91}),
}
_NAMES = {PACKET_TOO_LARGE: "packet too large"}


class BrokerResponse(NamedTuple):
    """A reason code of MQTT 5 (section 2.4) and its name; 3.1.1 has only 0 and the 0x80 of a SUBACK."""

    code: int
    reason: str


def check_puback(response: BrokerResponse, topic: str, user: str, *, size: int) -> None:
    """Raise an error if the broker rejected a message; ``size`` is the size of its packet in bytes.

    Raises PublishDeferredError if a retry may succeed, otherwise MessageTooLargeError or PublishDeniedError.
    """
    code, reason = response
    if code < FAILURE:  # includes 0x10: accepted, but without matching subscribers
        return
    if code in _RETRYABLE:
        cause = "queue limits" if code == _QUOTA_EXCEEDED else "log"
        raise PublishDeferredError(
            f"the broker rejects messages on {topic} for now ({reason}): check its {cause} if this persists"
        )
    if code == PACKET_TOO_LARGE:
        raise MessageTooLargeError(
            f"a message of {size} bytes on {topic} is too large for the broker ({reason}): raise the broker's limit"
            " (Mosquitto: message_size_limit)"
        )
    remedy = {
        _NOT_AUTHORIZED: f"allow the topic for {user} on the broker",
        _TOPIC_NAME_INVALID: "choose another mqtt.base_topic, or allow such topics on the broker",
    }.get(code, "check the broker's log")
    raise PublishDeniedError(f"the broker rejects messages on {topic} ({reason}): {remedy}")


def check_suback(response: BrokerResponse, topic_filter: str, user: str) -> None:
    """Raise SubscribeDeniedError if the broker rejected a subscription."""
    code, reason = response
    if code < FAILURE:
        return
    # A 3.1.1 broker has this one code for every reason, which is nearly always its access list.
    remedy = f"allow the topic for {user} on the broker" if code in {FAILURE, _NOT_AUTHORIZED} else "check its log"
    raise SubscribeDeniedError(f"the broker rejected the subscription to {topic_filter} ({reason}): {remedy}")


def replace_invalid_code(packet_type: int, body: bytearray) -> int | None:
    """Replace a reason code that the standard does not allow in such a packet with 0x80, and return it; else None."""
    index, allowed = _ALLOWED.get(packet_type, (0, None))
    if allowed is None or len(body) <= index or body[index] in allowed:
        return None
    code = body[index]
    body[index] = FAILURE
    return code


def invalid_code_name(code: int) -> str:
    """Return the name of a reason code that was replaced."""
    return _NAMES.get(code, f"reason code 0x{code:02x}")
