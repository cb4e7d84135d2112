from __future__ import annotations

from coc2mqtt.mqtt.publish.players_by_clan import PlayersByClan


def test_the_players_of_a_clan_are_those_who_are_in_it_now() -> None:
    fighters = PlayersByClan()
    for player, clan in (("#8", "#2PP"), ("#2", "#2PP"), ("#9", "#8QQ"), ("#8", "#8QQ"), ("#9", None), ("#0", None)):
        fighters.note(player, clan)
    assert (fighters.of("#2PP"), fighters.of("#8QQ"), fighters.of("#9PP")) == (["#2"], ["#8"], [])
