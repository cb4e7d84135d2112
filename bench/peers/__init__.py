"""The peers, each a script for an environment of its own."""
