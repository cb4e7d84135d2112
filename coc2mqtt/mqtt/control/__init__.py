"""The control topic: commands and their responses."""
