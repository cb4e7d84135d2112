"""Helpers that know nothing of the bridge."""
