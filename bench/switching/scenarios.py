"""Scenarios of changes in the game, and the polls after them."""

from __future__ import annotations

from collections import Counter
from http import HTTPStatus
from typing import TYPE_CHECKING, NamedTuple

import orjson

from coc2mqtt.demo import faults

if TYPE_CHECKING:
    from collections.abc import Callable

    from aiohttp import web

    from bench.switching.setups import Setup

    Step = Callable[[Setup], object]


def nothing(_: Setup) -> None:
    """Do nothing: the same responses again."""


class Scenario(NamedTuple):
    """A name, steps before the first poll, one step before each further poll, and the watched tag."""

    name: str
    steps: tuple[Step, ...]
    before: tuple[Step, ...] = ()
    tag: str | None = None


def _member(setup: Setup) -> str:
    clan = setup.world.clan(setup.clan) or {}
    return str(next(one["tag"] for one in clan["memberList"] if one["role"] == "member"))


_DECLARE: Step = lambda s: s.world.declare_war(s.clan)  # noqa: E731 - named where it is used twice
_BATTLE: Step = lambda s: s.world.start_battle(s.clan)  # noqa: E731 - the same
_ATTACK: Step = lambda s: s.world.attack(s.clan)  # noqa: E731 - the same
_MAINTENANCE: Step = lambda s: s.world.start_maintenance()  # noqa: E731 - the same
_MAINTENANCE_ENDS: Step = lambda s: s.world.end_maintenance()  # noqa: E731 - the same


def _public(public: bool) -> Step:
    return lambda s: s.world.set_war_log_public(s.clan, public)


def _fault(fault: faults.Fault, times: int = 1, path: str = "/clans/") -> Step:
    return lambda s: s.server.faults.add(fault, times=times, path=path)


def _without(field: str) -> faults.Fault:
    async def fault(request: web.Request, handler: faults.Handler) -> web.Response:
        response = await handler(request)
        body = orjson.loads(response.body) if isinstance(response.body, bytes) else {}
        if body.pop(field, None) is not None:
            response.body = orjson.dumps(body)
        return response

    return fault


SCENARIOS = (
    Scenario("first poll", ()),
    Scenario("first poll during a war", (nothing,), (_DECLARE, _BATTLE, _ATTACK)),
    Scenario("first poll during maintenance, then it ends", (nothing, _MAINTENANCE_ENDS, nothing), (_MAINTENANCE,)),
    Scenario("nothing changes", (nothing,)),
    Scenario("clan gains points", (lambda s: s.world.gain_points(s.clan),)),
    Scenario("member joins", (lambda s: s.world.join(s.clan),)),
    Scenario("member leaves", (lambda s: s.world.leave(s.clan),)),
    Scenario("member is promoted", (lambda s: s.world.promote(s.clan, _member(s)),)),
    Scenario("member upgrades the town hall", (lambda s: s.world.upgrade_member_town_hall(s.clan),)),
    Scenario("member donates", (lambda s: s.world.donate(s.clan),)),
    Scenario("season ends", (lambda s: s.world.reset_season(s.clan),), (lambda s: s.world.donate(s.clan),) * 8),
    Scenario("member list empty in one response", (_fault(faults.empty_member_list()), nothing)),
    Scenario("clan without its level in one response", (_fault(_without("clanLevel")), nothing)),
    Scenario("war: declared, battle, attack, attack", (_DECLARE, _BATTLE, _ATTACK, _ATTACK)),
    Scenario("war log becomes private, then public", (_public(False), nothing, _public(True))),
    Scenario("player wins trophies", (lambda s: s.world.win_trophies(s.player),)),
    Scenario("player upgrades a troop", (lambda s: s.world.upgrade_troop(s.player),)),
    Scenario("player upgrades a hero", (lambda s: s.world.upgrade_hero(s.player),)),
    Scenario("player upgrades equipment", (lambda s: s.world.upgrade_equipment(s.player),)),
    Scenario("player upgrades the town hall", (lambda s: s.world.upgrade_town_hall(s.player),)),
    Scenario("player is renamed", (lambda s: s.world.rename_player(s.player),)),
    Scenario("player changes league", (lambda s: s.world.change_league(s.player),)),
    Scenario("player changes labels", (lambda s: s.world.change_labels(s.player),)),
    Scenario("player boosts a super troop", (lambda s: s.world.boost_super_troop(s.player),)),
    Scenario("player leaves the clan", (lambda s: s.world.leave_clan(s.player),)),
    Scenario("maintenance, four more polls", (_MAINTENANCE, nothing, _MAINTENANCE_ENDS, nothing)),
    Scenario("tag unknown to the API", (nothing,), tag="#2PPPPPP"),
    Scenario("invalid tag #ABC", (nothing,), tag="#ABC"),
    Scenario(
        "status 500 in two polls of the clan",
        (_fault(faults.refusal(HTTPStatus.INTERNAL_SERVER_ERROR, "unknownException"), 2), nothing, nothing),
    ),
    Scenario("HTML instead of JSON in one poll", (_fault(faults.not_json()), nothing)),
    Scenario("connection reset in one poll", (_fault(faults.reset()), nothing)),
    Scenario("token refused in two polls", (_fault(faults.wrong_token(), 8, ""), nothing, nothing)),
)


async def run(scenario: Scenario, setup: Setup) -> str:
    """Return the events of a scenario, poll by poll."""
    for step in scenario.before:
        step(setup)
    watchers = setup.watchers(scenario.tag)
    polls = []
    for step in (nothing, *scenario.steps):
        step(setup)
        events = [event for watcher in watchers for event in await watcher._poll_once()]  # noqa: SLF001 - documented
        polls.append(_counted([event.event_type.value for event in events]))
    return " | ".join(polls)


def _counted(types: list[str]) -> str:
    return ", ".join(f"{number} {name}" if number > 1 else name for name, number in Counter(types).items()) or "-"
