"""The embeddings stage: what an encoder is and the registry of encoders by name, and kept crops in,
unit-length vectors out.
"""

from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, ClassVar, Literal, Protocol

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from clustering_pipeline.core.engine import Hosted, HostingEngine
from clustering_pipeline.core.hardware import Precision
from clustering_pipeline.core.manifests import EMBEDDINGS, VECTOR, conform
from clustering_pipeline.core.progress import Facts
from clustering_pipeline.imaging import Box, ImageError, Pixels, cut, load_reduced, masked
from clustering_pipeline.models import Pending
from clustering_pipeline.settings import EmbeddingSettings
from clustering_pipeline.stages.contract import StageContext, StageResult
from clustering_pipeline.stages.embedding.autoencoder import AutoencoderEncoder
from clustering_pipeline.stages.embedding.local import LocalEncoder, Preparation
from clustering_pipeline.stages.embedding.onnx import EfficientNetEncoder, OnnxEncoder
from clustering_pipeline.stages.embedding.reduction import keep_reduction, reduce_vectors
from clustering_pipeline.stages.embedding.towers import (
    ClipEncoder,
    Dino3Encoder,
    DinoEncoder,
    ResNetEncoder,
    ResNetIbnEncoder,
    VggEncoder,
    VitEncoder,
)
from clustering_pipeline.stages.features import LocalFeatures, load_features
from clustering_pipeline.storage import BlobStore, compute_missing


class Encoder(Protocol):
    """Turns crops into vectors. A vector depends on its crop alone, never on the batch.

    The constructor takes the settings and does nothing heavy.
    """

    # What a preparation is given: RGB arrays of shape (h, w, 3), pairs of such arrays (the picture
    # and the crop; twice the crop where the picture has several), or pairs of LocalFeatures and
    # colour histogram.
    reads: ClassVar[Literal["pixels", "views", "local_features"]]

    def identity(self, context: StageContext, /) -> str:
        """Return what names the weights and the preprocessing: part of the cache's fingerprint."""

    def precision(self, context: StageContext, /) -> Precision:
        """Return the number format that a run here computes in; "auto" where there is one only."""

    def facts(self, context: StageContext, /) -> Facts:
        """Return what a person wants to know of the encoder: dimension, input size, normalisation,
        device.
        """

    def preparation(self, context: StageContext, /) -> Preparation:
        """Return the picklable function that makes `encode`'s input, a row per input; workers run
        it without the weights.
        """

    def load(self, context: StageContext, /) -> None:
        """Load the weights; raises StageError with the remedy."""

    def release(self) -> None:
        """Give the memory of the weights back; `load` makes the encoder usable again."""

    @property
    def rows(self) -> int | None:
        """How many inputs `begin` is best handed at once; None: as many as come together."""

    @property
    def ahead(self) -> int:
        """How many batches are worth having under way while the next one is prepared."""

    def begin(self, prepared: Sequence[NDArray[Any]]) -> Pending:
        """Start on prepared inputs and return what waits for their float32 (n, dimension) rows, of
        any length.
        """

    def encode(self, prepared: NDArray[Any]) -> NDArray[np.float32]:
        """Return a float32 (n, dimension) row per prepared input, of any length."""


ENCODERS: dict[str, Callable[[EmbeddingSettings], Encoder]] = {
    "local": LocalEncoder,
    "efficientnet": EfficientNetEncoder,
    "clip": ClipEncoder,
    "vit": VitEncoder,
    "dinov2": DinoEncoder,
    "dinov3": Dino3Encoder,
    "resnet50": ResNetEncoder,
    "resnet50-ibn": ResNetIbnEncoder,
    "vgg16": VggEncoder,
    "autoencoder": AutoencoderEncoder,
    "onnx": OnnxEncoder,
}


def open_encoder(settings: EmbeddingSettings) -> Encoder:
    """Return the encoder that the settings name, not loaded."""
    return ENCODERS[settings.encoder](settings)


_SCHEMA = pa.schema([("vector", VECTOR), ("reason", pa.string())])
# Crops that a host hands to its GPU together.
_HOSTED_ROWS = 256
# Between a crop's digest and what else the vector depends on: its picture, and where the pack is.
_BESIDE = "/"

Prepared = tuple[str, np.ndarray[Any, Any] | None, str | None]


