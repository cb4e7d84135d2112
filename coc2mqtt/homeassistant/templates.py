"""Jinja templates that read published states inside Home Assistant, and templates that build requests.

A value template renders ``None``, which Home Assistant shows as *unknown*, for a missing key, null, a value of another
type, and the empty payload that removes a retained state. None of these may cause an error or warning in Home
Assistant's log, so the templates check every type first. A path is the keys from the outermost object to the value.
Keys, texts and paths must not contain quotes, because they are quoted in the templates.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

# The maximum length of a state in Home Assistant.
_MAX_STATE_LENGTH = 255
# Fifty names of any characters stay below the 16,384 bytes of attributes that Home Assistant records.
_MAX_NAME_LENGTH = 40
_MAX_MEMBERS = 50
# The game allows 15 characters. Two lists of fifty members must fit into the attributes.
_MAX_RAIDER_LENGTH = 20
# More clans than a group of a clan war league has.
_MAX_CLANS = 16

# The API's roles in a clan, and the words for them in Home Assistant.
ROLES = {"member": "member", "admin": "elder", "coLeader": "co_leader", "leader": "leader"}
# The attributes of a member in a roster, and the keys of the payload, which limits their lengths.
_MEMBER_TEXTS = {"tag": "tag", "name": "name", "league": "league"}
_MEMBER_NUMBERS = {
    "town_hall": "town_hall_level",
    "trophies": "trophies",
    "donations": "donations",
    "received": "donations_received",
}

_IS_LIST = "v is sequence and v is not string and v is not mapping"
# The statements that set `n` to the name of the member `m`, which defaults to the tag.
_NAME = f"{{% set n = m.get('name') or m.get('tag') %}}{{% set n = n[:{_MAX_NAME_LENGTH}] if n is string else none %}}"
_TAG_CHARACTERS = "0289PYLQGRJCUV"
# With the `#`.
_MAX_TAG_LENGTH = 17


def number(*path: str, times: int = 1) -> str:
    """Return a template for a number; with ``times``, the product rounded to one decimal."""
    value = "v" if times == 1 else f"(v * {times}) | round(1)"
    return f"{_read(path)}{{{{ {value} if v is number and v is not boolean else none }}}}"


def text(*path: str) -> str:
    """Return a template for a text, truncated to the maximum length of a state."""
    return f"{_read(path)}{{{{ v[:{_MAX_STATE_LENGTH}] if v is string and v | trim else none }}}}"


def timestamp(*path: str) -> str:
    """Return a template for a timestamp in ISO 8601."""
    return f"{_read(path)}{{{{ v if v is string and v[4:5] == '-' and v[10:11] == 'T' else none }}}}"


def yes_or_no(*path: str) -> str:
    """Return a template that renders ``ON`` for true and ``OFF`` for false."""
    return f"{_read(path)}{{{{ 'ON' if v is true else 'OFF' if v is false else none }}}}"


def translate(options: Mapping[str, str], *path: str) -> str:
    """Return a template that maps values to states; other values are unknown."""
    return f"{_read(path)}{{{{ {dict(options)!r}.get(v) if v is string else none }}}}"


def label(labels: Mapping[str, str], *path: str) -> str:
    """Return a template for the attribute ``label``: the text that ``labels`` has for the value, none for others."""
    texts = dict(labels)
    return f"{_read(path)}{{{{ ({{'label': {texts!r}[v]}} if v is string and v in {texts!r} else {{}}) | tojson }}}}"


def state() -> str:
    """Return a template for the text at ``state``. Availability needs it short: it is in most components."""
    return "{{ value_json.state if value_json is mapping and value_json.state is string else none }}"


def event_type() -> str:
    """Return a template for the type of an event. Device triggers need it short: there are dozens of them."""
    return "{{ value_json.event_type if value_json is mapping and value_json.event_type is string else none }}"


def is_known(*path: str) -> str:
    """Return a template that renders ``online`` if there is a value at the path, else ``offline``."""
    if len(path) == 1:
        # Short, because it is in most components of a clan.
        value = f"value_json is mapping and value_json.get({path[0]!r}) is not none"
        return f"{{{{ 'online' if {value} else 'offline' }}}}"
    return f"{_read(path)}{{{{ 'offline' if v is none else 'online' }}}}"


def url(default: str, *path: str) -> str:
    """Return a template for an HTTPS URL, ``default`` for any other value."""
    return f"{_read(path)}{{{{ v if v is string and v[:8] == 'https://' and v | length > 12 else {default!r} }}}}"


def event(event_types: Sequence[str]) -> str:
    """Return a template that passes events of these types on, and renders the empty text for others.

    Events that other events explain are not passed on, because they would replace these in the entity.
    """
    secondary = "{% set m = o.get('metadata') %}{% set secondary = m is mapping and m.get('caused_by') %}"
    types = list(event_types)
    return f"{_read(('event_type',))}{secondary}{{{{ value if v in {types!r} and not secondary else '' }}}}"


def attributes(names: Mapping[str, str], *path: str) -> str:
    """Return a template for attributes: maps each attribute to a key of the object at the path.

    Without such an object it renders the empty object.
    """
    pairs = ", ".join(f"{name!r}: o.get({key!r})" for name, key in names.items())
    return f"{_object(path)}{{{{ ({{{pairs}}} if o else {{}}) | tojson }}}}"


def members(attribute: str, *path: str) -> str:
    """Return a template for an object with one list: the name and ``attacks_left`` of each member.

    The name defaults to the tag; long names are truncated.
    """
    return (
        f"{_read(path)}{{% set ns = namespace(found=[]) %}}"
        f"{{% for m in (v if {_IS_LIST} else [])[:{_MAX_MEMBERS}] if m is mapping %}}"
        "{% set name = m.get('name') or m.get('tag') %}{% set left = m.get('attacks_left') %}"
        f"{{% set ns.found = ns.found + [{{'name': name[:{_MAX_NAME_LENGTH}] if name is string else none, "
        "'attacks_left': left if left is number else none}] %}{% endfor %}"
        f"{{{{ {{{attribute!r}: ns.found}} | tojson }}}}"
    )


def last_war(labels: Mapping[str, str], key: str) -> str:
    """Return a template for the attributes of the last war: its opponent, score, end and so on.

    ``labels`` maps the values of ``key`` to the attribute ``label``.
    """
    sides = "".join(
        f"{{% set {side} = o.get({side!r}) %}}{{% set {side} = {side} if {side} is mapping else {{}} %}}"
        for side in ("clan", "opponent")
    )
    stars = "{% set s = clan.get('stars') %}{% set t = opponent.get('stars') %}"
    values = {
        "label": f"{dict(labels)!r}.get(o.get({key!r}) | string)",
        "opponent": "opponent.get('name')",
        "score": "s ~ '-' ~ t if s is number and t is number else none",
        "destruction": "clan.get('destruction')",
        "opponent_destruction": "opponent.get('destruction')",
        "end": "o.get('end_time')",
    }
    pairs = ", ".join(f"{name!r}: {value}" for name, value in values.items())
    return f"{_object(())}{sides}{stars}{{{{ ({{{pairs}}} if o else {{}}) | tojson }}}}"


def standings(attribute: str, *path: str) -> str:
    """Return a template for an object with one list: position, clan, stars and so on of each clan in a table."""
    texts, numbers = ("tag", "name"), ("position", "stars", "destruction", "wins", "losses", "ties")
    pairs = [f"{key!r}: {_text_of('m', key)}" for key in texts] + [
        f"{key!r}: {_number_of('m', key)}" for key in numbers
    ]
    return (
        f"{_read(path)}{{% set ns = namespace(found=[]) %}}"
        f"{{% for m in (v if {_IS_LIST} else [])[:{_MAX_CLANS}] if m is mapping %}}"
        f"{{% set ns.found = ns.found + [{{{', '.join(pairs)}}}] %}}{{% endfor %}}"
        f"{{{{ {{{attribute!r}: ns.found}} | tojson }}}}"
    )


def games_members(attribute: str, *path: str) -> str:
    """Return a template for an object with one list: the name and points of each member in the clan games."""
    member = f"{{'name': n, 'points': {_number_of('m', 'points')}}}"
    return (
        f"{_read(path)}{{% set ns = namespace(found=[]) %}}{{% for m in (v if {_IS_LIST} else [])[:{_MAX_MEMBERS}] "
        f"if m is mapping %}}{_NAME}{{% set ns.found = ns.found + [{member}] %}}{{% endfor %}}"
        f"{{{{ {{{attribute!r}: ns.found}} | tojson }}}}"
    )


def donors(key: str) -> str:
    """Return a template for the attribute ``members``: those with donations, the most generous first."""
    return (
        f"{_read(('members',))}{{% set ns = namespace(found=[]) %}}{{% for m in (v if {_IS_LIST} else [])"
        f"[:{_MAX_MEMBERS}] if m is mapping %}}{_NAME}{{% set d = {_number_of('m', key)} %}}"
        "{% if d is not none and d > 0 %}{% set ns.found = ns.found + [{'name': n, 'donations': d}] %}{% endif %}"
        "{% endfor %}{{ {'members': ns.found | sort(attribute='donations', reverse=true)} | tojson }}"
    )


def inactive_members(*path: str) -> str:
    """Return a template for the attribute ``members``: the name and ``last_seen`` of each inactive member."""
    seen = "m.get('last_seen_at') if m.get('last_seen_at') is string else none"
    return (
        f"{_read(path)}{{% set ns = namespace(found=[]) %}}{{% for m in (v if {_IS_LIST} else [])[:{_MAX_MEMBERS}] "
        f"if m is mapping and m.get('inactive') is true %}}{_NAME}"
        f"{{% set ns.found = ns.found + [{{'name': n, 'last_seen': {seen}}}] %}}{{% endfor %}}"
        "{{ {'members': ns.found} | tojson }}"
    )


def raid_members() -> str:
    """Return a template for the members of a raid weekend.

    The attributes are the members with attacks left, like those of a war, and the names of those who have not started.
    """
    left, rest = (
        f"{{% set v = o.get({key!r}) %}}{{% for m in (v if {_IS_LIST} else [])[:{_MAX_MEMBERS}] if m is mapping %}}"
        "{% set n = m.get('name') or m.get('tag') %}"
        f"{{% set n = n[:{_MAX_RAIDER_LENGTH}] if n is string else none %}}"
        for key in ("members_with_attacks_left", "members_not_started")
    )
    member = f"{{'name': n, 'attacks_left': {_number_of('m', 'attacks_left')}}}"
    return (
        f"{_object(())}{{% set ns = namespace(left=[], rest=[]) %}}"
        f"{left}{{% set ns.left = ns.left + [{member}] %}}{{% endfor %}}"
        f"{rest}{{% set ns.rest = ns.rest + [n] %}}{{% endfor %}}"
        "{{ {'members': ns.left, 'members_not_started': ns.rest} | tojson }}"
    )


def raid_medals(attacks: int) -> str:
    """Return a template for the raid medals of a member with this number of attacks; an estimate until the end."""
    return f"{_medals()}{{{{ v if v is not none else e * {attacks} if e is not none else none }}}}"


def raid_medal_attributes() -> str:
    """Return a template for the attributes of the raid medals: whether they are an estimate, and their parts."""
    per_attack = f"e if v is none else {_number_of('o', 'offensive_reward')}"
    pairs = f"'estimated': v is none, 'per_attack': {per_attack}, 'defense': {_number_of('o', 'defensive_reward')}"
    return f"{_medals()}{{{{ ({{{pairs}}} if v is not none or e is not none else {{}}) | tojson }}}}"


def parts(key: str, *parts: str) -> str:
    """Return a template for an object with a value of each of these parts: a number, a boolean, or none if unknown."""
    steps = "".join(f"{{% set {part} = o.get({part!r}) %}}" for part in parts)
    # A boolean is a number in Jinja.
    value = "{0}.get({1!r}) if {0} is mapping and {0}.get({1!r}) is number else none".format
    pairs = ", ".join(f"{part!r}: {value(part, key)}" for part in parts)
    return f"{_object(())}{steps}{{{{ ({{{pairs}}} if o else {{}}) | tojson }}}}"


def count(*path: str) -> str:
    """Return a template for the length of a list."""
    return f"{_read(path)}{{{{ v | length if {_IS_LIST} else none }}}}"


def roster(attribute: str, *path: str) -> str:
    """Return a template for an object with one list: tag, name, role, town hall and so on of each member."""
    return (
        f"{_read(path)}{{% set ns = namespace(found=[]) %}}"
        f"{{% for m in (v if {_IS_LIST} else [])[:{_MAX_MEMBERS}] if m is mapping %}}"
        f"{{% set ns.found = ns.found + [{_member()}] %}}{{% endfor %}}"
        f"{{{{ {{{attribute!r}: ns.found}} | tojson }}}}"
    )


def member_number(tag: str, key: str) -> str:
    """Return a template for a number of the member with this tag."""
    return f"{_find_member(tag)}{{% set v = m.get({key!r}) %}}{{{{ v if v is number and v is not boolean else none }}}}"


def member_attributes(tag: str) -> str:
    """Return a template for the attributes of the member with this tag, the same as in the roster."""
    return f"{_find_member(tag)}{{{{ ({_member()} if m else {{}}) | tojson }}}}"


def request(key: str, **fixed: str) -> str:
    """Return a command template for a request: an object with the fixed values and the input as ``key``."""
    pairs = "".join(f"{name!r}: {text!r}, " for name, text in fixed.items())
    return f"{{{{ {{{pairs}{key!r}: value}} | tojson }}}}"


def running_tag(command: str, **fixed: str) -> str:
    """Return a template for the normalised tag of a running command with these values, otherwise the empty text."""
    conditions = "".join(f" and o.get({key!r}) == {value!r}" for key, value in {"command": command, **fixed}.items())
    return (
        f"{_object(('running',))}{{% set v = o.get('tag') %}}"
        f"{{{{ v if v is string{conditions} and v | length < {_MAX_TAG_LENGTH} and v[:1] == '#'"
        f" and v[3:] and not v[1:] | reject('in', '{_TAG_CHARACTERS}') | list else '' }}}}"
    )


def _find_member(tag: str) -> str:
    """Return the statements that set ``m`` to the member with this tag, or to an empty object."""
    return (
        f"{_read(('members',))}{{% set ns = namespace(m={{}}) %}}{{% for m in (v if {_IS_LIST} else []) "
        f"if m is mapping and m.get('tag') == {tag!r} %}}{{% set ns.m = m %}}{{% endfor %}}{{% set m = ns.m %}}"
    )


def _member() -> str:
    """Return the expression for the attributes of the member ``m``, an object of any values."""
    read = "m.get({0!r}) if m.get({0!r}) is {1} else none".format
    texts = {name: read(key, "string") for name, key in _MEMBER_TEXTS.items()}
    numbers = {name: read(key, "number") for name, key in _MEMBER_NUMBERS.items()}
    role = f"{ROLES!r}.get(m.get('role')) if m.get('role') is string else none"
    return "{" + ", ".join(f"{name!r}: {value}" for name, value in {**texts, "role": role, **numbers}.items()) + "}"


def _medals() -> str:
    """Return the statements that set ``v`` to the final raid medals and ``e`` to the estimated ones per attack."""
    final, estimated = _number_of("o", "max_medals"), _number_of("o", "estimated_medals")
    return f"{_object(())}{{% set v = {final} %}}{{% set e = {estimated} %}}"


def _text_of(variable: str, key: str) -> str:
    """Return the expression for a text in an object, none for any other value."""
    value = f"{variable}.get({key!r})"
    return f"({value}[:{_MAX_NAME_LENGTH}] if {value} is string else none)"


def _number_of(variable: str, key: str) -> str:
    """Return the expression for a number in an object, none for any other value."""
    value = f"{variable}.get({key!r})"
    return f"({value} if {value} is number and {value} is not boolean else none)"


def _read(path: Sequence[str]) -> str:
    """Return the statements that set ``v`` to the value at a path, or to none."""
    return f"{_object(path[:-1])}{{% set v = o.get({path[-1]!r}) %}}"


def _object(path: Sequence[str]) -> str:
    """Return the statements that set ``o`` to the object at a path, or to an empty one."""
    steps = "".join(f"{{% set o = o.get({key!r}) %}}{{% set o = o if o is mapping else {{}} %}}" for key in path)
    return f"{{% set o = value_json if value_json is mapping else {{}} %}}{steps}"
