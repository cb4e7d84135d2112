from __future__ import annotations

from dataclasses import replace
from functools import partial
from itertools import product
from typing import Any

import orjson
import pytest
from structlog.testing import capture_logs

from coc2mqtt.events.event import Change, Event, EventType
from coc2mqtt.events.metadata import metadata_model
from coc2mqtt.events.record import MAX_EVENT_BYTES, EventRecord
from coc2mqtt.events.summary import summarize
from coc2mqtt.translations import CODES, language_of

WAR = {"opponent_name": "The Others"}


def test_list_change_keeps_only_different_items() -> None:
    old = [{"name": f"Achievement {number}", "value": number, "info": "x" * 500} for number in range(50)]
    new = [*old[:-1], {**old[-1], "value": 99}]
    event = Event(EventType.PLAYER_UPDATED, "#2PP", changes=(Change("achievements", old, new),))
    (change,) = EventRecord.of(event).changes
    assert change == {
        "field": "achievements",
        "old_value": [{"name": "Achievement 49", "value": 49}],
        "new_value": [{"name": "Achievement 49", "value": 99}],
    }


def test_record_of_large_values_is_small() -> None:
    blob = {"text": "é" * 5000, "list": [[1] * 1000] * 50, "deep": {"name": "n" * 900, "x": {"y": 1}}}
    event = Event(EventType.CLAN_UPDATED, "#2PP", changes=(Change("a", blob, None),) * 100, metadata={"m": blob})
    record = EventRecord.of(event)
    assert record.metadata == {"left_out": 101}
    assert len(orjson.dumps(record)) < MAX_EVENT_BYTES


def test_value_too_large_after_trimming_is_left_out() -> None:
    wide = {f"key {number}": number for number in range(10_000)}
    changes = (Change("small", 1, 2), Change("wide", None, wide), Change("path." * 10_000, 1, 2))
    event = Event(
        EventType.CLAN_UPDATED, "#2PP", changes=changes, metadata={"role": wide, "tag": "#2PA"}, name="n" * 9000
    )
    record = EventRecord.of(event)
    assert record.changes == ({"field": "small", "old_value": 1, "new_value": 2},)
    assert record.metadata == {"tag": "#2PA", "left_out": 3}
    assert len(orjson.dumps(record)) < 2000


def test_name_that_is_not_a_string_is_none() -> None:
    event = Event(EventType.WAR_NEW, "#2PP", metadata=WAR, name={"no": "text"})  # type: ignore[arg-type]
    assert EventRecord.of(event).name is None


def test_bug_in_a_summary_does_not_cost_the_event() -> None:
    def describe(_: Event) -> str:
        raise KeyError("name")

    event = Event(EventType.TROOP_UPGRADED, "#2PP", changes=(Change("troops", 1, 2),), name="Ash")
    with capture_logs() as logs:
        record = EventRecord.of(event, describe)
    assert record.summary == "Ash: troop upgraded"
    assert record.changes == ({"field": "troops", "old_value": 1, "new_value": 2},)
    assert [(line["event"], line["log_level"], line["tag"]) for line in logs] == [("summary failed", "error", "#2PP")]


@pytest.mark.parametrize("event_type", EventType)
def test_no_value_in_an_event_costs_the_event(event_type: EventType) -> None:
    keys = [key for key in metadata_model(event_type).model_fields if key != "left_out"]
    values: list[Any] = [None, True, 7, "x", [], [1], {}, {"name": 1}]
    with capture_logs():  # printing a traceback takes longer than everything else
        for code, value in product(CODES, values):
            event = Event(
                event_type,
                "#2PP",
                changes=(Change("role", value, None), Change("labels", [], value)),
                metadata=dict.fromkeys(keys, value),
            )
            for one in (event, replace(event, metadata={})):
                assert EventRecord.of(one, partial(summarize, language=language_of(code))).summary
