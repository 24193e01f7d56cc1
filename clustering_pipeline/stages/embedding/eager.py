"""Encoders that are done with a batch when they are handed it."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from clustering_pipeline.models import Pending

# From inputs (RGB arrays, or pairs of local features and colour) to one row each.
Preparation = Callable[[Sequence[Any]], NDArray[Any]]


class EagerEncoder(ABC):
    """What an encoder without a device of its own says of batches and memory."""

    rows: ClassVar[int | None] = None
    ahead: ClassVar[int] = 0

    @abstractmethod
    def encode(self, prepared: NDArray[Any], /) -> NDArray[np.float32]:
        """Return a float32 (n, dimension) row per prepared input."""

    def begin(self, prepared: Sequence[NDArray[Any]]) -> Pending:
        """Encode, and return what hands the rows over."""
        vectors = self.encode(np.stack(prepared))
        return lambda: vectors

    @abstractmethod
    def release(self) -> None:
        """Give the memory of the weights back."""
