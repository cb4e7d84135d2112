from __future__ import annotations

from coc2mqtt.mqtt.publish.retained_publisher import PlayersByClan


def test_players_by_clan_returns_the_current_members() -> None:
    players = PlayersByClan()
    for player, clan in (("#8", "#2PP"), ("#2", "#2PP"), ("#9", "#8QQ"), ("#8", "#8QQ"), ("#9", None), ("#0", None)):
        players.set_clan(player, clan)
    assert (players.in_clan("#2PP"), players.in_clan("#8QQ"), players.in_clan("#9PP")) == (["#2"], ["#8"], [])
