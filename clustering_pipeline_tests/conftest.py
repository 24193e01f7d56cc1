"""What holds for all tests."""

import os

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
