"""The number of examples: a few hundred fixed ones, or thousands of random ones with ``FUZZ=long``.

``FUZZ_SEED`` repeats the examples of a long run.
"""

from __future__ import annotations

import os
import random
from typing import TYPE_CHECKING, TypeVar

from hypothesis import HealthCheck, seed, settings

if TYPE_CHECKING:
    from collections.abc import Callable

# For the properties in other folders that use the defaults; `make fuzz` runs them, too.
_SHORT_EXAMPLES, _LONG_EXAMPLES = 50, 2000

Test = TypeVar("Test", bound="Callable[..., None]")

LONG = os.environ.get("FUZZ") == "long"
SEED = int(os.environ.get("FUZZ_SEED") or random.SystemRandom().getrandbits(32))


def set_defaults() -> None:
    """Set the defaults of hypothesis; no limit may depend on the load of the machine."""
    settings.register_profile(
        "coc2mqtt",
        max_examples=_LONG_EXAMPLES if LONG else _SHORT_EXAMPLES,
        deadline=None,
        suppress_health_check=[HealthCheck.too_slow],
    )
    settings.load_profile("coc2mqtt")


def fuzzed(*, short: int, long: int) -> Callable[[Test], Test]:
    """Set the number of examples of a test."""
    chosen = settings(
        max_examples=long if LONG else short,
        derandomize=not LONG,
        database=None,
        deadline=None,  # the tests measure time limits themselves
        suppress_health_check=list(HealthCheck),
        print_blob=LONG,
    )

    def decorate(test: Test) -> Test:
        return chosen(seed(SEED)(test) if LONG else test)

    return decorate
