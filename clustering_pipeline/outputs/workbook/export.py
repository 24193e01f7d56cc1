"""The pictures of a category as folders: one per cluster or one per product."""

import itertools
import os
import re
import unicodedata
from collections.abc import Hashable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import pandas as pd

from clustering_pipeline.core.errors import InputError, PipelineError
from clustering_pipeline.core.progress import Progress, SilentProgress
from clustering_pipeline.imaging import ImageError, load_crop, to_jpeg
from clustering_pipeline.outputs.workbook.placement import present
from clustering_pipeline.storage import BlobStore, make_folder

MAX_NAME = 80
UNSAFE = re.compile(r'[<>:"/\\|?*\x00-\x1f\x7f\u200b-\u200f\u202a-\u202e\ufeff]+')
# Device names that Windows reserves, whatever their suffix.
RESERVED = re.compile(r"(?:con|prn|aux|nul|com\d|lpt\d)(?:\.|$)", re.IGNORECASE)
SUFFIXES = {"jpeg": "jpg", "tiff": "tif"}
JPEG_QUALITY = 92


@dataclass(frozen=True)
class ExportedPictures:
    """How many files were written into how many folders, and how many pictures could not be."""

    files: int
    folders: int
    skipped: int


def export_pictures(
    folder: Path,
    pictures: pd.DataFrame,
    *,
    blobs: BlobStore,
    by: Literal["cluster", "product"] = "cluster",
    cut: bool = False,
    kept_only: bool = False,
    link: bool = False,
    progress: Progress | None = None,
) -> ExportedPictures:
    """Write the pictures of a `picture_table` below `folder`, in a folder per cluster (or status)
    or per product.

    `cut`: the main crop instead of the whole picture. `kept_only`: only pictures that were neither
    rejected nor duplicates. `link`: hard links to the stored bytes where the file system can, else
    copies. Raises InputError when the folder holds anything already, or cannot be written.
    """
    _prepare(folder)
    if kept_only:
        pictures = pictures[pictures["is_kept"]].drop_duplicates("crop_sha256")
    names = _Names()
    written = skipped = 0
    with (progress or SilentProgress()).track("Pictures", len(pictures), "picture") as bar:
        for row in pictures.to_dict("records"):
            target = names.path(folder, _folder_name(row, by), _file_name(row, cut))
            written += (done := _write(row, target, blobs, cut, link))
            skipped += not done
            bar.advance()
    return ExportedPictures(written, len(names.folders), skipped)


def _prepare(folder: Path) -> None:
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise InputError(
            f"{folder} is there already and not an empty folder. Give a new one, so that nothing "
            f"of yours is mixed up."
        )
    make_folder(folder, "Give another place.")


def picture_table(
    catalogue: pd.DataFrame,
    raw_images: pd.DataFrame,
    crops: pd.DataFrame,
    clean_images: pd.DataFrame,
    clusters: pd.DataFrame,
) -> pd.DataFrame:
    """Return a row per fetched picture of a listing: id, cluster, format, main crop with its box,
    and whether it was kept.
    """
    fetched = raw_images[raw_images["image_sha256"].notna()][
        ["listing", "position", "image_sha256", "format"]
    ]
    main = crops[crops["is_main"].fillna(False).astype(bool)].drop_duplicates("image_sha256")
    crop_states = clean_images.assign(is_kept=clean_images["status"] == "kept")[
        ["crop_sha256", "is_kept"]
    ]
    table = (
        fetched.merge(catalogue[["listing", "product_base_id"]], on="listing")
        .merge(clusters[["listing", "cluster_id", "cluster_name", "status"]], on="listing")
        .merge(
            main[["image_sha256", "crop_sha256", "x0", "y0", "x1", "y1"]],
            on="image_sha256",
            how="left",
        )
        .merge(crop_states, on="crop_sha256", how="left")
    )
    table["is_kept"] = table["is_kept"].eq(True)
    return table.sort_values(["listing", "position"], ignore_index=True)


def _folder_name(row: dict[Hashable, Any], by: str) -> str:
    if by == "product":
        return safe_name(str(present(row["product_base_id"]) or "no id"))
    if row["status"] != "clustered":
        return str(row["status"])
    return safe_name(f"{int(row['cluster_id']):05d} {present(row['cluster_name']) or ''}")


def _file_name(row: dict[Hashable, Any], cut: bool) -> str:
    form = str(present(row["format"]) or "jpeg").lower()
    suffix = "jpg" if _is_cut(row, cut) else SUFFIXES.get(form, form)
    listing = safe_name(str(present(row["product_base_id"]) or "no id"))
    return f"{listing}-{int(row['position'])}.{safe_name(suffix)}"


def _is_cut(row: dict[Hashable, Any], cut: bool) -> bool:
    return cut and present(row["x0"]) is not None


def safe_name(text: str) -> str:
    """Return text as a file name that every system takes: no separators or control characters, at
    most 80 characters.

    Example:
        >>> safe_name("Kem: 50/ml"), safe_name("nul.txt")
        ('Kem_ 50_ml', '_nul.txt')
    """
    name = UNSAFE.sub("_", unicodedata.normalize("NFC", text)).strip(" .")[:MAX_NAME].rstrip(" .")
    return f"_{name}" if not name or RESERVED.match(name) else name


class _Names:
    """Hands out paths of which no two are alike, also where the file system does not tell upper
    from lower case.
    """

    def __init__(self) -> None:
        self.folders: dict[str, str] = {}
        self._taken: set[tuple[str, str]] = set()

    def path(self, root: Path, folder: str, name: str) -> Path:
        folder = self.folders.setdefault(folder.casefold(), folder)
        stem, dot, suffix = name.rpartition(".")
        candidates = (
            name if number == 1 else f"{stem} ({number}){dot}{suffix}"
            for number in itertools.count(1)
        )
        chosen = next(text for text in candidates if (folder, text.casefold()) not in self._taken)
        self._taken.add((folder, chosen.casefold()))
        return root / folder / chosen


def _write(row: dict[Hashable, Any], target: Path, blobs: BlobStore, cut: bool, link: bool) -> bool:
    target.parent.mkdir(exist_ok=True)
    digest = row["image_sha256"]
    if _is_cut(row, cut):
        box = (int(row["x0"]), int(row["y0"]), int(row["x1"]), int(row["y1"]))
        try:
            target.write_bytes(to_jpeg(load_crop(blobs, digest, box), JPEG_QUALITY))
        except (PipelineError, ImageError):
            return False
        return True
    if not blobs.has(digest):
        return False
    if not (link and _link(Path(blobs.files.location(blobs.path_of(digest))), target)):
        target.write_bytes(blobs.get(digest))
    return True


def _link(stored: Path, target: Path) -> bool:
    """Make a hard link; False where the store is elsewhere or the file system has none."""
    try:
        os.link(stored, target)
    except OSError:
        return False
    return True
