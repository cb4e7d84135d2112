"""The short form of ``make chaos``; the long one is in CONTRIBUTING.md."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import pytest

from tests.chaos.plan import LONG, SHORT, Kind, draw_plan
from tests.chaos.report import keep_evidence, table
from tests.chaos.run import BROKER_LINES, USERS, run

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import StartMosquitto


@pytest.mark.chaos
async def test_nothing_is_lost_whatever_dies(mosquitto: StartMosquitto, tmp_path: Path) -> None:
    plan = draw_plan(13, SHORT, pause=(0.05, 0.2), pace=2, home_assistant=False)
    result = await run(plan, mosquitto(*BROKER_LINES, users=USERS), tmp_path)
    keep_evidence(result, tmp_path)
    assert result.violations == [], f"{table(result)}\nthe evidence is in {tmp_path}"
    assert len(result.performed) == len(plan.faults)


def test_the_same_seed_gives_the_same_plan() -> None:
    pause = (0.1, 0.2)
    assert draw_plan(5, LONG, pause=pause) == draw_plan(5, LONG, pause=pause) != draw_plan(6, LONG, pause=pause)


def test_the_long_form_has_as_many_faults_as_it_promises() -> None:
    plan = draw_plan(1, LONG, pause=(0.1, 0.2))
    targets = Counter(fault.target for fault in plan.faults)
    assert targets["bridge"] >= 20
    assert targets["broker"] >= 20
    assert targets["network"] >= 10
    assert targets["api"] >= 5
    kinds = Counter(fault.kind for fault in plan.faults)
    assert min(kinds[kind] for kind in (Kind.CUT, Kind.STALL, Kind.STALL_CUT, Kind.HALF)) >= 3
