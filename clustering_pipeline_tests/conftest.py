"""What holds for all tests."""

from hypothesis import settings

# How long an example takes tells how busy the machine is, not whether the code is right.
settings.register_profile("whatever the machine does", deadline=None)
settings.load_profile("whatever the machine does")
