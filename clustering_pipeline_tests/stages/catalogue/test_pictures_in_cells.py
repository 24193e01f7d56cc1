"""Pictures that lie in a workbook: placed in cells by Excel, named by WPS, or floating over a cell."""

import hashlib
import io
import re
import zipfile

import openpyxl
import pytest
from openpyxl.drawing.image import Image as Drawing
from PIL import Image

from clustering_pipeline.settings import CatalogueSettings
from clustering_pipeline.stages.catalogue import read_workbook, run, stored_picture
from clustering_pipeline.stages.catalogue.sources import CatalogueSource
from clustering_pipeline.stages.contract import StageContext
from clustering_pipeline.storage import BlobStore, FeatureTables
from clustering_pipeline_tests.stages.catalogue.test_formats import excel, read

SHEET = "xl/worksheets/sheet1.xml"
RELATIONSHIPS = (
    '<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships">{}'
    "</Relationships>"
)
IMAGE_KIND = "http://schemas.openxmlformats.org/officeDocument/2006/relationships/image"
RICH = "http://schemas.microsoft.com/office/spreadsheetml/2017/richdata"


def picture(shade):
    buffer = io.BytesIO()
    Image.new("RGB", (32, 32), (shade, 0, 0)).save(buffer, "PNG")
    return buffer.getvalue()


def link(identifier, kind, target):
    return f'<Relationship Id="{identifier}" Type="{kind}" Target="{target}"/>'


def with_parts(content, added, links, cell):
    """The workbook with further parts, named by its workbook part, and the cell B2 replaced."""
    buffer = io.BytesIO()
    with (
        zipfile.ZipFile(io.BytesIO(content)) as old,
        zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as new,
    ):
        for name in old.namelist():
            part = old.read(name)
            if name == SHEET:
                part = re.sub(rb'<c r="B2".*?</c>', cell.encode(), part)
            if name == "xl/_rels/workbook.xml.rels":
                part = part.replace(b"</Relationships>", links.encode() + b"</Relationships>")
            new.writestr(name, part)
        for name, part in added.items():
            new.writestr(name, part)
    return buffer.getvalue()


def placed_in_cell(shade):
    """A picture as Excel's "place in cell" writes it: cell, metadata, rich value, link, part."""
    office = "http://schemas.microsoft.com/office"
    added = {
        "xl/media/image1.png": picture(shade),
        "xl/metadata.xml": f'<metadata xmlns:x="{RICH}"><metadataTypes><metadataType name="OTHER"/>'
        '<metadataType name="XLRICHVALUE"/></metadataTypes><futureMetadata name="XLRICHVALUE"><bk>'
        '<extLst><ext><x:rvb i="1"/></ext></extLst></bk></futureMetadata><valueMetadata><bk>'
        '<rc t="2" v="0"/></bk></valueMetadata></metadata>',
        "xl/richData/rdrichvalue.xml": '<rvData><rv s="0"><v>x</v></rv><rv s="1"><v>5</v><v>0</v>'
        "</rv></rvData>",
        "xl/richData/rdrichvaluestructure.xml": '<rvStructures><s t="_other"><k n="Text"/></s>'
        '<s t="_localImage"><k n="CalcOrigin"/><k n="_rvRel:LocalImageIdentifier"/></s>'
        "</rvStructures>",
        "xl/richData/richValueRel.xml": '<richValueRels xmlns:r="r"><rel r:id="rId1"/>'
        "</richValueRels>",
        "xl/richData/_rels/richValueRel.xml.rels": RELATIONSHIPS.format(
            link("rId1", IMAGE_KIND, "../media/image1.png")
        ),
    }
    links = "".join(
        [
            link("m", "http://x/relationships/sheetMetadata", "metadata.xml"),
            link("v", f"{office}/2017/06/relationships/rdRichValue", "richData/rdrichvalue.xml"),
            link(
                "s",
                f"{office}/2017/06/relationships/rdRichValueStructure",
                "richData/rdrichvaluestructure.xml",
            ),
            link("r", f"{office}/2022/10/relationships/richValueRel", "richData/richValueRel.xml"),
        ]
    )
    cell = '<c r="B2" t="e" vm="1"><v>#VALUE!</v></c>'
    return with_parts(excel(["id", "image"], ["a", "x"]), added, links, cell)


