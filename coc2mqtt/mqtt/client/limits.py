"""What a broker takes, and what it is told that is taken here."""

from __future__ import annotations

from dataclasses import dataclass

from coc2mqtt.mqtt.client.errors import MessageTooLargeError, PublishDeniedError

# At most: 5 bytes of fixed header, 2 and 2 for the topic's length and the packet's id, 7 around the properties.
_PACKET_OVERHEAD = 16
_LONGEST_TOPIC = 0xFFFF

# What a broker of MQTT 5 is told at the connect. Requests are small; what is larger never gets here.
LARGEST_INCOMING_PACKET = 256 * 1024
INCOMING_AT_ONCE = 200


@dataclass(frozen=True, slots=True)
class Limits:
    """What the CONNACK of MQTT 5 says that the broker takes; without a word of it, what the protocol takes.

    ``largest_packet`` is in bytes. ``keepalive`` is the broker's own, in seconds; 0 is none that is missed.
    """

    largest_packet: int = 268_435_455
    receive_maximum: int = 0xFFFF
    keepalive: int = 0
    maximum_qos: int = 2
    retains: bool = True
    wildcards: bool = True


def check_message(topic: str, payload: bytes, correlation_data: bytes, *, largest_packet: int) -> int:
    """Refuse what paho raises ValueError for, or a broker ends the whole connection for (MQTT 5, section 4.7.3).

    Returns the size of the packet in bytes, at most. Raises PublishDeniedError, MessageTooLargeError.
    """
    name = topic.encode()
    if not 0 < len(name) <= _LONGEST_TOPIC or any(character in topic for character in "+#\0"):
        raise PublishDeniedError(f"{topic[:100]!r} is no topic to publish on: it is empty, too long, or a filter")
    size = len(name) + len(correlation_data) + len(payload) + _PACKET_OVERHEAD
    if size > largest_packet:
        error = MessageTooLargeError(
            f"a message of {size} bytes on {topic} is larger than the {largest_packet} that the broker takes:"
            " raise the broker's limit (Mosquitto: max_packet_size)"
        )
        error.is_announced = True
        raise error
    return size
