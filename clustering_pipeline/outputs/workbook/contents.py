"""What the workbook says beside the listings: the sheets Clusters, Problems and Summary, dates, and
the large print of clusters that no title names.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from importlib.metadata import version
from typing import Any

import numpy as np
import pandas as pd
from pydantic import BaseModel

from clustering_pipeline.core.errors import PipelineError
from clustering_pipeline.core.manifests import LISTING_STATUSES
from clustering_pipeline.core.own_columns import OWN_SHEETS
from clustering_pipeline.imaging import ImageError, load_thumbnail, to_jpeg
from clustering_pipeline.outputs.report import Texts, reason_in
from clustering_pipeline.outputs.workbook.ooxml.added_sheet import AddedSheet, Picture, place
from clustering_pipeline.outputs.workbook.ooxml.parts import CellValue, Share
from clustering_pipeline.outputs.workbook.placement import CONFIDENCE_DECIMALS, Placement, present
from clustering_pipeline.settings import MatchSettings, WorkbookSettings
from clustering_pipeline.stages.catalogue import DIGEST_MARK, column_letters, stored_picture
from clustering_pipeline.stages.contract import StageContext
from clustering_pipeline.stages.matching import TextLine, held_texts, reading_places
from clustering_pipeline.stages.offers import Reading
from clustering_pipeline.storage import BlobStore

Sections = Mapping[str, Mapping[str, str | int | float]]
ClusterDates = Mapping[int, tuple[date, date]]


@dataclass(frozen=True)
class WorkbookNotes:
    """What may be said in the workbook besides the labels.

    `category`: its slug. `summary`: sections of the sheet Summary, a
    title to names and values. `cluster_dates`: the dates at which each cluster number was first
    issued and last changed. `pack_texts`: crop to the lines of text on its pack, for the names of
    clusters without titles. `readings`: the prices of each reading of the workbook, the present one
    last. `review`: the address of the review pages.
    """

    category: str = ""
    summary: Sections = field(default_factory=dict)
    cluster_dates: ClusterDates = field(default_factory=dict)
    pack_texts: Mapping[str, Sequence[str]] = field(default_factory=dict)
    readings: Sequence[Reading] = ()
    review: str = ""


def summary_sections(file_name: str, sha256: str, settings: BaseModel) -> Sections:
    """Return the sections that tell what was read, under which settings, and by which version."""
    return {
        "Source": {"file": file_name, "sha256 of the file": sha256},
        "Settings other than the defaults": changed_settings(settings)
        or {"none": "all settings are at their defaults"},
        "Versions": {"clustering-pipeline": version("clustering-pipeline")},
    }


def changed_settings(settings: BaseModel) -> dict[str, str | int | float]:
    """Return the settings that differ from their defaults, such as `clusters.method`, with their
    values as text.
    """
    return dict(_flat(settings.model_dump(mode="json", exclude_defaults=True)))


def _flat(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    for name, value in values.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", _as_text(value)


def _as_text(value: Any) -> str:
    """Return a value as it is written for a person: the parts of a list between commas."""
    if isinstance(value, list):
        return ", ".join(map(_as_text, value))
    if isinstance(value, dict):
        return ", ".join(f"{name}: {_as_text(part)}" for name, part in value.items())
    return str(value)


def cluster_dates(events: pd.DataFrame) -> dict[int, tuple[date, date]]:
    """Return the dates of the first and the last event of each cluster number; columns `number`,
    `time` (ISO 8601).
    """
    dates = events.assign(date=events["time"].str[:10]).groupby("number")["date"]
    return {
        int(str(number)): (date.fromisoformat(group.min()), date.fromisoformat(group.max()))
        for number, group in dates
    }


READABLE = 0.6
# Brand, line, kind and variant are a pack's largest lines; what is smaller are directions and
# ingredients.
LARGEST_LINES = 5


def pack_texts(
    catalogue: pd.DataFrame,
    clusters: pd.DataFrame,
    local_features: pd.DataFrame,
    settings: MatchSettings,
    context: StageContext,
) -> dict[str, list[str]]:
    """Return the largest lines that the matching read on the packs of clusters without titles, by
    crop, from the top down.

    Nothing is read again: a pack whose text was not needed to match it has none here.
    """
    titled = set(catalogue.loc[catalogue["title"].notna(), "listing"])
    clustered = clusters[clusters["status"] == "clustered"]
    named = set(clustered.loc[clustered["listing"].isin(titled), "cluster_id"])
    crops = set(clustered.loc[~clustered["cluster_id"].isin(named), "crop_sha256"].dropna())
    return printed_lines(
        local_features[local_features["crop_sha256"].isin(crops)], settings, context
    )


def printed_lines(
    local_features: pd.DataFrame, settings: MatchSettings, context: StageContext
) -> dict[str, list[str]]:
    """Return the largest lines that the matching read on packs, by crop, from the top down; nothing
    is read again.
    """
    places = list(reading_places(local_features).items())
    texts = held_texts(places, settings.reader, context) if places else {}
    return {crop: largest_lines(lines) for crop, lines in texts.items()}


def largest_lines(lines: Sequence[TextLine]) -> list[str]:
    """Return the text of the largest lines that were read with confidence, in the order of
    reading.
    """
    readable = [line for line in lines if line.confidence >= READABLE]
    heights = [-float(np.linalg.norm(line.quad[3] - line.quad[0])) for line in readable]
    chosen = sorted(np.argsort(heights, kind="stable")[:LARGEST_LINES])
    return [readable[index].text for index in chosen]


CLUSTER_HEADER = (
    *OWN_SHEETS["Clusters"]["en"],
    "representative",
    "lowest_confidence",
    "weakest_link",
    "first_seen",
    "last_changed",
)
CLUSTER_WIDTHS = (11, 44, 12, 16, 24, 18, 14, 13, 13)
NAME_COLUMN = CLUSTER_HEADER.index("cluster_name") + 1
PICTURE_COLUMN = CLUSTER_HEADER.index("picture") + 1
PROBLEM_HEADER = (*OWN_SHEETS["Problems"]["en"], "kind", "http_status", "url")
PROBLEM_WIDTHS = (18, 8, 24, 17, 70, 20, 12, 70)
REASON_COLUMN = PROBLEM_HEADER.index("reason") + 1
SUMMARY_WIDTHS = (44, 80)
MAX_OUTER_LINK = 2000


@dataclass(frozen=True)
class Tabs:
    """The names on the tabs: ours by their plain names, the user's by the names in the
    catalogue.
    """

    own: Mapping[str, str]
    listings: Mapping[str, str]
    placements: Mapping[str, Placement]

    def listing_place(self, sheet: str, row: int) -> str:
        """Return the address of a listing's cluster number."""
        return place(self.listings[sheet], row, self.placements[sheet].columns["cluster_id"])


