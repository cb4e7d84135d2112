from __future__ import annotations

import random

import pytest

from coc2mqtt.events.polling.scheduler import Scheduler
from tests.support.simulation import Polls


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
