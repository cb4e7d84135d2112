"""Comparing snapshots: pure functions without a clock or I/O."""
