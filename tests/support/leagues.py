"""A scripted clan war league: the responses of the API at any time, in the shape of the recorded ones."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import orjson

from coc2mqtt.clash import ApiResponse, NotFoundError
from coc2mqtt.events.compare.cwl_state import cwl_state
from coc2mqtt.events.resource import Kind, Resource, Snapshot
from tests.support.replay import InMemoryApi, Replay

if TYPE_CHECKING:
    import random
    from collections.abc import Callable

    from coc2mqtt.clash import ClashError
    from coc2mqtt.events import Event
    from coc2mqtt.events.compare.cwl_state import CwlState

Json = dict[str, Any]

OWN = "#2PP"
GROUP = f"/clans/{OWN}/currentwar/leaguegroup"
MINUTE, HOUR = 60.0, 3600.0
DAY = 24 * HOUR
# The start of the first preparation (Unix time): 2026-10-01 08:00.
START = 1_790_841_600.0
# The season's name never identifies a league.
SEASON = "2026-10-01"
_LETTERS = "0289PYLQGRJCUV"


def api_text(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y%m%dT%H%M%S.000Z")


@dataclass
class Attack:
    """An attack that the API shows from ``at`` on; ``side`` is 0 or 1, the members are places in the line-ups."""

    at: float
    side: int
    attacker: str
    defender: str
    stars: int
    destruction: int
    order: int


@dataclass
class ScriptedWar:
    """A war; ``lineups`` are the line-ups of both sides, each with the time since when it is valid."""

    tag: str
    round: int
    clans: tuple[str, str]
    size: int
    preparation: float
    start: float
    end: float
    attacks: list[Attack] = field(default_factory=list)
    lineups: tuple[list[tuple[float, list[str]]], list[tuple[float, list[str]]]] = field(init=False)

    def __post_init__(self) -> None:
        first, second = ([f"{clan}{_LETTERS[place]}" for place in range(self.size)] for clan in self.clans)
        self.lineups = ([(0.0, first)], [(0.0, second)])

    def lineup(self, side: int, at: float) -> list[str]:
        return [members for since, members in self.lineups[side] if since <= at][-1]

    def attack(self, at: float, *, by: int = 0, on: int = 0, stars: int = 2, side: int = 0) -> None:
        """Add an attack of the member at place ``by`` on the one at place ``on``; the sides are those of the body."""
        attacker = self.lineup(side, self.start)[by]
        defender = self.lineup(1 - side, self.start)[on]
        destruction = 100 if stars == 3 else 30 + 20 * stars + by
        self.attacks.append(Attack(at, side, attacker, defender, stars, destruction, len(self.attacks) + 1))

    def replace(self, at: float, side: int, place: int, tag: str) -> None:
        """Replace the member at a place of a line-up."""
        members = list(self.lineup(side, at))
        members[place] = tag
        self.lineups[side].append((at, members))

    def state(self, at: float) -> str:
        return "preparation" if at < self.start else "inWar" if at < self.end else "warEnded"

    def score(self, side: int, at: float) -> tuple[int, float]:
        """Return the stars and the destruction (percent) of a side."""
        best: dict[str, tuple[int, int]] = {}
        for attack in self.attacks:
            if attack.side == side and attack.at <= at:
                now = (attack.stars, attack.destruction)
                best[attack.defender] = max(best.get(attack.defender, (0, 0)), now)
        return sum(stars for stars, _ in best.values()), sum(value for _, value in best.values()) / self.size

    def body(self, at: float) -> Json:
        """Return the response about the war at a time."""
        sides = [self._side(side, at) for side in (0, 1)]
        return {
            "state": self.state(at),
            "teamSize": self.size,
            "preparationStartTime": api_text(self.preparation),
            "startTime": api_text(self.start),
            "endTime": api_text(self.end),
            "warStartTime": api_text(self.start),
            "clan": sides[0],
            "opponent": sides[1],
        }

    def _side(self, side: int, at: float) -> Json:
        stars, destruction = self.score(side, at)
        shown = [attack for attack in self.attacks if attack.at <= at]
        members = [
            self._member(tag, place, [attack for attack in shown if attack.attacker == tag])
            for place, tag in enumerate(self.lineup(side, min(at, self.start)))
        ]
        return {
            "tag": self.clans[side],
            "name": f"Name of {self.clans[side]}",
            "badgeUrls": {},
            "clanLevel": 10,
            "attacks": sum(attack.side == side for attack in shown),
            "stars": stars,
            "destructionPercentage": destruction,
            "members": members,
        }

    def _member(self, tag: str, place: int, attacks: list[Attack]) -> Json:
        member: Json = {"tag": tag, "name": f"Name of {tag}", "townhallLevel": 15, "mapPosition": 3 * place + 2}
        member["opponentAttacks"] = 0
        if attacks:
            member["attacks"] = [
                {
                    "attackerTag": attack.attacker,
                    "defenderTag": attack.defender,
                    "stars": attack.stars,
                    "destructionPercentage": attack.destruction,
                    "order": attack.order,
                    "duration": 120,
                }
                for attack in attacks
            ]
        return member


class ScriptedLeague:
    """A league of ``clans`` clans, of which the first one is ``OWN``.

    The group is drawn at ``start`` (Unix time). A round starts ``day`` seconds after its preparation, which starts with
    the battle of the previous round. ``own_first`` is whether the own clan is the ``clan`` of its wars. The group is
    shown until ``gone_at``, its war tags until ``tags_gone_at``.
    """

    def __init__(
        self,
        *,
        clans: int = 8,
        size: int = 5,
        start: float = START,
        day: float = DAY,
        name: str = "R",
        own_first: bool = True,
        others: str = "8",
    ) -> None:
        self.start, self.day, self.size = start, day, size
        self.clans = [OWN, *(f"#{others}{_LETTERS[number]}{_LETTERS[number]}" for number in range(1, clans))]
        self.season = SEASON
        self.gone_at = self.tags_gone_at = float("inf")
        self.wars: dict[str, ScriptedWar] = {}
        self.rounds: list[list[ScriptedWar]] = []
        preparation = start
        for number, pairs in enumerate(_pairings(self.clans), 1):
            wars = []
            for place, pair in enumerate(pairs):
                first, second = pair if own_first else pair[::-1]
                tag = f"#{name}{_LETTERS[number]}{_LETTERS[place]}Y"
                begin = preparation + day - 3 + place
                war = ScriptedWar(tag, number, (first, second), size, preparation + place, begin, begin + day)
                wars.append(war)
                self.wars[tag] = war
            # The API lists the wars of a round in no order.
            shift = number % len(wars)
            self.rounds.append(wars[shift:] + wars[:shift])
            preparation += day + 5

    def own(self, number: int) -> ScriptedWar:
        """Return the clan's war of a round."""
        return next(war for war in self.rounds[number - 1] if OWN in war.clans)

    def own_side(self, number: int) -> int:
        return self.own(number).clans.index(OWN)

    @property
    def end(self) -> float:
        return max(war.end for war in self.wars.values())

    def shift(self, number: int, *, start: float = 0.0, end: float = 0.0) -> None:
        """Move the start or the end of all battles of a round by seconds; the next round is drawn at the start."""
        for war in self.rounds[number - 1]:
            war.start += start
            war.end += end
        for war in self.rounds[number] if number < len(self.rounds) else []:
            war.preparation += start

    def group(self, at: float) -> Json | NotFoundError:
        """Return the response about the group at a time."""
        if not self.start <= at < self.gone_at:
            return NotFoundError("not found", status=404, max_age=600.0)
        states = {war.state(at) for wars in self.rounds for war in wars if war.preparation <= at}
        state = "inWar" if "inWar" in states else "preparation" if "preparation" in states else "ended"
        rounds = [
            [war.tag if self.is_drawn(number, at) and at < self.tags_gone_at else "#0" for war in wars]
            for number, wars in enumerate(self.rounds, 1)
        ]
        clans = [
            {
                "tag": tag,
                "name": f"Name of {tag}",
                "clanLevel": 10,
                "badgeUrls": {},
                "members": [{"tag": f"{tag}{one}", "name": one, "townHallLevel": 15} for one in _LETTERS],
            }
            for tag in self.clans
        ]
        return {"state": state, "season": self.season, "clans": clans, "rounds": [{"warTags": one} for one in rounds]}

    def is_drawn(self, number: int, at: float) -> bool:
        return min(war.preparation for war in self.rounds[number - 1]) <= at

    def response(self, path: str, at: float) -> Json | ClashError:
        """Return the response to a request at a time."""
        if path.endswith("/leaguegroup"):
            return self.group(at)
        war = self.wars.get(path.rpartition("/")[2])
        if war is None or at < war.preparation:
            return NotFoundError("not found", status=404, max_age=600.0)
        return war.body(at)

    def standings(self) -> list[tuple[str, int, float]]:
        """Return the tag, the stars with the bonus and the destruction of each clan at the end, the best first."""
        totals: dict[str, list[float]] = {tag: [0, 0.0] for tag in self.clans}
        for war in self.wars.values():
            scores = [war.score(side, float("inf")) for side in (0, 1)]
            for side, tag in enumerate(war.clans):
                stars, destruction = scores[side]
                totals[tag][0] += stars + (10 if scores[side] > scores[1 - side] else 0)
                totals[tag][1] += destruction * self.size
        table = [(tag, int(stars), round(destruction, 2)) for tag, (stars, destruction) in totals.items()]
        return sorted(table, key=lambda one: (-one[1], -one[2]))


