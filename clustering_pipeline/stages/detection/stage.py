"""The crops stage: pictures in, product regions out."""

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import pandas as pd
import pyarrow as pa

from clustering_pipeline.core.engine import Hosted, HostingEngine, ahead
from clustering_pipeline.core.manifests import CROPS, conform, joined_frames, to_frame
from clustering_pipeline.core.progress import Facts
from clustering_pipeline.imaging import (
    ImageError,
    Pixels,
    crop_digest,
    cut,
    load_image,
    pack_mask,
    without_background,
)
from clustering_pipeline.settings import CropSettings
from clustering_pipeline.stages.contract import StageContext, StageResult
from clustering_pipeline.stages.detection.detectors import (
    Detector,
    GivenBoxes,
    GivenDetector,
    digest_of,
    given_boxes,
    make_detector,
)
from clustering_pipeline.stages.detection.selection import Detections, Selected, select
from clustering_pipeline.stages.detection.trained import Mask, Segmenter, make_segmenter
from clustering_pipeline.stages.prompts import Prompt, read_prompts
from clustering_pipeline.storage import BlobStore, stream_missing

_CROP = pa.struct([field for field in CROPS.schema if field.name not in ("image_sha256", "error")])
_SCHEMA = pa.schema([("crops", pa.list_(_CROP)), ("error", pa.string())])
# Pixels of the pictures that are held decoded for a detector at once.
_PORTION_PIXELS = 64_000_000


@dataclass(frozen=True)
class _Work:
    """What one batch needs besides the digests of its pictures; picklable for light detectors."""

    detector: Detector
    prompts: tuple[Prompt, ...]
    settings: CropSettings
    blobs: BlobStore
    catalogue_boxes: GivenBoxes
    segmenter: Segmenter | None

    def find(self, images: Mapping[str, Pixels]) -> dict[str, Detections]:
        """Return the detections of each picture by its digest; boxes that the catalogue gives come
        first.
        """
        asked = {
            digest: pixels
            for digest, pixels in images.items()
            if digest not in self.catalogue_boxes
        }
        detections = self.detector.detect(list(asked.values()), self.prompts)
        return {
            **{
                digest: self.catalogue_boxes[digest]
                for digest in images
                if digest in self.catalogue_boxes
            },
            **dict(zip(asked, detections, strict=True)),
        }

    @property
    def minimum_score(self) -> float:
        return (
            self.detector.default_score
            if self.settings.minimum_score is None
            else self.settings.minimum_score
        )


def run(
    *,
    raw_images: pd.DataFrame,
    english_prompts: pd.DataFrame,
    catalogue: pd.DataFrame,
    settings: CropSettings,
    context: StageContext,
) -> StageResult:
    """Find the product in every distinct picture; manifest CROPS.

    A picture has one row per crop, the main one with rank 0; where no box counts, one row for the
    whole picture. A picture that cannot be decoded has one row without a crop whose `error` says
    why. `catalogue` is read by the detector `given` alone, whose boxes are columns of it. Raises
    StageError when the detector's model cannot be loaded.
    """
    detector = make_detector(settings)
    catalogue_boxes = (
        given_boxes(raw_images, catalogue, settings) if isinstance(detector, GivenDetector) else {}
    )
    prompts = tuple(read_prompts(english_prompts)) if detector.uses_prompts else ()
    segmenter = make_segmenter(settings)
    masked_by = segmenter.identity(context) if segmenter else ""
    fingerprint = settings.fingerprint(
        detector.identity(context), _digest(prompts), digest_of(catalogue_boxes), masked_by
    )
    table = context.tables.table("crops", fingerprint, _SCHEMA)
    work = _Work(detector, prompts, settings, context.blobs, catalogue_boxes, segmenter)
    # One with an error as well is held from before: only asking for a newer one failed.
    usable = raw_images[raw_images["image_sha256"].notna()]
    rows = stream_missing(
        table, sorted(set(usable["image_sha256"])), partial(_compute, work=work, context=context)
    )
    manifest = _manifest(rows)
    return StageResult(manifest, {**_facts(manifest), **detector.facts(context)})


def _digest(prompts: Sequence[Prompt]) -> str:
    return hashlib.sha256(
        repr([(prompt.word, prompt.english, prompt.synonyms) for prompt in prompts]).encode()
    ).hexdigest()


def _compute(missing: list[str], work: _Work, context: StageContext) -> Iterator[pd.DataFrame]:
    if not missing:
        return
    with context.progress.track("Finding products", len(missing), "picture") as bar:
        for batch in _batches(missing, work, context):
            yield pd.DataFrame(batch, columns=["key", *_SCHEMA.names])
            bar.advance(len(batch))


def _batches(
    missing: list[str], work: _Work, context: StageContext
) -> Iterator[list[dict[str, Any]]]:
    size = work.settings.batch_size
    if work.detector.runs_in_workers and work.segmenter is None:
        yield from context.engine.map_batches(
            partial(_crop_batch, work=work), missing, batch_size=size
        )
        return
    if isinstance(context.engine, HostingEngine):
        hosted = Hosted(
            partial(_opened, work, context.for_host(work.detector.precision(context))),
            partial(_load_batch, blobs=work.blobs),
            _crops_by_host,
            size,
        )
        yield from context.engine.map_hosted(hosted, missing, batch_size=size)
        return
    decoded = ahead(partial(_load, blobs=work.blobs), missing, context.engine.workers)
    try:
        _opened(work, context)
        for portion in _portions(missing, decoded, size):
            yield _crops_of_batch(portion, work)
    finally:
        work.detector.release()
        if work.segmenter:
            work.segmenter.release()


