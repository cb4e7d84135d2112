"""The activity of a clan's members in the clan's device, with a discovery payload of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING

from coc2mqtt.homeassistant import templates
from coc2mqtt.homeassistant.parts import PartContent

if TYPE_CHECKING:
    from coc2mqtt.homeassistant.components import NumberSensor
    from coc2mqtt.homeassistant.parts import PartContext


def activity_part(part: PartContext) -> PartContent:
    """Return the sums of donations, the number of inactive members, and the events about members' activity."""
    sums = part.entity("clan", part.known("clan", "donations_week"))
    inactive = part.entity("clan", part.known("clan", "inactive_members"))
    return PartContent(
        (part.bridge, part.subject),
        {
            # Not `total_increasing`: a sum also falls when a member leaves, which Home Assistant would warn about.
            "donations_today": _with_members(
                part,
                sums.number("donations_today", "Donations today", "mdi:gift"),
                templates.donors("donations_today"),
            ),
            "donations_week": _with_members(
                part,
                sums.number("donations_week", "Donations this week", "mdi:gift"),
                templates.donors("donations_week"),
            ),
            "inactive_members": _with_members(
                part,
                inactive.number("inactive_members", "Inactive members", "mdi:account-clock"),
                templates.inactive_members("members"),
            ),
            "activity_members": part.event("activity_members", "Member activity", "mdi:account-clock"),
            **part.triggers(),
        },
    )


def _with_members(part: PartContext, sensor: NumberSensor, attributes: str) -> NumberSensor:
    """Return a sensor with attributes that are read from the state of the clan's members."""
    topic = part.topics.states["members"]
    return sensor.model_copy(update={"json_attributes_topic": topic, "json_attributes_template": attributes})
