"""Small manifests and workbooks for the tests of the labelled workbook."""

import io

import openpyxl
import pandas as pd

from clustering_pipeline.core.manifests import (
    CLEAN_IMAGES,
    CLUSTERS,
    CORRECTIONS,
    MATCHES,
    OFFERS,
    RAW_IMAGES,
    conform,
    empty,
)
from clustering_pipeline.outputs.workbook import OriginalWorkbook, ResultTables, label_workbook
from clustering_pipeline.settings import CatalogueSettings, WorkbookSettings
from clustering_pipeline.stages.catalogue import read_workbook
from clustering_pipeline.storage import BlobStore

HEADER = ["product_base_id", "url_thumbnail", "name"]


def workbook_bytes(rows=None, *, sheet="products", prepare=None):
    """An .xlsx of one sheet with a header and some listings; `prepare(workbook, sheet)` may add to
    it.
    """
    workbook = openpyxl.Workbook()
    worksheet = workbook.active
    worksheet.title = sheet
    for row in rows if rows is not None else [HEADER, *listings(4)]:
        worksheet.append(row)
    if prepare:
        prepare(workbook, worksheet)
    buffer = io.BytesIO()
    workbook.save(buffer)
    return buffer.getvalue()


def listings(count):
    return [
        [f"{number:04d}", f"https://shop.vn/{number}.jpg", f"Kem chống nắng {number // 2}"]
        for number in range(count)
    ]


def clusters_for(catalogue, **columns):
    """A clusters manifest: usable listings in pairs, the others invalid; `columns` replace whole
    columns.
    """
    usable = catalogue["usable"].astype(bool)
    number = catalogue["listing"] // 2 + 1
    frame = pd.DataFrame(
        {
            "listing": catalogue["listing"],
            "cluster_id": number.where(usable).astype("Int64"),
            "cluster_name": None,
            "cluster_size": pd.Series(2, catalogue.index).where(usable).astype("Int64"),
            "status": ["clustered" if flag else "invalid_row" for flag in usable],
            "reason": [
                None if flag else reason
                for flag, reason in zip(usable, catalogue["reason"], strict=True)
            ],
            "confidence": [0.75 if flag else None for flag in usable],
            "margin": None,
            "weakest_link": None,
            "is_representative": catalogue["listing"] % 2 == 0,
            "crop_sha256": None,
            "keeper": None,
        }
    ).assign(**columns)
    return conform(frame[CLUSTERS.schema.names], CLUSTERS)


def label(
    content,
    tmp_path,
    name="catalogue.xlsx",
    output_name="catalogue.clustered.xlsx",
    catalogue_settings=None,
    **changes,
):
    """Read a table, label it with `clusters_for`, and return the bytes; `changes` replace arguments
    and tables of `label_workbook`.
    """
    limits = catalogue_settings or CatalogueSettings()
    catalogue = changes.pop("catalogue", None)
    catalogue = read_workbook(content, name, limits).listings if catalogue is None else catalogue
    clusters = changes.pop("clusters", clusters_for)
    tables = ResultTables(
        catalogue=catalogue,
        raw_images=changes.pop("raw_images", empty(RAW_IMAGES)),
        clean_images=changes.pop("clean_images", empty(CLEAN_IMAGES)),
        matches=changes.pop("matches", empty(MATCHES)),
        clusters=clusters(catalogue) if callable(clusters) else clusters,
        offers=changes.pop("offers", empty(OFFERS)),
        corrections=changes.pop("corrections", empty(CORRECTIONS)),
    )
    arguments = {
        "settings": WorkbookSettings(),
        "blobs": BlobStore(str(tmp_path / "blobs")),
        "output_name": output_name,
    }
    original = OriginalWorkbook(content, name, limits)
    return label_workbook(original, tables, **arguments | changes).content


def sheet_rows(content, sheet=None):
    workbook = openpyxl.load_workbook(io.BytesIO(content))
    worksheet = workbook[sheet] if sheet else workbook.worksheets[0]
    return [list(row) for row in worksheet.iter_rows(values_only=True)]
