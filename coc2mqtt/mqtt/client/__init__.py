"""The MQTT client: connection, session and errors; knows nothing of the bridge."""
