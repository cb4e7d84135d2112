"""Python's garbage collector, in a program that holds hundreds of thousands of objects for as long as it runs."""

from __future__ import annotations

import gc

# Measured with 10,000 clans: by its defaults it looks through everything every few seconds, 150 ms each time; an answer
# that is taken apart has a thousand objects, which go by themselves. So the young ones are looked at more seldom, and
# all that were not frozen now and then: requests that fail leave some that do not go by themselves.
_THRESHOLDS = 3000, 5, 20


def freeze() -> None:
    """Leave alone whatever there is now: the program keeps it until it ends."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*_THRESHOLDS)
