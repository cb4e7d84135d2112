"""Retries: which faults are worth another attempt, and when."""

from __future__ import annotations

from typing import TYPE_CHECKING

import stamina
from stamina.instrumentation import get_on_retry_hooks, set_on_retry_hooks

from coc2mqtt.clash.errors import ClashError, DeniedError, ThrottledError

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from stamina.instrumentation import RetryDetails, RetryHook

# Seconds; the jitter keeps many requests that failed together from coming back together.
_FIRST_WAIT = 0.5
_LONGEST_WAIT = 5.0
_JITTER = 1.0


def retrying(attempts: int) -> stamina.BoundAsyncRetryingCaller:
    """Return a caller that makes up to ``attempts`` attempts in all, with exponential back-off and jitter."""
    _keep_quiet()
    return stamina.AsyncRetryingCaller(
        attempts=attempts,
        timeout=None,
        wait_initial=_FIRST_WAIT,
        wait_max=_LONGEST_WAIT,
        wait_jitter=_JITTER,
    ).on(_backoff)


def _backoff(error: Exception) -> bool | float:
    if isinstance(error, ThrottledError | DeniedError) and error.passing:
        # Its token is paused meanwhile. Another one may go at once, and without one the pace makes it wait.
        return 0.0
    return isinstance(error, ClashError) and error.passing


class _PassOver:
    """A hook of stamina that does not hear of this API's retries: only changes of its state are worth a line."""

    def __init__(self, hook: RetryHook) -> None:
        self._hook = hook

    def __call__(self, details: RetryDetails) -> AbstractContextManager[None] | None:
        return None if isinstance(details.caused_by, ClashError) else self._hook(details)


def _keep_quiet() -> None:
    # Hooks are global in stamina: each is wrapped, so that other users of stamina go on hearing of their retries.
    hooks = get_on_retry_hooks()
    if not all(isinstance(hook, _PassOver) for hook in hooks):
        set_on_retry_hooks([hook if isinstance(hook, _PassOver) else _PassOver(hook) for hook in hooks])
