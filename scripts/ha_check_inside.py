"""The part of ha-check that runs in a Python with Home Assistant; a standalone program without coc2mqtt.

It reads one JSON object from stdin: ``devices`` and ``devices_later`` (discovery payloads by object id), ``states``
(retained messages by topic) and ``broker`` (a loopback port, null for none). The last line of stdout is a JSON object:
``version``, ``faults`` and ``notes`` (sentences), ``components`` and ``entities`` (numbers).
"""

from __future__ import annotations

import asyncio
import importlib
import json
import logging
import sys
import tempfile
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any
from unittest.mock import MagicMock

if TYPE_CHECKING:
    from collections.abc import Callable

Json = dict[str, Any]

_MQTT = "homeassistant.components.mqtt"
_TIMEOUT_S = 30.0
# This logger warns about Home Assistant's own code; libraries warn about missing parts.
_IGNORED_LOGGER = "homeassistant.helpers.frame"
_INVALID_STATES = ("", "{}", "null", "[]", '"x"', "7", "x")


def main() -> None:
    """Run the checks of the request on stdin."""
    request = json.load(sys.stdin)
    logged = _Log()
    logging.getLogger().addHandler(logged)
    report = asyncio.run(_check(request))
    report["faults"] += logged.lines
    print(json.dumps({"version": importlib.import_module("homeassistant.const").__version__, **report}))


class _Log(logging.Handler):
    """Records warnings and errors."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        if record.name.startswith("homeassistant.") and record.name != _IGNORED_LOGGER:
            self.lines.append(f"{record.levelname} {record.name}: {record.getMessage()}")


async def _check(request: Json) -> Json:
    """Start an empty Home Assistant and check the payloads with its schemas and, with a broker, by discovery."""
    core, bootstrap, loader, entries, setup = (
        importlib.import_module(f"homeassistant.{name}")
        for name in ("core", "bootstrap", "loader", "config_entries", "setup")
    )
    with tempfile.TemporaryDirectory() as folder:
        _write_configuration(Path(folder), request["broker"])
        hass = core.HomeAssistant(folder)
        hass.config.skip_pip = True
        loader.async_setup(hass)
        # The integration requires a web server, which this check does not use.
        hass.config.components.update(("http", "file_upload"))
        hass.http = MagicMock()
        hass.config_entries = entries.ConfigEntries(hass, {})
        await bootstrap.async_load_base_functionality(hass)
        try:
            report = _against_schemas(request["devices"])
            if request["broker"] is not None and not report["faults"]:
                if await setup.async_setup_component(hass, "mqtt", {}):
                    report["faults"] += await _HomeAssistant(hass, request).run()
                else:
                    report["faults"].append("the MQTT integration was not set up")
                report["entities"] = len(_entities(request["devices"]))
            return report
        finally:
            await hass.async_stop(force=True)


def _write_configuration(folder: Path, broker: int | None) -> None:
    """Write the configuration of Home Assistant in the oldest format, which it migrates."""
    entry = {
        "entry_id": "0123456789abcdef0123456789abcdef",
        "domain": "mqtt",
        "title": "MQTT",
        "source": "user",
        "version": 1,
        "minor_version": 1,
        "unique_id": None,
        "disabled_by": None,
        "discovery_keys": {},
        "created_at": "2026-01-01T00:00:00+00:00",
        "modified_at": "2026-01-01T00:00:00+00:00",
        "options": {},
        "pref_disable_new_entities": False,
        "pref_disable_polling": False,
        "data": {"broker": "127.0.0.1", "port": broker, "protocol": "5", "discovery": True},
    }
    kept = {"version": 1, "minor_version": 4, "key": "core.config_entries", "data": {"entries": [entry]}}
    (folder / ".storage").mkdir()
    (folder / ".storage/core.config_entries").write_text(json.dumps(kept))
    (folder / "configuration.yaml").write_text("")


def _against_schemas(devices: Json) -> Json:
    """Validate the payloads with the integration's own schemas."""
    report: Json = {"faults": [], "notes": [], "components": 0, "entities": 0}
    schemas = importlib.import_module(f"{_MQTT}.schemas")
    for object_id, payload in devices.items():
        try:
            schemas.DEVICE_DISCOVERY_SCHEMA(_copy(payload))
        except Exception as error:  # noqa: BLE001 - its class differs from one version to another
            report["faults"].append(f"{object_id}: {error}")
            continue
        shared = {name: payload[name] for name in (*schemas.SHARED_OPTIONS, "device", "origin") if name in payload}
        for key, component in payload["components"].items():
            report["components"] += 1
            report["faults"] += [f"{object_id} {key}: {fault}" for fault in _against_schema(component, shared)]
    if not _knows_entity_ids():
        report["notes"].append("this version drops default_entity_id, and makes entity ids from names")
    return report


