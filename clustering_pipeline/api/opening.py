"""Where groupings come from: a catalogue that is run here, or a project that was run before. A
table of listings becomes a recorded catalogue, with its pictures in the store and the table as a
workbook that can be labelled.
"""

import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from clustering_pipeline.api.arrays import bytes_of, is_url
from clustering_pipeline.api.grouping import Grouping
from clustering_pipeline.api.running import ProjectCategory, read_frames, run_stages
from clustering_pipeline.core.errors import InputError
from clustering_pipeline.core.manifests import CLUSTERS
from clustering_pipeline.core.progress import ProgressListener, SilentProgress
from clustering_pipeline.core.text import category_slug
from clustering_pipeline.project import PipelineHome, Project
from clustering_pipeline.settings import RunOverrides
from clustering_pipeline.stages.catalogue import CatalogueSource, SourceRecords
from clustering_pipeline.storage import BlobStore

FRAME_NAME = "Listings"
IDS = ("id", "product_base_id")
# The columns that may hold pictures, in the order in which they are looked for.
PICTURES = ("image", "PIL", "path", "url")
TABLE = "listings.parquet"


def group(
    catalogue: str | Path | pd.DataFrame,
    *,
    name: str | None = None,
    keep: str | Path | None = None,
    images_from: str | Path | None = None,
    allow_hosts: Iterable[str] = (),
    sheets: Iterable[str] = (),
    **settings: Mapping[str, object],
) -> Grouping:
    """Group the listings of a catalogue by the product that their pictures show.

    The same stages run as in `clustering-pipeline run`, with the same settings and results, but in
    this process and without Dagster.

    Args:
        catalogue: a workbook or other table file, a folder of pictures, or a frame with a column
            `id` and one of `image` (PIL images, bytes, or RGB arrays, uint8 (height, width, 3)),
            `path` or `url`; a `title` helps.
        name: of the category; the file's name by default.
        keep: a folder that keeps what was computed, so that the next call computes only what is
            new and the numbers of the clusters stay; a temporary one by default.
        images_from: the cells of a workbook may name picture files below this folder.
        allow_hosts: loopback or private hosts, HOST or HOST:PORT, to fetch from as well.
        sheets: the only sheets of a workbook to read.
        settings: sections of the settings with what differs from the defaults, such as
            `matches={"text": False}`.

    Returns:
        The grouping.

    Raises:
        InputError: for a catalogue or settings that cannot be used.
        StageError: when a stage fails.

    Example:
        >>> from clustering_pipeline.synthetic import draw_products, photograph
        >>> noodles, cream = draw_products(9, seed=5)[4:7:2]
        >>> shops = {"A1": noodles, "A2": noodles, "B1": cream, "B2": cream}
        >>> images = [photograph(shops[one], None, number) for number, one in enumerate(shops)]
        >>> frame = pd.DataFrame({"id": list(shops), "image": images})
        >>> result = group(frame, name="Demo", matches={"text": False}, compute={"workers": 1})
        >>> result.same("A1", "A2"), result.same("A1", "B1")
        (True, False)
        >>> result.products["ids"].map(sorted).tolist()
        [['A1', 'A2'], ['B1', 'B2']]
    """
    home, keeps = _home(keep)
    project = _project(home, settings)
    project.settings.installation()
    place = ProjectCategory(project, category_slug(name or _default_name(catalogue)))
    place.check_own()
    project.claim_storage()
    source = _record(project, catalogue, name, images_from, tuple(allow_hosts), tuple(sheets))
    place = ProjectCategory(project, source.category)
    return Grouping(place, run_stages(place), keeps)


def open_project(home: str | Path | None = None) -> "OpenedProject":
    """Return the categories that were run in a home before: by the commands, by Dagster, or by
    `group(keep=…)`.

    `home`: a folder; by default `DAGSTER_HOME`, or `dagster_home` of the checkout. Nothing is run.
    Raises InputError for a folder that is no home.
    """
    pipeline_home = (
        PipelineHome.find() if home is None else PipelineHome(Path(home).expanduser().absolute())
    )
    if not pipeline_home.storage.is_dir() and not pipeline_home.settings_file.exists():
        raise InputError(
            f"{pipeline_home.path} is no home of this pipeline: it has no folder storage. Give the "
            "folder that DAGSTER_HOME names, or the one that was given to group(keep=…)."
        )
    return OpenedProject(_project(pipeline_home.prepare(), {}))


