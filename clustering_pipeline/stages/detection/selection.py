"""Which boxes of a picture count, and which one is its main crop."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from clustering_pipeline.imaging import Box
from clustering_pipeline.settings import CropSettings


@dataclass(frozen=True)
class Detections:
    """The boxes found in one picture.

    Attributes:
        boxes: float32 (n, 4), x0 y0 x1 y1 in pixels of the upright picture, half-open.
        scores: float32 (n,), 0 to 1.
        words: per box the category's class word that it answers, None when the detector knows no
            words.
        labels: per box the prompt that the detector saw: the English noun or one of its synonyms.
    """

    boxes: NDArray[np.float32]
    scores: NDArray[np.float32]
    words: tuple[str | None, ...]
    labels: tuple[str | None, ...]

    def __post_init__(self) -> None:
        if self.boxes.shape != (len(self.scores), 4) or not len(self.scores) == len(
            self.words
        ) == len(self.labels):
            raise ValueError(
                f"{len(self.scores)} scores, {len(self.words)} words and {len(self.labels)} labels "
                f"for {self.boxes.shape}"
            )

    def __len__(self) -> int:
        return len(self.scores)

    def take(self, rows: Sequence[int] | NDArray[np.int64]) -> "Detections":
        """Return the boxes at `rows`, in that order."""
        index = np.asarray(rows, np.int64)
        words, labels = (
            tuple(self.words[row] for row in index),
            tuple(self.labels[row] for row in index),
        )
        return Detections(self.boxes[index], self.scores[index], words, labels)

    @staticmethod
    def none() -> "Detections":
        """Return the detections of a picture in which nothing was found."""
        return Detections(np.zeros((0, 4), np.float32), np.zeros(0, np.float32), (), ())


CENTRALITY_SPREAD = 0.35


@dataclass(frozen=True)
class Selected:
    """A region that is cut out; the first of a picture is its main crop."""

    box: Box
    word: str | None
    label: str | None
    score: float | None
    is_whole_image: bool


def select(
    detections: Detections, width: int, height: int, minimum_score: float, settings: CropSettings
) -> list[Selected]:
    """Return the crops of a picture of width × height pixels, the main one first; the whole picture
    when no box counts.
    """
    valid = _valid(_clipped(detections, width, height), width, height, minimum_score, settings)
    best = _without_overlaps(valid, settings.overlap)
    order = np.argsort(-prominence(best, width, height), kind="stable")[: settings.maximum_crops]
    chosen = [_padded(best, int(row), width, height, settings.padding) for row in order]
    return list({crop.box: crop for crop in reversed(chosen)}.values())[::-1] or [
        whole_image(width, height)
    ]


def whole_image(width: int, height: int) -> Selected:
    """Return the fallback: the whole picture."""
    return Selected((0, 0, width, height), None, None, None, True)


def prominence(detections: Detections, width: int, height: int) -> NDArray[np.float64]:
    """Return per box score × √(share of the picture) × closeness to its centre, float64 (n,): the
    highest is the main crop.
    """
    boxes = detections.boxes.astype(np.float64)
    centres = np.stack(
        [(boxes[:, 0] + boxes[:, 2]) / (2 * width), (boxes[:, 1] + boxes[:, 3]) / (2 * height)],
        axis=1,
    )
    distance = np.linalg.norm(centres - 0.5, axis=1)
    centrality = np.exp(-((distance / CENTRALITY_SPREAD) ** 2) / 2)
    prominence: NDArray[np.float64] = (
        detections.scores * np.sqrt(_areas(boxes) / (width * height)) * centrality
    )
    return prominence


def intersection_over_union(
    box: NDArray[np.floating], others: NDArray[np.floating]
) -> NDArray[np.float64]:
    """Return the IoU of one box (4,) with others (n, 4), all x0 y0 x1 y1."""
    left_top = np.maximum(box[:2], others[:, :2])
    right_bottom = np.minimum(box[2:], others[:, 2:])
    shared = np.prod(np.clip(right_bottom - left_top, 0, None).astype(np.float64), axis=1)
    union = _areas(box[None])[0] + _areas(others) - shared
    iou: NDArray[np.float64] = np.divide(shared, union, out=np.zeros_like(shared), where=union > 0)
    return iou


def _areas(boxes: NDArray[np.floating]) -> NDArray[np.float64]:
    sides = np.clip(boxes[:, 2:] - boxes[:, :2], 0, None).astype(np.float64)
    areas: NDArray[np.float64] = np.prod(sides, axis=1)
    return areas


def _clipped(detections: Detections, width: int, height: int) -> Detections:
    limits = np.array([width, height, width, height], np.float32)
    finite = np.isfinite(detections.boxes).all(axis=1) & np.isfinite(detections.scores)
    boxes = np.clip(np.nan_to_num(detections.boxes), 0, limits)
    return Detections(boxes, detections.scores, detections.words, detections.labels).take(
        np.flatnonzero(finite)
    )


def _valid(
    detections: Detections, width: int, height: int, minimum_score: float, settings: CropSettings
) -> Detections:
    sides = detections.boxes[:, 2:] - detections.boxes[:, :2]
    shorter, longer = sides.min(axis=1, initial=np.inf), sides.max(axis=1, initial=0)
    valid = (
        (detections.scores >= minimum_score)
        & (shorter >= 1)
        & (longer <= settings.maximum_aspect * shorter)
    )
    valid &= _areas(detections.boxes) >= settings.minimum_area * width * height
    return detections.take(np.flatnonzero(valid))


def _without_overlaps(detections: Detections, overlap: float) -> Detections:
    """Keep the highest score of boxes that show the same product, whatever their words."""
    remaining = np.argsort(-detections.scores, kind="stable")
    selected = []
    while len(remaining):
        best, remaining = remaining[0], remaining[1:]
        selected.append(best)
        remaining = remaining[
            intersection_over_union(detections.boxes[best], detections.boxes[remaining]) <= overlap
        ]
    return detections.take(np.array(selected, np.int64))


def _padded(detections: Detections, row: int, width: int, height: int, padding: float) -> Selected:
    x0, y0, x1, y1 = detections.boxes[row].astype(np.float64)
    room = padding * max(x1 - x0, y1 - y0)
    low = np.floor([x0 - room, y0 - room]).clip(0)
    high = np.minimum(np.ceil([x1 + room, y1 + room]), [width, height])
    box = (int(low[0]), int(low[1]), int(high[0]), int(high[1]))
    whole = box == (0, 0, width, height)
    return Selected(
        box, detections.words[row], detections.labels[row], float(detections.scores[row]), whole
    )
