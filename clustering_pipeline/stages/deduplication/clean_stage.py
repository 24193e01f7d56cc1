"""The clean_images stage: which crops are worth comparing, and which show the same picture as
another.
"""

from collections.abc import Collection
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from clustering_pipeline.core.manifests import (
    CLEAN_IMAGES,
    COUNT,
    conform,
    joined_frames,
    to_frame,
)
from clustering_pipeline.settings import CleanImageSettings
from clustering_pipeline.stages.contract import StageContext, StageResult
from clustering_pipeline.stages.deduplication.keepers import Merits
from clustering_pipeline.stages.deduplication.left_out import draw_funnel, funnel_facts
from clustering_pipeline.stages.deduplication.looks import Looks, look_at
from clustering_pipeline.stages.deduplication.overrides_stage import judge, overruled
from clustering_pipeline.stages.deduplication.perceptual import (
    Duplicate,
    Hashes,
    find_duplicates,
    near_by_hashes,
    orientations,
)
from clustering_pipeline.stages.deduplication.quality import (
    MEASURES,
    fingerprint_of,
    measure_batch,
    stream_per_crop,
)

_BOX = ["x0", "y0", "x1", "y1"]
_SIZE = ["image_width", "image_height"]
# Rows that are judged at once.
_JUDGED = 8192


def run(
    *,
    crops: pd.DataFrame,
    raw_images: pd.DataFrame,
    overruled_pictures: pd.DataFrame,
    settings: CleanImageSettings,
    context: StageContext,
) -> StageResult:
    """Judge every distinct crop and name its keeper; manifest CLEAN_IMAGES.

    A crop is `kept`, `rejected` with its reason, or the `duplicate` of a kept one, in that case
    even when its own quality is too low. `overruled_pictures` (sha256 of pictures or crops,
    beginnings allowed) are never rejected, like those of the setting `keep`.
    """
    measured = _measured(_distinct_crops(crops), settings, context)
    measured["file_size"] = measured["image_sha256"].map(_file_sizes(raw_images)).fillna(0.0)
    verdicts = _verdicts(measured, settings, (*settings.keep, *overruled_pictures["image_sha256"]))
    duplicates = _duplicates(measured, verdicts, settings, context) if settings.duplicates else []
    manifest = _manifest(measured, verdicts, duplicates)
    facts = funnel_facts(raw_images, crops, manifest)
    drawing = context.blobs.put(draw_funnel(facts))
    return StageResult(manifest, {**facts, "funnel_of_pictures_svg": drawing})


def _distinct_crops(crops: pd.DataFrame) -> pd.DataFrame:
    """Return a row per distinct crop, ordered by its sha256; of several places the first picture's
    stands for it, and it is a main crop where it is one in any.
    """
    digests = crops.loc[crops["crop_sha256"].notna(), "crop_sha256"]
    # The manifest is ordered by picture and rank.
    places = digests.sort_values(kind="stable").drop_duplicates().index
    is_main = crops["crop_sha256"].isin(crops.loc[crops["is_main"], "crop_sha256"])
    distinct = crops.loc[places, ["crop_sha256", "image_sha256", *_BOX, "mask", *_SIZE]]
    distinct["is_main"] = is_main[places].to_numpy(bool)
    return distinct.reset_index(drop=True)


def _file_sizes(raw_images: pd.DataFrame) -> dict[str, float]:
    """Return the size in bytes of every distinct picture that tells it."""
    sized = raw_images[raw_images["image_sha256"].notna() & raw_images["bytes"].notna()]
    return dict(zip(sized["image_sha256"], sized["bytes"].astype(float), strict=True))


def _measured(
    distinct: pd.DataFrame, settings: CleanImageSettings, context: StageContext
) -> pd.DataFrame:
    """Return the crops with their MEASURES, which are added to them."""
    fingerprint = fingerprint_of(
        "measures", settings.logic_version, settings.region, *MEASURES.names
    )
    batch = partial(measure_batch, blobs=context.blobs, region=settings.region)
    # What only other orientations need is most of a row.
    names = [
        name
        for name in MEASURES.names
        if name != "frequencies" or settings.orientations != "upright"
    ]
    frames = (
        frame.assign(place=places)
        for places, frame in stream_per_crop(
            "Judging pictures", batch, distinct, MEASURES, fingerprint, settings, context, names
        )
    )
    schema = pa.schema([("place", COUNT), *(MEASURES.field(name) for name in names)])
    table = joined_frames(frames, schema)
    rows = to_frame(table.drop_columns("centre_phashes")).set_index("place")
    # Lists of text take eight times as much as objects.
    rows["centre_phashes"] = pd.arrays.ArrowExtensionArray(table["centre_phashes"])
    rows = rows.reindex(distinct.index)
    for name in names:
        distinct[name] = rows.pop(name)
    return distinct