class LeagueApi(InMemoryApi):
    """An API that plays a script at the time ``now()``; ``responses`` take precedence.

    With ``max_age`` responses are cached for that long, like those of the API's servers. Each request goes to one of
    two servers, chosen by ``rng``; the second one lags behind by up to that time.
    """

    def __init__(
        self,
        script: Callable[[str, float], Json | ClashError],
        now: Callable[[], float],
        *,
        max_age: float = 0.0,
        rng: random.Random | None = None,
    ) -> None:
        super().__init__()
        self.script, self.now, self.rng = script, now, rng
        self.max_age = max_age
        self._cached: dict[tuple[str, bool], tuple[float, Json | ClashError]] = {}

    def _respond(self, path: str) -> ApiResponse:
        if path in self.responses:
            return super()._respond(path)
        self.requests.append(path)
        now = self.now()
        key = path, self.rng is not None and self.rng.random() < 0.3
        expiry, body = self._cached.get(key, (0.0, {}))
        if now >= expiry:
            lag = self.rng.uniform(0, self.max_age) if self.rng is not None and key[1] else 0.0
            expiry, body = now + self.max_age, self.script(path, now - lag)
            self._cached[key] = expiry, body
        if isinstance(body, Exception):
            body.max_age = expiry - now
            raise body
        return ApiResponse(200, orjson.dumps(body), expiry - now)


