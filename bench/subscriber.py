"""A subscriber in its own process that records the arrival of each event.

Commands on its standard input: ``count`` prints the number of events so far, ``dump FILE`` writes the messages since
the last dump as lines of JSON (monotonic seconds, topic, payload).
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


class Subscriber:
    """Records the received messages."""

    def __init__(self, port: int) -> None:
        self.events = 0
        self.ready = threading.Event()
        self._received: list[tuple[float, str, bytes]] = []
        self._client = client = Client(CallbackAPIVersion.VERSION2)
        client.on_connect = self._on_connect
        client.on_disconnect = self._on_disconnect
        client.on_subscribe = lambda *_: self.ready.set()
        client.on_message = self._on_message
        client.connect("127.0.0.1", port)
        client.loop_start()

    def dump(self, file: Path) -> None:
        """Write the messages since the last dump."""
        received, self._received = self._received, []
        with file.open("wb") as out:
            for at, topic, payload in received:
                out.write(orjson.dumps([at, topic, orjson.loads(payload)]) + b"\n")

    def _on_connect(
        self, client: Client, _data: object, _flags: ConnectFlags, reason: ReasonCode, _properties: Properties | None
    ) -> None:
        if reason.is_failure:
            sys.exit(f"the broker rejected the subscriber: {reason}")
        client.subscribe([(EVENTS, 1), (STATE, 1)])

    def _on_disconnect(
        self, _client: Client, _data: object, _flags: DisconnectFlags, reason: ReasonCode, _props: Properties | None
    ) -> None:
        # Messages missed during a disconnection would count as lost.
        print(f"the subscriber lost its connection: {reason}", file=sys.stderr)

    def _on_message(self, _client: Client, _data: object, message: MQTTMessage) -> None:
        self._received.append((time.monotonic(), message.topic, bytes(message.payload)))
        self.events += message.topic != STATE


def main() -> None:
    """Receive messages until the standard input is closed."""
    subscriber = Subscriber(int(sys.argv[1]))
    if not subscriber.ready.wait(10):
        sys.exit("the broker did not accept the subscription within 10 s")
    print("ready", flush=True)
    for line in sys.stdin:
        match line.split():
            case ["count"]:
                print(subscriber.events, flush=True)
            case ["dump", file]:
                subscriber.dump(Path(file))
                print("dumped", flush=True)


if __name__ == "__main__":
    main()
