from __future__ import annotations

import random
from typing import TYPE_CHECKING

import pytest

from coc2mqtt.events.polling.scheduler import Scheduler
from tests.support.raid_replay import begun_weekend
from tests.support.simulation import Polls

if TYPE_CHECKING:
    from tests.support.raids import Weekend


@pytest.fixture
def scheduler() -> Scheduler:
    return Scheduler(rng=random.Random(1))


@pytest.fixture
def sequential() -> Scheduler:
    """Return a scheduler that makes one poll at a time."""
    return Scheduler(rng=random.Random(1), concurrency=1)


@pytest.fixture
def polls() -> Polls:
    return Polls()


@pytest.fixture
def weekend() -> Weekend:
    """Return a raid weekend in which Ann has attacked twice."""
    return begun_weekend()
