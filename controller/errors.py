"""What the workflows refuse, in one tree, and the one map from every floor's errors to exit codes."""

from __future__ import annotations

from collections.abc import Mapping

from dsp.errors import DspError, NoAlignment
from hardware.errors import (
    AudioDropoutError,
    HardwareError,
    ReplyTimeoutError,
    RigError,
    RoomModelError,
    SilentInputError,
)
from profiles.errors import ProfileError


class ControllerError(Exception):
    """Root of the workflows' errors; ``hint`` says what to do next."""

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


class UsageError(ControllerError):
    """What was asked for makes no sense as asked."""


class DeclinedError(ControllerError):
    """A plan was shown and not accepted; nothing played and nothing moved."""


class ProjectError(ControllerError):
    """A project folder is missing, damaged, of a newer version, or already there."""


class MixError(ControllerError):
    """A mix says something impossible; the message names file, line and key."""


class AudioFileError(ControllerError):
    """An audio file is damaged, empty, or not audio at all."""


class CalibrationError(ControllerError):
    """The calibration is missing, stale, or contradicted by what was just measured."""


class CalibrationFileError(CalibrationError):
    """A calibration on file is damaged or of a newer version."""


class StorageError(ControllerError):
    """A file or folder could not be read or written."""


class ExistsError(StorageError):
    """Something of that name is already there, and nothing is ever overwritten."""


class DiskFullError(StorageError):
    """The disk is full, or a quota or file-size limit was reached."""


class ReadOnlyError(StorageError):
    """The folder or file may not be written."""


class RecoveryError(StorageError):
    """A partial recording holds nothing that could be recovered."""


DONE = 0
ANSWER_IS_NO = 1
USAGE = 2
DEVICE = 3
TIMEOUT = 4
DROPOUT = 5
INTERRUPTED = 130

EXIT_CODES: Mapping[int, str] = {
    DONE: "done",
    ANSWER_IS_NO: "done, and the answer is no",
    USAGE: "usage, config, profile or file",
    DEVICE: "device or port",
    TIMEOUT: "timeout",
    DROPOUT: "dropout or silent input",
    INTERRUPTED: "interrupted",
}

_CODE_OF: Mapping[type[BaseException], int] = {
    NoAlignment: ANSWER_IS_NO,
    CalibrationError: ANSWER_IS_NO,
    CalibrationFileError: USAGE,
    DeclinedError: ANSWER_IS_NO,
    ControllerError: USAGE,
    DspError: USAGE,
    ProfileError: USAGE,
    RigError: USAGE,
    RoomModelError: USAGE,
    OSError: USAGE,
    HardwareError: DEVICE,
    ReplyTimeoutError: TIMEOUT,
    TimeoutError: TIMEOUT,
    AudioDropoutError: DROPOUT,
    SilentInputError: DROPOUT,
    KeyboardInterrupt: INTERRUPTED,
}


def exit_code(error: BaseException) -> int | None:
    """Return the exit code of ``error``; the nearest class of its family decides.

    None means a fault of the program and not of its use: let the traceback show.
    """
    return next((_CODE_OF[kind] for kind in type(error).__mro__ if kind in _CODE_OF), None)


def hint_of(error: BaseException) -> str:
    """Return what to do next after ``error``; empty where nobody said."""
    return str(getattr(error, "hint", ""))
