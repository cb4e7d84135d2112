"""Unwrapping exception groups."""

from __future__ import annotations


def first_exception(error: BaseException, *preferred: type[BaseException]) -> BaseException:
    """Return one exception out of an exception group, at any depth; return any other exception unchanged.

    That is the first exception of the first ``preferred`` type that the group contains, otherwise the first of all.
    """
    for kind in preferred:
        found = error.subgroup(kind) if isinstance(error, BaseExceptionGroup) else None
        if found is not None:
            error = found
            break
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


def unwrap_single(error: BaseException) -> BaseException:
    """Unwrap nested groups of one exception each; return a group of several exceptions unchanged."""
    while isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    return error