def _against_schema(component: Json, shared: Json) -> list[str]:
    given = {name: value for name, value in component.items() if name != "platform"}
    if not given:
        return []  # it removes a component
    platform, name = component["platform"], "DISCOVERY_SCHEMA"
    if platform == "device_automation":
        platform, name = "device_trigger", "TRIGGER_DISCOVERY_SCHEMA"
    try:
        taken = getattr(importlib.import_module(f"{_MQTT}.{platform}"), name)(_copy({**shared, **given}))
    except Exception as error:  # noqa: BLE001 - its class differs from one version to another
        return [str(error)]
    dropped = set(given) - set(taken) - (set() if _knows_entity_ids() else {"default_entity_id"})
    return [f"{name} is dropped" for name in sorted(dropped)]


def _knows_entity_ids() -> bool:
    return hasattr(importlib.import_module(f"{_MQTT}.const"), "CONF_DEFAULT_ENTITY_ID")


def _entities(devices: Json) -> dict[str, Json]:
    """Return the entities of devices by unique id."""
    components = [part for payload in devices.values() for part in payload["components"].values()]
    return {component["unique_id"]: component for component in components if "unique_id" in component}


def _is_disabled(component: Json) -> bool:
    """Return whether an entity is registered, but has no state until the user enables it."""
    return component.get("enabled_by_default") is False


def _copy(payload: Json) -> Any:
    return json.loads(json.dumps(payload))


