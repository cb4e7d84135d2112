"""How long the tests wait for what must happen."""

from __future__ import annotations

# In seconds: so many that no machine is too busy. A test that passes waits for nothing, only one that fails does.
LONG_ENOUGH = 60.0
