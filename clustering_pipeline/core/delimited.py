"""Delimited text in any encoding and with any usual delimiter."""

import codecs
import csv
import io
import re
import sys
import unicodedata
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from charset_normalizer import from_bytes

from clustering_pipeline.core.errors import InputError

BYTE_ORDER_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
# What Vietnamese and Western shops export in when it is not UTF-8.
LEGACY_ENCODINGS = ["cp1258", "cp1252"]
DELIMITERS = "\t,;|"
SAMPLE_BYTES = 1 << 16
SAMPLE_RECORDS = 200
MAX_FIELD_CHARACTERS = 2**24
MAX_STRAY_QUOTES = 100
UNREAD = "\ufffd"
BEYOND_ASCII = re.compile("[^\x00-\x7f]")
# UTF-8 letters beyond ASCII for each byte that is no UTF-8.
MOST_DAMAGE = 8
SEPARATOR_LINE = re.compile(r"sep=(.)\r?\n", re.IGNORECASE)
# What a spreadsheet takes for a formula, and what `guarded` made of it.
FORMULA = re.compile(r"'*[=+\-@\t\r]")
NOT_IN_TEXT = re.compile("[\ufffd\x01-\x08\x0b\x0e-\x1f]")


@dataclass(frozen=True)
class DelimitedText:
    """The records of delimited text, what parts their fields, whether the first of them is a line
    such as `sep=;` that only tells that, and remarks on how it was read.
    """

    rows: list[list[str]]
    delimiter: str
    has_separator_line: bool = False
    remarks: tuple[str, ...] = ()

    def by_header(self) -> tuple[list[str], list[dict[str, str]]]:
        """Return the header and the other records that hold something, by its names."""
        rows = [row for row in self.rows[self.has_separator_line :] if any(row)]
        header = [name.strip() for name in rows[0]] if rows else []
        return header, [dict(zip(header, row, strict=False)) for row in rows[1:]]


def read_delimited(content: bytes, name: str, most_rows: int | None = None) -> DelimitedText:
    """Return the records of delimited text in any usual encoding and with any usual delimiter.

    Remarks tell of the encoding, the delimiter, letters that could not be read and quotes that
    never close. Raises InputError when the bytes are not text, a field has no end, or there are
    more than `most_rows` records.
    """
    encoding, text = decode(content, name)
    separator = SEPARATOR_LINE.match(text)
    delimiter = separator[1] if separator else find_delimiter(text)
    try:
        rows, stray = _records(text, delimiter, most_rows or sys.maxsize)
    except _TooManyRowsError as error:
        raise InputError(
            f"{name} has more than {most_rows:,} rows, the most that are read. Split it, or raise "
            f"catalogue.max_rows."
        ) from error
    except csv.Error as error:
        raise InputError(
            f"{name} cannot be read as a table ({error}). Open it in Excel or LibreOffice and save "
            f"it as .xlsx."
        ) from error
    remarks = [
        f"read as {encoding} text delimited by {'tab' if delimiter == chr(9) else delimiter}"
    ]
    unread = text.count(UNREAD) if encoding == "utf-8" else 0
    if unread:
        remarks.append(f"{unread} bytes are no UTF-8 and are shown as {UNREAD}")
    if stray:
        remarks.append(
            f"a quote opened in record {', '.join(map(str, stray))} never closes and was read as a "
            f"plain character"
        )
    return DelimitedText(rows, delimiter, separator is not None, tuple(remarks))


def guarded(text: str) -> str:
    """Return text for a cell of a CSV with an apostrophe before what a spreadsheet would take for a
    formula.
    """
    return f"'{text}" if FORMULA.match(text) else text


def unguarded(text: str) -> str:
    """Return what `guarded` was given."""
    return text[1:] if text.startswith("'") and FORMULA.match(text) else text


def decode(content: bytes, name: str) -> tuple[str, str]:
    """Return (encoding, text) of bytes: by byte order mark, as UTF-8, as UTF-16 without a mark,
    else as the likeliest legacy one.
    """
    for mark, encoding in BYTE_ORDER_MARKS:
        if content.startswith(mark):
            return encoding, _decode_all(content, encoding, name)
    if b"\0" in content[:SAMPLE_BYTES]:
        return _decode_wide(content, name)
    try:
        return "utf-8", content.decode("utf-8")
    except UnicodeDecodeError:
        text = content.decode("utf-8", errors="replace")
    # Letters of another encoding are hardly ever UTF-8 by chance: a few bytes that are none are
    # damage.
    others = len(BEYOND_ASCII.findall(text)) - text.count(UNREAD)
    if others > MOST_DAMAGE * text.count(UNREAD):
        return "utf-8", text
    return _decode_legacy(content, name)