def _verdicts(
    measured: pd.DataFrame, settings: CleanImageSettings, keep: Collection[str]
) -> list[tuple[str, str] | None]:
    """Return per crop the kind and sentence of its reject, None when it passes."""
    limits = settings.limits()
    spared = overruled(measured, keep)
    verdicts: list[tuple[str, str] | None] = []
    for start in range(0, len(measured), _JUDGED):
        rows = measured.iloc[start : start + _JUDGED].to_dict("records")
        for row, spare in zip(rows, spared.iloc[start : start + _JUDGED], strict=True):
            if isinstance(row["error"], str):
                verdicts.append(("damaged", str(row["error"])))
            else:
                verdicts.append(None if spare else judge(row, limits))
    return verdicts


def _duplicates(
    measured: pd.DataFrame,
    verdicts: list[tuple[str, str] | None],
    settings: CleanImageSettings,
    context: StageContext,
) -> list[Duplicate]:
    readable = measured[measured["error"].isna()]
    if readable.empty:
        return []
    hashes = Hashes.of(readable, orientations(settings))
    readable = readable.drop(columns=["centre_phashes", "frequencies"], errors="ignore")
    acceptable = np.array([verdicts[row] is None for row in readable.index])
    near = near_by_hashes(hashes, settings).with_any(acceptable)
    with look_at(readable, near.rows(), settings, context) as looks:
        merits = _merits(readable, looks, acceptable, settings)
        duplicates = find_duplicates(near, hashes, looks, merits, settings)
    places = readable.index.to_numpy()
    named = (
        Duplicate(int(places[one.row]), int(places[one.keeper]), one.distance)
        for one in duplicates
        if acceptable[one.keeper]
    )
    return list(named)


def _merits(
    readable: pd.DataFrame,
    looks: Looks,
    acceptable: np.ndarray[Any, np.dtype[np.bool_]],
    settings: CleanImageSettings,
) -> Merits:
    cut_out = (readable["x1"] - readable["x0"]) * (readable["y1"] - readable["y0"])
    # Like its look, the resolution of a main crop is the whole picture's.
    pixels = cut_out.where(~readable["is_main"], readable["image_width"] * readable["image_height"])
    return Merits(
        acceptable=acceptable,
        sharp=(readable["sharpness"] >= settings.limits().sharpness).to_numpy(bool),
        detail=looks.edges,
        pixels=pixels.to_numpy(np.float64),
        file_size=readable["file_size"].to_numpy(np.float64),
        background=looks.background,
    )


def _manifest(
    measured: pd.DataFrame, verdicts: list[tuple[str, str] | None], duplicates: list[Duplicate]
) -> pd.DataFrame:
    digests = measured["crop_sha256"].to_numpy(object)
    status = np.array(["kept" if verdict is None else "rejected" for verdict in verdicts], object)
    kinds = np.array([verdict[0] if verdict else None for verdict in verdicts], object)
    reasons = np.array([verdict[1] if verdict else None for verdict in verdicts], object)
    keepers = np.array(
        [None if verdict else digest for verdict, digest in zip(verdicts, digests, strict=True)],
        object,
    )
    distances = np.full(len(measured), np.nan)
    for one in duplicates:
        status[one.row], kinds[one.row], keepers[one.row] = (
            "duplicate",
            "perceptual_duplicate",
            digests[one.keeper],
        )
        reasons[one.row] = (
            f"duplicate of {digests[one.keeper][:12]}: {one.distance} of 64 bits differ"
        )
        distances[one.row] = one.distance
    columns = {
        "status": status,
        "reason_kind": kinds,
        "reason": reasons,
        "keeper": keepers,
        "distance": distances,
    }
    return conform(
        pd.DataFrame(
            {name: columns.get(name, measured.get(name)) for name in CLEAN_IMAGES.schema.names}
        ),
        CLEAN_IMAGES,
    )
