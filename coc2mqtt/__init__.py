"""Clash of Clans on MQTT: every change in a clan, a war, a player or the API as an event."""
