"""An edited workbook becomes statements about listings."""

import io

import openpyxl
import pytest

from clustering_pipeline.core.corrections import Name
from clustering_pipeline.core.errors import InputError
from clustering_pipeline.outputs.workbook import WorkbookNotes, read_label_edits
from clustering_pipeline.outputs.workbook.edits import LABELS_MARK
from clustering_pipeline.settings import CatalogueSettings
from clustering_pipeline.storage import BlobStore
from clustering_pipeline_tests.outputs.workbook.builders import (
    HEADER,
    clusters_for,
    label,
    listings,
    workbook_bytes,
)

NUMBER, NAME = 4, 5


def edited(tmp_path, change, rows=None):
    """Label four pairs of listings, let `change(sheet)` edit the workbook, and read the edits
    back.
    """
    content = label(
        workbook_bytes(rows or [HEADER, *listings(8)]),
        tmp_path,
        notes=WorkbookNotes(category="toner"),
    )
    workbook = openpyxl.load_workbook(io.BytesIO(content))
    change(workbook.worksheets[0])
    path = tmp_path / "edited.xlsx"
    workbook.save(path)
    return read_label_edits(path, BlobStore(str(tmp_path / "blobs")), CatalogueSettings())


def kinds(edits):
    return [
        (said.kind, said.a.product_base_id, said.b.product_base_id) for said in edits.statements
    ]


def test_an_unedited_workbook_says_nothing(tmp_path):
    edits = edited(tmp_path, lambda sheet: None)
    assert edits.category == "toner" and edits.statements == []


def test_a_listing_moved_to_another_cluster(tmp_path):
    edits = edited(tmp_path, lambda sheet: sheet.cell(3, NUMBER, 2))
    assert kinds(edits) == [("same", "0001", "0002"), ("different", "0001", "0000")]


def test_a_number_that_was_never_issued_makes_a_new_cluster(tmp_path):
    def change(sheet):
        sheet.cell(3, NUMBER, 900)
        sheet.cell(5, NUMBER, "900")

    assert kinds(edited(tmp_path, change)) == [
        ("different", "0001", "0000"),
        ("same", "0003", "0001"),
        ("different", "0003", "0002"),
    ]


@pytest.mark.parametrize("value", [None, -1])
def test_a_number_taken_away_parts_the_listing_from_its_cluster(tmp_path, value):
    def change(sheet):
        sheet.cell(3, NUMBER).value = value

    assert kinds(edited(tmp_path, change)) == [("different", "0001", "0000")]


def test_a_name_typed_on_one_row_names_the_cluster(tmp_path):
    edits = edited(tmp_path, lambda sheet: sheet.cell(5, NAME, "Toner hoa hồng"))
    assert edits.statements == [Name(2, "Toner hoa hồng")]


def test_sorted_and_deleted_rows_are_no_edits(tmp_path):
    def change(sheet):
        rows = [[cell.value for cell in row] for row in sheet.iter_rows(min_row=2)]
        for number, row in enumerate(rows[::-1], start=2):
            for column, value in enumerate(row, start=1):
                sheet.cell(number, column).value = value
        sheet.delete_rows(4)

    repeated = [HEADER, *listings(8), listings(8)[0]]
    assert edited(tmp_path, change, repeated).statements == []


def test_a_typed_word_is_refused_with_its_place(tmp_path):
    with pytest.raises(InputError, match="row 3 of sheet 'products'"):
        edited(tmp_path, lambda sheet: sheet.cell(3, NUMBER, "như trên"))


def test_any_other_workbook_is_none_of_ours(tmp_path):
    (tmp_path / "other.xlsx").write_bytes(workbook_bytes())
    assert (
        read_label_edits(tmp_path / "other.xlsx", BlobStore(str(tmp_path)), CatalogueSettings())
        is None
    )


def test_a_workbook_of_another_home_is_refused(tmp_path):
    (tmp_path / "ours.xlsx").write_bytes(label(workbook_bytes(), tmp_path, clusters=clusters_for))
    with pytest.raises(InputError, match="DAGSTER_HOME"):
        read_label_edits(
            tmp_path / "ours.xlsx", BlobStore(str(tmp_path / "elsewhere")), CatalogueSettings()
        )


def test_a_workbook_without_its_summary_is_refused(tmp_path):
    with pytest.raises(InputError, match="Summary"):
        edited(tmp_path, lambda sheet: sheet.parent.remove(sheet.parent["Summary"]))


def test_a_mark_that_is_a_path_is_not_followed(tmp_path):
    def change(sheet):
        for row in sheet.parent["Summary"].iter_rows():
            if row[0].value == LABELS_MARK:
                row[1].value = "../../secret"

    with pytest.raises(InputError, match="another home"):
        edited(tmp_path, change)


def sort_own_cells(sheet, columns):
    """Sort the listings by their name, the last first, as an arrow does that moves these columns only."""
    rows = [[sheet.cell(row, column).value for column in columns] for row in range(2, 10)]
    for number, row in enumerate(sorted(rows, key=lambda row: row[0], reverse=True), start=2):
        for column, value in zip(columns, row, strict=True):
            sheet.cell(number, column).value = value


def test_a_sorting_that_left_the_labels_behind_is_noticed(tmp_path):
    with pytest.raises(InputError, match="sorted and our columns were not"):
        edited(tmp_path, lambda sheet: sort_own_cells(sheet, range(1, 4)))


def test_so_it_is_beside_a_few_edits(tmp_path):
    def change(sheet):
        sort_own_cells(sheet, range(1, 4))
        sheet.cell(3, NUMBER, 900)

    with pytest.raises(InputError, match="sorted and our columns were not"):
        edited(tmp_path, change)


def test_a_sorting_that_took_the_labels_along_says_nothing(tmp_path):
    edits = edited(tmp_path, lambda sheet: sort_own_cells(sheet, range(1, 11)))
    assert edits.statements == []
