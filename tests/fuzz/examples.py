"""How many examples are tried: a few hundred that are always the same, or with ``FUZZ=long`` many thousands at random.

``FUZZ_SEED`` has the same ones tried again.
"""

from __future__ import annotations

import os
import random
from typing import TYPE_CHECKING, TypeVar

from hypothesis import HealthCheck, seed, settings

if TYPE_CHECKING:
    from collections.abc import Callable

# Properties that are not tests of odd input alone, in other folders (``make fuzz`` tries them too).
_FEW, _MANY = 50, 2000

Test = TypeVar("Test", bound="Callable[..., None]")

LONG = os.environ.get("FUZZ") == "long"
SEED = int(os.environ.get("FUZZ_SEED") or random.SystemRandom().getrandbits(32))


def set_defaults() -> None:
    """Set what hypothesis does where a test does not say it; no limit may depend on how busy the machine is."""
    settings.register_profile(
        "coc2mqtt",
        max_examples=_MANY if LONG else _FEW,
        deadline=None,
        suppress_health_check=[HealthCheck.too_slow],
    )
    settings.load_profile("coc2mqtt")


def fuzzed(*, short: int, long: int) -> Callable[[Test], Test]:
    """Try so many examples."""
    chosen = settings(
        max_examples=long if LONG else short,
        derandomize=not LONG,
        database=None,
        deadline=None,  # what may not last long is measured by the tests themselves
        suppress_health_check=list(HealthCheck),
        print_blob=LONG,
    )

    def decorate(test: Test) -> Test:
        return chosen(seed(SEED)(test) if LONG else test)

    return decorate
