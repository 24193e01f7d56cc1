"""Errors that a person reads: what happened, where, and what to do about it."""

import errno
from collections.abc import Iterator
from contextlib import contextmanager

NO_SPACE = (errno.ENOSPC, errno.EDQUOT)
# What to do about what the system says of files, by errno.
DISK_REMEDIES = {
    errno.ENOSPC: "free some space on its disk, or set storage.root to a larger one",
    errno.EDQUOT: "free some space in this account's share of the disk",
    errno.EROFS: "mount the file system for writing, or set storage.root to another one",
    errno.EACCES: "see that this account may use it, whichever account made it",
    errno.EPERM: "see that this account may use it, and that nothing locks it",
    errno.EIO: "see in the system's log what is wrong with its disk",
    errno.EMFILE: "let the process open more files (ulimit -n)",
    errno.ENFILE: "close what has many files open on this machine",
    errno.ESTALE: "see that the disk or share it lies on is there",
    errno.ENODEV: "see that the disk or share it lies on is there",
    errno.ENOTCONN: "see that the disk or share it lies on is there",
}


class PipelineError(Exception):
    """An error that carries its own explanation.

    The message is one paragraph: what happened, to which row, file or setting, and what to do.
    """

    exit_code = 3


class InputError(PipelineError):
    """What the user handed in cannot be used: a workbook, a setting, a path, an argument."""

    exit_code = 2


class StageError(PipelineError):
    """A stage could not do its work although its input was sound: no disk, a model that does not
    load.
    """


@contextmanager
def disk_errors() -> Iterator[None]:
    """Turn what the disk, its rights and the limits of the system refuse while the block runs into
    a StageError that names the file.
    """
    try:
        yield
    except OSError as error:
        remedy = DISK_REMEDIES.get(error.errno or 0)
        if remedy is None:
            raise
        file = "A file" if error.filename is None else str(error.filename)
        raise StageError(
            f"{file} cannot be read or written ({error.strerror}). What was done is kept: "
            f"{remedy}, and run again."
        ) from error