def cluster_table(labels: pd.DataFrame) -> pd.DataFrame:
    """Return a row per cluster, the largest first: its representative's label, and the lowest
    confidence and weakest link.
    """
    clustered = labels[labels["status"] == "clustered"].astype({"cluster_id": "int64"})
    ordered = clustered.sort_values(
        ["is_representative", "listing"], ascending=[False, True], kind="stable"
    )
    table = ordered.drop_duplicates("cluster_id").set_index("cluster_id")
    grouped = clustered.groupby("cluster_id")
    table["lowest_confidence"] = grouped["confidence"].min()
    table["weakest_link"] = grouped["weakest_link"].min()
    return table.reset_index().sort_values(
        ["cluster_size", "cluster_id"], ascending=[False, True], ignore_index=True
    )


def clusters_sheet(
    table: pd.DataFrame,
    tabs: Tabs,
    pictures: Mapping[int, Picture],
    dates: ClusterDates,
    texts: Texts,
) -> AddedSheet:
    """Return the sheet with one row per cluster; `pictures` and `dates` (first, last change as
    dates) by cluster number.
    """
    rows: list[list[CellValue]] = []
    links: dict[str, str] = {}
    placed: dict[tuple[int, int], Picture] = {}
    for row, cluster in enumerate(records(table), start=2):
        number = int(cluster["cluster_id"])
        doubts = [_rounded(cluster["lowest_confidence"]), _rounded(cluster["weakest_link"])]
        named = [
            number,
            cluster["cluster_name"],
            int(cluster["cluster_size"]),
            None,
            cluster["product_base_id"],
        ]
        rows.append([*named, *doubts, *dates.get(number, (None, None))])
        links[f"A{row}"] = tabs.listing_place(cluster["sheet"], int(cluster["sheet_row"]))
        if number in pictures:
            placed[row, PICTURE_COLUMN] = pictures[number]
    return AddedSheet(
        tabs.own["Clusters"],
        [texts[name] for name in CLUSTER_HEADER],
        rows,
        CLUSTER_WIDTHS,
        inner_links=links,
        pictures=placed,
        wrapped=frozenset({NAME_COLUMN}),
    )


