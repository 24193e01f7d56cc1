"""What runs in the worker processes ahead of an encoder."""

from collections.abc import Callable, Sequence
from typing import Any

from numpy.typing import NDArray

# From inputs (RGB arrays, or pairs of local features and colour) to one row each.
Preparation = Callable[[Sequence[Any]], NDArray[Any]]
