"""The configuration: settings, their validation, and loading them."""
