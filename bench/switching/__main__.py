"""`python -m bench.switching`: run every example and scenario in each setup, and print the differences."""

from __future__ import annotations

import argparse
import asyncio
import logging
import site
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import structlog

from bench.programs import ROOT

if TYPE_CHECKING:
    from bench.switching.examples import Example
    from bench.switching.scenarios import Scenario

_FAILED = "FAILED:"


def main() -> int:
    """Print the events of each setup; return 1 if an example of the documentation fails in one of them."""
    parser = argparse.ArgumentParser(prog="bench.switching", description=main.__doc__)
    parser.add_argument("--peers", type=Path, default=ROOT / ".venv" / "bench", help="the environment with cocapi")
    parser.add_argument("--only", default="", help="run only examples and scenarios with this text in their name")
    given = parser.parse_args()
    for folder in given.peers.glob("lib/python*/site-packages"):
        site.addsitedir(str(folder))
    logging.disable(logging.CRITICAL)
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    return asyncio.run(_compare(given.only))


async def _compare(only: str) -> int:
    # cocapi can be imported only after its environment was added.
    from bench.switching.examples import EXAMPLES  # noqa: PLC0415
    from bench.switching.scenarios import SCENARIOS  # noqa: PLC0415
    from bench.switching.setups import NAMES  # noqa: PLC0415

    failed = False
    for example in EXAMPLES:
        if only in example.__name__:
            shown = {name: await _example(example, name) for name in NAMES}
            failed = failed or any(text.startswith(_FAILED) for text in shown.values())
            _print(str(example.__doc__), shown)
    for scenario in SCENARIOS:
        if only in scenario.name:
            _print(scenario.name, {name: await _scenario(scenario, name) for name in NAMES})
    return int(failed)


async def _example(example: Example, name: str) -> str:
    from bench.switching import examples, setups  # noqa: PLC0415 - the same

    async with setups.open_setup(name) as setup:
        try:
            return await examples.run(example, setup)
        except (Exception, BaseExceptionGroup) as error:  # noqa: BLE001 the error is the result of the example
            return f"{_FAILED} {error!r}"


async def _scenario(scenario: Scenario, name: str) -> str:
    from bench.switching import scenarios, setups  # noqa: PLC0415 - the same

    async with setups.open_setup(name) as setup:
        return await scenarios.run(scenario, setup)


def _print(title: str, shown: dict[str, str]) -> None:
    same = len(set(shown.values())) == 1
    print(f"\n{title}")
    for name, text in shown.items():
        print(f"  {'all' if same else name:<22} {text}")
        if same:
            break


if __name__ == "__main__":
    sys.exit(main())
