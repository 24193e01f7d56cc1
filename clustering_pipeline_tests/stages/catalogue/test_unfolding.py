"""Small tables whose values are large: refused by what they unfold to, before they do."""

import io
import json
import subprocess
import sys

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from benchmarks.unfolding_files import (
    blank_lines,
    dictionary,
    far_cells,
    long_headers,
    repeated_cells,
    rows_of_nothing,
    shared_strings,
    short_texts,
)
from clustering_pipeline.core.errors import InputError
from clustering_pipeline.stages.catalogue.formats import tables
from clustering_pipeline_tests.stages.catalogue.test_formats import DATA, excel, read, with_part


@pytest.mark.parametrize(
    ("content", "name"),
    [
        (shared_strings(200_000), "c.xlsx"),
        (dictionary(300_000), "c.parquet"),
        (dictionary(300_000, as_category=True), "c.parquet"),
        (dictionary(300_000, nested=True), "c.parquet"),
        (repeated_cells(10_000), "c.ods"),
        (rows_of_nothing(10_000_000), "c.parquet"),
        (far_cells(10), "c.xlsx"),
        (blank_lines(2_500_000), "c.csv"),
    ],
    ids=[
        "shared strings",
        "dictionary",
        "category",
        "list",
        "repeated cells",
        "rows of nothing",
        "far cells",
        "blank lines",
    ],
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
    assert any(word in said[0] for word in ("characters", "memory", "cells", "rows"))
    assert int(peak) < 1_200_000


def test_shared_texts_within_the_limit_are_read():
    assert len(read(shared_strings(5)).listings) == 5


def test_what_takes_too_much_memory_to_read_is_refused(monkeypatch):
    """Millions of cells of two letters are few characters, and much memory."""
    monkeypatch.setattr(tables, "UNFOLDED_BYTES", 2**20)
    content = short_texts(500)
    assert len(read(content).listings) == 500
    with pytest.raises(InputError, match=r"catalogue\.max_unfolded_megabytes"):
        read(content, max_unfolded_megabytes=1)


def test_the_cells_of_all_sheets_count_together():
    with pytest.raises(InputError, match=r"'S\d' alone 57,999,420, .*catalogue\.max_cells"):
        read(far_cells(2))


def test_old_workbooks_have_the_limit_of_cells_too():
    with pytest.raises(InputError, match=r"catalogue\.max_cells"):
        read((DATA / "catalogue.xls").read_bytes(), "c.xls", max_cells=3)


def test_two_sheets_of_one_name_are_no_way_past_the_limits():
    def same_name(part):
        return part.replace(b'name="S1"', b'name="S0"')

    with pytest.raises(InputError, match="two of its sheets are called 'S0'"):
        read(with_part(far_cells(2), "xl/workbook.xml", same_name), max_cells=10**9)


def test_long_headers_are_not_repeated_whole_in_every_row():
    extra = [json.loads(text) for text in read(long_headers(3)).listings["extra"]]
    assert all(len(cells) == 30 for cells in extra)
    assert {len(name) for cells in extra for name in cells} == {120}


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
