"""The short form of ``make chaos``."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import pytest

from tests.chaos.plan import LONG, SHORT, Kind, draw_plan
from tests.chaos.report import table, write_evidence
from tests.chaos.run import BROKER_LINES, USERS, run

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import StartMosquitto


@pytest.mark.chaos
async def test_bridge_with_random_faults_loses_no_event(mosquitto: StartMosquitto, tmp_path: Path) -> None:
    plan = draw_plan(13, SHORT, pause_s=(0.05, 0.2), speed=2, home_assistant=False)
    result = await run(plan, mosquitto(*BROKER_LINES, users=USERS), tmp_path)
    write_evidence(result, tmp_path)
    assert result.violations == [], f"{table(result)}\nthe evidence is in {tmp_path}"
    assert len(result.injected) == len(plan.faults)


def test_plan_with_same_seed_is_identical() -> None:
    pause_s = (0.1, 0.2)
    assert (
        draw_plan(5, LONG, pause_s=pause_s)
        == draw_plan(5, LONG, pause_s=pause_s)
        != draw_plan(6, LONG, pause_s=pause_s)
    )


def test_long_plan_has_enough_faults_of_each_target() -> None:
    plan = draw_plan(1, LONG, pause_s=(0.1, 0.2))
    targets = Counter(fault.target for fault in plan.faults)
    assert targets["bridge"] >= 20
    assert targets["broker"] >= 20
    assert targets["network"] >= 10
    assert targets["api"] >= 5
    kinds = Counter(fault.kind for fault in plan.faults)
    assert min(kinds[kind] for kind in (Kind.CUT, Kind.STALL, Kind.STALL_CUT, Kind.HALF)) >= 3