def records(table: pd.DataFrame) -> Iterator[dict[str, Any]]:
    """Yield the rows of a table with None for whatever is missing."""
    for values in table.itertuples(index=False, name=None):
        yield {column: present(value) for column, value in zip(table.columns, values, strict=True)}


def _rounded(value: float | None) -> Share | None:
    return None if value is None else Share(round(float(value), CONFIDENCE_DECIMALS))


def problems_table(
    catalogue: pd.DataFrame, labels: pd.DataFrame, raw_images: pd.DataFrame
) -> pd.DataFrame:
    """Return `listing`, `sheet`, `sheet_row`, `product_base_id`, `status`, `reason`, `kind`,
    `http_status`, `url`.

    A row is a listing without a cluster for want of a usable picture, a picture that failed, or a
    remark on a row.
    """
    place_columns = ["listing", "sheet", "sheet_row", "product_base_id", "status"]
    failed = raw_images[raw_images["error_kind"].notna()].rename(
        columns={"error": "reason", "error_kind": "kind"}
    )
    pictures = labels[place_columns].merge(
        failed[["listing", "reason", "kind", "http_status", "url"]], on="listing"
    )
    without = labels[labels["status"].isin(["rejected", "download_failed", "invalid_row"])]
    first_urls = raw_images[raw_images["position"] == 0][["listing", "url"]]
    listings = without[~without["listing"].isin(pictures["listing"])][[*place_columns, "reason"]]
    listings = listings.merge(first_urls, on="listing", how="left")
    noted = catalogue[catalogue["usable"].astype(bool) & catalogue["reason"].notna()][
        ["listing", "reason"]
    ]
    remarks = labels[place_columns].merge(noted, on="listing").assign(kind="remark")
    table = pd.concat(
        [frame.astype(object) for frame in (pictures, listings, remarks)], ignore_index=True
    )
    return table.reindex(columns=pictures.columns).sort_values(
        "listing", kind="stable", ignore_index=True
    )


def shown_url(url: str | None) -> str | None:
    """Return a picture's address as a person knows it: a stored file by its path alone."""
    return (
        url.removeprefix("file:").rpartition(DIGEST_MARK)[0] if url and stored_picture(url) else url
    )


