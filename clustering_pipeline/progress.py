"""How a stage tells how far it is, without knowing who listens."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol


class ProgressBar(Protocol):
    """One stage's running count."""

    def advance(self, count: int = 1) -> None:
        """Report that `count` more items are done."""


class Progress(Protocol):
    """Opens a bar per piece of work; the terminal, the Dagster log and silence are its implementations."""

    def track(self, description: str, total: int, unit: str) -> AbstractContextManager[ProgressBar]:
        """Open a bar over `total` items named `unit` (singular: "picture")."""


class SilentProgress:
    """Reports nothing: the default for tests and library use."""

    @contextmanager
    def track(self, description: str, total: int, unit: str) -> Iterator[ProgressBar]:
        yield self

    def advance(self, count: int = 1) -> None:
        """Forget the count."""
