"""Polling resources on time and committing their changes."""
