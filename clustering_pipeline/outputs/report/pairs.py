"""The worst pair of a cluster with everything that speaks for and against it."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import cv2
import numpy as np
from numpy.typing import NDArray

from clustering_pipeline.core.errors import PipelineError
from clustering_pipeline.imaging import ImageError, Pixels, fit_within, load_thumbnail
from clustering_pipeline.outputs.report.doubt import AskedPair, Cluster, Link
from clustering_pipeline.outputs.report.listings import Box, CategoryTables, Listing
from clustering_pipeline.settings import MatchSettings, VerificationSettings
from clustering_pipeline.stages.contract import StageContext
from clustering_pipeline.stages.features import LocalFeatures, load_features
from clustering_pipeline.stages.matching import TextLine, held_texts, reading_places, verify

MOST_DRAWN = 40
Size = tuple[int, int]
Line = tuple[float, float, float, float]
# The drawing is two squares side by side in a view box of this size, with a gap between them.
VIEW_WIDTH, VIEW_HEIGHT, GAP = 208, 100, 8


@dataclass(frozen=True)
class PairView:
    """Lines between the matched points of two crops in the drawing's view box, and how many matched
    in all.
    """

    lines: tuple[Line, ...]
    matched: int


def pair_evidence(
    first: LocalFeatures,
    second: LocalFeatures,
    first_size: Size,
    second_size: Size,
    settings: VerificationSettings,
) -> PairView:
    """Return the points of two crops that agree with one affine map, at most 40 of them drawn.

    `first_size`, `second_size`: width and height of the crops, pixels.
    """
    match = verify(first, second, settings).match
    if match is None:
        return PairView((), 0)
    left = _in_square(points_in_crop(first, match.first), first_size)
    right = _in_square(points_in_crop(second, match.second), second_size) + np.array(
        [VIEW_HEIGHT + GAP, 0]
    )
    drawn = np.unique(np.linspace(0, len(match) - 1, MOST_DRAWN).round().astype(int))
    lines = np.hstack([left[drawn], right[drawn]]).round(2)
    return PairView(
        tuple((float(a), float(b), float(c), float(d)) for a, b, c, d in lines), len(match)
    )


def points_in_crop(features: LocalFeatures, keypoints: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return keypoints, numbers into `features.points`, as float64 (n, 2) x and y in pixels of the
    crop.
    """
    x0, y0, x1, y1 = features.box
    scale = np.array([(x1 - x0) / features.width, (y1 - y0) / features.height])
    points: NDArray[np.float64] = features.points[keypoints] * scale + (x0, y0)
    return points


def _in_square(points: NDArray[np.float64], size: Size) -> NDArray[np.float64]:
    """Return points of a crop within the square in which the crop is shown whole and centred."""
    scale = VIEW_HEIGHT / max(size)
    placed: NDArray[np.float64] = points * scale + (VIEW_HEIGHT - np.array(size) * scale) / 2
    return placed


COLOURS = 5
# Pixels of the longer side at which colours are counted.
_COLOUR_SIDE = 64
LINES = 8
READABLE = 0.6


@dataclass(frozen=True)
class Side:
    """One of the two: its listing, the lines read on its pack, its main colours as #rrggbb, the
    most frequent first, and how many pictures share what lies over its own, 0 where nothing does.
    """

    listing: Listing
    lines: tuple[str, ...]
    colours: tuple[str, ...]
    template_pictures: int = 0


@dataclass(frozen=True)
class WorstPair:
    """The two listings of a cluster's weakest link."""

    first: Side
    second: Side
    link: Link
    evidence: PairView

    @cached_property
    def shared_lines(self) -> frozenset[str]:
        """The lines that both packs bear, whatever their case."""
        return frozenset(map(str.casefold, self.first.lines)) & frozenset(
            map(str.casefold, self.second.lines)
        )