class _HomeAssistant:
    """A Home Assistant with a connected MQTT integration, and the lifecycle of devices in it."""

    def __init__(self, hass: Any, request: Json) -> None:
        self._hass = hass
        self._request = request
        self._mqtt = importlib.import_module(_MQTT)
        self._registry = importlib.import_module("homeassistant.helpers.entity_registry").async_get(hass)
        self._faults: list[str] = []
        self._requests: list[str] = []

    async def run(self) -> list[str]:
        """Announce the devices, publish all messages, remove the devices, and return the faults."""
        devices, later = self._request["devices"], self._request["devices_later"]
        await self._listen(devices)
        await self._announce_all(devices)
        await self._events(devices)
        await self._controls(devices)
        for payload in _INVALID_STATES:
            for topic in self._request["states"]:
                await self._publish(topic, payload)
        await self._states()
        await self._check_all("lost its state", _entities(devices), self._has_state)
        await self._announce(later)
        gone = {key: part for key, part in _entities(devices).items() if key not in _entities(devices | later)}
        await self._check_all("was not removed by the update", gone, lambda key, _: self._entity_id(key) is None)
        for object_id in devices:
            await self._publish(f"homeassistant/device/{object_id}/config", "")
        await self._check_all("was not removed", _entities(devices), lambda key, _: self._entity_id(key) is None)
        return self._faults

    async def _announce_all(self, devices: Json) -> None:
        await self._states()
        await self._announce(devices)
        await self._check_all("was not created with its entity id", _entities(devices), self._has_expected_id)
        await self._check_all("has no state", _entities(devices), self._has_state)
        wanted = sum("subtype" in part for payload in devices.values() for part in payload["components"].values())
        triggers = self._hass.data["mqtt"].device_triggers
        if not await _wait_for(lambda: len(triggers) == wanted):
            self._faults.append(f"there are {len(triggers)} device triggers, not {wanted}")

    async def _states(self) -> None:
        for topic, state in self._request["states"].items():
            await self._publish(topic, json.dumps(state))

    async def _announce(self, devices: Json) -> None:
        for object_id, payload in devices.items():
            await self._publish(f"homeassistant/device/{object_id}/config", json.dumps(payload))

    async def _publish(self, topic: str, payload: str, *, retain: bool = True) -> None:
        await self._mqtt.async_publish(self._hass, topic, payload, 1, retain)

    async def _events(self, devices: Json) -> None:
        entities = {key: part for key, part in _entities(devices).items() if part["platform"] == "event"}
        for topic, types in {(part["state_topic"], tuple(part["event_types"])) for part in entities.values()}:
            for event_type in (*types, "an_unknown_type"):
                event = {"event_type": event_type, "tag": "#2PP", "name": "X", "summary": "Y", "changes": []}
                await self._publish(topic.replace("+", event_type), json.dumps(event), retain=False)
        await self._check_all("does not show its last event", entities, self._shows_last_event)

    async def _listen(self, devices: Json) -> None:
        """Record every request; called early, because subscribing takes a moment."""
        for topic in {part["command_topic"] for part in _entities(devices).values() if "command_topic" in part}:
            await self._mqtt.async_subscribe(self._hass, topic, lambda message: self._requests.append(message.payload))

    async def _controls(self, devices: Json) -> None:
        """Use every control as a user does, and check what it publishes."""
        for key, part in _entities(devices).items():
            for service, data in _uses(part):
                before = len(self._requests)
                target = {"entity_id": self._entity_id(key), **data}
                try:
                    await self._hass.services.async_call(part["platform"], service, target, blocking=True)
                except Exception as error:  # noqa: BLE001 - its class differs from one service to another
                    self._faults.append(f"{key}: {service} with {data}: {error}")
                    continue
                if not await _wait_for(partial(self._has_request, before)):
                    self._faults.append(f"{key} published no request")
        self._faults += [f"invalid request {payload!r}" for payload in self._requests if not _is_object(payload)]

    def _has_request(self, before: int) -> bool:
        return len(self._requests) > before

    def _shows_last_event(self, unique_id: str, component: Json) -> bool:
        state = self._state(unique_id)
        return state is not None and state.attributes.get("event_type") == component["event_types"][-1]

    def _entity_id(self, unique_id: str) -> str | None:
        found = [entry.entity_id for entry in self._registry.entities.values() if entry.unique_id == unique_id]
        return found[0] if found else None

    def _state(self, unique_id: str) -> Any:
        entity_id = self._entity_id(unique_id)
        return None if entity_id is None else self._hass.states.get(entity_id)

    def _has_expected_id(self, unique_id: str, component: Json) -> bool:
        entity_id, state = self._entity_id(unique_id), self._state(unique_id)
        is_right = state is None if _is_disabled(component) else state is not None
        has_id = entity_id == component["default_entity_id"] or not _knows_entity_ids()
        return entity_id is not None and is_right and has_id

    def _has_state(self, unique_id: str, component: Json) -> bool:
        if component["platform"] in {"event", "button"} or _is_disabled(component):
            return True
        state = self._state(unique_id)
        return state is not None and state.state not in {"unknown", "unavailable"}

    async def _check_all(self, fault: str, entities: dict[str, Json], holds: Callable[[str, Json], bool]) -> None:
        """Wait until a condition holds for all entities; record a fault for each other one."""
        if not await _wait_for(lambda: all(holds(key, part) for key, part in entities.items())):
            self._faults += [f"{key} {fault}" for key, part in entities.items() if not holds(key, part)]


def _uses(control: Json) -> list[tuple[str, Json]]:
    """Return the service calls for a control, with their data."""
    if control["platform"] == "button":
        return [("press", {})]
    if control["platform"] == "text":
        return [("set_value", {"value": value}) for value in ("#2PP", "")]
    if control["platform"] == "select":
        return [("select_option", {"option": option}) for option in control["options"]]
    return []


def _is_object(payload: str) -> bool:
    try:
        return isinstance(json.loads(payload), dict)
    except ValueError:
        return False


async def _wait_for(holds: Callable[[], bool]) -> bool:
    loop = asyncio.get_running_loop()
    end = loop.time() + _TIMEOUT_S
    while not holds() and loop.time() < end:  # noqa: ASYNC110 not every version has an event for it
        await asyncio.sleep(0.05)
    return holds()


if __name__ == "__main__":
    main()
