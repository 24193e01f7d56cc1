"""Tables and filters reach over our columns, so that sorting takes the labels along."""

import io

import openpyxl
import pytest
from openpyxl.worksheet.table import Table

from clustering_pipeline.core.own_columns import OWN_COLUMNS
from clustering_pipeline_tests.outputs.workbook.builders import HEADER, label, workbook_bytes
from clustering_pipeline_tests.outputs.workbook.test_untouched import SHEET, packed, parts

TABLE = "xl/tables/table1.xml"


def with_table(reference, **options):
    def prepare(_, sheet):
        sheet.add_table(Table(displayName="Listings", ref=reference, **options))

    return workbook_bytes(prepare=prepare)


def summary(content):
    sheet = openpyxl.load_workbook(io.BytesIO(content))["Summary"]
    return [str(row[1]) for row in sheet.iter_rows(values_only=True) if row[1]]


def sheet_of(content):
    return openpyxl.load_workbook(io.BytesIO(content)).worksheets[0]


def test_a_table_of_listings_holds_our_columns(tmp_path):
    table = sheet_of(label(with_table("A1:C5"), tmp_path)).tables["Listings"]
    assert (table.ref, table.autoFilter.ref) == ("A1:J5", "A1:J5")
    assert [column.name for column in table.tableColumns] == [*HEADER, *OWN_COLUMNS]
    assert len({column.id for column in table.tableColumns}) == 10


def test_a_row_of_totals_stays_out_of_the_filter(tmp_path):
    held = parts(with_table("A1:C5"))
    held[TABLE] = held[TABLE].replace(b'<autoFilter ref="A1:C5"', b'<autoFilter ref="A1:C4"')
    table = sheet_of(label(packed(held), tmp_path)).tables["Listings"]
    assert (table.ref, table.autoFilter.ref) == ("A1:J5", "A1:J4")


def test_labelling_again_leaves_a_table_as_it_is(tmp_path):
    once = label(with_table("A1:C5"), tmp_path)
    assert parts(label(once, tmp_path))[TABLE] == parts(once)[TABLE]


def test_a_filter_reaches_over_our_columns_with_its_hidden_name(tmp_path):
    def prepare(_, sheet):
        sheet.auto_filter.ref = "A1:C5"

    labelled = label(workbook_bytes(prepare=prepare), tmp_path)
    assert sheet_of(labelled).auto_filter.ref == "A1:J5"
    assert b"$A$1:$J$5" in parts(labelled)["xl/workbook.xml"]


@pytest.mark.parametrize("reference", ["A1:B5", "E8:F9", "A2:C5", "B1:C5"])
def test_other_ranges_stay(tmp_path, reference):
    def prepare(_, sheet):
        for row in sheet["E8:F9"]:
            for cell in row:
                cell.value = "x"
        sheet.auto_filter.ref = reference

    assert sheet_of(label(workbook_bytes(prepare=prepare), tmp_path)).auto_filter.ref == reference


def test_a_range_that_other_columns_part_from_ours_is_told(tmp_path):
    def prepare(_, sheet):
        sheet["D1"] = "note"
        sheet.auto_filter.ref = "A1:C5"

    labelled = label(workbook_bytes(prepare=prepare), tmp_path)
    assert sheet_of(labelled).auto_filter.ref == "A1:C5"
    assert any("select all columns" in text for text in summary(labelled))


def test_a_table_that_a_query_fills_is_told_and_left(tmp_path):
    held = parts(with_table("A1:C5"))
    held[TABLE] = held[TABLE].replace(b" ref=", b' tableType="queryTable" ref=', 1)
    labelled = label(packed(held), tmp_path)
    assert parts(labelled)[TABLE] == held[TABLE]
    assert any("select all columns" in text for text in summary(labelled))


def test_a_table_of_prefixed_xml_is_widened_too(tmp_path):
    held = parts(with_table("A1:C5"))
    table = held[TABLE].replace(b"<table ", b"<x:table ").replace(b"</table>", b"</x:table>")
    for name in (b"autoFilter", b"tableColumns", b"tableColumn", b"tableStyleInfo"):
        for mark in (b" ", b">", b"/"):
            table = table.replace(b"<" + name + mark, b"<x:" + name + mark)
        table = table.replace(b"</" + name + b">", b"</x:" + name + b">")
    held[TABLE] = table.replace(b"xmlns=", b"xmlns:x=")
    widened = sheet_of(label(packed(held), tmp_path)).tables["Listings"]
    assert len(widened.tableColumns) == 10


def test_a_sheet_without_ranges_is_written_as_before(tmp_path):
    labelled = label(workbook_bytes(), tmp_path)
    assert b"autoFilter" not in parts(labelled)[SHEET]
