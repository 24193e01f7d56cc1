"""Everything that is not ours stays to the byte: pictures, charts, pivots, validations, formats,
macros, links.
"""

import io
import re
import zipfile

import numpy as np
import openpyxl
import pytest
from openpyxl.chart import BarChart, Reference
from openpyxl.comments import Comment
from openpyxl.drawing.image import Image
from openpyxl.formatting.rule import ColorScaleRule
from openpyxl.styles import PatternFill
from openpyxl.worksheet.datavalidation import DataValidation
from openpyxl.worksheet.table import Table
from PIL import Image as Pillow

from clustering_pipeline.core.own_columns import OWN_COLUMNS
from clustering_pipeline_tests.outputs.workbook.builders import (
    HEADER,
    label,
    listings,
    sheet_rows,
    workbook_bytes,
)

SHEET = "xl/worksheets/sheet1.xml"
# Parts in which our columns and sheets have to be announced.
SHARED = {"[Content_Types].xml", "xl/workbook.xml", "xl/_rels/workbook.xml.rels", "xl/styles.xml"}
MAIN = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
REL = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"


def parts(content):
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def packed(content_parts):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in content_parts.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def furnish(workbook, sheet):
    """Put in everything that openpyxl can write."""
    picture = io.BytesIO()
    Pillow.fromarray(np.full((8, 8, 3), 200, np.uint8)).save(picture, "PNG")
    sheet.add_image(Image(picture), "B8")
    chart = BarChart()
    chart.add_data(Reference(sheet, min_col=3, min_row=1, max_row=4))
    sheet.add_chart(chart, "B12")
    validation = DataValidation(type="list", formula1='"a,b"')
    validation.add("C2:C9")
    sheet.add_data_validation(validation)
    sheet.conditional_formatting.add(
        "C2:C9",
        ColorScaleRule(start_type="min", end_type="max", start_color="FF0000", end_color="00FF00"),
    )
    sheet["A2"].comment = Comment("look", "me")
    sheet["A3"].fill = PatternFill("solid", fgColor="FFEE00")
    sheet["B2"].hyperlink = "https://shop.vn/0.jpg"
    sheet.column_dimensions["B"].hidden = True
    sheet.row_dimensions[3].hidden = True
    sheet.freeze_panes = "B2"
    sheet.add_table(Table(displayName="Listings", ref="A1:C5"))
    workbook.defined_names["all"] = openpyxl.workbook.defined_name.DefinedName(
        "all", attr_text="products!$A$2:$A$5"
    )
    workbook.create_sheet("Báo cáo").append(["=SUM(products!C2:C5)"])


def with_pivot_and_macros(content):
    """Add a pivot table with its cache, and a macro project, as Excel lays them into a package."""
    held = parts(content)
    held["xl/pivotTables/pivotTable1.xml"] = (
        f'<pivotTableDefinition xmlns="{MAIN}" name="P" cacheId="7"/>'.encode()
    )
    held["xl/pivotCache/pivotCacheDefinition1.xml"] = (
        f'<pivotCacheDefinition xmlns="{MAIN}" recordCount="0"/>'.encode()
    )
    held["xl/vbaProject.bin"] = bytes(range(256))
    link = '<Relationship Id="{}" Type="' + REL + '/{}" Target="{}"/>'
    rels = "xl/worksheets/_rels/sheet1.xml.rels"
    held[rels] = held[rels].replace(
        b"</Relationships>",
        link.format("rIdP", "pivotTable", "/xl/pivotTables/pivotTable1.xml").encode()
        + b"</Relationships>",
    )
    vba = (
        '<Relationship Id="rIdV" '
        'Type="http://schemas.microsoft.com/office/2006/relationships/vbaProject" '
        'Target="vbaProject.bin"/>'
    )
    cache = link.format("rIdC", "pivotCacheDefinition", "pivotCache/pivotCacheDefinition1.xml")
    rels = "xl/_rels/workbook.xml.rels"
    held[rels] = held[rels].replace(
        b"</Relationships>", (vba + cache).encode() + b"</Relationships>"
    )
    types = held["[Content_Types].xml"].replace(
        b"vnd.openxmlformats-officedocument.spreadsheetml.sheet.main+xml",
        b"vnd.ms-excel.sheet.macroEnabled.main+xml",
    )
    held["[Content_Types].xml"] = types.replace(
        b"</Types>",
        b'<Default Extension="bin" ContentType="application/vnd.ms-office.vbaProject"/></Types>',
    )
    extension = (
        b'<extLst><ext uri="{05C60535-1F16-4fd2-B633-F4F36F0B64E0}"><x14:sparklineGroups '
        b'xmlns:x14="u"/></ext></extLst>'
    )
    held[SHEET] = held[SHEET].replace(b"</worksheet>", extension + b"</worksheet>")
    return packed(held)


