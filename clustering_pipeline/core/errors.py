"""Errors that a person reads: what happened, where, and what to do about it."""


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
