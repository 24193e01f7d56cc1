"""Keypoints and descriptors, in memory and as bytes: a fixed header and flat arrays, so that
reading copies nothing; and how many times a print stands in a picture by them.
"""

import struct
from dataclasses import dataclass
from functools import cached_property

import cv2
import numpy as np
from numpy.typing import NDArray

from clustering_pipeline.core.errors import StageError
from clustering_pipeline.imaging import Box
from clustering_pipeline.storage import BlobStore

# RootSIFT has unit length; its components rarely exceed one half.
_QUANTISATION = 512.0
DESCRIPTOR_LENGTH = 128
THUMBNAIL_SIDE, SILHOUETTE_SIDE = 32, 64
# Standard deviation of where products are held, as a share of half a frame's side.
_CENTRAL_SPREAD = 0.45


@dataclass(frozen=True)
class LocalFeatures:
    """What one product can be recognised by, in the pixels of its normalised frame.

    Attributes:
        box: the product within the crop: x0, y0, x1, y1, half-open pixels of the crop. The frame
            shows this box, scaled.
        width, height: of the frame, pixels.
        points: float32 (n, 2) x and y of each keypoint.
        scales: float32 (n,) diameter of the described neighbourhood, pixels.
        angles: float32 (n,) orientation, radians.
        descriptors: uint8 (n, 128) RootSIFT times 512.
        thumbnail: uint8 (h, w, 3) CIE L*a*b* of the whole frame, each channel offset and scaled to
            a byte as OpenCV does.
        silhouette: uint8 (64, 64) coverage of the shape within its bounding box; zeros when the
            background is not plain.
        picture: the frame as a JPEG file at the size at which frames are laid over each other;
            empty where it is not known.
        shown: bits of its pixels that show the product, packed; empty unless the background is
            even.
        copies: how often the same print stands side by side in the frame, at least; 1 for a single
            product.
    """

    box: Box
    width: int
    height: int
    points: NDArray[np.float32]
    scales: NDArray[np.float32]
    angles: NDArray[np.float32]
    descriptors: NDArray[np.uint8]
    thumbnail: NDArray[np.uint8]
    silhouette: NDArray[np.uint8]
    copies: int = 1
    picture: bytes = b""
    shown: bytes = b""

    def __len__(self) -> int:
        return len(self.points)

    @property
    def is_plain(self) -> bool:
        """Whether the product stands before a plain or evenly shaded background."""
        return bool(self.silhouette.any())

    @cached_property
    def centrality(self) -> NDArray[np.float32]:
        """float32 (n,), 0 to 1: how likely each keypoint lies on the product; 1 before a plain
        background.
        """
        if self.is_plain:
            return np.ones(len(self), np.float32)
        return central_weight(
            (self.points / np.array([self.width, self.height])).astype(np.float32)
        )


