"""Where the workbook lands, and what is never overwritten."""

from pathlib import Path

import pytest

from clustering_pipeline.core.errors import InputError
from clustering_pipeline.outputs.workbook import check_output, default_output, deliver_workbook


@pytest.fixture
def source(tmp_path):
    path = tmp_path / "catalogue.xlsx"
    path.write_bytes(b"source")
    return path


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("a.xlsx", "a.clustered.xlsx"),
        ("a.csv", "a.clustered.xlsx"),
        ("A.XLSM", "A.clustered.xlsm"),
        ("b.clustered.xlsx", "b.clustered.2.xlsx"),
        ("b.clustered.2.xlsx", "b.clustered.3.xlsx"),
    ],
)
def test_the_default_output_is_beside_the_source(name, expected):
    assert default_output(Path("/x") / name) == Path("/x") / expected


def test_an_output_that_is_the_input_is_refused(source):
    with pytest.raises(InputError, match="never overwritten"):
        check_output(source, source.parent / "." / source.name)
    link = source.with_name("link.xlsx")
    link.symlink_to(source)
    with pytest.raises(InputError, match="never overwritten"):
        check_output(source, link)


@pytest.mark.parametrize("output", ["missing/out.xlsx", "out.pdf", "folder.xlsx"])
def test_an_output_that_cannot_be_written_is_found_before(source, output):
    (source.parent / "folder.xlsx").mkdir()
    with pytest.raises(InputError, match="--output"):
        check_output(source, source.parent / output)


def test_macros_keep_their_ending(source):
    with pytest.raises(InputError, match="macros"):
        check_output(source.with_suffix(".xlsm"), source.with_name("out.xlsx"))
    with pytest.raises(InputError, match="no macros"):
        check_output(source, source.with_name("out.xlsm"))


def test_the_check_leaves_nothing_behind(source):
    check_output(source, source.with_name("out.xlsx"))
    assert [path.name for path in source.parent.iterdir()] == ["catalogue.xlsx"]


def test_our_own_file_is_replaced(source, tmp_path):
    output = source.with_name("out.xlsx")
    deliver_workbook(b"one", output, source, tmp_path / "state" / "deliveries.sqlite")
    delivered = deliver_workbook(b"two", output, source, tmp_path / "state" / "deliveries.sqlite")
    assert (delivered.path, delivered.message, output.read_bytes()) == (output, None, b"two")


@pytest.mark.parametrize("edited", [True, False])
def test_a_file_of_the_users_is_never_overwritten(source, tmp_path, edited):
    output = source.with_name("out.xlsx")
    if edited:
        deliver_workbook(b"one", output, source, tmp_path / "state" / "deliveries.sqlite")
    output.write_bytes(b"mine")
    delivered = deliver_workbook(b"two", output, source, tmp_path / "state" / "deliveries.sqlite")
    assert output.read_bytes() == b"mine"
    assert delivered.path.name == "out-2.xlsx" and delivered.path.read_bytes() == b"two"
    assert "left as it is" in delivered.message


@pytest.mark.parametrize("mark", ["~$out.xlsx", ".~lock.out.xlsx#"])
def test_an_open_workbook_gives_a_second_name(source, tmp_path, mark):
    output = source.with_name("out.xlsx")
    deliver_workbook(b"one", output, source, tmp_path / "state" / "deliveries.sqlite")
    (source.parent / mark).touch()
    delivered = deliver_workbook(b"two", output, source, tmp_path / "state" / "deliveries.sqlite")
    assert delivered.path.name == "out-2.xlsx" and "open in Excel" in delivered.message
    assert output.read_bytes() == b"one"


def test_the_second_name_is_used_again_until_somebody_edits_it(source, tmp_path):
    output = source.with_name("out.xlsx")
    output.write_bytes(b"mine")

    def delivered(content):
        return deliver_workbook(
            content, output, source, tmp_path / "state" / "deliveries.sqlite"
        ).path.name

    assert [delivered(content) for content in (b"1", b"2", b"3")] == ["out-2.xlsx"] * 3
    source.with_name("out-2.xlsx").write_bytes(b"edited")
    assert [delivered(content) for content in (b"4", b"5")] == ["out-3.xlsx"] * 2
    source.with_name("~$out-3.xlsx").touch()
    assert delivered(b"6") == "out-4.xlsx"
    held = {path.name: path.read_bytes() for path in source.parent.glob("out*.xlsx")}
    assert held == {
        "out.xlsx": b"mine",
        "out-2.xlsx": b"edited",
        "out-3.xlsx": b"5",
        "out-4.xlsx": b"6",
    }
