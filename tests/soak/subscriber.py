"""An independent subscriber in its own process, with a persistent session.

The command ``dump FILE`` on its standard input writes the messages since the last dump as lines of JSON (monotonic
seconds, topic, payload).
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
    """Keeps messages until they are dumped; reconnects after each disconnection."""

    def __init__(self, port: int) -> None:
        self.ready = threading.Event()
        self._received: list[tuple[float, str, bytes]] = []
        self._lock = threading.Lock()
        self._client = client = Client(CallbackAPIVersion.VERSION2, client_id="soak", clean_session=False)
        client.on_connect = self._on_connect
        client.on_subscribe = lambda *_: self.ready.set()
        client.on_message = self._on_message
        client.reconnect_delay_set(1, 1)
        client.connect("127.0.0.1", port)
        client.loop_start()

    def dump(self, file: Path) -> None:
        """Write the messages since the last dump."""
        with self._lock:
            received, self._received = self._received, []
        with file.open("wb") as out:
            for at, topic, payload in received:
                out.write(orjson.dumps([at, topic, orjson.loads(payload)]) + b"\n")

    def _on_connect(
        self, client: Client, _data: object, _flags: ConnectFlags, reason: ReasonCode, _properties: Properties | None
    ) -> None:
        if reason.is_failure:
            sys.stderr.write(f"the broker rejected the subscriber: {reason}\n")
        else:
            client.subscribe([(topic, 1) for topic in TOPICS])

    def _on_message(self, _client: Client, _data: object, message: MQTTMessage) -> None:
        with self._lock:
            self._received.append((time.monotonic(), message.topic, bytes(message.payload)))


def _print(line: str) -> None:
    """Print a line for the process that started this one."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def main() -> None:
    """Receive messages until the standard input is closed."""
    subscriber = Subscriber(int(sys.argv[1]))
    if not subscriber.ready.wait(10):
        sys.exit("the broker did not accept the subscription within 10 s")
    _print("ready")
    for line in sys.stdin:
        _, file = line.split()
        subscriber.dump(Path(file))
        _print("dumped")


if __name__ == "__main__":
    main()
