"""Cells put between the bytes of a sheet."""

import io
import re

import openpyxl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from openpyxl.styles import Font

from clustering_pipeline.outputs.workbook.ooxml.parts import cell_markup, within_cell
from clustering_pipeline.outputs.workbook.ooxml.sheet_edit import SheetAdditions, add_to_sheet
from clustering_pipeline_tests.outputs.workbook.test_untouched import SHEET, packed, parts

grids = st.lists(
    st.lists(
        st.one_of(st.none(), st.integers(-5, 5), st.sampled_from(["a", "é&<", "=1+1", "bold"])),
        max_size=7,
    ),
    min_size=1,
    max_size=8,
)
places = st.dictionaries(
    st.integers(1, 8),
    st.dictionaries(st.integers(1, 12), st.sampled_from(["x", "<&>", ""]), max_size=5),
    max_size=8,
)


def workbook_of(grid):
    workbook = openpyxl.Workbook()
    for row, values in enumerate(grid, start=1):
        for column, value in enumerate(values, start=1):
            cell = workbook.active.cell(row, column, value)
            if value == "bold":
                cell.font = Font(bold=True)
    buffer = io.BytesIO()
    workbook.save(buffer)
    return buffer.getvalue()


@settings(max_examples=80, deadline=None, derandomize=True)
@given(grid=grids, wanted=places)
def test_every_other_cell_stays_and_every_new_one_is_there(grid, wanted):
    held = parts(workbook_of(grid))
    present = {int(number) for number in re.findall(rb'<row r="(\d+)"', held[SHEET])}
    wanted = {row: cells for row, cells in wanted.items() if row in present}
    cells = {
        row: {column: cell_markup("", row, column, text, 0) for column, text in found.items()}
        for row, found in wanted.items()
    }
    held[SHEET] = add_to_sheet(held[SHEET], SheetAdditions(cells))
    sheet = openpyxl.load_workbook(io.BytesIO(packed(held))).active
    for row, values in enumerate(grid, start=1):
        for column in range(1, 13):
            before = values[column - 1] if column <= len(values) else None
            expected = wanted[row][column] or None if column in wanted.get(row, {}) else before
            assert sheet.cell(row, column).value == expected


def test_a_row_that_is_not_there_is_an_error():
    held = parts(workbook_of([["a"]]))
    with pytest.raises(ValueError, match="no row 9"):
        add_to_sheet(held[SHEET], SheetAdditions({9: {1: ""}}))


@pytest.mark.parametrize(
    "text", ["_x0041_", "a\x00b", "<&>\"'", "  blanks  ", "line\nbreak", "=1+1", "x" * 40_000]
)
def test_text_comes_back_as_it_was_written(text):
    held = parts(workbook_of([["a"]]))
    held[SHEET] = add_to_sheet(
        held[SHEET], SheetAdditions({1: {2: cell_markup("", 1, 2, text, 0)}})
    )
    value = openpyxl.load_workbook(io.BytesIO(packed(held))).active["B1"].value
    assert value.replace("_x005F_", "_") == text.replace("\x00", "")[:32_767]


@pytest.mark.parametrize("text", ["é" * 40_000, "🧴" * 40_000, "a" + "🧴" * 20_000, "🧴" * 16_383])
def test_a_cell_holds_no_more_than_excel_counts(text):
    kept = within_cell(text)
    units = len(kept.encode("utf-16-le")) // 2
    assert text.startswith(kept)
    assert units <= 32_767
    assert kept == text or units >= 32_766
