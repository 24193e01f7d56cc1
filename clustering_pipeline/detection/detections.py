"""The one result type of every detector."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Detections:
    """The boxes found in one picture.

    Attributes:
        boxes: float32 (n, 4), x0 y0 x1 y1 in pixels of the upright picture, half-open.
        scores: float32 (n,), 0 to 1.
        words: per box the category's class word that it answers, None when the detector knows no words.
        labels: per box the prompt that the detector saw: the English noun or one of its synonyms.
    """

    boxes: NDArray[np.float32]
    scores: NDArray[np.float32]
    words: tuple[str | None, ...]
    labels: tuple[str | None, ...]

    def __post_init__(self) -> None:
        if self.boxes.shape != (len(self.scores), 4) or not len(self.scores) == len(self.words) == len(self.labels):
            raise ValueError(
                f"{len(self.scores)} scores, {len(self.words)} words and {len(self.labels)} labels for {self.boxes.shape}"
            )

    def __len__(self) -> int:
        return len(self.scores)

    def take(self, rows: Sequence[int] | NDArray[np.int64]) -> "Detections":
        """Return the boxes at `rows`, in that order."""
        index = np.asarray(rows, np.int64)
        words, labels = tuple(self.words[row] for row in index), tuple(self.labels[row] for row in index)
        return Detections(self.boxes[index], self.scores[index], words, labels)

    @staticmethod
    def none() -> "Detections":
        """Return the detections of a picture in which nothing was found."""
        return Detections(np.zeros((0, 4), np.float32), np.zeros(0, np.float32), (), ())