def problems_sheet(table: pd.DataFrame, tabs: Tabs, texts: Texts) -> AddedSheet:
    """Return the sheet with one row per problem, linked to its listing and to the picture's
    address.
    """
    rows: list[list[CellValue]] = []
    inner: dict[str, str] = {}
    outer: dict[str, str] = {}
    url_letter = column_letters(len(PROBLEM_HEADER))
    for row, problem in enumerate(records(table), start=2):
        place_of = [
            tabs.listings[problem["sheet"]],
            int(problem["sheet_row"]),
            problem["product_base_id"],
            texts[f"status_{problem['status']}"],
        ]
        code, url = problem["http_status"], shown_url(problem["url"])
        rows.append(
            [
                *place_of,
                problem["reason"] and reason_in(problem["reason"], texts.language),
                problem["kind"],
                None if code is None else int(code),
                url,
            ]
        )
        inner[f"B{row}"] = tabs.listing_place(problem["sheet"], int(problem["sheet_row"]))
        if url and url.startswith(("http://", "https://")) and len(url) <= MAX_OUTER_LINK:
            outer[f"{url_letter}{row}"] = url
    return AddedSheet(
        tabs.own["Problems"],
        [texts[name] for name in PROBLEM_HEADER],
        rows,
        PROBLEM_WIDTHS,
        inner_links=inner,
        outer_links=outer,
        wrapped=frozenset({REASON_COLUMN}),
    )


def summary_sheet(tabs: Tabs, sections: Sections, texts: Texts) -> AddedSheet:
    """Return the sheet with the given sections of names and values."""
    rows: list[list[CellValue]] = []
    bold: set[int] = set()
    for title, values in sections.items():
        rows += [[], [title]] if rows else [[title]]
        bold.add(len(rows) + 1)
        rows += [[name, value] for name, value in values.items()]
    return AddedSheet(
        tabs.own["Summary"],
        OWN_SHEETS["Summary"][texts.language],
        rows,
        SUMMARY_WIDTHS,
        wrapped=frozenset({2}),
        bold_rows=frozenset(bold),
    )


def result_counts(labels: pd.DataFrame, matches: pd.DataFrame) -> dict[str, str | int | float]:
    """Return how many listings there are, of each status, how many clusters and how large, and how
    many pairs were compared.
    """
    statuses = labels["status"].value_counts()
    clustered = labels[labels["status"] == "clustered"]
    sizes = clustered.groupby("cluster_id").size()
    return {
        "listings": len(labels),
        **{status: int(statuses.get(status, 0)) for status in LISTING_STATUSES},
        "share of listings in a cluster": Share(round(len(clustered) / max(1, len(labels)), 4)),
        "clusters": len(sizes),
        "listings in the largest cluster": int(sizes.max()) if len(sizes) else 0,
        "pairs of pictures compared": len(matches),
        "pairs accepted as the same product": int((matches["weight"] > 0).sum()),
    }


JPEG_QUALITY = 80


def cluster_pictures(
    table: pd.DataFrame, clean_images: pd.DataFrame, blobs: BlobStore, settings: WorkbookSettings
) -> dict[int, Picture]:
    """Return the representative's crop of the largest clusters, by cluster number; one that cannot
    be read is left out.

    `table`: a row per cluster with `cluster_id` and `crop_sha256`, the largest first.
    """
    return dict(
        _pictures(table.head(settings.pictures), clean_images, blobs, settings.picture_pixels)
    )


def _pictures(
    table: pd.DataFrame, clean_images: pd.DataFrame, blobs: BlobStore, pixels: int
) -> Iterator[tuple[int, Picture]]:
    crops = clean_images.drop_duplicates("crop_sha256").set_index("crop_sha256")
    for number, crop in zip(table["cluster_id"], table["crop_sha256"], strict=True):
        if pd.isna(crop) or crop not in crops.index:
            continue
        row = crops.loc[crop]
        box = (int(row["x0"]), int(row["y0"]), int(row["x1"]), int(row["y1"]))
        try:
            picture = load_thumbnail(blobs, row["image_sha256"], box, pixels)
        except (PipelineError, ImageError):
            # A picture that has gone since says so where it is computed with; the workbook is
            # written without it.
            continue
        yield (
            int(number),
            Picture(to_jpeg(picture, JPEG_QUALITY), picture.shape[1], picture.shape[0]),
        )
