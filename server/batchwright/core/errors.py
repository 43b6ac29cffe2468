"""What can go wrong, as a tree. Every message is one sentence of fact and one of advice, written for an assistant.

BatchwrightError
├── InvalidInput         what was given cannot be used
│   ├── OutsideWorkspace     a path that the server may not open
│   └── InvalidSetting       a setting, named
├── NotFound             no such job, file or row
├── NotReady             valid, but not now
│   ├── OverLimit            more money than was agreed, or than the operator allows
│   ├── NotAgreed            the user has not agreed to it
│   └── SubmissionsFrozen    nothing is submitted until the user says so
├── DiskFault            the disk is full, or not writable
├── MissingExtra         an optional part of the program is not installed
└── ProviderError        the provider of batches
    ├── ProviderRefused      it answered, and said no: nothing was done
    │   ├── ProviderGone         it has no such batch or file
    │   └── ProviderNotNow       it said no for now; later it may say yes
    ├── ProviderUnreachable  it was not reached: nothing was done
    │   └── ProviderAway         nothing answers at its address
    └── ProviderUnclear      whether anything was done is not known
        └── AnswerTooLarge       its answer is too large to be meant
"""

import errno
from typing import ClassVar, cast

from batchwright.core.problem import Problem, ProblemCode

_OF_THE_DISK = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EFBIG, errno.EIO})


class BatchwrightError(Exception):
    """Any error that can be explained to the user in a sentence."""

    code: ClassVar[ProblemCode] = "unable"

    @property
    def problem(self) -> Problem:
        """The error as the problem of a part or of a row."""
        return Problem.found(self.code, str(self))


class InvalidInput(BatchwrightError):
    """An argument, a file or a setting that cannot be used as it is."""


class OutsideWorkspace(InvalidInput):
    """A path that the server may not open."""


class InvalidSetting(InvalidInput):
    """A setting that cannot be used, with the name of its environment variable or of the file that replaces it."""

    def __init__(self, name: str, fault: str) -> None:
        super().__init__(f"{name} {fault}")
        self.name = name


class NotFound(BatchwrightError):
    """Something named does not exist."""


class NotReady(BatchwrightError):
    """The thing exists, but is not in a state that allows this."""


class OverLimit(NotReady):
    """It would cost more than was agreed, or than the operator allows."""

    code = "over_limit"


class NotAgreed(NotReady):
    """The user was asked, and did not agree."""


class SubmissionsFrozen(NotReady):
    """Something went wrong, and nothing is submitted until the user says so."""

    code = "frozen"


class DiskFault(BatchwrightError):
    """Something cannot be written; what was written before is kept."""

    @classmethod
    def at(cls, folder: object, reason: str) -> "DiskFault":
        """Build the error for one of the server's own folders."""
        return cls(
            f"{reason}: nothing more can be written to {folder}. "
            "Free some space there or repair the disk, then try again; what was written before is kept."
        )


class MissingExtra(BatchwrightError):
    """An optional dependency is missing; the message says what to install."""


class ProviderError(BatchwrightError):
    """The provider of batches could not do what was asked."""


class ProviderRefused(ProviderError):
    """The provider answered with an error: nothing was done, and asking again will not help.

    *told* is the error as kept with the rows; None: it did not come over HTTP.
    """

    def __init__(self, message: str, *, told: Problem | None = None) -> None:
        super().__init__(message)
        self.told = told

    @property
    def problem(self) -> Problem:
        """What the provider said."""
        return self.told or Problem.said(str(self))


class ProviderGone(ProviderRefused):
    """The provider has no such batch or file."""


class ProviderNotNow(ProviderRefused):
    """The provider said no for now: too many requests, or a key that must be fixed first. Nothing was done.

    *after_seconds* is how long the provider asks to wait; None: it does not say.
    """

    def __init__(self, message: str, *, told: Problem | None = None, after_seconds: float | None = None) -> None:
        super().__init__(message, told=told)
        self.after_seconds = after_seconds


class ProviderUnreachable(ProviderError):
    """The provider was not reached, so nothing was done; asking later may help."""


class ProviderAway(ProviderUnreachable):
    """Nothing answers at the provider's address."""

    code = "unreachable"


class ProviderUnclear(ProviderError):
    """Something was sent, and no answer says whether it was done; *status* is that of an answer that does not."""

    code = "unclear"

    def __init__(self, message: str, *, status: int | None = None) -> None:
        super().__init__(message)
        self._status = status

    @property
    def problem(self) -> Problem:
        """The error as the problem of a part, with its status."""
        return Problem.found(self.code, str(self), status=self._status)


class AnswerTooLarge(ProviderUnclear):
    """The provider's answer, or its list, is too large to be meant; it was not read to its end."""


def reason_of_the_disk(error: BaseException | None) -> str | None:
    """Return the system's reason if *error*, or the first of a group, is a fault of the disk; None: it is not."""
    while isinstance(error, BaseExceptionGroup):
        error = cast("BaseExceptionGroup[BaseException]", error).exceptions[0]
    return error.strerror if isinstance(error, OSError) and error.errno in _OF_THE_DISK else None
