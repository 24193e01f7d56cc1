"""What holds for all tests."""

import ctypes
import os
import sys
from collections.abc import Iterator

import pytest
from hypothesis import settings

# How long an example takes tells how busy the machine is, not whether the code is right.
settings.register_profile("whatever the machine does", deadline=None)
settings.load_profile("whatever the machine does")

# Two workers whose libraries all take both cores wait for each other: the same tests take two fifths
# more.
os.environ.setdefault("OMP_NUM_THREADS", "1")
# Processes that tests start would compile the package again each time where Python is told to keep
# no bytecode.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

# linux/capability.h: the rights of root to pass over those of files, and the version of the words.
OVER_RIGHTS = 1 << 1 | 1 << 2
CAPABILITY_VERSION = 0x20080522


@pytest.fixture
def rights_hold() -> Iterator[None]:
    """The rights of files hold for this thread, also where the tests run as root."""
    if os.geteuid():
        yield
        return
    if sys.platform != "linux":
        pytest.skip("root reads everything here")
    libc = ctypes.CDLL(None, use_errno=True)
    header = (ctypes.c_uint32 * 2)(CAPABILITY_VERSION, 0)
    # Two words each of the effective, the permitted and the inherited ones, in turns.
    before = (ctypes.c_uint32 * 6)()
    assert libc.capget(header, before) == 0
    fewer = (ctypes.c_uint32 * 6)(before[0] & ~OVER_RIGHTS, *before[1:])
    assert libc.capset(header, fewer) == 0
    yield
    assert libc.capset(header, before) == 0
