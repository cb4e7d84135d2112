"""Reason codes of MQTT 5 in packets in which the standard does not allow them."""

from __future__ import annotations

_UNSPECIFIED = 0x80
_PUBACK, _DISCONNECT = 4, 14
# Per packet: where the code is in its body, and those that it may have (MQTT 5, sections 3.4.2.1 and 3.14.2.1).
_ALLOWED = {
    _PUBACK: (2, {0x00, 0x10, 0x80, 0x83, 0x87, 0x90, 0x91, 0x97, 0x99}),
    _DISCONNECT: (0, {0x00, 0x04, *range(0x80, 0x84), 0x87, 0x89, *range(0x8B, 0x91), *range(0x93, 0xA3)} - {0x91}),
}
# Mosquitto answers so to a payload above its message_size_limit.
_NAMES = {0x95: "packet too large"}


def replace_foreign(kind: int, body: bytearray) -> int | None:
    """Replace a reason code that such a packet may not have with an unspecified error, and return it, else None."""
    at, allowed = _ALLOWED.get(kind, (0, None))
    if allowed is None or len(body) <= at or body[at] in allowed:
        return None
    code = body[at]
    body[at] = _UNSPECIFIED
    return code


def name_of_foreign(code: int) -> str:
    """Return how a sentence names a reason code that was replaced."""
    return _NAMES.get(code, f"reason code 0x{code:02x}")
