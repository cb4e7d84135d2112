from __future__ import annotations

from bench.checks import CheckResult, check_events
from bench.servers import Receipt

BEFORE, AFTER = {"#A": 1, "#B": 5}, {"#A": 3, "#B": 5}


def donated(name: str, old: int, new: int, *, member: str = "#A", kind: str = "member_donations") -> Receipt:
    changes = [{"field": "donations", "old_value": old, "new_value": new}]
    payload = {"id": name, "event_type": kind, "metadata": {"member_tag": member}, "changes": changes}
    return Receipt(0.0, "coc/clan/A/member_donations", payload)


def test_a_change_is_told_by_one_event_or_by_several() -> None:
    assert check_events([donated("1", 1, 3)], BEFORE, AFTER) == CheckResult(1, 0, 0, 0)
    assert check_events([donated("1", 1, 2), donated("2", 2, 3)], BEFORE, AFTER) == CheckResult(1, 0, 0, 0)


def test_a_change_of_which_nothing_or_not_all_was_told_is_lost() -> None:
    assert check_events([], BEFORE, AFTER).lost == 1
    assert check_events([donated("1", 1, 2)], BEFORE, AFTER).lost == 1


def test_a_gap_is_seen() -> None:
    verdict = check_events([donated("1", 2, 3)], BEFORE, AFTER)
    assert (verdict.lost, verdict.invented) == (1, 1)


def test_what_comes_again_under_its_id_is_no_second_event() -> None:
    assert check_events([donated("1", 1, 3), donated("1", 1, 3)], BEFORE, AFTER) == CheckResult(1, 0, 0, 1)


def test_the_same_under_another_id_is_invented() -> None:
    assert check_events([donated("1", 1, 3), donated("2", 1, 3)], BEFORE, AFTER).invented == 1


def test_events_of_nobody_and_of_another_kind_are_invented() -> None:
    others = [donated("1", 1, 2, member="#C"), donated("2", 1, 3, kind="member_left")]
    assert check_events([donated("3", 1, 3), *others], BEFORE, AFTER) == CheckResult(1, 0, 2, 0)


def test_the_bridges_state_is_no_event() -> None:
    state = Receipt(0.0, "coc/bridge/state", {"state": "online"})
    assert check_events([state, donated("1", 1, 3)], BEFORE, AFTER) == CheckResult(1, 0, 0, 0)