def _portions(
    digests: Sequence[str], decoded: Iterable[Pixels | str], size: int
) -> Iterator[dict[str, Pixels | str]]:
    """Yield decoded pictures by digest, at most `size` at once and fewer of large ones."""
    portion: dict[str, Pixels | str] = {}
    area = 0
    for digest, picture in zip(digests, decoded, strict=True):
        portion[digest] = picture
        area += 0 if isinstance(picture, str) else picture.shape[0] * picture.shape[1]
        if len(portion) == size or area >= _PORTION_PIXELS:
            yield portion
            portion, area = {}, 0
    if portion:
        yield portion


def _opened(work: _Work, context: StageContext) -> _Work:
    """Return the work with its models loaded."""
    work.detector.load(context)
    if work.segmenter:
        work.segmenter.load(context)
    return work


def _crops_by_host(work: _Work, loaded: Mapping[str, Pixels | str]) -> list[dict[str, Any]]:
    return _crops_of_batch(loaded, work)


def _crop_batch(digests: list[str], work: _Work) -> list[dict[str, Any]]:
    # One picture at a time: a batch of the largest would take gigabytes.
    return [
        row
        for digest in digests
        for row in _crops_of_batch(_load_batch([digest], work.blobs), work)
    ]


def _load_batch(digests: list[str], blobs: BlobStore) -> dict[str, Pixels | str]:
    return {digest: _load(digest, blobs) for digest in digests}


def _crops_of_batch(loaded: Mapping[str, Pixels | str], work: _Work) -> list[dict[str, Any]]:
    """Return the rows of pictures by digest, one that could not be decoded being a sentence."""
    images = {digest: pixels for digest, pixels in loaded.items() if not isinstance(pixels, str)}
    detections = work.find(images)
    return [
        _crops_of(digest, images[digest], detections[digest], work)
        if digest in images
        else {"key": digest, "crops": [], "error": loaded[digest]}
        for digest in loaded
    ]


def _load(digest: str, blobs: BlobStore) -> Pixels | str:
    try:
        return load_image(blobs, digest)
    except ImageError as error:
        return str(error)


def _crops_of(digest: str, pixels: Pixels, detections: Detections, work: _Work) -> dict[str, Any]:
    height, width = pixels.shape[:2]
    selected = select(detections, width, height, work.minimum_score, work.settings)
    masks = _masks(selected, pixels, work.segmenter)
    crops = [
        _crop(rank, crop, mask, pixels, work)
        for rank, (crop, mask) in enumerate(zip(selected, masks, strict=True))
    ]
    return {"key": digest, "crops": crops, "error": None}


def _masks(
    selected: Sequence[Selected], pixels: Pixels, segmenter: Segmenter | None
) -> Sequence[Mask | None]:
    """Return the mask of each crop; none where nothing was detected, because then nobody knows what
    to look for.
    """
    if segmenter is None or selected[0].score is None:
        return [None] * len(selected)
    return segmenter.masks(pixels, [crop.box for crop in selected])


def _crop(
    rank: int, crop: Selected, mask: Mask | None, pixels: Pixels, work: _Work
) -> dict[str, Any]:
    height, width = pixels.shape[:2]
    region = cut(pixels, crop.box)
    return {
        "rank": rank,
        "crop_sha256": crop_digest(region if mask is None else without_background(region, mask)),
        **dict(zip(("x0", "y0", "x1", "y1"), crop.box, strict=True)),
        "mask": None if mask is None else work.blobs.put(pack_mask(mask)),
        "image_width": width,
        "image_height": height,
        "word": crop.word,
        "label": crop.label,
        "score": crop.score,
        "detector": work.detector.name,
        "is_main": rank == 0,
        "is_whole_image": crop.is_whole_image,
    }


def _manifest(rows: Iterable[pd.DataFrame]) -> pd.DataFrame:
    frames = (pd.DataFrame(_records(some), columns=CROPS.schema.names) for some in rows)
    return conform(to_frame(joined_frames(frames, CROPS.schema)), CROPS)


def _records(rows: pd.DataFrame) -> list[dict[str, Any]]:
    records = []
    for digest, crops, error in zip(rows.index, rows["crops"], rows["error"], strict=True):
        records += [{"image_sha256": digest, "error": None, **crop} for crop in crops]
        if error is not None:
            records.append(
                {
                    "image_sha256": digest,
                    "rank": 0,
                    "is_main": False,
                    "is_whole_image": False,
                    "error": error,
                }
            )
    return records


def _facts(manifest: pd.DataFrame) -> Facts:
    images = manifest["image_sha256"].nunique()
    detected = manifest.loc[manifest["score"].notna(), "image_sha256"].nunique()
    return {
        "pictures": images,
        "crops": int(manifest["crop_sha256"].notna().sum()),
        "pictures_with_a_detection": detected,
        "detection_share": round(detected / images, 4) if images else 0.0,
        "crops_without_background": int(manifest["mask"].notna().sum()),
        "damaged_pictures": int(manifest["error"].notna().sum()),
    }
