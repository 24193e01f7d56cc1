"""What holds for all tests."""

import os

from hypothesis import settings

# How long an example takes tells how busy the machine is, not whether the code is right.
settings.register_profile("whatever the machine does", deadline=None)
settings.load_profile("whatever the machine does")

# Processes that tests start would compile the package again each time where Python is told to keep
# no bytecode.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
