"""Publishing: events, retained state and discovery."""
