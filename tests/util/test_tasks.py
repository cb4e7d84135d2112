from __future__ import annotations

import pytest

from coc2mqtt.util.tasks import first_exception, unwrap_single

FIRST, SECOND, THIRD = RuntimeError("first"), OSError("second"), FileNotFoundError("third")
NESTED = ExceptionGroup("outer", [FIRST, SECOND, ExceptionGroup("inner", [THIRD])])


@pytest.mark.parametrize(
    ("error", "preferred", "expected"),
    [
        (NESTED, (), FIRST),
        (NESTED, (FileNotFoundError, OSError), THIRD),
        (NESTED, (KeyError, OSError), SECOND),
        (NESTED, (KeyError,), FIRST),
        (BaseExceptionGroup("outer", [ExceptionGroup("inner", [FIRST])]), (OSError,), FIRST),
        (FIRST, (OSError,), FIRST),
    ],
)
def test_first_exception_prefers_the_given_types(
    error: BaseException, preferred: tuple[type[BaseException], ...], expected: BaseException
) -> None:
    assert first_exception(error, *preferred) is expected


def test_unwrap_single_returns_the_only_exception_of_nested_groups() -> None:
    assert unwrap_single(BaseExceptionGroup("outer", [ExceptionGroup("inner", [FIRST])])) is FIRST


@pytest.mark.parametrize("error", [FIRST, NESTED])
def test_unwrap_single_keeps_plain_exceptions_and_larger_groups(error: BaseException) -> None:
    assert unwrap_single(error) is error
