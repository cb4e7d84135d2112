"""A simulated Clash of Clans API for the demo and the tests."""

from __future__ import annotations

from coc2mqtt.demo.catalogue import PROBE_TAG
from coc2mqtt.demo.changes import ImpossibleError, ScriptedChange
from coc2mqtt.demo.server import DemoServer
from coc2mqtt.demo.story import Script, Step, demo_script, play
from coc2mqtt.demo.world import World

__all__ = [
    "PROBE_TAG",
    "DemoServer",
    "ImpossibleError",
    "Script",
    "ScriptedChange",
    "Step",
    "World",
    "demo_script",
    "play",
]
