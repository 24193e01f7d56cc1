"""A small category whose every manifest is written by hand: four clusters, a lone listing, a
rejected one, two failures.
"""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from clustering_pipeline.core.manifests import (
    CATALOGUE,
    CLEAN_IMAGES,
    CLUSTERS,
    CROPS,
    MATCHES,
    RAW_IMAGES,
    SEMANTIC_DUPLICATES,
    Manifest,
    conform,
)
from clustering_pipeline.imaging import crop_digest, to_png
from clustering_pipeline.outputs.report import CategoryTables
from clustering_pipeline.stages.contract import StageContext
from clustering_pipeline.storage import BlobStore, FeatureTables

SIDE = 96
# Per listing: cluster (None: no cluster), status, reason, title.
LISTINGS: list[tuple[int | None, str, str | None, str]] = [
    (1, "clustered", None, "Kem chống nắng A 50ml"),
    (1, "clustered", None, "Kem chống nắng A"),
    (1, "clustered", None, "KCN A chính hãng"),
    (2, "clustered", None, "Sữa rửa mặt B"),
    (2, "clustered", None, "Sữa rửa mặt B combo"),
    (3, "clustered", None, "<script>alert('x')</script>"),
    (3, "clustered", None, "Toner C & D"),
    (-1, "no_match", None, "Chỉ một mình"),
    (None, "rejected", "The picture is too blurred to compare.", "Ảnh mờ"),
    (None, "download_failed", "The server answered 404 Not Found.", "Đường dẫn hỏng"),
    (None, "invalid_row", "The row has no URL.", "Không có đường dẫn"),
]
NAMES = {1: "Kem chống nắng A"}
# Pairs of listings with their probability; the third cluster hangs on a doubtful one.
LINKS = [(0, 1, 0.99), (1, 2, 0.93), (0, 2, 0.97), (3, 4, 0.9), (5, 6, 0.35), (2, 3, 0.2)]


def context(folder: Path) -> StageContext:
    """A context below `folder`."""
    (folder / "state").mkdir(parents=True, exist_ok=True)
    return StageContext(
        BlobStore(str(folder / "blobs")), FeatureTables(str(folder / "features")), folder / "state"
    )


