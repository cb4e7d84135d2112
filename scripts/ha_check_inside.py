"""What ha-check runs with a Python in which Home Assistant can be imported; a program of its own, without our package.

It takes one JSON object on stdin: ``devices`` and ``devices_later`` (the discovery payload by object id), ``states``
(what is retained by topic) and ``broker`` (a port of the loopback, null for none). It writes one JSON object as the
last line of stdout: ``version``, ``faults`` and ``notes`` (in words), ``components`` and ``entities`` (how many).
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
_PATIENCE = 30.0
# It complains of Home Assistant's own code, whatever a device says; and so do the libraries, of what they lack here.
_OF_THE_CODE = "homeassistant.helpers.frame"
_NO_STATES = ("", "{}", "null", "[]", '"x"', "7", "x")


def main() -> None:
    """Check what stands on stdin."""
    request = json.load(sys.stdin)
    logged = _Log()
    logging.getLogger().addHandler(logged)
    report = asyncio.run(_check(request))
    report["faults"] += logged.lines
    print(json.dumps({"version": importlib.import_module("homeassistant.const").__version__, **report}))


class _Log(logging.Handler):
    """Keeps what is logged as a warning or worse."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        if record.name.startswith("homeassistant.") and record.name != _OF_THE_CODE:
            self.lines.append(f"{record.levelname} {record.name}: {record.getMessage()}")


async def _check(request: Json) -> Json:
    """Build Home Assistant with nothing in it, check the payloads there, and with a broker have them come from it."""
    core, bootstrap, loader, entries, setup = (
        importlib.import_module(f"homeassistant.{name}")
        for name in ("core", "bootstrap", "loader", "config_entries", "setup")
    )
    with tempfile.TemporaryDirectory() as folder:
        _furnish(Path(folder), request["broker"])
        hass = core.HomeAssistant(folder)
        hass.config.skip_pip = True
        loader.async_setup(hass)
        # The integration asks for a web server, which nothing that is checked uses.
        hass.config.components.update(("http", "file_upload"))
        hass.http = MagicMock()
        hass.config_entries = entries.ConfigEntries(hass, {})
        await bootstrap.async_load_base_functionality(hass)
        try:
            report = _against_schemas(request["devices"])
            if request["broker"] is not None and not report["faults"]:
                if await setup.async_setup_component(hass, "mqtt", {}):
                    report["faults"] += await _House(hass, request).live()
                else:
                    report["faults"].append("the MQTT integration was not set up")
                report["entities"] = len(_entities(request["devices"]))
            return report
        finally:
            await hass.async_stop(force=True)


def _furnish(folder: Path, broker: int | None) -> None:
    """Write what Home Assistant reads at its start, in the oldest form: it brings it up to its own."""
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
    """Return what the integration's own schemas say of the payloads."""
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
        return []  # it takes back what was
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


def _copy(payload: Json) -> Any:
    return json.loads(json.dumps(payload))


class _House:
    """A Home Assistant whose MQTT integration is connected, and what happens to devices there."""

    def __init__(self, hass: Any, request: Json) -> None:
        self._hass = hass
        self._request = request
        self._mqtt = importlib.import_module(_MQTT)
        self._registry = importlib.import_module("homeassistant.helpers.entity_registry").async_get(hass)
        self._faults: list[str] = []
        self._asked: list[str] = []

    async def live(self) -> list[str]:
        """Announce the devices, tell them everything, take them away, and return what went wrong."""
        devices, later = self._request["devices"], self._request["devices_later"]
        await self._listen(devices)
        await self._announce_all(devices)
        await self._events(devices)
        await self._controls(devices)
        for payload in _NO_STATES:
            for topic in self._request["states"]:
                await self._publish(topic, payload)
        await self._states()
        await self._until("is not known any more", _entities(devices), self._is_known)
        await self._announce(later)
        gone = {key: part for key, part in _entities(devices).items() if key not in _entities(devices | later)}
        await self._until("is not taken back", gone, lambda key, _: self._entity_id(key) is None)
        for object_id in devices:
            await self._publish(f"homeassistant/device/{object_id}/config", "")
        await self._until("is not removed", _entities(devices), lambda key, _: self._entity_id(key) is None)
        return self._faults

    async def _announce_all(self, devices: Json) -> None:
        await self._states()
        await self._announce(devices)
        await self._until("has not come", _entities(devices), self._is_called)
        await self._until("shows nothing", _entities(devices), self._is_known)
        wanted = sum("subtype" in part for payload in devices.values() for part in payload["components"].values())
        triggers = self._hass.data["mqtt"].device_triggers
        if not await _becomes_true(lambda: len(triggers) == wanted):
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
        await self._until("has not shown its last event", entities, self._shows_its_last)

    async def _listen(self, devices: Json) -> None:
        """Have every request taken down; long before the first, as the broker is told of it only in a moment."""
        for topic in {part["command_topic"] for part in _entities(devices).values() if "command_topic" in part}:
            await self._mqtt.async_subscribe(self._hass, topic, lambda message: self._asked.append(message.payload))

    async def _controls(self, devices: Json) -> None:
        """Use every control as a user does, and look at what it publishes."""
        for key, part in _entities(devices).items():
            for service, data in _uses(part):
                before = len(self._asked)
                target = {"entity_id": self._entity_id(key), **data}
                try:
                    await self._hass.services.async_call(part["platform"], service, target, blocking=True)
                except Exception as error:  # noqa: BLE001 - its class differs from one service to another
                    self._faults.append(f"{key}: {service} with {data}: {error}")
                    continue
                if not await _becomes_true(partial(self._has_asked, before)):
                    self._faults.append(f"{key} has asked for nothing")
        self._faults += [f"{payload!r} is no request" for payload in self._asked if not _is_object(payload)]

    def _has_asked(self, before: int) -> bool:
        return len(self._asked) > before

    def _shows_its_last(self, unique_id: str, component: Json) -> bool:
        state = self._state(unique_id)
        return state is not None and state.attributes.get("event_type") == component["event_types"][-1]

    def _entity_id(self, unique_id: str) -> str | None:
        found = [entry.entity_id for entry in self._registry.entities.values() if entry.unique_id == unique_id]
        return found[0] if found else None

    def _state(self, unique_id: str) -> Any:
        entity_id = self._entity_id(unique_id)
        return None if entity_id is None else self._hass.states.get(entity_id)

    def _is_called(self, unique_id: str, component: Json) -> bool:
        state = self._state(unique_id)
        return state is not None and (not _knows_entity_ids() or state.entity_id == component["default_entity_id"])

    def _is_known(self, unique_id: str, component: Json) -> bool:
        if component["platform"] in {"event", "button"}:
            return True
        state = self._state(unique_id)
        return state is not None and state.state not in {"unknown", "unavailable"}

    async def _until(self, fault: str, entities: dict[str, Json], holds: Callable[[str, Json], bool]) -> None:
        """Wait until something holds for all entities, and keep the fault of those for which it never does."""
        if not await _becomes_true(lambda: all(holds(key, part) for key, part in entities.items())):
            self._faults += [f"{key} {fault}" for key, part in entities.items() if not holds(key, part)]


def _uses(control: Json) -> list[tuple[str, Json]]:
    """Return the services to call for a control, and with what."""
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


async def _becomes_true(holds: Callable[[], bool]) -> bool:
    loop = asyncio.get_running_loop()
    end = loop.time() + _PATIENCE
    while not holds() and loop.time() < end:  # noqa: ASYNC110 - no event tells of it in every version
        await asyncio.sleep(0.05)
    return holds()


if __name__ == "__main__":
    main()
