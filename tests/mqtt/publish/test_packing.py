from __future__ import annotations

import random
from typing import TYPE_CHECKING

import pytest

from coc2mqtt.mqtt.publish.packing import Packer
from tests.homeassistant.builders import bridge, clan, player

if TYPE_CHECKING:
    from collections.abc import Callable

    from coc2mqtt.homeassistant import DiscoveryMessage

ODD = [b"", b"x", b"{}", b"\0" * 7, b"a" * 2000, random.Random(1).randbytes(30_000)]


def test_what_is_packed_comes_out_as_it_was() -> None:
    packer = Packer()
    payloads = [bridge().payload, *ODD, *(build(tag).payload for build in (clan, player) for tag in ("#2PP", "#8QQ"))]
    assert [packer.unpack(packed) for packed in [packer.pack(payload) for payload in payloads]] == payloads


@pytest.mark.parametrize("build", [clan, player])
def test_a_device_like_one_before_takes_hardly_any_room(build: Callable[..., DiscoveryMessage]) -> None:
    packer = Packer()
    for payload in (*ODD, bridge().payload, build("#2PP").payload):
        packer.pack(payload)
    assert len(packer.pack(build("#LQR8PYVG", name="Another Name").payload)) < 700


def test_whatever_else_is_packed_it_comes_out_as_it_was() -> None:
    rng, packer = random.Random(2), Packer()
    payloads = [rng.randbytes(rng.randrange(5000)) for _ in range(50)]
    packed = [packer.pack(payload) for payload in payloads]
    assert [packer.unpack(one) for one in packed] == payloads
