"""Work on what strangers send, in a process of its own with a limit of memory and time."""

import multiprocessing
import os
import pickle
import resource
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path
from typing import ParamSpec, TypeVar

from clustering_pipeline.core.errors import InputError

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")
# Seconds that a process may take to start, beside those of its work.
STARTING = 30.0
MEGABYTE = 2**20


class ConfinedError(InputError):
    """The work needed more memory or time than it may have."""


def confined(
    work: Callable[Arguments, Result],
    megabytes: int,
    seconds: float,
    *arguments: Arguments.args,
    **options: Arguments.kwargs,
) -> Result:
    """Return what `work` returns for the arguments, all of which can be pickled.

    `megabytes`: what it may use beyond what the process needs to begin. `seconds`: of the clock.
    Raises InputError with the words of one that the work raised, and ConfinedError when a limit was
    met.
    """
    context = multiprocessing.get_context("spawn")
    receiver, sender = context.Pipe(duplex=False)
    call = pickle.dumps((work, arguments, options))
    process = context.Process(target=_run, args=(sender, call, megabytes, seconds), daemon=True)
    process.start()
    sender.close()
    try:
        if not receiver.poll(STARTING + seconds):
            raise ConfinedError(f"it takes more than {seconds:g} s to read")
        kind, value = receiver.recv()
    except EOFError as error:
        # Libraries that cannot allocate end the process.
        raise _exhausted(megabytes) from error
    finally:
        process.kill()
        process.join()
        receiver.close()
    if kind == "refused":
        raise InputError(value)
    if kind == "exhausted":
        raise _exhausted(megabytes)
    result: Result = value
    return result


def _exhausted(megabytes: int) -> ConfinedError:
    return ConfinedError(f"it needs more than the {megabytes:,} MB of memory that it may have")


def _run(sender: Connection, call: bytes, megabytes: int, seconds: float) -> None:
    # What breaks here is told by the parent; a stack would only be noise on its terminal.
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
    work, arguments, options = pickle.loads(call)
    limit = _address_space() + megabytes * MEGABYTE
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    resource.setrlimit(resource.RLIMIT_CPU, (int(seconds) + 1, int(seconds) + 1))
    try:
        sender.send(("result", work(*arguments, **options)))
    except InputError as error:
        sender.send(("refused", str(error)))
    except MemoryError:
        sender.send(("exhausted", None))


def _address_space() -> int:
    """Return the bytes of memory that this process has mapped."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
    return pages * resource.getpagesize()
