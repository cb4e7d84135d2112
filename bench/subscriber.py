"""A subscriber as a process of its own: notes when each event came, and tells when it is asked to.

It is asked on its standard input: ``count`` prints how many events there were, ``dump FILE`` writes what has come since
the last time as lines of JSON (monotonic seconds, topic, payload).
"""

from __future__ import annotations

import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

import orjson
from paho.mqtt.client import Client, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion

if TYPE_CHECKING:
    from paho.mqtt.client import ConnectFlags, DisconnectFlags
    from paho.mqtt.properties import Properties
    from paho.mqtt.reasoncodes import ReasonCode

EVENTS = "coc/clan/+/+"
STATE = "coc/bridge/state"


class Notes:
    """What has come."""

    def __init__(self, port: int) -> None:
        self.events = 0
        self.ready = threading.Event()
        self._came: list[tuple[float, str, bytes]] = []
        self._client = client = Client(CallbackAPIVersion.VERSION2)
        client.on_connect = self._connected
        client.on_disconnect = self._disconnected
        client.on_subscribe = lambda *_: self.ready.set()
        client.on_message = self._message
        client.connect("127.0.0.1", port)
        client.loop_start()

    def dump(self, file: Path) -> None:
        """Write what has come since the last time."""
        came, self._came = self._came, []
        with file.open("wb") as out:
            for at, topic, payload in came:
                out.write(orjson.dumps([at, topic, orjson.loads(payload)]) + b"\n")

    def _connected(
        self, client: Client, _data: object, _flags: ConnectFlags, reason: ReasonCode, _properties: Properties | None
    ) -> None:
        if reason.is_failure:
            sys.exit(f"the broker refuses the subscriber: {reason}")
        client.subscribe([(EVENTS, 1), (STATE, 1)])

    def _disconnected(
        self, _client: Client, _data: object, _flags: DisconnectFlags, reason: ReasonCode, _props: Properties | None
    ) -> None:
        # What is missed meanwhile would be counted as lost.
        print(f"the subscriber lost its connection: {reason}", file=sys.stderr)

    def _message(self, _client: Client, _data: object, message: MQTTMessage) -> None:
        self._came.append((time.monotonic(), message.topic, bytes(message.payload)))
        self.events += message.topic != STATE


def main() -> None:
    """Listen until the standard input ends."""
    notes = Notes(int(sys.argv[1]))
    if not notes.ready.wait(10):
        sys.exit("the broker did not accept the subscription within 10 s")
    print("ready", flush=True)
    for line in sys.stdin:
        match line.split():
            case ["count"]:
                print(notes.events, flush=True)
            case ["dump", file]:
                notes.dump(Path(file))
                print("dumped", flush=True)


if __name__ == "__main__":
    main()
