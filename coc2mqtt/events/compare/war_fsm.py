"""The states of a war, and which step from one to the next is a change."""

from __future__ import annotations

from enum import Enum


class WarState(Enum):
    """The states of a war as the API spells them."""

    NOT_IN_WAR = "notInWar"
    PREPARATION = "preparation"
    IN_WAR = "inWar"
    WAR_ENDED = "warEnded"


class WarStateMachine:
    """The war state of one clan; ``state`` is the last one that was recognised."""

    def __init__(self, initial_state: WarState = WarState.NOT_IN_WAR) -> None:
        self.state = initial_state

    def transition(self, raw_state: str) -> WarState | None:
        """Take up the API's state.

        Returns the new state, or None when it is the same as before or not one of ``WarState``: the API may grow
        states, and one that nobody knows changes nothing.
        """
        try:
            state = WarState(raw_state)
        except ValueError:
            return None
        if state is self.state:
            return None
        self.state = state
        return state
