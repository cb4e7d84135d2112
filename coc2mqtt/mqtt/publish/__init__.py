"""Publishing to the broker: events, retained state and discovery."""
