"""The picture of each cluster on the sheet Clusters."""

from collections.abc import Iterator

import pandas as pd

from clustering_pipeline.errors import PipelineError
from clustering_pipeline.imaging import ImageError, fit_within, load_crop, to_jpeg
from clustering_pipeline.settings import WorkbookSettings
from clustering_pipeline.storage import BlobStore
from clustering_pipeline.workbook.added_sheet import Picture

JPEG_QUALITY = 80


def cluster_pictures(
    table: pd.DataFrame, clean_images: pd.DataFrame, blobs: BlobStore, settings: WorkbookSettings
) -> dict[int, Picture]:
    """Return the representative's crop of the largest clusters, by cluster number; one that cannot be read is left out.

    `table`: a row per cluster with `cluster_id` and `crop_sha256`, the largest first.
    """
    return dict(_pictures(table.head(settings.pictures), clean_images, blobs, settings.picture_pixels))


def _pictures(table: pd.DataFrame, clean_images: pd.DataFrame, blobs: BlobStore, pixels: int) -> Iterator[tuple[int, Picture]]:
    crops = clean_images.drop_duplicates("crop_sha256").set_index("crop_sha256")
    for number, crop in zip(table["cluster_id"], table["crop_sha256"], strict=True):
        if pd.isna(crop) or crop not in crops.index:
            continue
        row = crops.loc[crop]
        box = (int(row["x0"]), int(row["y0"]), int(row["x1"]), int(row["y1"]))
        try:
            picture = fit_within(load_crop(blobs, row["image_sha256"], box), pixels)
        except (PipelineError, ImageError):
            # A picture that has gone since says so where it is computed with; the workbook is written without it.
            continue
        yield int(number), Picture(to_jpeg(picture, JPEG_QUALITY), picture.shape[1], picture.shape[0])