def central_weight(shares: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return how central places are, float32 (n,), given as shares of a frame's width and height: a
    Gaussian about its middle.

    People hold a product into the middle of a picture that shows more than the product.
    """
    offset = (2 * shares - 1) / _CENTRAL_SPREAD
    return np.asarray(np.exp(-0.5 * np.square(offset).sum(axis=1)), np.float32)


# Points, scales, angles and descriptors, as in LocalFeatures.
Keypoints = tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32], NDArray[np.uint8]]


def detect_keypoints(frame: NDArray[np.uint8], limit: int, contrast_threshold: float) -> Keypoints:
    """Return points, scales, angles and descriptors of at most `limit` keypoints of an RGB frame,
    strongest first.

    SIFT (Lowe 2004) with the square root of its L1-normalised descriptors (Arandjelović and
    Zisserman 2012).
    """
    grey = cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY)
    keypoints, sift = cv2.SIFT.create(
        nfeatures=limit, contrastThreshold=contrast_threshold
    ).detectAndCompute(grey, None)
    if not keypoints:
        return _nothing()
    order = sorted(
        range(len(keypoints)),
        key=lambda i: (-keypoints[i].response, keypoints[i].pt, keypoints[i].angle),
    )[:limit]
    points = np.array([keypoints[i].pt for i in order], np.float32)
    scales = np.array([keypoints[i].size for i in order], np.float32)
    angles = np.deg2rad(np.array([keypoints[i].angle for i in order], np.float32))
    return (
        points,
        scales,
        angles.astype(np.float32),
        quantise_root_sift(np.asarray(sift[order], np.float32)),
    )


def quantise_root_sift(sift: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Return RootSIFT as bytes: the square root of each L1-normalised row, times 512."""
    root = np.sqrt(sift / np.maximum(sift.sum(axis=1, keepdims=True), 1e-12))
    return np.asarray(np.clip(np.rint(root * _QUANTISATION), 0, 255), np.uint8)


def unit_descriptors(descriptors: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return quantised descriptors as float32 rows of unit length."""
    rows = descriptors.astype(np.float32)
    normalised: NDArray[np.float32] = rows / np.maximum(
        np.linalg.norm(rows, axis=1, keepdims=True), 1e-12
    )
    return normalised


def _nothing() -> Keypoints:
    scalar = np.zeros(0, np.float32)
    return np.zeros((0, 2), np.float32), scalar, scalar, np.zeros((0, DESCRIPTOR_LENGTH), np.uint8)


_LARGEST_DISTANCE = 0.6
_SMALLEST_SHIFT = 0.2
_TURN, _SCALE = 0.35, 1.3
_TOLERANCE = 0.03
_FEWEST, _SMALLEST_SHARE = 24, 0.3
_MOST = 12


def count_copies(
    points: NDArray[np.float32],
    scales: NDArray[np.float32],
    angles: NDArray[np.float32],
    descriptors: NDArray[np.uint8],
    longest_side: int,
) -> int:
    """Return how many times, at least, the same print stands side by side at one size; 1 for a
    single product.

    Each keypoint is paired with its most similar one at least a fifth of the frame away; a bundle's
    pairs agree on one shift, and a good share of all keypoints takes part.
    """
    if len(points) < _FEWEST:
        return 1
    nearest, distance = _most_similar_elsewhere(
        points, unit_descriptors(descriptors), _SMALLEST_SHIFT * longest_side
    )
    turn = np.abs(np.angle(np.exp(1j * (angles[nearest] - angles))))
    ratio = scales[nearest] / np.maximum(scales, 1e-3)
    good = (
        (distance <= _LARGEST_DISTANCE)
        & (turn <= _TURN)
        & (ratio <= _SCALE)
        & (ratio >= 1 / _SCALE)
    )
    if good.sum() < _FEWEST:
        return 1
    shifts = (points[nearest] - points)[good]
    # Both copies point at each other: one direction is counted.
    shifts = np.where(shifts[:, :1] + 1e-3 * shifts[:, 1:] < 0, -shifts, shifts)
    close = _squared_distances(shifts) <= (_TOLERANCE * longest_side) ** 2
    support = close.sum(axis=1)
    if support.max() < max(_FEWEST, _SMALLEST_SHARE * len(points)):
        return 1
    # In a row of three the outer two are alike as well: neighbours are the nearest of the shifts
    # that many agree on.
    common = np.flatnonzero(support >= 0.3 * support.max())
    best = common[np.linalg.norm(shifts[common], axis=1).argmin()]
    shift = np.median(shifts[close[best]], axis=0)
    along = points[good][close[best]] @ (shift / np.linalg.norm(shift))
    return int(np.clip(round(float(np.ptp(along) / np.linalg.norm(shift))), 2, _MOST))


def _most_similar_elsewhere(
    points: NDArray[np.float32], unit: NDArray[np.float32], smallest_shift: float
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Return for each keypoint the most similar one at least `smallest_shift` pixels away, and its
    descriptor distance.
    """
    similarity = unit @ unit.T
    similarity[_squared_distances(points) < smallest_shift**2] = -1
    nearest = similarity.argmax(axis=1)
    distance = np.sqrt(np.maximum(2 - 2 * similarity[np.arange(len(points)), nearest], 0))
    return nearest, distance


def _squared_distances(points: NDArray[np.float32]) -> NDArray[np.float32]:
    lengths = np.square(points).sum(axis=1)
    squared: NDArray[np.float32] = lengths[:, None] + lengths[None] - 2 * (points @ points.T)
    return squared


_MAGIC = b"LFT4"
_HEADER = struct.Struct("<4s10I")
_THUMBNAIL_BYTES = THUMBNAIL_SIDE * THUMBNAIL_SIDE * 3
_SILHOUETTE_BYTES = SILHOUETTE_SIDE * SILHOUETTE_SIDE


def pack(features: LocalFeatures) -> bytes:
    """Return the features as bytes; equal features give equal bytes."""
    lengths = (len(features), len(features.picture), len(features.shown))
    header = _HEADER.pack(
        _MAGIC, *features.box, features.width, features.height, features.copies, *lengths
    )
    numbers = np.column_stack([features.points, features.scales, features.angles]).astype("<f4")
    pictures = features.thumbnail.tobytes() + features.silhouette.tobytes()
    return (
        header
        + numbers.tobytes()
        + features.descriptors.tobytes()
        + pictures
        + features.picture
        + features.shown
    )


def unpack(content: bytes) -> LocalFeatures:
    """Return the features that `pack` wrote; raises StageError when the bytes are something
    else.
    """
    if len(content) < _HEADER.size or content[:4] != _MAGIC:
        raise StageError(
            "Stored local features cannot be read. Run the category again with --force to compute "
            "them again."
        )
    _, x0, y0, x1, y1, width, height, copies, count, picture, shown = _HEADER.unpack_from(content)
    numbers = np.frombuffer(content, "<f4", count * 4, _HEADER.size).reshape(count, 4)
    start = _HEADER.size + numbers.nbytes
    descriptors = np.frombuffer(content, np.uint8, count * DESCRIPTOR_LENGTH, start).reshape(
        count, DESCRIPTOR_LENGTH
    )
    start += descriptors.nbytes
    thumbnail = np.frombuffer(content, np.uint8, _THUMBNAIL_BYTES, start)
    shape = np.frombuffer(content, np.uint8, _SILHOUETTE_BYTES, start + _THUMBNAIL_BYTES)
    start += _THUMBNAIL_BYTES + _SILHOUETTE_BYTES
    return LocalFeatures(
        box=(x0, y0, x1, y1),
        width=width,
        height=height,
        points=numbers[:, :2],
        scales=numbers[:, 2],
        angles=numbers[:, 3],
        descriptors=descriptors,
        thumbnail=thumbnail.reshape(THUMBNAIL_SIDE, THUMBNAIL_SIDE, 3),
        silhouette=shape.reshape(SILHOUETTE_SIDE, SILHOUETTE_SIDE),
        copies=copies,
        picture=content[start : start + picture],
        shown=content[start + picture : start + picture + shown],
    )


def load_features(blobs: BlobStore, digest: str) -> LocalFeatures:
    """Return the local features stored under `digest`; raises StageError when they are missing or
    damaged.
    """
    return unpack(blobs.get(digest))