def _decode_all(content: bytes, encoding: str, name: str) -> str:
    # An export that was cut off may end in half a character.
    text = content.decode(encoding, errors="replace")
    if len(NOT_IN_TEXT.findall(text)) > max(1, len(text) // 1000):
        raise _not_text(name)
    return text


def _decode_wide(content: bytes, name: str) -> tuple[str, str]:
    sample = content[:SAMPLE_BYTES]
    even, odd = sample[::2].count(0), sample[1::2].count(0)
    if max(even, odd) < len(sample) // 10:
        raise _not_text(name)
    encoding = "utf-16-be" if even > odd else "utf-16-le"
    return encoding, _decode_all(content, encoding, name)


def _decode_legacy(content: bytes, name: str) -> tuple[str, str]:
    best = (
        from_bytes(content[:SAMPLE_BYTES], cp_isolation=LEGACY_ENCODINGS).best()
        or from_bytes(content[:SAMPLE_BYTES]).best()
    )
    if best is None:
        raise _not_text(name)
    # cp1258 writes Vietnamese tones as marks of their own.
    return best.encoding, unicodedata.normalize(
        "NFC", content.decode(best.encoding, errors="replace")
    )


def _not_text(name: str) -> InputError:
    return InputError(
        f"{name} is neither a workbook nor text in a known encoding. Open it in the program that "
        "wrote it and save it as .xlsx or as UTF-8 .csv."
    )


def find_delimiter(text: str) -> str:
    """Return the delimiter under which most of the first records have the same number of fields,
    and more than one.
    """

    def agreement(delimiter: str) -> tuple[int, int]:
        with _large_fields():
            widths = Counter(map(len, _sample(text, delimiter)))
        width, count = max(
            widths.items(),
            key=lambda item: (item[1] if item[0] > 1 else 0, item[0]),
            default=(1, 0),
        )
        return (count, width) if width > 1 else (0, 0)

    return max(DELIMITERS, key=agreement)


def _sample(text: str, delimiter: str) -> Iterator[list[str]]:
    reader = csv.reader(io.StringIO(text[:SAMPLE_BYTES], newline=""), delimiter=delimiter)
    for _, record in zip(range(SAMPLE_RECORDS), reader, strict=False):
        if record:
            yield record


@contextmanager
def _large_fields() -> Iterator[None]:
    before = csv.field_size_limit(MAX_FIELD_CHARACTERS)
    try:
        yield
    finally:
        csv.field_size_limit(before)


class _TooManyRowsError(Exception):
    """There are more records than may be read."""


def _records(text: str, delimiter: str, most: int) -> tuple[list[list[str]], list[int]]:
    """Return all records and the numbers of those with a quote that never closes, which would
    swallow the rest of the file; raises _TooManyRowsError when there are more than `most`.
    """
    lines = (
        text.replace("\0", "").splitlines(keepends=True)
        if "\0" in text
        else io.StringIO(text, newline="").readlines()
    )
    rows: list[list[str]] = []
    stray: list[int] = []
    start = 0
    with _large_fields():
        while start < len(lines):
            start, is_stray = _read_until_stray(lines, start, delimiter, rows, most)
            if is_stray:
                stray.append(len(rows))
                if len(stray) > MAX_STRAY_QUOTES:
                    if len(rows) + len(lines) - start > most:
                        raise _TooManyRowsError
                    rows.extend(
                        csv.reader(lines[start:], delimiter=delimiter, quoting=csv.QUOTE_NONE)
                    )
                    break
    return rows, stray


def _read_until_stray(
    lines: list[str], start: int, delimiter: str, rows: list[list[str]], most: int
) -> tuple[int, bool]:
    """Append records from `lines[start:]`, up to `most` in all; return the next line to read, and
    whether the last record read was a stray line.
    """
    reader = csv.reader(lines[start:], delimiter=delimiter)
    begin = start
    while True:
        try:
            record = next(reader, None)
        except csv.Error:
            return _append_plain(lines, begin, delimiter, rows)
        if record is None:
            return len(lines), False
        end = start + reader.line_num
        if end == len(lines) and end > begin + 1 and not _closes(lines[begin:end], delimiter):
            return _append_plain(lines, begin, delimiter, rows)
        if len(rows) >= most:
            raise _TooManyRowsError
        rows.append(record)
        begin = end


def _append_plain(
    lines: list[str], line: int, delimiter: str, rows: list[list[str]]
) -> tuple[int, bool]:
    rows.append(next(csv.reader([lines[line]], delimiter=delimiter, quoting=csv.QUOTE_NONE)))
    return line + 1, True


def _closes(lines: list[str], delimiter: str) -> bool:
    try:
        list(csv.reader(lines, delimiter=delimiter, strict=True))
    except csv.Error as error:
        return "unexpected end of data" not in str(error)
    return True