def run(
    *,
    clean_images: pd.DataFrame,
    local_features: pd.DataFrame,
    settings: EmbeddingSettings,
    context: StageContext,
) -> StageResult:
    """Return EMBEDDINGS: a unit-length float32 vector per kept crop.

    A crop that cannot be encoded is left out and counted in the fact `failed`; the others go on.
    Raises StageError when the encoder does not load.
    """
    encoder = open_encoder(settings)
    rows = _inputs(encoder, clean_images, local_features)
    table = context.tables.table(
        "embeddings", settings.fingerprint(encoder.identity(context)), _SCHEMA
    )

    def compute(missing: list[str]) -> Iterator[pd.DataFrame]:
        if not missing:
            return
        with context.progress.track("Embeddings", len(missing), "crop") as bar:
            for frame in _vectors([rows[key] for key in missing], encoder, settings, context):
                bar.advance(len(frame))
                yield frame

    frame = compute_missing(table, sorted(rows), compute)
    encoded = frame.loc[frame["reason"].isna(), ["vector"]].rename_axis("key").reset_index()
    encoded = encoded.assign(crop_sha256=encoded["key"].str.split(_BESIDE).str[0])[
        ["crop_sha256", "vector"]
    ]
    vectors, reduction = reduce_vectors(encoded, clean_images, settings)
    keep_reduction(reduction, settings, context)
    manifest = conform(vectors, EMBEDDINGS)
    facts = {
        "crops": len(manifest),
        "failed": len(frame) - len(manifest),
        "encoder": settings.encoder,
        **encoder.facts(context),
    }
    return StageResult(manifest, facts)


def _inputs(
    encoder: Encoder, clean_images: pd.DataFrame, local_features: pd.DataFrame
) -> dict[str, tuple[Any, ...]]:
    if encoder.reads == "local_features":
        rows = zip(
            *(local_features[name] for name in ("crop_sha256", "features", "colour")), strict=True
        )
        return {str(crop): (crop, features, colour) for crop, features, colour in rows}
    keepers = clean_images[clean_images["status"] == "kept"]
    boxes = keepers[["x0", "y0", "x1", "y1"]].to_numpy(np.int64).tolist()
    crops, images = keepers["crop_sha256"].to_list(), keepers["image_sha256"].to_list()
    places = zip(map(tuple, boxes), keepers["mask"], strict=True)
    inputs = {
        crop: (crop, image, place) for crop, image, place in zip(crops, images, places, strict=True)
    }
    if encoder.reads != "views":
        return inputs
    return _with_pictures(inputs, clean_images, _packs(local_features))


def _with_pictures(
    rows: dict[str, tuple[Any, ...]], clean_images: pd.DataFrame, packs: Mapping[str, Box]
) -> dict[str, tuple[Any, ...]]:
    """Say which crops are the only one of their picture, and where the pack of a crop under a
    template is; the vector of such a crop belongs to all of that.
    """
    crops_of = clean_images.groupby("image_sha256").size()
    keyed = {}
    for crop, image, (box, mask) in rows.values():
        alone = crops_of[image] == 1 and not isinstance(mask, str)
        pack = packs.get(crop)
        parts = (crop, *([image] if alone else []), *([str(pack)] if pack else []))
        key = _BESIDE.join(parts)
        keyed[key] = (key, image, (box, mask, alone, pack))
    return keyed


def _packs(local_features: pd.DataFrame) -> dict[str, Box]:
    """Return the box of the pack within each crop that stands under a template."""
    under = local_features[local_features["template"].notna()]
    edges = under[["x0", "y0", "x1", "y1"]].to_numpy(np.int64).tolist()
    return {
        crop: (x0, y0, x1, y1)
        for crop, (x0, y0, x1, y1) in zip(under["crop_sha256"], edges, strict=True)
    }


def _vectors(
    rows: list[tuple[Any, ...]],
    encoder: Encoder,
    settings: EmbeddingSettings,
    context: StageContext,
) -> Iterator[pd.DataFrame]:
    """Yield the rows of the table for `rows`, in order."""
    prepare = partial(
        _prepare_batch,
        blobs=context.blobs,
        read=_READERS[encoder.reads],
        preparation=encoder.preparation(context),
    )
    if isinstance(context.engine, HostingEngine):
        load = partial(_open, settings, context.for_host(encoder.precision(context)))
        hosted = Hosted(load, prepare, _encode, settings.device_batch or _HOSTED_ROWS)
        yield from context.engine.map_hosted(hosted, rows, batch_size=settings.batch_size)
        return
    try:
        encoder.load(context)
        batches = context.engine.map_batches(prepare, rows, batch_size=settings.batch_size)
        yield from _encoded(encoder, batches)
    finally:
        encoder.release()


