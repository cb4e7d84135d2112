"""Polls resources when they are due and commits their changes."""
