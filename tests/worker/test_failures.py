"""Every failure has a code, a sentence and an answer to "can a retry help"."""

import builtins

import pytest

from core.domain.errors import ComputeError, ErrorCode
from worker.failures import RETRYABLE, describe

_NOT_RAISED = (Warning, ExceptionGroup)
_BUILTIN = {
    kind.__name__: kind
    for kind in vars(builtins).values()
    if isinstance(kind, type) and issubclass(kind, Exception) and not issubclass(kind, _NOT_RAISED)
}


@pytest.mark.parametrize("code", ErrorCode)
def test_our_own_failures_keep_their_code_and_sentence(code: ErrorCode) -> None:
    error = describe(ComputeError(code, "What is wrong."))

    assert (error.code, error.detail, error.retryable) == (code, "What is wrong.", code in RETRYABLE)


@pytest.mark.parametrize("kind", _BUILTIN.values(), ids=_BUILTIN)
def test_a_foreign_failure_never_speaks_to_the_caller(kind: type[Exception]) -> None:
    failure = kind.__new__(kind)
    failure.args = ("secret /path",)

    error = describe(failure)

    assert error.code in {ErrorCode.INTERNAL, ErrorCode.OUT_OF_MEMORY, ErrorCode.TIMEOUT}
    assert "secret" not in error.detail


def test_what_takes_too_long_may_be_tried_again() -> None:
    error = describe(TimeoutError())

    assert (error.code, error.retryable) == (ErrorCode.TIMEOUT, True)


def test_a_full_accelerator_is_out_of_memory() -> None:
    class OutOfMemoryError(RuntimeError):
        """Named as torch names it."""

    error = describe(OutOfMemoryError("CUDA out of memory"))

    assert (error.code, error.retryable) == (ErrorCode.OUT_OF_MEMORY, True)
