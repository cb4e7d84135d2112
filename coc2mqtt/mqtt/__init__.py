"""Speak MQTT: the connection, topics, delivery, commands and the embedded broker."""