class LeagueReplay(Replay):
    """The clan war league of ``OWN``, polled when the test requests it."""

    api: LeagueApi

    def __init__(
        self,
        script: ScriptedLeague | Callable[[str, float], Json | ClashError],
        *,
        at: float = 0.0,
        max_age: float = 0.0,
        rng: random.Random | None = None,
        **options: Any,
    ) -> None:
        super().__init__(Kind.CWL, OWN, now=START + at, **options)
        respond = script.response if isinstance(script, ScriptedLeague) else script
        self.api = LeagueApi(respond, lambda: self.now, max_age=max_age, rng=rng)
        self.restart()

    def restart(self) -> None:
        """Start a new run with the usual interval."""
        super().restart()
        self._poller.set_interval(600.0)

    def poll_at(self, at: float) -> list[Event]:
        """Poll ``at`` seconds after the start of the league, and return the events."""
        self.now = START + at
        return list(self.poll())

    def types_at(self, at: float) -> list[str]:
        """Poll ``at`` seconds after the start of the league, and return the types of the events."""
        return [event.event_type.value for event in self.poll_at(at)]


def snapshot_of(replay: Replay) -> Snapshot:
    snapshot = replay._state.snapshot(Resource(Kind.CWL, OWN))
    assert snapshot is not None
    return snapshot


def state_of(replay: Replay) -> CwlState:
    return cwl_state(snapshot_of(replay), OWN)


def poll_until(replay: LeagueReplay, end: float, *, begin: float, step: float = 1800.0) -> list[Event]:
    """Poll every half hour, in seconds after the start of the league."""
    events = []
    at = begin
    while at <= end:
        events += replay.poll_at(at)
        at += step
    return events


def types(events: list[Event]) -> list[str]:
    return [event.event_type.value for event in events]


def watched_from_the_start(league: ScriptedLeague, **options: Any) -> LeagueReplay:
    """Return a replay that has seen the clan without a league and then the first preparation."""
    replay = LeagueReplay(league, **options)
    assert replay.types_at(-HOUR) == []
    assert replay.types_at(60) == ["cwl_started", "cwl_round_new"]
    return replay


def _pairings(clans: list[str]) -> list[list[tuple[str, str]]]:
    """Return who plays against whom in each round; with an odd number of clans, one pauses."""
    circle: list[str | None] = [*clans, *([None] if len(clans) % 2 else [])]
    rounds = []
    for _ in range(len(clans) - 1):
        half = len(circle) // 2
        pairs = zip(circle[:half], reversed(circle[half:]), strict=True)
        rounds.append([(one, other) for one, other in pairs if one is not None and other is not None])
        circle = [circle[0], circle[-1], *circle[1:-1]]
    return rounds