def worst_pairs(
    clusters: Sequence[Cluster],
    tables: CategoryTables,
    settings: MatchSettings,
    context: StageContext,
) -> dict[int, WorstPair]:
    """Return the worst pair of each cluster that hangs on a match, by the cluster's number."""
    asked = {
        cluster.cluster_id: cluster.weakest for cluster in clusters if cluster.weakest is not None
    }
    shown = _Shown(list(asked.values()), tables, settings, context)
    return {number: shown.pair(pair) for number, pair in asked.items()}


class _Shown:
    """Looks up what is known of the crops of the pairs that are shown."""

    def __init__(
        self,
        pairs: Sequence[AskedPair],
        tables: CategoryTables,
        settings: MatchSettings,
        context: StageContext,
    ) -> None:
        self._context = context
        self._settings = settings
        self._features = _feature_rows(tables)
        crops = {crop for pair in pairs for crop in (pair.link.crop_a, pair.link.crop_b)}
        read = {} if tables.local_features is None else reading_places(tables.local_features)
        places = [(crop, read[crop]) for crop in sorted(crops & read.keys())]
        self._texts = held_texts(places, settings.reader, context) if places else {}

    def pair(self, asked: AskedPair) -> WorstPair:
        return WorstPair(
            self._side(asked.first), self._side(asked.second), asked.link, self._evidence(asked)
        )

    def _side(self, listing: Listing) -> Side:
        crop = listing.keeper or ""
        return Side(
            listing,
            _readable(self._texts.get(crop, [])),
            main_colours(self._pixels(listing)),
            self._features[crop][1] if crop in self._features else 0,
        )

    def _pixels(self, listing: Listing) -> Pixels | None:
        try:
            return load_thumbnail(
                self._context.blobs, listing.image_sha256 or "", listing.box, _COLOUR_SIDE
            )
        except (ImageError, PipelineError):
            return None

    def _evidence(self, asked: AskedPair) -> PairView:
        first, second = asked.first, asked.second
        one, other = self._local_features(first), self._local_features(second)
        if one is None or other is None or first.box is None or second.box is None:
            return PairView((), 0)
        return pair_evidence(
            one, other, _size(first.box), _size(second.box), self._settings.verification
        )

    def _local_features(self, listing: Listing) -> LocalFeatures | None:
        try:
            return load_features(self._context.blobs, self._features[listing.keeper or ""][0])
        except (KeyError, PipelineError):
            return None


def main_colours(pixels: Pixels | None) -> tuple[str, ...]:
    """Return the main colours of a crop, uint8 (height, width, 3) RGB, as #rrggbb, the most
    frequent first; none of None.
    """
    if pixels is None:
        return ()
    small = cv2.GaussianBlur(fit_within(pixels, _COLOUR_SIDE), (3, 3), 0).reshape(-1, 3)
    # Cubes of a quarter of each channel's range; the mean of a cube's pixels is its colour.
    cubes = (small // 64).astype(np.int64) @ np.array([16, 4, 1])
    numbers, counts = np.unique(cubes, return_counts=True)
    chosen = numbers[np.argsort(-counts, kind="stable")][:COLOURS]
    return tuple(
        "#{:02x}{:02x}{:02x}".format(*small[cubes == number].mean(axis=0).round().astype(int))
        for number in chosen
    )


def _feature_rows(tables: CategoryTables) -> dict[str, tuple[str, int]]:
    """Return by crop the blob of its features and how many pictures share its template."""
    frame = tables.local_features
    if frame is None:
        return {}
    rows = frame[["crop_sha256", "features", "template_pictures"]].to_numpy(object)
    return {str(crop): (str(blob), int(shared)) for crop, blob, shared in rows}


def _readable(lines: Sequence[TextLine]) -> tuple[str, ...]:
    return tuple(line.text for line in lines if line.confidence >= READABLE)[:LINES]


def _size(box: Box) -> tuple[int, int]:
    return box[2] - box[0], box[3] - box[1]
