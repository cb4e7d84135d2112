"""The independent subscriber as a process of its own, with a persistent session: the broker keeps what it misses.

On its standard input it is asked with ``dump FILE`` to write what has come since the last time, as lines of JSON
(monotonic seconds, topic, payload).
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
    from paho.mqtt.client import ConnectFlags
    from paho.mqtt.properties import Properties
    from paho.mqtt.reasoncodes import ReasonCode

TOPICS = ("coc/clan/+/+", "coc/api/+")


class Subscriber:
    """Keeps what has come until it is dumped; it reconnects as often as it must."""

    def __init__(self, port: int) -> None:
        self.ready = threading.Event()
        self._came: list[tuple[float, str, bytes]] = []
        self._lock = threading.Lock()
        self._client = client = Client(CallbackAPIVersion.VERSION2, client_id="soak", clean_session=False)
        client.on_connect = self._connected
        client.on_subscribe = lambda *_: self.ready.set()
        client.on_message = self._message
        client.reconnect_delay_set(1, 1)
        client.connect("127.0.0.1", port)
        client.loop_start()

    def dump(self, file: Path) -> None:
        """Write what has come since the last time."""
        with self._lock:
            came, self._came = self._came, []
        with file.open("wb") as out:
            for at, topic, payload in came:
                out.write(orjson.dumps([at, topic, orjson.loads(payload)]) + b"\n")

    def _connected(
        self, client: Client, _data: object, _flags: ConnectFlags, reason: ReasonCode, _properties: Properties | None
    ) -> None:
        if reason.is_failure:
            sys.stderr.write(f"the broker refuses the subscriber: {reason}\n")
        else:
            client.subscribe([(topic, 1) for topic in TOPICS])

    def _message(self, _client: Client, _data: object, message: MQTTMessage) -> None:
        with self._lock:
            self._came.append((time.monotonic(), message.topic, bytes(message.payload)))


def say(line: str) -> None:
    """Print a line for the process that started this one."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def main() -> None:
    """Listen until the standard input ends."""
    subscriber = Subscriber(int(sys.argv[1]))
    if not subscriber.ready.wait(10):
        sys.exit("the broker did not accept the subscription within 10 s")
    say("ready")
    for line in sys.stdin:
        _, file = line.split()
        subscriber.dump(Path(file))
        say("dumped")


if __name__ == "__main__":
    main()
