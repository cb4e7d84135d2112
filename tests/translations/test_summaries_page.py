from __future__ import annotations

from coc2mqtt.events.event import Change, Event, EventType
from coc2mqtt.examples import example_game
from coc2mqtt.examples.summaries import summaries_page
from coc2mqtt.translations import CODES


def rows(page: str) -> list[list[str]]:
    lines = [line for line in page.splitlines() if line.startswith("| `")]
    return [line.strip("| ").split(" | ") for line in lines]


def test_page_has_every_event_type_in_every_language() -> None:
    found = rows(summaries_page(example_game().events))
    assert {row[0].strip("`") for row in found} == {event_type.value for event_type in EventType}
    assert all(len(row) == 1 + len(CODES) and all(row) for row in found)


def test_each_sentence_of_an_event_type_has_one_row() -> None:
    joined = [Event(EventType.MEMBER_JOINED, "#2PP", metadata={"member_name": name}) for name in ("Ann", "Bob")]
    updated = [Event(EventType.CLAN_UPDATED, "#2PP", changes=(Change(field, 1, 2),)) for field in ("warWins", "type")]
    found = rows(summaries_page([*joined, *updated]))
    assert [row[0] for row in found] == ["`clan_updated`", "`clan_updated`", "`member_joined`"]
    assert found[-1][1:] == ["Ann joined #2PP", "Ann ist #2PP beigetreten"]


def test_name_with_a_vertical_bar_does_not_break_the_table() -> None:
    page = summaries_page([Event(EventType.WATCH_AVAILABLE, "#2PP", name="a|b")])
    assert "| a\\|b was found again |" in page
