"""The MQTT side of the bridge: client, topics, payloads, publishing, commands and the embedded broker."""
