"""Local features as bytes: a fixed header and flat arrays, so that reading them copies nothing."""

import struct

import numpy as np

from clustering_pipeline.errors import StageError
from clustering_pipeline.features.colour import THUMBNAIL_SIDE
from clustering_pipeline.features.keypoints import DESCRIPTOR_LENGTH, LocalFeatures
from clustering_pipeline.features.silhouette import SILHOUETTE_SIDE
from clustering_pipeline.storage import BlobStore

_MAGIC = b"LFT3"
_HEADER = struct.Struct("<4s8I")
_THUMBNAIL_BYTES = THUMBNAIL_SIDE * THUMBNAIL_SIDE * 3
_SILHOUETTE_BYTES = SILHOUETTE_SIDE * SILHOUETTE_SIDE


def pack(features: LocalFeatures) -> bytes:
    """Return the features as bytes; equal features give equal bytes."""
    header = _HEADER.pack(_MAGIC, *features.box, features.width, features.height, features.copies, len(features))
    numbers = np.column_stack([features.points, features.scales, features.angles]).astype("<f4")
    pictures = features.thumbnail.tobytes() + features.silhouette.tobytes()
    return header + numbers.tobytes() + features.descriptors.tobytes() + pictures


def unpack(content: bytes) -> LocalFeatures:
    """Return the features that `pack` wrote; raises StageError when the bytes are something else."""
    if len(content) < _HEADER.size or content[:4] != _MAGIC:
        raise StageError("Stored local features cannot be read. Run the category again with --force to compute them anew.")
    _, x0, y0, x1, y1, width, height, copies, count = _HEADER.unpack_from(content)
    numbers = np.frombuffer(content, "<f4", count * 4, _HEADER.size).reshape(count, 4)
    start = _HEADER.size + numbers.nbytes
    descriptors = np.frombuffer(content, np.uint8, count * DESCRIPTOR_LENGTH, start).reshape(count, DESCRIPTOR_LENGTH)
    start += descriptors.nbytes
    thumbnail = np.frombuffer(content, np.uint8, _THUMBNAIL_BYTES, start)
    shape = np.frombuffer(content, np.uint8, _SILHOUETTE_BYTES, start + _THUMBNAIL_BYTES)
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
    )


def load_features(blobs: BlobStore, digest: str) -> LocalFeatures:
    """Return the local features stored under `digest`; raises StageError when they are missing or damaged."""
    return unpack(blobs.get(digest))