def named_by_wps(shade, with_picture=True):
    formula = '<c r="B2" t="str"><f>_xlfn.DISPIMG("ID_1",1)</f><v>=DISPIMG("ID_1",1)</v></c>'
    added = {
        "xl/media/image1.png": picture(shade),
        "xl/cellimages.xml": '<e:cellImages xmlns:e="e" xmlns:p="p" xmlns:a="a" xmlns:r="r">'
        '<e:cellImage><p:pic><p:nvPicPr><p:cNvPr name="ID_1"/></p:nvPicPr><p:blipFill>'
        '<a:blip r:embed="rId1"/></p:blipFill></p:pic></e:cellImage></e:cellImages>',
        "xl/_rels/cellimages.xml.rels": RELATIONSHIPS.format(
            link("rId1", IMAGE_KIND, "media/image1.png")
        ),
    }
    links = link("c", "http://www.wps.cn/officeDocument/2020/cellImage", "cellimages.xml")
    content = excel(["id", "image"], ["a", "x"])
    return with_parts(
        content, added if with_picture else {}, links if with_picture else "", formula
    )


def floating(shade):
    workbook = openpyxl.Workbook()
    sheet = workbook.active
    for row in (["id", "image"], ["a", None]):
        sheet.append(row)
    sheet.add_image(Drawing(io.BytesIO(picture(shade))), "B2")
    sheet.add_image(Drawing(io.BytesIO(picture(1))), "D2")
    buffer = io.BytesIO()
    workbook.save(buffer)
    return buffer.getvalue()


@pytest.mark.parametrize("build", [placed_in_cell, named_by_wps, floating])
def test_the_picture_in_the_cell_is_the_picture_of_the_listing(build):
    result = read(build(90))
    assert [stored_picture(url) for url in result.listings["urls"][0]] == [
        hashlib.sha256(_stored(build(90))).hexdigest()
    ]
    assert result.listings["usable"].all() and result.facts["pictures_in_cells"] == 1


def _stored(content):
    """The bytes of the workbook's first picture."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        return archive.read("xl/media/image1.png")


def test_the_stage_keeps_the_pictures_of_the_cells(tmp_path):
    blobs = BlobStore(str(tmp_path / "blobs"))
    content = placed_in_cell(90)
    source = CatalogueSource("c", "c", "c.xlsx", blobs.put(content), len(content))
    context = StageContext(blobs, FeatureTables(str(tmp_path / "tables")), tmp_path)
    listings = run(source=source, settings=CatalogueSettings(), context=context).manifest
    assert blobs.get(stored_picture(listings["urls"][0][0])) == picture(90)


def test_an_address_goes_before_a_picture():
    workbook = openpyxl.load_workbook(io.BytesIO(floating(90)))
    workbook.active["B2"] = "https://a.vn/1.jpg"
    buffer = io.BytesIO()
    workbook.save(buffer)
    assert read(buffer.getvalue()).listings["urls"][0] == ["https://a.vn/1.jpg"]


def test_a_picture_that_the_workbook_does_not_hold_is_told():
    listings = read(named_by_wps(90, with_picture=False)).listings
    assert "does not hold" in listings["reason"][0]


def test_damaged_parts_on_the_way_to_a_picture_are_an_error_in_words():
    broken = placed_in_cell(90)
    buffer = io.BytesIO()
    with (
        zipfile.ZipFile(io.BytesIO(broken)) as old,
        zipfile.ZipFile(buffer, "w") as new,
    ):
        for name in old.namelist():
            part = old.read(name)
            new.writestr(name, part.replace(b'<rv s="1">', b'<rv s="7">'))
    from clustering_pipeline.core.errors import InputError

    with pytest.raises(InputError, match="damaged"):
        read_workbook(buffer.getvalue(), "c.xlsx", CatalogueSettings())