def picture(number: int) -> np.ndarray:
    """A square picture of one colour pattern per number: (96, 96, 3) uint8."""
    colours = np.random.default_rng(number).integers(0, 255, (6, 6, 3), dtype=np.uint8)
    return np.kron(colours, np.ones((SIDE // 6, SIDE // 6, 1), np.uint8))


def tables(stage_context: StageContext, with_matches: bool = True) -> CategoryTables:
    """The category's manifests, its pictures stored in the context."""
    pictures = [picture(number) for number in range(9)]
    images = [stage_context.blobs.put(to_png(pixels)) for pixels in pictures]
    digests = [crop_digest(pixels) for pixels in pictures]
    return CategoryTables(
        category="kem-chong-nang",
        display_name="Kem chống nắng",
        catalogue=_catalogue(),
        raw_images=_raw_images(images),
        crops=_crops(images, digests),
        clean_images=_clean_images(images, digests),
        semantic_duplicates=_frame(
            SEMANTIC_DUPLICATES,
            [
                {"crop_sha256": digest, "keeper": digest, "similarity": 1.0}
                for digest in digests[:8]
            ],
        ),
        matches=_matches(digests if with_matches else []),
        clusters=_clusters(digests),
    )


def _frame(manifest: Manifest, rows: list[dict[str, Any]]) -> pd.DataFrame:
    frame = pd.DataFrame(rows, columns=manifest.schema.names)
    return conform(frame.astype(object).where(frame.notna(), None), manifest)


def _catalogue() -> pd.DataFrame:
    rows = [
        {
            "listing": number,
            "sheet": "Sheet1",
            "sheet_row": number + 2,
            "product_base_id": f"P{number:03d}",
            "url_cell": "" if status == "invalid_row" else f"https://shop.example/{number}.jpg",
            "urls": [] if status == "invalid_row" else [f"https://shop.example/{number}.jpg"],
            "title": title,
            "usable": status != "invalid_row",
            "reason": reason if status == "invalid_row" else None,
            "extra": "{}",
        }
        for number, (_, status, reason, title) in enumerate(LISTINGS)
    ]
    return _frame(CATALOGUE, rows)


def _raw_images(images: list[str]) -> pd.DataFrame:
    rows: list[dict[str, Any]] = []
    for number in range(10):
        held = number < len(images)
        rows.append(
            {
                "listing": number,
                "position": 0,
                "url": f"https://shop.example/{number}.jpg",
                "image_sha256": images[number] if held else None,
                "format": "PNG" if held else None,
                "width": SIDE if held else None,
                "height": SIDE if held else None,
                "bytes": 1000 if held else None,
                "status": "ok" if held else "failed",
                "error_kind": None if held else "http",
                "error": None if held else LISTINGS[number][2],
                "http_status": 200 if held else 404,
            }
        )
    return _frame(RAW_IMAGES, rows)


def _box() -> dict[str, int]:
    return {"x0": 0, "y0": 0, "x1": SIDE, "y1": SIDE}


def _crops(images: list[str], digests: list[str]) -> pd.DataFrame:
    common = {
        "rank": 0,
        **_box(),
        "image_width": SIDE,
        "image_height": SIDE,
        "word": "kem",
        "label": "cream",
        "score": 0.9,
    }
    rows = [
        {
            "image_sha256": image,
            "crop_sha256": digest,
            **common,
            "detector": "contour",
            "is_main": True,
            "is_whole_image": True,
        }
        for image, digest in zip(images, digests, strict=True)
    ]
    return _frame(CROPS, rows)


def _clean_images(images: list[str], digests: list[str]) -> pd.DataFrame:
    rows = []
    for number, (image, digest) in enumerate(zip(images, digests, strict=True)):
        rejected = LISTINGS[number][1] == "rejected"
        rows.append(
            {
                "crop_sha256": digest,
                "image_sha256": image,
                **_box(),
                "is_main": True,
                "status": "rejected" if rejected else "kept",
                "reason_kind": "blurred" if rejected else None,
                "reason": LISTINGS[number][2],
                "keeper": None if rejected else digest,
            }
        )
    return _frame(CLEAN_IMAGES, rows)


def _matches(digests: list[str]) -> pd.DataFrame:
    rows = []
    for a, b, probability in LINKS if digests else []:
        first, second = sorted((digests[a], digests[b]))
        rows.append(
            {
                "crop_a": first,
                "crop_b": second,
                "cosine": 0.8,
                "inliers": 42,
                "text_similarity": 0.5,
                "lines_agreeing": 2,
                "lines_conflicting": 1 if probability < 0.5 else 0,
                "colour_similarity": 0.9,
                "number_conflict": "50 ml, 100 ml" if probability < 0.5 else None,
                "probability": probability,
                "weight": 5 * probability,
            }
        )
    return _frame(MATCHES, rows)


def _clusters(digests: list[str]) -> pd.DataFrame:
    numbers = [cluster for cluster, *_ in LISTINGS]
    rows: list[dict[str, Any]] = []
    for number, (cluster, status, reason, _) in enumerate(LISTINGS):
        grouped = cluster is not None and cluster > 0
        compared = status in ("clustered", "no_match")
        rows.append(
            {
                "listing": number,
                "cluster_id": cluster,
                "cluster_size": numbers.count(cluster) if grouped else 1 if compared else None,
                "status": status,
                "reason": reason,
                "confidence": 0.9 if grouped else None,
                "is_representative": grouped and numbers.index(cluster) == number,
                "crop_sha256": digests[number] if compared else None,
                "keeper": digests[number] if compared else None,
                "cluster_name": NAMES.get(cluster),
            }
        )
    return _frame(CLUSTERS, rows)
