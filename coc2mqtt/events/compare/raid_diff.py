"""Compare two responses about a clan's raid weekend. Pure: no clock, no I/O."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from coc2mqtt.clash.response import api_time, parse_unix_time
from coc2mqtt.events.compare.diff import CompareResult, any_decreased
from coc2mqtt.events.compare.raid import (
    ENDED,
    attack_gains,
    attacks,
    attacks_left,
    district_count,
    districts,
    is_completed,
    is_destroyed,
    own_raids,
    raids_on_us,
    rewards,
    start_of,
    total_attacks,
)
from coc2mqtt.events.compare.raid_history import RaidHistory, ReportedRaid
from coc2mqtt.events.compare.raid_result import raid_result
from coc2mqtt.events.event import Event, EventType

if TYPE_CHECKING:
    from coc2mqtt.events.resource import Snapshot

Json = dict[str, Any]

# The first response after the end may not show the rewards yet: another one is awaited, at least this much later.
_REWARDS_DELAY_S = 290.0
# The API shows the end some minutes late. Without any change for this long it will not show it any more.
_MAX_END_DELAY_S = 7200.0
# These only grow within a weekend, so a response with a lower value is stale.
_NON_DECREASING = ("capitalTotalLoot", "totalAttacks", "enemyDistrictsDestroyed")
_LOGS = ("attackLog", "defenseLog")
# Weekends are a week apart, but the API may correct the start of one, and the wall clock may be wrong.
_MAX_START_SHIFT_S = 86_400.0


class UnobservedEnd(NamedTuple):
    """How a weekend ended that another one replaced before its end was observed.

    ``season`` is its entry among the past weekends, which has no members and attacks; None if it could not be found.
    """

    season: Json | None = None


def initial_raid_memo(season: Json | None) -> Json:
    """Return the memo after the first response: everything in it counts as reported."""
    return RaidHistory.from_first_response(season).to_json()


def restore_missing_raid_fields(old: Snapshot, season: Json | None) -> Json | None:
    """Return the latest weekend of a response with the last known values of the fields that it lacks.

    If its start was corrected, it keeps the known one, which identifies it.
    """
    known = _season(old)
    if season is None or known is None:
        return season
    if known["startTime"] != season["startTime"]:
        return {**season, "startTime": known["startTime"]} if _is_start_corrected(old, known, season) else season
    gone = {key: value for key, value in known.items() if season.get(key) is None and value is not None}
    return {**season, **gone} if gone else season


def raid_looks_stale(old: Snapshot, season: Json | None, *, at: float) -> bool:
    """Return whether a response, with restored fields, looks older than the snapshot, incomplete or wrong.

    A weekend never follows a later one and never continues after its end, and the logs, the numbers and the members
    only grow. None starts long after ``at`` (Unix time): it would hide all weekends until then.
    """
    known = _season(old)
    if season is None or known is None:
        return known is not None
    if season["startTime"] != known["startTime"]:
        return not start_of(known) <= start_of(season) <= at + _MAX_START_SHIFT_S
    if known["state"] == ENDED != season["state"] or any_decreased(known, season, _NON_DECREASING):
        return True
    if any(len(season.get(log) or []) < len(known.get(log) or []) for log in _LOGS):
        return True
    members = {member["tag"]: member.get("attacks", 0) for member in season.get("members") or []}
    if any(members.get(one["tag"], -1) < one.get("attacks", 0) for one in known.get("members") or []):
        return True
    history = RaidHistory.from_json(old.memo, known)
    return not (history.matches(season) and history.is_contained_in(season))


def raid_ended_unobserved(old: Snapshot, season: Json | None) -> Json | None:
    """Return the last response about a weekend that ``season`` replaced before its end was reported, else None."""
    known = _season(old)
    if known is None or season is None or start_of(season) <= start_of(known):
        return None
    return None if RaidHistory.from_json(old.memo, known).ended else known


def raid_may_end(old: Snapshot, season: Json | None, *, at: float) -> bool:
    """Return whether comparing the response, with restored fields, may report the end of its weekend."""
    current = season or _season(old)
    return current is not None and (current["state"] == ENDED or _is_overdue(current, at))


def compare_raid(
    old: Snapshot,
    season: Json | None,
    *,
    tag: str,
    at: float,
    defenses: bool = False,
    roster: list[Json] | None = None,
    unobserved_end: UnobservedEnd | None = None,
    clock_jump: float = 0.0,
) -> CompareResult:
    """Compare the snapshot of a clan's raid weekend, whose data is not None, with a new response.

    ``season`` is the result of ``restore_missing_raid_fields``. ``tag`` is the watched clan's. ``at`` is the Unix time
    in seconds of the events. Completed raids on the clan are reported if ``defenses`` is set. ``roster`` is the clan's
    member list, None if it is unknown. ``unobserved_end`` is how the weekend ended that ``raid_ended_unobserved``
    returns. ``clock_jump`` are the seconds by which the wall clock was set since the snapshot.

    Attacks are identified by (start of the weekend, position of the raid in the log, district, position of the attack
    from the oldest) and reported once. The end is reported once the API shows it together with the rewards. The result
    is not ``final`` until then.
    """
    known = _season(old)
    history = RaidHistory.from_json(old.memo, known)
    history.shift_times(clock_jump)
    diff = _RaidDiff(old.data, known, tag, at, history, defenses)
    if season is None or (known is not None and start_of(season) < start_of(known)):
        # It shows nothing of the latest weekend, whose end may be overdue nevertheless.
        season = known
    elif known is None or start_of(season) > start_of(known):
        if known is not None and not history.ended:
            diff.report_unobserved_end(known, unobserved_end or UnobservedEnd())
        diff.start(season)
    elif not history.matches(season):
        # The log is another one than before, so that positions mean nothing.
        matching = RaidHistory.from_first_response(season)
        matching.ended = history.ended
        diff.history = matching
    if season is not None:
        diff.report_season(season)
        diff.report_observed_end(season, roster)
    return CompareResult(diff.events, {"season": season}, diff.history.to_json(), diff.history.waiting_since is None)


def _season(snapshot: Snapshot) -> Json | None:
    return (snapshot.data or {}).get("season")


def _is_start_corrected(old: Snapshot, known: Json, season: Json) -> bool:
    """Return whether a response shows the known weekend with another start: at nearly that time, with its attacks."""
    if abs(start_of(season) - start_of(known)) >= _MAX_START_SHIFT_S:
        return False
    history = RaidHistory.from_json(old.memo, known)
    attacked = any(count for raid in history.raids for count in raid.attacks.values())
    return attacked and history.matches(season) and history.is_contained_in(season)


def _progress(season: Json) -> list[Any]:
    return [season.get(key) for key in ("state", *_NON_DECREASING)]


def _is_overdue(season: Json, at: float) -> bool:
    end = parse_unix_time(season.get("endTime"))
    return season["state"] != ENDED and end is not None and at >= end


@dataclass(slots=True)
class _RaidDiff:
    """Builds the events of one comparison; ``history`` and ``events`` are updated in place."""

    old: Json | None
    known: Json | None
    tag: str
    at: float
    history: RaidHistory
    defenses: bool
    events: list[Event] = field(default_factory=list)

    def start(self, season: Json) -> None:
        """Report the start of a weekend."""
        self.history = RaidHistory(season["startTime"])
        times = {"start_at": api_time(season["startTime"]), "end_at": api_time(season.get("endTime"))}
        self._add(EventType.RAID_STARTED, season, times)

    def report_season(self, season: Json) -> None:
        """Report the raids on other clans, and the completed raids on the clan."""
        members = {member["tag"]: member for member in season.get("members") or []}
        for index, raid in enumerate(own_raids(season)):
            self._report_raid(season, index, raid, members)
        for index, raid in enumerate(raids_on_us(season)):
            if is_completed(raid) and index not in self.history.defenses:
                self.history.defenses.add(index)
                if self.defenses:
                    self._add(EventType.RAID_DEFENSE_ENDED, season, _defense(raid))

    def report_observed_end(self, season: Json, roster: list[Json] | None) -> None:
        """Report the end of the weekend once the API shows it with the rewards, or does not show it in time."""
        history, ended = self.history, season["state"] == ENDED
        if history.ended or not (ended or _is_overdue(season, self.at)):
            history.waiting_since = None
            return
        # Every progress, and a wall clock that was set back, starts another wait.
        progressed = self.known is None or _progress(season) != _progress(self.known)
        if history.waiting_since is None or self.at < history.waiting_since or progressed:
            history.waiting_since = self.at
        waited = self.at - history.waiting_since
        complete = ended and (total_attacks(season) == 0 or rewards(season)[0] is not None)
        if complete or waited >= (_REWARDS_DELAY_S if ended else _MAX_END_DELAY_S):
            history.ended, history.waiting_since = True, None
            result = raid_result(season, roster=roster, partial=not ended)
            history.not_started = result["members_not_started"]
            self._add(EventType.RAID_ENDED, season, result)

    def report_unobserved_end(self, known: Json, end: UnobservedEnd) -> None:
        """Report the end of the weekend in the snapshot, and what its entry among the past weekends shows of it."""
        season = known
        if end.season is not None and self.history.matches(end.season):
            # It has no members: these are the last known ones.
            season = {**end.season, "members": known.get("members")}
            self.report_season(season)
        result = raid_result(season, roster=None, partial=known["state"] != ENDED)
        self._add(EventType.RAID_ENDED, season, result)

    def _report_raid(self, season: Json, index: int, raid: Json, members: dict[str, Json]) -> None:
        identity = _identity(index, raid)
        if index >= len(self.history.raids):
            self.history.raids.append(ReportedRaid(identity["defender_tag"]))
            level = (raid.get("defender") or {}).get("level")
            metadata = {**identity, "defender_level": level, "districts": district_count(raid) or None}
            self._add(EventType.RAID_OPPONENT_NEW, season, metadata)
        reported = self.history.raids[index]
        for district in districts(raid):
            self._report_district(season, identity, district, reported, members)
        if is_completed(raid) and not reported.completed:
            reported.completed = True
            loot = [one["totalLooted"] for one in districts(raid) if "totalLooted" in one]
            metadata = {
                **identity,
                "attacks": raid.get("attackCount"),
                "loot": sum(loot) if loot else None,
                "districts": district_count(raid) or None,
            }
            self._add(EventType.RAID_CLAN_DESTROYED, season, metadata)

    def _report_district(
        self, season: Json, identity: Json, district: Json, reported: ReportedRaid, members: dict[str, Json]
    ) -> None:
        key = str(district["id"])
        about = {
            **identity,
            "district_id": district["id"],
            "district_name": district.get("name"),
            "district_hall": district.get("districtHallLevel"),
        }
        oldest_first = attacks(district)
        known = reported.attacks.get(key, 0)
        for order, (attack, (after, gained)) in enumerate(
            zip(oldest_first, attack_gains(district), strict=True), start=1
        ):
            if order > known:
                metadata = {**about, **_attack(attack, members), "order": order, "destruction": after, "gained": gained}
                self._add(EventType.RAID_ATTACK_NEW, season, metadata)
        reported.attacks[key] = max(known, len(oldest_first))
        if is_destroyed(district) and key not in reported.destroyed:
            reported.destroyed.add(key)
            last = _person(oldest_first[-1]) if oldest_first else {}
            metadata = {
                **about,
                "attacks": district.get("attackCount"),
                "loot": district.get("totalLooted"),
                "last_attacker_tag": last.get("tag"),
                "last_attacker_name": last.get("name"),
            }
            self._add(EventType.RAID_DISTRICT_DESTROYED, season, metadata)

    def _add(self, event_type: EventType, season: Json, metadata: Json) -> None:
        event = Event(
            event_type,
            self.tag,
            timestamp=self.at,
            old_data=self.old,
            new_data={"season": season},
            metadata=metadata,
        )
        self.events.append(event)


def _identity(index: int, raid: Json) -> Json:
    defender = raid.get("defender") or {}
    return {"raid_index": index + 1, "defender_tag": defender.get("tag"), "defender_name": defender.get("name")}


def _attack(attack: Json, members: dict[str, Json]) -> Json:
    attacker = _person(attack)
    member = members.get(attacker.get("tag", ""))
    return {
        "attacker_tag": attacker.get("tag"),
        "attacker_name": attacker.get("name"),
        "stars": attack.get("stars"),
        "finished": is_destroyed(attack),
        "attacks_used": None if member is None else member.get("attacks"),
        "attacks_left": None if member is None else attacks_left(member),
    }


def _defense(raid: Json) -> Json:
    attacker = _person(raid)
    return {
        "attacker_tag": attacker.get("tag"),
        "attacker_name": attacker.get("name"),
        "attacks": raid.get("attackCount"),
        "districts_destroyed": raid.get("districtsDestroyed"),
    }


def _person(attack: Json) -> Json:
    return attack.get("attacker") or {}
