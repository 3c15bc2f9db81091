"""What can go wrong for a caller of the service; free of every library, so that any command may ask for it."""

from dataclasses import dataclass
from typing import final


@final
@dataclass(frozen=True, slots=True)
class Fault:
    """One faulty field of a request, by JSON pointer."""

    pointer: str
    detail: str


class ClientError(Exception):
    """The service could not be asked, or did not do what it was asked for."""


@final
class NotReachable(ClientError):
    """No answer came, however often it was tried."""


@final
class Refused(ClientError):
    """The service answered with a problem.

    Args:
        code: the stable name, for example VALIDATION; `HTTP_500` and the like where the answer was none of ours.
        detail: what is wrong and what to do about it.
        status: of the HTTP answer.
        faults: the faulty fields, where the problem is about a request's body.
    """

    def __init__(self, code: str, detail: str, *, status: int, faults: tuple[Fault, ...] = ()) -> None:
        super().__init__(f"{code}: {detail}")
        self.code = code
        self.detail = detail
        self.status = status
        self.faults = faults


@final
class JobFailed(ClientError):
    """A job ended without a result: failed, canceled or expired; `retryable` tells whether a retry can help."""

    def __init__(self, job_id: str, *, code: str, detail: str, retryable: bool) -> None:
        super().__init__(f"{job_id}: {code}: {detail}")
        self.job_id = job_id
        self.code = code
        self.detail = detail
        self.retryable = retryable


@final
class StillRunning(ClientError):
    """The job was not done within the time that the caller allowed; it goes on."""