@pytest.fixture(scope="module")
def furnished():
    return with_pivot_and_macros(workbook_bytes(prepare=furnish))


@pytest.fixture(scope="module")
def labelled(furnished, tmp_path_factory):
    return label(
        furnished, tmp_path_factory.mktemp("store"), name="c.xlsm", output_name="c.clustered.xlsm"
    )


def test_every_other_part_is_the_same_to_the_byte(furnished, labelled):
    before, after = parts(furnished), parts(labelled)
    changed = {name for name in before if after.get(name) != before[name]}
    assert changed == SHARED | {SHEET, "xl/tables/table1.xml"}
    kept = {
        "vbaProject.bin",
        "pivotTable1.xml",
        "pivotCacheDefinition1.xml",
        "drawing1.xml",
        "chart1.xml",
        "image1.png",
        "table1.xml",
    }
    assert kept <= {name.rsplit("/", 1)[-1] for name in before}


def test_the_sheet_only_gains_our_cells(furnished, labelled):
    def without_ours(sheet):
        sheet = re.sub(rb'<c r="[D-J]\d+"(?:[^>]*/>|.*?</c>)', b"", sheet)
        sheet = re.sub(rb'<hyperlink ref="D\d+"[^>]*/>', b"", sheet)
        sheet = re.sub(rb'<col min="\d+" max="\d+" width="[\d.]+" customWidth="1"\s*/>', b"", sheet)
        return re.sub(rb'<dimension[^>]*>|\sspans="[^"]*"|\s(?=/>)', b"", sheet)

    assert without_ours(parts(labelled)[SHEET]) == without_ours(parts(furnished)[SHEET])


def test_the_style_sheet_only_gains_formats(furnished, labelled):
    for name in ("fonts", "fills", "cellXfs"):
        pattern = rb"<%b[^>]*>(.*?)</%b>" % (name.encode(), name.encode())
        before = re.search(pattern, parts(furnished)["xl/styles.xml"], re.DOTALL)[1]
        after = re.search(pattern, parts(labelled)["xl/styles.xml"], re.DOTALL)[1]
        assert after.startswith(before)


def test_the_result_is_a_sound_workbook(tmp_path):
    workbook = openpyxl.load_workbook(io.BytesIO(label(workbook_bytes(prepare=furnish), tmp_path)))
    assert workbook.sheetnames == [
        "products",
        "Báo cáo",
        "Products (result)",
        "Listings",
        "Clusters",
        "Problems",
        "Summary",
    ]
    sheet = workbook["products"]
    assert [cell.value for cell in sheet[1]] == [*HEADER, *OWN_COLUMNS]
    assert sheet["B2"].hyperlink.target == "https://shop.vn/0.jpg"
    assert sheet["D2"].hyperlink.location == "'Clusters'!A2"
    assert workbook["Clusters"]["A2"].hyperlink.location == "'products'!D2"


def test_labelling_again_changes_nothing(labelled, tmp_path):
    again = label(labelled, tmp_path, name="c.xlsm", output_name="c.clustered.xlsm")
    assert parts(again) == parts(labelled)


def test_columns_hidden_to_the_edge_do_not_hide_ours(tmp_path):
    held = parts(workbook_bytes())
    columns = (
        b'<cols><col min="2" max="2" width="9"/><col min="4" max="16384" width="8" '
        b'hidden="1"/></cols><sheetData>'
    )
    held[SHEET] = held[SHEET].replace(b"<sheetData>", columns)
    sheet = openpyxl.load_workbook(io.BytesIO(label(packed(held), tmp_path)))["products"]
    assert not any(sheet.column_dimensions[letter].hidden for letter in "DEFGHIJ")
    assert sheet.column_dimensions["K"].hidden


