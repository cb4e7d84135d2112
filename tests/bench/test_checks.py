from __future__ import annotations

from bench.checks import CheckResult, check_events
from bench.servers import Receipt

BEFORE, AFTER = {"#A": 1, "#B": 5}, {"#A": 3, "#B": 5}


def donated(name: str, old: int, new: int, *, member: str = "#A", kind: str = "member_donations") -> Receipt:
    changes = [{"field": "donations", "old_value": old, "new_value": new}]
    payload = {"id": name, "event_type": kind, "metadata": {"member_tag": member}, "changes": changes}
    return Receipt(0.0, "coc/clan/A/member_donations", payload)


def test_change_reported_by_one_or_several_events_is_complete() -> None:
    assert check_events([donated("1", 1, 3)], BEFORE, AFTER) == CheckResult(1, 0, 0, 0)
    assert check_events([donated("1", 1, 2), donated("2", 2, 3)], BEFORE, AFTER) == CheckResult(1, 0, 0, 0)


def test_unreported_or_partly_reported_change_is_lost() -> None:
    assert check_events([], BEFORE, AFTER).lost == 1
    assert check_events([donated("1", 1, 2)], BEFORE, AFTER).lost == 1


def test_gap_is_lost_and_false() -> None:
    verdict = check_events([donated("1", 2, 3)], BEFORE, AFTER)
    assert (verdict.lost, verdict.false) == (1, 1)


def test_repeated_event_with_same_id_is_resent() -> None:
    assert check_events([donated("1", 1, 3), donated("1", 1, 3)], BEFORE, AFTER) == CheckResult(1, 0, 0, 1)


def test_repeated_event_with_other_id_is_false() -> None:
    assert check_events([donated("1", 1, 3), donated("2", 1, 3)], BEFORE, AFTER).false == 1


def test_event_of_unknown_member_or_type_is_false() -> None:
    others = [donated("1", 1, 2, member="#C"), donated("2", 1, 3, kind="member_left")]
    assert check_events([donated("3", 1, 3), *others], BEFORE, AFTER) == CheckResult(1, 0, 2, 0)


def test_bridge_state_is_not_an_event() -> None:
    state = Receipt(0.0, "coc/bridge/state", {"state": "online"})
    assert check_events([state, donated("1", 1, 3)], BEFORE, AFTER) == CheckResult(1, 0, 0, 0)
