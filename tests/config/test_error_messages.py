"""Error messages for the configuration file: each contains the key and the remedy."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.support.configuration import SECRET, load_error

SOME_FILE = Path(__file__)


def one_clan(**keys: Any) -> str:
    return json.dumps({"watch": {"clans": [{"tag": "#2PP", **keys}]}})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        # invalid YAML, or not a configuration
        ("mqtt:\n\thost: a\n", "FILE line 2 is not valid YAML (a tab): indent with spaces"),
        ("mqtt: {host: a}\nmqtt: {host: b}\n", "FILE line 2 has a duplicate key 'mqtt': keep only one of them"),
        (f"api:\n  tokens: [a]\n  tokens: [{SECRET}]", "FILE line 3 has a duplicate key 'tokens': keep only"),
        ("mqtt: {host: a}\n---\nmqtt: {host: b}\n", "FILE line 2 starts a second document: remove the line '---'"),
        (f"mqtt:\n  password: *{SECRET}\n", "FILE line 2 is not valid YAML: put a value that starts with '!', '*' or"),
        (f"mqtt:\n  password: !{SECRET}\n", "FILE line 2 is not valid YAML: put a value that starts with '!', '*' or"),
        ("mqtt: \x07\n", "FILE is not valid YAML: remove control characters and other characters that YAML does not"),
        ("instance: 2026-13-45", "FILE contains a value that looks like a date or a number but is invalid: put it"),
        ("instance: !!bool x", "FILE contains a value that looks like a date or a number but is invalid: put it in"),
        ("instance: !!int ''", "FILE contains a value that looks like a date or a number but is invalid: put it in"),
        ("instance: " + "[" * 2000, "FILE is not valid YAML for settings: it is nested too deeply"),
        (f"mqtt: {{tls: {{ca_file: /{'x' * 300}}}}}", "FILE: mqtt.tls.ca_file: must be a file that this user may"),
        ("- a\n- b\n", "FILE contains no settings: write keys such as 'mqtt:', each followed by its values"),
        ("mqtt", "FILE contains no settings: write keys such as 'mqtt:', each followed by its values"),
        ("1: 2", "FILE contains no settings: write keys such as 'mqtt:', each followed by its values"),
        # tags
        ("watch:\n  clans:\n    - tag: #2PP\n", "FILE: watch.clans[0].tag: is empty: give it a value or remove it;"),
        ("watch:\n  clans:\n    - #2PP\n", "FILE: watch.clans[0].tag: is empty: give it a value or remove it; '#'"),
        ("watch:\n  clans:\n    #2PP\n", "FILE: watch.clans: is empty: give it a value or remove it; '#' starts a"),
        ("watch: {maintenance: {probe_tag: }}", "FILE: watch.maintenance.probe_tag: is empty: give it a value or"),
        ("watch: {clans: [2899]}", "FILE: watch.clans[0].tag: must be text, got 2899: put the tag in quotes"),
        ("watch: {players: [{tag: 2899}]}", "FILE: watch.players[0].tag: must be text, got 2899: put the tag in"),
        ("watch: {clans: ['#8QQ', '#XYZ']}", "FILE: watch.clans[1].tag: '#XYZ' is not a tag: a tag is '#' and three"),
        ("watch: {clans: [{interval: 60}]}", "FILE: watch.clans[0].tag: is missing"),
        ("watch: {clans: ['#2PP', {tag: 2pp}]}", "FILE: watch: contains the clan #2PP twice: remove one of them"),
        # unknown keys at each depth
        ("mqqt: {}", "FILE: unknown setting mqqt: remove it or fix the spelling, did you mean mqtt?"),
        ("mqtt: {hots: a}", "FILE: unknown setting mqtt.hots: remove it or fix the spelling, did you mean mqtt.host?"),
        ("mqtt: {hots: }", "FILE: unknown setting mqtt.hots: remove it or fix the spelling, did you mean mqtt.host?"),
        ("mqtt: {1: a}", "FILE: unknown setting mqtt[1]: remove it or fix the spelling, see 'coc2mqtt config schema'"),
        ("mqtt: {tls: {ca: a}}", "FILE: unknown setting mqtt.tls.ca: remove it or fix the spelling, see 'coc2mqtt"),
        (one_clan(intervall=60), "FILE: unknown setting watch.clans[0].intervall: remove it or fix the spelling, did"),
        ("_env_file: /etc/passwd", "FILE: unknown setting _env_file: remove it or fix the spelling, see 'coc2mqtt"),
        # a wrong type at each depth
        ("instance: 5", "FILE: instance: must be text, got 5: put it in quotes"),
        ("mqtt: localhost", "FILE: mqtt: must be a section of keys and values, got text: write each key"),
        ("watch: {calendar: }", "FILE: watch.calendar: is empty: indent its keys below it, or remove it"),
        ("watch: {calendar: false}", "FILE: watch.calendar: must be a section of keys and values, got false: write"),
        ("watch: {reminders: {war: 1h}}", "FILE: watch.reminders: is an option of a clan: write it below the tag in"),
        ("watch: {ranked: true}", "FILE: watch.ranked: is an option of a player: write it below the tag in watch.play"),
        ("watch: {clans: [{tag: '#2PP', ranked: true}]}", "FILE: watch.clans[0].ranked: does not apply to a clan: rem"),
        ("watch: {players: [{tag: '#2PP', war: true}]}", "FILE: watch.players[0].war: does not apply to a player: rem"),
        ("watch: {clans: [{tag: '#2PP', reminders: {war: [null]}}]}", "FILE: watch.clans[0].reminders.war[0]: is emp"),
        ("watch: {clans: [{tag: '#2PP', reminders: {roles: []}}]}", "FILE: watch.clans[0].reminders.roles: must have"),
        ("mqtt:", "FILE: mqtt: is empty: indent its keys below it, or remove it"),
        ("mqtt: {tls: true}", "FILE: mqtt.tls: must be a section of keys and values, got true: write each key"),
        ("mqtt: {port: many}", "FILE: mqtt.port: must be a whole number, got 'many'"),
        ("mqtt: {port: 1883.5}", "FILE: mqtt.port: must be a whole number, got 1883.5"),
        ("mqtt: {port: true}", "FILE: mqtt.port: must be a number, got true"),
        ("mqtt: {tls: {enabled: maybe}}", "FILE: mqtt.tls.enabled: must be true or false, got 'maybe'"),
        ("mqtt: {username: a, password: 12345}", "FILE: mqtt.password: must be text, got a number: put it in quotes"),
        (f"mqtt: {{username: a, password: [{SECRET}]}}", "FILE: mqtt.password: must be text, got a list"),
        ("watch: {clans: 5}", "FILE: watch.clans: must be a list, got 5: start each item with '- ' on a separate"),
        (one_clan(interval="often"), "FILE: watch.clans[0].interval: must be a number, got 'often'"),
        (one_clan(interval=True), "FILE: watch.clans[0].interval: must be a number, got true"),
        ("journal: {path: }", "FILE: journal.path: is empty: give it a value or remove it"),
        ("journal: {path: 5}", "FILE: journal.path: must be text, got 5: put it in quotes"),
        # values out of bounds
        (one_clan(interval=0.5), "FILE: watch.clans[0].interval: must be between 1 and 604800, got 0.5"),
        (one_clan(war_interval=0), "FILE: watch.clans[0].war_interval: must be between 1 and 604800, got 0"),
        ("watch: {players: [{tag: '#2PP', interval: .nan}]}", "FILE: watch.players[0].interval: must be between 1"),
        ("watch: {maintenance: {interval: .inf}}", "FILE: watch.maintenance.interval: must be between 1 and 604800,"),
        ("mqtt: {port: 70000}", "FILE: mqtt.port: must be between 1 and 65535, got 70000"),
        ("api: {requests_per_second: 0}", "FILE: api.requests_per_second: must be more than 0 and at most 1000, got 0"),
        ("mqtt: {protocol: 4}", "FILE: mqtt.protocol: must be 'auto', '5' or '3.1.1', got 4"),
        ("mqtt: {transport: udp}", "FILE: mqtt.transport: must be 'tcp' or 'websockets', got 'udp'"),
        ("mqtt: {path: mqtt}", "FILE: mqtt.path: must be the path of a URL, got 'mqtt': write it like /mqtt"),
        ('mqtt: {path: "/\\r\\nX: y"}', "FILE: mqtt.path: must be the path of a URL, got '/\\r\\nX: y': write it"),
        ("mqtt: {keepalive: 4}", "FILE: mqtt.keepalive: must be between 5 and 3600, got 4"),
        ("log: {level: loud}", "FILE: log.level: must be 'debug', 'info', 'warning' or 'error', got 'loud'"),
        ("journal: {keep_delivered: a week}", "FILE: journal.keep_delivered: must be seconds, or a number with s, m,"),
        ("journal: {keep_delivered: -7}", "FILE: journal.keep_delivered: must be seconds, or a number with s, m, h"),
        ("journal: {keep_delivered: true}", "FILE: journal.keep_delivered: must be seconds, or a number with s, m, h"),
        ("journal: {keep_delivered: 99999999999d}", "FILE: journal.keep_delivered: must be seconds, or a number with"),
        ("journal: {max_pending: 0}", "FILE: journal.max_pending: must be between 1 and 100000000, got 0"),
        ("journal: {max_pending_age: 59s}", "FILE: journal.max_pending_age: must be at least 1m, got 59s"),
        ("instance: two words", "FILE: instance: must be 1 to 32 letters, digits, '-' or '_', got 'two words'"),
        ("instance: 'a/+/#'", "FILE: instance: must be 1 to 32 letters, digits, '-' or '_', got 'a/+/#'"),
        ("mqtt: {host: ' '}", "FILE: mqtt.host: is empty: give it a value or remove it"),
        ("mqtt: {base_topic: 'coc/#'}", "FILE: mqtt.base_topic: must not contain '+', '#' or control characters, got"),
        ("homeassistant: {discovery_prefix: 'a/+'}", "FILE: homeassistant.discovery_prefix: must not contain '+', '#'"),
        ("homeassistant: {language: fr}", "FILE: homeassistant.language: must be 'en' or 'de', got 'fr'"),
        ("homeassistant: {language: no}", "FILE: homeassistant.language: must be text, got false: put it in quotes"),
        ("mqtt: {base_topic: ''}", "FILE: mqtt.base_topic: is empty: use a topic such as 'coc'"),
        # contradictory settings, and files that do not exist
        (f"mqtt: {{host: a, password: {SECRET}}}", "FILE: mqtt.username: is missing although mqtt.password is set:"),
        ("mqtt: {tls: {enabled: true, ca_file: /no/ca}}", "FILE: mqtt.tls.ca_file: must be a file that this user may"),
        ("mqtt: {tls: {enabled: true, cert_file: /}}", "FILE: mqtt.tls.cert_file: must be a file, got '/': check the"),
        (f"mqtt: {{tls: {{ca_file: {SOME_FILE}}}}}", "FILE: mqtt.tls: has files but is not enabled: set"),
        ("mqtt: {tls: {server_name: a}}", "FILE: mqtt.tls: has a server_name but is not enabled: set"),
        ("mqtt: {tls: {enabled: true, server_name: .a}}", "FILE: mqtt.tls.server_name: must be a host name, got"),
        (f"mqtt: {{tls: {{enabled: true, key_file: {SOME_FILE}}}}}", "FILE: mqtt.tls: has a key but no certificate:"),
        # the API
        (f"api: {{base_url: 'https://me:{SECRET}@example.org/v1'}}", "FILE: api.base_url must be an http or https"),
        (f"api: {{base_url: 'https://example.org/v1?key={SECRET}'}}", "FILE: api.base_url must be an http or https"),
        ("api: {base_url: example.org/v1}", "FILE: api.base_url must be an http or https URL without"),
        (f"api: {{tokens: [a, '{SECRET} ü']}}", "FILE: token 2 of 2 in api.tokens is empty or has invalid"),
        (f"api: {{tokens: '[\"{SECRET}\"'}}", "FILE: api.tokens: starts like JSON but is not valid JSON: write it"),
        (f"api: {{tokens: {{a: {SECRET}}}}}", "FILE: api.tokens: must be a list, got a section: start each item"),
        # a missing host, or more than a host
        (f"mqtt: {{username: a, password: {SECRET}}}", "FILE: mqtt.host: is empty although mqtt.username is set:"),
        (f"mqtt: {{host: , username: a, password: {SECRET}}}", "FILE: mqtt.host: is empty although mqtt.username is"),
        ("mqtt: {host: , port: 1884}", "FILE: mqtt.host: is empty although mqtt.port is set: set the"),
        ("mqtt: {tls: {enabled: true}}", "FILE: mqtt.host: is empty although mqtt.tls.enabled is set: set"),
        ("mqtt: {transport: websockets}", "FILE: mqtt.host: is empty although mqtt.transport is set: set"),
        (f"mqtt: {{host: 'me:{SECRET}@broker'}}", "FILE: mqtt.host: must be only a host name or an IP address: set"),
        (f"mqtt: {{host: 'mqtt://me:{SECRET}@broker:1883'}}", "FILE: mqtt.host: must be only a host name or an IP"),
        ("mqtt: {host: 'mqtt://broker:1883'}", "FILE: mqtt.host: must be only a host name or an IP address, got"),
        ("mqtt: {host: 'broker:1883'}", "FILE: mqtt.host: must be only a host name or an IP address, got"),
        ("mqtt: {host: '[::1]:1883'}", "FILE: mqtt.host: must be only a host name or an IP address, got '[::1]:1883'"),
        ("mqtt: {host: 'my broker'}", "FILE: mqtt.host: must be only a host name or an IP address, got 'my broker'"),
        ("mqtt: {host: 'a,b'}", "FILE: mqtt.host: must be only a host name or an IP address, got 'a,b': set the port"),
        ("mqtt: {host: 192.168.1.300}", "FILE: mqtt.host: must be a host name or an IP address, got '192.168.1.300':"),
        ("mqtt: {host: 192.168}", "FILE: mqtt.host: must be text, got 192.168: put it in quotes"),
        # invisible spaces
        ("mqtt: {base_topic: 'coc '}", "FILE: mqtt.base_topic: must not start or end with a space, got 'coc '"),
        ("homeassistant: {discovery_prefix: ' a'}", "FILE: homeassistant.discovery_prefix: must not start or end with"),
        ("homeassistant: {status_topic: 'a/b '}", "FILE: homeassistant.status_topic: must not start or end with a"),
        ("instance: 'home '", "FILE: instance: must be 1 to 32 letters, digits, '-' or '_', got 'home '"),
        ("mqtt: {host: a, username: 'me '}", "FILE: mqtt.username: must not start or end with a space: remove it"),
        ("mqtt: {host: a, username: ''}", "FILE: mqtt.username: is empty: give it a value or remove it"),
        ("api: {base_url: ' https://a/v1'}", "FILE: api.base_url: must not start or end with a space: remove it"),
        ("journal: {path: ' a.db'}", "FILE: journal.path: must not start or end with a space, got ' a.db'"),
        # a journal that is not a file
        ("journal: {path: ':memory:'}", "FILE: journal.path: must be the path of a file, got ':memory:': a journal"),
        ("journal: {path: 'file:a.db?mode=memory'}", "FILE: journal.path: must be the path of a file, got 'file:a.db"),
        ("journal: {path: /dev/null}", "FILE: journal.path: must be the path of a file, got '/dev/null': a journal"),
        ("journal: {path: ''}", "FILE: journal.path: is empty: name a file, such as coc2mqtt.db"),
        ("journal: {path: ' '}", "FILE: journal.path: is empty: name a file, such as coc2mqtt.db"),
        ("journal: {path: '~nobody-of-this-name/a.db'}", "FILE: journal.path: starts with a home directory that does"),
        # indentation, and keys in the wrong place
        ("mqtt:\nhost: a\n", "FILE: mqtt: is empty: indent its keys below it, or remove it"),
        ("mqtt:\n  host: a\n port: 1\n", "FILE line 3 is not valid YAML (expected <block end>, but found"),
        ("mqtt:\n  host: a\n    port: 1\n", "FILE line 3 is not valid YAML (mapping values are not allowed here):"),
        ("mqtt:\n  host:a\n", "FILE: mqtt: must be a section of keys and values, got text: write each key"),
        ("mqtt\n  host: a\n", "FILE line 2 is not valid YAML (mapping values are not allowed here): check"),
        ("base_topic: a", "FILE: unknown setting base_topic: remove it or fix the spelling, did you mean"),
        ("tokens: [a]", "FILE: unknown setting tokens: remove it or fix the spelling, did you mean api.tokens?"),
        ("clans: ['#2PP']", "FILE: unknown setting clans: remove it or fix the spelling, did you mean watch.clans?"),
        ("mqtt: {hostname: a}", "FILE: unknown setting mqtt.hostname: remove it or fix the spelling, did you mean"),
        ("MQTT: {host: a}", "FILE: unknown setting MQTT: remove it or fix the spelling, did you mean mqtt?"),
        ("watch: {maintenance: {probetag: '#2PP'}}", "FILE: unknown setting watch.maintenance.probetag: remove it or"),
        (f"api: {SECRET}", "FILE: api: must be a section of keys and values, got text: write each key"),
        ("log: debug", "FILE: log: must be a section of keys and values, got text: write each key"),
        # lists and numbers in other forms
        ("watch: {clans: {tag: '#2PP'}}", "FILE: watch.clans: must be a list, got a section: start each item with"),
        ("watch: {clans: '#2PP #8QQ'}", "FILE: watch.clans[0].tag: '#2PP #8QQ' is not a tag: a tag is '#' and three"),
        ("watch: {clans: [['#2PP']]}", "FILE: watch.clans[0].tag: must be text, got ['#2PP']: put the tag in quotes"),
        ("watch: {players: [{tag: '#2PP', include_fields: 5}]}", "FILE: watch.players[0].include_fields: must be a"),
        (one_clan(interval="60s"), "FILE: watch.clans[0].interval: must be a number of seconds without a unit, got"),
        (one_clan(interval="2m"), "FILE: watch.clans[0].interval: must be a number of seconds without a unit, got"),
        (one_clan(interval=None), "FILE: watch.clans[0].interval: is empty: give it a value or remove it;"),
        ("mqtt: {port: 1883/tcp}", "FILE: mqtt.port: must be a whole number, got '1883/tcp'"),
        ("mqtt: {port: [1883]}", "FILE: mqtt.port: must be a whole number, got a list"),
        ("mqtt: {port: " + "9" * 5000 + "}", "FILE"),
        ("mqtt: {keepalive: 30s}", "FILE: mqtt.keepalive: must be a whole number, got '30s'"),
        ("mqtt: {protocol: v5}", "FILE: mqtt.protocol: must be 'auto', '5' or '3.1.1', got 'v5'"),
        ("log: {level: INFO}", "FILE: log.level: must be 'debug', 'info', 'warning' or 'error', got 'INFO'"),
        ("journal: {keep_delivered: 7 days}", "FILE: journal.keep_delivered: must be seconds, or a number with s, m,"),
        ("instance: 2026-11-30", "FILE: instance: must be text, got 2026-11-30: put it in quotes"),
        ("mqtt: {host: a, username: on}", "FILE: mqtt.username: must be text, got another value: put it in quotes"),
        ("mqtt: {host: a, username: b, password: no}", "FILE: mqtt.password: must be text, got another value: put it"),
        ("mqtt: {host: a, username: b, password: @c}", "FILE line 1 is not valid YAML (found character '@' that"),
        ("mqtt: {host: 'a}", "FILE line 1 is not valid YAML (found unexpected end of stream): check indentation,"),
        ("api: {base_url: 'http://a:b/v1'}", "FILE: api.base_url"),
    ],
)  # fmt: skip
def test_invalid_file_is_reported_with_the_key_and_a_remedy(tmp_path: Path, text: str, message: str) -> None:
    assert load_error(tmp_path, text).splitlines()[0].startswith(message)


def test_every_invalid_key_gets_its_own_line(tmp_path: Path) -> None:
    lines = load_error(tmp_path, "mqtt: {port: 0, hots: a}\nlog: {level: loud}\n").splitlines()
    assert lines == [
        "FILE: mqtt.port: must be between 1 and 65535, got 0",
        "FILE: unknown setting mqtt.hots: remove it or fix the spelling, did you mean mqtt.host?",
        "FILE: log.level: must be 'debug', 'info', 'warning' or 'error', got 'loud'",
    ]


def test_long_value_is_truncated_in_the_message(tmp_path: Path) -> None:
    assert len(load_error(tmp_path, f"log: {{level: {'x' * 10_000}}}")) < 200


@pytest.mark.parametrize("text", [f"mqtt: {{host: a, username: {{a: {SECRET}}}}}", f"mqtt: {SECRET}"])
def test_secret_in_the_wrong_place_is_not_in_the_message(tmp_path: Path, text: str) -> None:
    assert load_error(tmp_path, text).startswith("FILE: mqtt")