class OpenedProject:
    """The finished categories of one home."""

    def __init__(self, project: Project) -> None:
        self._project = project

    @property
    def categories(self) -> list[str]:
        """The slugs of the categories that have clusters."""
        return self._project.manifests.categories(CLUSTERS.name)

    def result(self, category: str | None = None) -> Grouping:
        """Return what the last run of a category found, by its name or slug, by default of the only
        one; raises InputError.
        """
        categories = self.categories
        if category is None and len(categories) != 1:
            raise InputError(
                f"There are {len(categories)} categories here: "
                f"{', '.join(categories) or 'none'}. Name one."
            )
        slug = categories[0] if category is None else category_slug(category)
        if slug not in categories:
            raise InputError(
                f"There is no category {category!r} here. Known are: "
                f"{', '.join(categories) or 'none'}."
            )
        place = ProjectCategory(self._project, slug)
        return Grouping(place, read_frames(place))

    def __repr__(self) -> str:
        return f"{self._project.home.path}: {', '.join(self.categories) or 'no category yet'}"


def _home(keep: str | Path | None) -> tuple[PipelineHome, object]:
    """Return the home to work in, and what keeps it from being removed."""
    if keep is not None:
        return PipelineHome(Path(keep).expanduser().absolute()).prepare(), None
    folder = tempfile.TemporaryDirectory(prefix="clustering-pipeline-")
    return PipelineHome(Path(folder.name)).prepare(), folder


def _project(home: PipelineHome, settings: Mapping[str, object]) -> Project:
    return Project(home, RunOverrides.of(settings, "group()"), ProgressListener(SilentProgress()))


def _default_name(catalogue: str | Path | pd.DataFrame) -> str:
    if isinstance(catalogue, pd.DataFrame):
        return FRAME_NAME
    return Path(catalogue).stem.removesuffix(".clustered")


def _record(
    project: Project,
    catalogue: str | Path | pd.DataFrame,
    name: str | None,
    images_from: str | Path | None,
    hosts: tuple[str, ...],
    sheets: tuple[str, ...],
) -> CatalogueSource:
    called = name or _default_name(catalogue)
    if isinstance(catalogue, pd.DataFrame):
        if images_from is not None or sheets:
            raise InputError(
                "A table in memory has no sheets, and its column `path` names files as they are: "
                "leave images_from and sheets out."
            )
        return record_frame(catalogue, called, project.sources, project.blobs, hosts)
    return project.sources.record(
        Path(catalogue), called, images_from=images_from, hosts=hosts, sheets=sheets
    )


@dataclass(frozen=True)
class _Stored:
    """A cell as the kept table has it, and the picture's bytes where it came with one."""

    cell: str
    content: bytes | None = None


def record_frame(
    frame: pd.DataFrame, name: str, records: SourceRecords, blobs: BlobStore, hosts: Iterable[str]
) -> CatalogueSource:
    """Record a frame as the category `name` and return its record.

    Its pictures are in a column `image` (PIL images, RGB arrays or bytes), `path` or `url`, its ids
    in `id` or `product_base_id`. Raises InputError for a frame without them, or a file that cannot
    be read.
    """
    ids, pictures = _column(frame, IDS, "ids"), _column(frame, PICTURES, "pictures")
    if frame.empty:
        raise InputError("The table has no row. Give a row per listing.")
    stored = [
        _stored(value, number, f"row {row} (id {identifier})")
        for number, (row, identifier, value) in enumerate(
            zip(frame.index, frame[ids], frame[pictures], strict=True)
        )
    ]
    listing = {one.cell: blobs.put(one.content) for one in stored if one.content is not None}
    table = frame.drop(columns=[ids, pictures]).rename(columns=str).reset_index(drop=True)
    table = table.apply(lambda column: column.map(_as_cell) if column.dtype == object else column)
    table.insert(0, "product_base_id", [_as_cell(value) for value in frame[ids]])
    table.insert(1, "url_thumbnail", [one.cell for one in stored])
    return records.record_bytes(
        table.to_parquet(index=False), TABLE, name, pictures=listing, hosts=hosts
    )


def _column(frame: pd.DataFrame, names: Iterable[str], what: str) -> str:
    header = next((name for name in names if name in frame.columns), None)
    if header is None:
        raise InputError(
            f"The table has no column of {what}: {' or '.join(names)}. It has "
            f"{', '.join(map(str, frame.columns)) or 'none'}; rename one of them."
        )
    return header


def _stored(value: Any, number: int, row: str) -> _Stored:
    """Return what a cell becomes; `row` names it in messages."""
    if value is None or value is pd.NA or (isinstance(value, float) and np.isnan(value)):
        return _Stored("")
    if isinstance(value, str) and (is_url(value) or not value.strip()):
        return _Stored(value.strip())
    name = Path(value).name if isinstance(value, str | Path) else "picture"
    return _Stored(f"{number}/{name}", bytes_of(value, f"The picture of {row}"))


def _as_cell(value: object) -> str | None:
    """Return a value as the table file holds it: text, or nothing."""
    return None if value is None or value is pd.NA or value != value else str(value)