def _open(settings: EmbeddingSettings, context: StageContext) -> Encoder:
    encoder = open_encoder(settings)
    encoder.load(context)
    return encoder


def _encode(encoder: Encoder, prepared: list[Prepared]) -> pd.DataFrame:
    return _frame(prepared, _begin(encoder, prepared))


def _prepare_batch(
    batch: list[tuple[Any, ...]],
    blobs: BlobStore,
    read: Callable[..., Any],
    preparation: Preparation,
) -> list[Prepared]:
    return [_prepare_one(row, blobs, read, preparation) for row in batch]


def _prepare_one(
    row: tuple[Any, ...], blobs: BlobStore, read: Callable[..., Any], preparation: Preparation
) -> Prepared:
    crop, source, detail = row
    try:
        return crop, preparation([read(blobs, source, detail)])[0], None
    except ImageError as error:
        return crop, None, str(error)


def _read_features(
    blobs: BlobStore, digest: str, colour: Sequence[float]
) -> tuple[LocalFeatures, NDArray[np.float32]]:
    return load_features(blobs, digest), np.asarray(colour, np.float32)


def _read_pixels(blobs: BlobStore, digest: str, place: tuple[Box, str | None]) -> Pixels:
    box, mask = place
    return masked(load_reduced(blobs, digest, box).region, _stored_mask(blobs, mask))


def _stored_mask(blobs: BlobStore, mask: str | None) -> bytes | None:
    return blobs.get(mask) if isinstance(mask, str) else None


def _read_views(
    blobs: BlobStore, digest: str, place: tuple[Box, str | None, bool, Box | None]
) -> tuple[Pixels, Pixels]:
    box, mask, alone, pack = place
    reduced = load_reduced(blobs, digest, box)
    region = reduced.region
    crop = region if alone else masked(region, _stored_mask(blobs, mask))
    product = crop if pack is None else cut(crop, reduced.reduced(pack))
    return (reduced.picture if alone else crop), product


_READERS: Mapping[str, Callable[..., Any]] = {
    "local_features": _read_features,
    "pixels": _read_pixels,
    "views": _read_views,
}


def _encoded(encoder: Encoder, batches: Iterator[list[Prepared]]) -> Iterator[pd.DataFrame]:
    """Yield the rows of the batches in order, while the encoder works on the ones that follow."""
    waiting: deque[tuple[list[Prepared], Pending]] = deque()
    for prepared in _grouped(batches, encoder.rows):
        waiting.append((prepared, _begin(encoder, prepared)))
        if len(waiting) > encoder.ahead:
            yield _frame(*waiting.popleft())
    while waiting:
        yield _frame(*waiting.popleft())


def _grouped(batches: Iterator[list[Prepared]], size: int | None) -> Iterator[list[Prepared]]:
    """Join the workers' batches into as many rows as the encoder takes at once."""
    if size is None:
        yield from batches
        return
    waiting: list[Prepared] = []
    for batch in batches:
        waiting += batch
        while len(waiting) >= size:
            yield waiting[:size]
            waiting = waiting[size:]
    if waiting:
        yield waiting


def _begin(encoder: Encoder, prepared: list[Prepared]) -> Pending:
    ready = [row for _, row, _ in prepared if row is not None]
    return encoder.begin(ready) if ready else lambda: np.zeros((0, 0), np.float32)


def _frame(prepared: list[Prepared], pending: Pending) -> pd.DataFrame:
    vectors = pending()
    lengths = np.linalg.norm(vectors, axis=1)
    sound = np.isfinite(vectors).all(axis=1) & (lengths > 0)
    rows = [
        {"key": key, "vector": None, "reason": reason}
        for key, row, reason in prepared
        if row is None
    ]
    ready = (key for key, row, _ in prepared if row is not None)
    for key, vector, length, usable in zip(ready, vectors, lengths, sound, strict=True):
        if usable:
            rows.append(
                {"key": key, "vector": (vector / length).astype(np.float32), "reason": None}
            )
        else:
            rows.append(
                {"key": key, "vector": None, "reason": "the encoder returned no usable vector"}
            )
    return pd.DataFrame(rows, columns=["key", *_SCHEMA.names])
