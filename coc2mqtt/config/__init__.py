"""The configuration: settings, their validation, and how they are loaded."""
