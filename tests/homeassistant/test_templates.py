from __future__ import annotations

from typing import Any

import orjson
import pytest

from tests.homeassistant.builders import bridge, clan, decode

# Home Assistant renders the templates with it; nothing else in the project needs it.
jinja2 = pytest.importorskip("jinja2", reason="jinja2 is not installed: templates cannot be rendered")
sandbox = pytest.importorskip("jinja2.sandbox")

COMPONENTS: dict[str, Any] = decode(bridge())["components"] | decode(clan())["components"]
START = "2026-11-23T23:00:00.000+00:00"
WAR = {"state": "inWar", "start_time": START, "end_time": START}


def render(template: str, payload: bytes) -> str:
    """Render as Home Assistant does: ``value_json`` is there only if the payload is JSON, and None is a word."""
    # Strict: what Home Assistant would merely log is an error here.
    environment = sandbox.ImmutableSandboxedEnvironment(undefined=jinja2.StrictUndefined)
    values = {"value": payload.decode()}
    if payload:
        values["value_json"] = orjson.loads(payload)
    text: str = environment.from_string(template).render(values)
    return text.strip()


def shown(component: str, payload: Any) -> str:
    return render(COMPONENTS[component]["value_template"], orjson.dumps(payload))


@pytest.mark.parametrize(
    ("component", "payload", "state"),
    [
        ("connectivity", {"state": "online"}, "ON"),
        ("connectivity", {"state": "offline"}, "OFF"),
        ("maintenance", {"state": "maintenance"}, "ON"),
        ("maintenance", {"state": "ok"}, "OFF"),
        ("maintenance", {"state": "unreachable"}, "OFF"),
        ("maintenance", {"state": "denied"}, "OFF"),
        ("maintenance", {"state": "new word"}, "None"),
        ("api_status", {"state": "ok"}, "ok"),
        ("api_status", {"state": "maintenance"}, "maintenance"),
        ("api_status", {"state": "unreachable"}, "unreachable"),
        ("api_status", {"state": "denied"}, "denied"),
        ("api_status", {"state": "new word"}, "None"),
        ("war_state", WAR | {"state": "notInWar"}, "not_in_war"),
        ("war_state", WAR | {"state": "preparation"}, "preparation"),
        ("war_state", WAR | {"state": "inWar"}, "in_war"),
        ("war_state", WAR | {"state": "warEnded"}, "war_ended"),
        ("war_state", WAR | {"state": "enterWar"}, "None"),
        ("war_state", WAR | {"state": None}, "None"),
        ("war_start", WAR, START),
        ("war_start", WAR | {"start_time": None}, "None"),
        ("war_end", WAR, START),
        ("war_end", WAR | {"end_time": None}, "None"),
        ("members", {"members": 50}, "50"),
        ("members", {"members": 0}, "0"),
        ("members", {"members": None}, "None"),
    ],
)
def test_an_entity_shows_what_is_retained(component: str, payload: Any, state: str) -> None:
    assert shown(component, payload) == state


@pytest.mark.parametrize("component", [key for key, value in COMPONENTS.items() if "value_template" in value])
@pytest.mark.parametrize("payload", [b"", b"{}"], ids=["empty", "without the key"])
def test_state_that_was_removed_is_unknown_and_no_warning(component: str, payload: bytes) -> None:
    nothing = "" if COMPONENTS[component]["platform"] in {"event", "text"} else "None"
    assert render(COMPONENTS[component]["value_template"], payload) == nothing


@pytest.mark.parametrize("component", ["war_state", "api_status"])
def test_every_option_of_an_enum_is_a_word_that_its_template_gives(component: str) -> None:
    for option in COMPONENTS[component]["options"]:
        assert f"'{option}'" in COMPONENTS[component]["value_template"]


@pytest.mark.parametrize(
    ("payload", "word"), [(b'{"state":"online"}', "online"), (b'{"state":"offline"}', "offline"), (b"", "None")]
)
def test_availability_is_read_in_home_assistants_own_words(payload: bytes, word: str) -> None:
    for entry in decode(clan())["availability"]:
        assert render(entry["value_template"], payload) == word