def test_our_columns_stand_beside_merged_cells_and_not_under_them(tmp_path):
    def merge(workbook, sheet):
        sheet.merge_cells("C1:D1")
        sheet.merge_cells("A12:XFD12")

    rows = sheet_rows(label(workbook_bytes(prepare=merge), tmp_path))
    assert rows[0][4:11] == list(OWN_COLUMNS)


def test_formatted_blank_cells_at_our_place_are_replaced(tmp_path):
    def blank(_, sheet):
        for row in range(1, 6):
            sheet.cell(row, 5).fill = sheet.cell(row, 20).fill = PatternFill(
                "solid", fgColor="FFEE00"
            )

    content = label(workbook_bytes(prepare=blank), tmp_path)
    sheet = openpyxl.load_workbook(io.BytesIO(content))["products"]
    assert [cell.value for cell in sheet[1]][:10] == [*HEADER, *OWN_COLUMNS]
    assert sheet["T2"].fill.fgColor.rgb == "00FFEE00"
    references = re.findall(rb'<c r="([A-Z]+)2"', parts(content)[SHEET])
    assert references == sorted(references, key=lambda name: (len(name), name))


def test_prefixed_and_unnumbered_xml_is_understood(tmp_path):
    cell = '<x:c t="inlineStr"><x:is><x:t>{}</x:t></x:is></x:c>'
    rows = [["id", "image"], ["a", "https://a.vn/1.jpg"], ["b", "https://a.vn/2.jpg"]]
    body = "".join(f"<x:row>{''.join(cell.format(value) for value in row)}</x:row>" for row in rows)
    text = (
        f'<?xml version="1.0" encoding="UTF-8"?><x:worksheet '
        f'xmlns:x="{MAIN}"><x:sheetData>{body}</x:sheetData></x:worksheet>'
    )
    held = parts(workbook_bytes())
    held[SHEET] = text.encode()
    content = label(packed(held), tmp_path)
    assert sheet_rows(content, "products")[0] == ["id", "image", *OWN_COLUMNS]
    assert sheet_rows(content, "products")[2][2] == 1


def test_a_users_sheet_named_clusters_is_left_alone(tmp_path):
    def mine(workbook, _):
        workbook.create_sheet("Clusters").append(["my", "own"])

    once = label(workbook_bytes(prepare=mine), tmp_path)
    twice = label(once, tmp_path)
    for content in (once, twice):
        workbook = openpyxl.load_workbook(io.BytesIO(content))
        assert workbook.sheetnames == [
            "products",
            "Clusters",
            "Products (result)",
            "Listings",
            "Clusters (result)",
            "Problems",
            "Summary",
        ]
        assert [cell.value for cell in workbook["Clusters"][1]] == ["my", "own"]


@pytest.mark.filterwarnings("ignore:Workbook contains no default style")
def test_a_workbook_without_a_style_sheet_gets_one(tmp_path):
    held = parts(workbook_bytes())
    del held["xl/styles.xml"]
    held["xl/_rels/workbook.xml.rels"] = re.sub(
        rb"<Relationship [^>]*styles[^>]*/>", b"", held["xl/_rels/workbook.xml.rels"]
    )
    held["[Content_Types].xml"] = re.sub(
        rb"<Override [^>]*styles[^>]*/>", b"", held["[Content_Types].xml"]
    )
    held[SHEET] = re.sub(rb' s="\d+"', b"", held[SHEET])
    assert sheet_rows(label(packed(held), tmp_path))[0] == [*HEADER, *OWN_COLUMNS]


def test_equal_input_gives_equal_bytes(tmp_path):
    content = workbook_bytes([HEADER, *listings(6)])
    assert label(content, tmp_path) == label(content, tmp_path)


def test_a_workbook_in_the_strict_dialect_stays_in_it(tmp_path):
    strict = {
        name: content.replace(
            MAIN.encode(), b"http://purl.oclc.org/ooxml/spreadsheetml/main"
        ).replace(REL.encode(), b"http://purl.oclc.org/ooxml/officeDocument/relationships")
        for name, content in parts(workbook_bytes()).items()
    }
    held = parts(label(packed(strict), tmp_path))
    assert all(
        MAIN.encode() not in content and REL.encode() not in content for content in held.values()
    )
    assert b"purl.oclc.org/ooxml/spreadsheetml/main" in held["xl/worksheets/clustering1.xml"]
