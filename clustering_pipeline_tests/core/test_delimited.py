"""Delimited text as programs write it, and cells that must not become formulas."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clustering_pipeline.core.delimited import guarded, read_delimited, unguarded

VIETNAMESE = "id;tên\n" + "".join(f"{n};Kem chống nắng dưỡng ẩm {n}\n" for n in range(20))


@pytest.mark.parametrize("damage", [b"\xff", b"\xc3", b"\x92", b"\xe1\xba"])
def test_a_bad_byte_costs_one_letter(damage):
    content = VIETNAMESE.encode() + b"20;Kem" + damage + b"x\n"
    text = read_delimited(content, "c.csv")
    assert text.rows[1] == ["0", "Kem chống nắng dưỡng ẩm 0"]
    assert text.rows[21][1].startswith("Kem") and "no UTF-8" in "; ".join(text.remarks)


@pytest.mark.parametrize("delimiter", [";", ",", "\t", "|", "^"])
def test_a_line_that_tells_the_delimiter_is_obeyed(delimiter):
    content = f"sep={delimiter}\r\nid{delimiter}name\r\n1{delimiter}a,b;c\r\n".encode("utf-8-sig")
    text = read_delimited(content, "c.csv")
    assert (text.delimiter, text.has_separator_line) == (delimiter, True)
    assert text.by_header()[0] == ["id", "name"]


def test_records_are_named_by_their_header():
    text = read_delimited("kind;id_a\n\nsame;1\nkeep\n".encode("utf-16"), "c.csv")
    assert text.by_header()[1] == [{"kind": "same", "id_a": "1"}, {"kind": "keep"}]


@given(st.text(alphabet="'=+-@\t\r1a", max_size=8))
def test_a_guarded_text_comes_back_and_is_no_formula(text):
    assert unguarded(guarded(text)) == text
    assert not guarded(text).startswith(("=", "+", "-", "@", "\t", "\r"))
