"""The Jinja templates that read our JSON objects inside Home Assistant, and those that write our requests there.

What reads renders ``None``, which is *unknown* there, for a key that is missing, for null, for a value of another type
and for the empty payload by which retained state is removed. None of that may be an error or a warning in the log: so
nothing is taken for an object, a number or a word before it was looked at. A path names the keys from the outermost
object to the value. Keys, words and paths must be plain: they stand in the templates in quotes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

# What Home Assistant shows of a state.
_LONGEST_STATE = 255
# Fifty of them, of whatever letters, stay below the 16,384 bytes that it records of an entity's attributes.
_LONGEST_NAME = 40
_MOST_MEMBERS = 50

NOTHING = "{{ '' }}"


def number(*path: str, times: int = 1) -> str:
    """Return the template that gives a number, ``times`` of it with one decimal."""
    value = "v" if times == 1 else f"(v * {times}) | round(1)"
    return f"{_read(path)}{{{{ {value} if v is number and v is not boolean else none }}}}"


def text(*path: str) -> str:
    """Return the template that gives words, as many of them as Home Assistant shows."""
    return f"{_read(path)}{{{{ v[:{_LONGEST_STATE}] if v is string and v | trim else none }}}}"


def moment(*path: str) -> str:
    """Return the template that gives a time: a text that looks like ISO 8601."""
    return f"{_read(path)}{{{{ v if v is string and v[4:5] == '-' and v[10:11] == 'T' else none }}}}"


def yes_or_no(*path: str) -> str:
    """Return the template that gives ``ON`` for true and ``OFF`` for false."""
    return f"{_read(path)}{{{{ 'ON' if v is true else 'OFF' if v is false else none }}}}"


def translate(words: Mapping[str, str], *path: str) -> str:
    """Return the template that gives what a word is called in Home Assistant, unknown for any other."""
    return f"{_read(path)}{{{{ {dict(words)!r}.get(v) if v is string else none }}}}"


def url(default: str, *path: str) -> str:
    """Return the template that gives a URL of the web, ``default`` for everything that is none."""
    return f"{_read(path)}{{{{ v if v is string and v[:8] == 'https://' and v | length > 12 else {default!r} }}}}"


def event(event_types: Sequence[str]) -> str:
    """Return the template that lets an event of these types pass as it is, and gives the empty text for others."""
    return f"{_read(('event_type',))}{{{{ value if v in {list(event_types)!r} else '' }}}}"


def attributes(names: Mapping[str, str], *path: str) -> str:
    """Return the template that gives an object: by attribute, the key of the object that the path leads to.

    Where there is none it gives the empty object.
    """
    pairs = ", ".join(f"{name!r}: o.get({key!r})" for name, key in names.items())
    return f"{_object(path)}{{{{ ({{{pairs}}} if o else {{}}) | tojson }}}}"


def members(attribute: str, *path: str) -> str:
    """Return the template that gives an object with one list: the name of each member and their ``attacks_left``.

    A member without a name is called by their tag; a long name is cut.
    """
    return (
        f"{_read(path)}{{% set ns = namespace(found=[]) %}}"
        "{% for m in (v if v is sequence and v is not string and v is not mapping else [])"
        f"[:{_MOST_MEMBERS}] if m is mapping %}}"
        "{% set name = m.get('name') or m.get('tag') %}{% set left = m.get('attacks_left') %}"
        f"{{% set ns.found = ns.found + [{{'name': name[:{_LONGEST_NAME}] if name is string else none, "
        "'attacks_left': left if left is number else none}] %}{% endfor %}"
        f"{{{{ {{{attribute!r}: ns.found}} | tojson }}}}"
    )


def request(key: str, **fixed: str) -> str:
    """Return the command template that gives a request: an object of fixed words, and under ``key`` what was typed."""
    pairs = "".join(f"{name!r}: {word!r}, " for name, word in fixed.items())
    return f"{{{{ {{{pairs}{key!r}: value}} | tojson }}}}"


def _read(path: Sequence[str]) -> str:
    """Return the statements that set ``v`` to the value at a path, none where there is no such."""
    return f"{_object(path[:-1])}{{% set v = o.get({path[-1]!r}) %}}"


def _object(path: Sequence[str]) -> str:
    """Return the statements that set ``o`` to the object at a path, to an empty one where there is none."""
    steps = "".join(f"{{% set o = o.get({key!r}) %}}{{% set o = o if o is mapping else {{}} %}}" for key in path)
    return f"{{% set o = value_json if value_json is mapping else {{}} %}}{steps}"
