from __future__ import annotations

from datetime import UTC, datetime

import pytest

from coc2mqtt.demo import World

NOON = datetime(2026, 11, 24, 12, 0, 0, tzinfo=UTC)


@pytest.fixture
def world() -> World:
    return World(now=lambda: NOON)
