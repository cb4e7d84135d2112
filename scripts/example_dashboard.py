"""Write config/dashboard.yaml: what ``coc2mqtt dashboard`` prints for the watches in config/coc2mqtt.yaml."""

from __future__ import annotations

import sys
from pathlib import Path

from coc2mqtt.cli.dashboard import to_yaml
from coc2mqtt.homeassistant.dashboard import DashboardClan, DashboardPlayer, dashboard

PATH = Path(__file__).parents[1] / "config" / "dashboard.yaml"

_HEADER = """\
# An example of what 'coc2mqtt dashboard' prints: a dashboard for Home Assistant with built-in cards only. Use that
# command for a dashboard of your own clans and players. Without it, replace these words everywhere in this file:
#   2PP, 2pp            your clan's tag without its '#', in upper and in lower case
#   900PUCPV, 900pucpv  a player's tag in the same forms; or remove the view "Players"
#   coc2mqtt_home       'coc2mqtt_' and your 'instance', if it is not 'home'
#
# In Home Assistant, choose Settings, Dashboards, Add dashboard, New dashboard from scratch. Open the new dashboard,
# choose the pencil, the three dots and Raw configuration editor, and replace its contents with this text.
"""


def example_dashboard() -> str:
    """Return the text of the file."""
    return _HEADER + to_yaml(
        dashboard(
            "home", [DashboardClan("#2PP", None, activity=True, reminders=True)], [DashboardPlayer("#900PUCPV", None)]
        ),
    )


def main() -> int:
    """Write the file."""
    PATH.write_text(example_dashboard(), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
