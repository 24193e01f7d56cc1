"""What guards this machine from strangers: their work done in a process of its own with a limit of
memory and time, and the names under which a server may be spoken to.
"""

import ipaddress
import os
import pickle
import resource
import subprocess
import sys
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any, ParamSpec, TypeVar
from urllib.parse import urlsplit

from clustering_pipeline.core.errors import InputError

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")
# Seconds that a process may take to start, beside those of its work.
STARTING = 30.0
MEGABYTE = 2**20
RESULT, REFUSED, RAISED, EXHAUSTED = "result", "refused", "raised", "exhausted"


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
    Raises what the work raised, an InputError by its words, and ConfinedError when a limit was met.
    """
    call = pickle.dumps((work, arguments, options, megabytes, seconds))
    # Arrow's own pool reserves a gigabyte before it hands out a byte.
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
        "ARROW_DEFAULT_MEMORY_POOL": "system",
    }
    with subprocess.Popen(
        [sys.executable, "-c", f"from {__name__} import answer; answer()"],
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    ) as process:
        try:
            content, _ = process.communicate(call, STARTING + seconds)
        except subprocess.TimeoutExpired as error:
            raise ConfinedError(f"it takes more than {seconds:g} s to read") from error
        finally:
            process.kill()
    # Libraries that cannot allocate, and the limit of processor time, end the process.
    outcome: tuple[str, Any] = (
        pickle.loads(content) if process.returncode == 0 else (EXHAUSTED, None)
    )
    kind, value = outcome
    if kind == REFUSED:
        raise InputError(value)
    if kind == RAISED:
        raise value
    if kind == EXHAUSTED:
        raise ConfinedError(
            f"it needs more than the {megabytes:,} MB of memory or the {seconds:g} s that it may "
            f"have"
        )
    result: Result = value
    return result


def answer() -> None:
    """Do the work that standard input names, and write what came of it to standard output."""
    output = os.fdopen(os.dup(1), "wb")
    # What a library prints is no part of the answer.
    os.dup2(2, 1)
    work, arguments, options, megabytes, seconds = pickle.load(sys.stdin.buffer)
    # Of memory that can be written: libraries reserve addresses by the gigabyte and use few.
    _limit(resource.RLIMIT_DATA, _writable_memory() + megabytes * MEGABYTE)
    used = resource.getrusage(resource.RUSAGE_SELF).ru_utime
    _limit(resource.RLIMIT_CPU, int(used + seconds) + 1)
    outcome: tuple[str, object]
    try:
        outcome = (RESULT, work(*arguments, **options))
    except InputError as error:
        outcome = (REFUSED, str(error))
    except MemoryError:
        outcome = (EXHAUSTED, None)
    except Exception as error:  # noqa: BLE001 - whoever asked for the work meets it there
        outcome = (RAISED, error)
    with output:
        pickle.dump(outcome, output)


def _limit(kind: int, amount: int) -> None:
    """Set a limit, no wider than that of the process that started this one."""
    _, hard = resource.getrlimit(kind)
    limit = amount if hard == resource.RLIM_INFINITY else min(amount, hard)
    resource.setrlimit(kind, (limit, hard))


def _writable_memory() -> int:
    """Return the bytes of its own memory that this process has mapped to write (proc(5), statm)."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[5])
    return pages * resource.getpagesize()


def is_known_host(header: str, names: Collection[str]) -> bool:
    """Whether a Host header has a numeric address, localhost, or one of `names`."""
    try:
        name = urlsplit(f"//{header}").hostname or ""
    except ValueError:
        return False
    if name == "localhost" or name in names:
        return True
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
