"""What a failed attempt is called, and whether another one can help."""

from core.domain.errors import AppError, ErrorCode
from core.domain.job import JobError

# A later attempt meets another machine, another moment or another batch; everything else fails again in the same way.
RETRYABLE = frozenset(
    {
        ErrorCode.DEPENDENCY_DOWN,
        ErrorCode.INPUT_FETCH_FAILED,
        ErrorCode.ARTIFACT_WRITE_FAILED,
        ErrorCode.OUT_OF_MEMORY,
        ErrorCode.TIMEOUT,
        ErrorCode.WORKER_LOST,
    }
)

CANCELED = JobError(code=ErrorCode.CANCELED, detail="The caller canceled this job.", retryable=True)

_SENTENCES = {
    ErrorCode.OUT_OF_MEMORY: "The worker's memory does not suffice for this job beside the others it runs.",
    ErrorCode.TIMEOUT: "A part of the computation took too long.",
    ErrorCode.INTERNAL: "The computation failed unexpectedly; the worker's log has the cause under this job's id.",
}


def describe(error: Exception) -> JobError:
    """Any exception as the error of a job; only our own speak to the caller in their own words."""
    if isinstance(error, AppError):
        return JobError(code=error.code, detail=error.detail, retryable=error.code in RETRYABLE)
    code = _code(error)
    return JobError(code=code, detail=_SENTENCES[code], retryable=code in RETRYABLE)


def _code(error: Exception) -> ErrorCode:
    # By name, so that this module needs no torch: `torch.OutOfMemoryError` is what a GPU raises.
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return ErrorCode.OUT_OF_MEMORY
    return ErrorCode.TIMEOUT if isinstance(error, TimeoutError) else ErrorCode.INTERNAL
