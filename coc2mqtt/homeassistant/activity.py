"""The activity of a clan's members in the clan's device, with a discovery payload of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING

from coc2mqtt.homeassistant import templates
from coc2mqtt.homeassistant.parts import PartContent

if TYPE_CHECKING:
    from coc2mqtt.homeassistant.parts import PartContext


def activity_part(part: PartContext) -> PartContent:
    """Return the sums of donations, the number of inactive members, and the events about members' activity."""
    sums = part.entity("clan", part.known("clan", "donations_week"))
    inactive = part.entity("clan", part.known("clan", "inactive_members"))
    return PartContent(
        (part.bridge, part.subject),
        {
            # Not `total_increasing`: a sum also falls when a member leaves, which Home Assistant would warn about.
            "donations_today": sums.number("donations_today", "Donations today", "mdi:gift"),
            "donations_week": sums.number("donations_week", "Donations this week", "mdi:gift"),
            "inactive_members": inactive.number("inactive_members", "Inactive members", "mdi:account-clock").model_copy(
                update={
                    "json_attributes_topic": part.topics.states["members"],
                    "json_attributes_template": templates.inactive_members("members"),
                }
            ),
            "member_activity": part.event("member_activity", "Member activity", "mdi:account-clock"),
            **part.triggers(),
        },
    )
