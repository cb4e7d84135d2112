"""The limits that the broker announces, those announced to it, and the check of a message against them."""

from __future__ import annotations

from dataclasses import dataclass

from coc2mqtt.mqtt.client.errors import MessageTooLargeError, PublishDeniedError

# At most: 5 bytes of fixed header, 2 each for the topic's length and the packet identifier, 7 around the properties.
_PACKET_OVERHEAD_BYTES = 16
_MAX_TOPIC_BYTES = 0xFFFF

# Announced to an MQTT 5 broker in the CONNECT. Requests are small; larger packets are not delivered to this client.
MAX_INCOMING_PACKET_BYTES = 256 * 1024
MAX_INCOMING_INFLIGHT = 200


@dataclass(frozen=True, slots=True)
class BrokerLimits:
    """The limits in an MQTT 5 CONNACK; the defaults are those of the protocol.

    ``max_packet_size`` is in bytes. ``server_keepalive`` is in seconds, 0 if the broker does not set it.
    """

    max_packet_size: int = 268_435_455
    receive_maximum: int = 0xFFFF
    server_keepalive: int = 0
    max_qos: int = 2
    retain_available: bool = True
    wildcards_available: bool = True


def check_message(topic: str, payload: bytes, correlation_data: bytes, *, max_packet_size: int) -> int:
    """Return the maximum size of the message's packet in bytes; raise an error for a message that must not be sent.

    paho raises ValueError for such a message, or a broker closes the whole connection (MQTT 5, section 4.7.3).
    Raises PublishDeniedError and MessageTooLargeError.
    """
    encoded = topic.encode()
    if not 0 < len(encoded) <= _MAX_TOPIC_BYTES or any(character in topic for character in "+#\0"):
        raise PublishDeniedError(f"cannot publish on {topic[:100]!r}: the topic is empty, too long, or a topic filter")
    size = len(encoded) + len(correlation_data) + len(payload) + _PACKET_OVERHEAD_BYTES
    if size > max_packet_size:
        error = MessageTooLargeError(
            f"a message of {size} bytes on {topic} exceeds the broker's limit of {max_packet_size} bytes:"
            " raise the broker's limit (Mosquitto: max_packet_size)"
        )
        error.exceeds_announced_limit = True
        raise error
    return size
