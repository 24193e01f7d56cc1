"""Small tables whose values are large: refused by what they unfold to, before they do."""

import io
import subprocess
import sys
import zipfile

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from clustering_pipeline.core.errors import InputError
from clustering_pipeline_tests.stages.catalogue.test_formats import DATA, excel, read, with_part

NAMESPACE = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
LONG = "a" * 30_000


def shared_strings(rows):
    """A workbook of a few kB whose cells share one string of 30,000 letters."""
    head = '<row r="1"><c r="A1" t="inlineStr"><is><t>id</t></is></c><c r="B1" t="inlineStr"><is><t>image</t></is></c></row>'
    cells = "".join(
        f'<row r="{n}"><c r="A{n}" t="s"><v>0</v></c><c r="B{n}" t="s"><v>0</v></c></row>'
        for n in range(2, rows + 2)
    )
    parts = {
        "[Content_Types].xml": '<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types"/>',
        "_rels/.rels": _links("officeDocument", "xl/workbook.xml"),
        "xl/workbook.xml": f'<workbook xmlns="{NAMESPACE}" xmlns:r="r"><sheets><sheet name="S" r:id="r0"/></sheets></workbook>',
        "xl/_rels/workbook.xml.rels": _links(
            "worksheet", "worksheets/sheet1.xml", "sharedStrings", "sharedStrings.xml"
        ),
        "xl/worksheets/sheet1.xml": f'<worksheet xmlns="{NAMESPACE}"><sheetData>{head}{cells}</sheetData></worksheet>',
        "xl/sharedStrings.xml": f'<sst xmlns="{NAMESPACE}"><si><t>{LONG}</t></si></sst>',
    }
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, part in parts.items():
            archive.writestr(name, part)
    return buffer.getvalue()


def _links(*pairs):
    kind = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
    links = "".join(
        f'<Relationship Id="r{n}" Type="{kind}/{name}" Target="{target}"/>'
        for n, (name, target) in enumerate(zip(pairs[::2], pairs[1::2], strict=True))
    )
    return f'<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships">{links}</Relationships>'


def dictionary(rows, as_category=False, nested=False):
    """A Parquet of a few kB whose rows share one text of 30,000 letters."""
    values = pa.DictionaryArray.from_arrays(pa.array([0] * rows, pa.int32()), pa.array([LONG]))
    table = pa.table({"id": pa.array(range(rows)), "image": values})
    if nested:
        table = pa.table({"id": [1], "image": pa.ListArray.from_arrays([0, rows], values)})
    buffer = io.BytesIO()
    pq.write_table(table, buffer, store_schema=as_category or nested, use_dictionary=True)
    return buffer.getvalue()


def repeated(rows):
    """An .ods whose one cell of 30,000 letters is repeated."""
    cell = f'<table:table-cell office:value-type="string" table:number-columns-repeated="50"><text:p>{LONG}</text:p></table:table-cell>'
    row = f'<table:table-row table:number-rows-repeated="{rows}">{cell}</table:table-row>'
    return with_part(
        (DATA / "catalogue.ods").read_bytes(),
        "content.xml",
        lambda part: part.replace(b"</table:table>", row.encode() + b"</table:table>", 1),
    )


@pytest.mark.parametrize(
    ("content", "name"),
    [
        (shared_strings(200_000), "c.xlsx"),
        (dictionary(300_000), "c.parquet"),
        (dictionary(300_000, as_category=True), "c.parquet"),
        (dictionary(300_000, nested=True), "c.parquet"),
        (repeated(10_000), "c.ods"),
    ],
    ids=["shared strings", "dictionary", "category", "list", "repeated cells"],
)
def test_what_unfolds_is_refused_before_it_does(content, name, tmp_path):
    """Each unfolds to gigabytes; the reading process may have one beside what it needs to begin."""
    assert len(content) < 3_000_000
    file = tmp_path / name
    file.write_bytes(content)
    script = (
        "import sys; from pathlib import Path\n"
        "from clustering_pipeline.core.errors import InputError\n"
        "from clustering_pipeline.settings import CatalogueSettings\n"
        "from clustering_pipeline.stages.catalogue import read_workbook\n"
        "if __name__ == '__main__':\n"
        "    path = Path(sys.argv[1])\n"
        "    try: read_workbook(path.read_bytes(), path.name, CatalogueSettings())\n"
        "    except InputError as error: print(error)\n"
        # Unlike getrusage, it does not count the process that this one was forked from.
        "    status = Path('/proc/self/status').read_text()\n"
        "    print(status.split('VmHWM:')[1].split()[0])\n"
    )
    program = tmp_path / "reader.py"
    program.write_text(script)
    answer = subprocess.run(
        [sys.executable, program, file], capture_output=True, text=True, check=True
    )
    *said, peak = answer.stdout.splitlines()
    assert "characters" in said[0] or "memory" in said[0]
    assert int(peak) < 1_200_000


def test_shared_texts_within_the_limit_are_read():
    assert len(read(shared_strings(5)).listings) == 5


def test_a_category_of_parquet_is_read():
    buffer = io.BytesIO()
    urls = pa.array(["https://a.vn/1.jpg", "https://a.vn/2.jpg"]).dictionary_encode()
    pq.write_table(pa.table({"id": [1, 2], "image": urls}), buffer)
    assert read(buffer.getvalue(), "c.parquet").listings["usable"].all()


def test_the_limit_names_its_setting():
    with pytest.raises(InputError, match=r"catalogue\.max_characters"):
        read(excel(["id", "image"], ["a", "https://a.vn/1.jpg"]), max_characters=10)


def test_a_part_that_would_be_a_giant_tree_is_refused():
    styles = b"<styleSheet>" + b"<a/>" * 9_000_000 + b"</styleSheet>"
    with pytest.raises(InputError, match="may have"):
        read(
            with_part(
                excel(["id", "image"], [1, "https://a.vn/1.jpg"]), "xl/styles.xml", lambda _: styles
            )
        )
