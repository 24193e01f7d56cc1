"""Real exports: every record is read or reported."""

import csv
import os
from pathlib import Path

import pytest

from clustering_pipeline.core.errors import InputError
from clustering_pipeline.settings import CatalogueSettings
from clustering_pipeline.stages import catalogue
from clustering_pipeline.stages.catalogue import SourceRecords, read_workbook
from clustering_pipeline.stages.contract import StageContext
from clustering_pipeline.storage import BlobStore, FeatureTables, FileTree

ROOT = Path(__file__).parents[3]
DATASETS = Path(os.environ.get("CLUSTERING_PIPELINE_DATASETS", ROOT.parent / "shared" / "datasets"))
pytestmark = [
    pytest.mark.datasets,
    pytest.mark.skipif(
        not DATASETS.is_dir(),
        reason="the folder of real tables is absent: set CLUSTERING_PIPELINE_DATASETS",
    ),
]


def read(path, **options):
    return read_workbook(
        (DATASETS / path).read_bytes(), Path(path).name, CatalogueSettings(**options)
    )


def test_cosmetics_with_line_breaks_in_cells():
    listings = read("catalogues/hasaki_san_pham.csv", url_column="mo_ta").listings
    with (DATASETS / "catalogues/hasaki_san_pham.csv").open(encoding="utf-8", newline="") as file:
        records = list(csv.reader(file))[1:]
    assert list(listings["product_base_id"]) == [record[0] for record in records]
    assert list(listings["title"]) == [record[1].strip() for record in records]


def test_utf16_tabs_without_a_header_named_csv():
    path = "catalogues/tiki_products_utf16_tsv_noheader.csv"
    with pytest.raises(InputError, match="header_row=0"):
        read(path)
    listings = read(path, header_row=0, id_column="A", url_column="D", title_column="C").listings
    lines = (DATASETS / path).read_bytes().decode("utf-16").split("\r\n")
    assert list(listings["product_base_id"]) == [line.split("\t")[0] for line in lines if line]


def test_a_table_without_pictures_says_which_columns_it_has():
    with pytest.raises(InputError, match=r"'1789'"):
        read("catalogues/tiki_category.csv")


def test_a_shops_export_with_pictures_from_a_folder(tmp_path):
    records = SourceRecords(FileTree(str(tmp_path)), BlobStore(str(tmp_path / "blobs")))
    source = records.record(
        DATASETS / "listings/catalogue.csv", images_from=DATASETS / "listings/images"
    )
    context = StageContext(records.blobs, FeatureTables(str(tmp_path / "features")), tmp_path)
    manifest = catalogue.run(source=source, settings=CatalogueSettings(), context=context).manifest
    assert len(manifest) == 1050
    assert manifest["usable"].sum() == 1047
    assert manifest.loc[~manifest["usable"], "reason"].str.contains("folder of pictures").all()
