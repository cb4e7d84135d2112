"""The MQTT client: connection, session and errors. It imports nothing of the project but `util`."""
