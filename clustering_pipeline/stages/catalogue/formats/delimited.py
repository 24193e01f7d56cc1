"""Delimited text in any encoding and with any usual delimiter."""

import codecs
import csv
import io
import re
import unicodedata
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

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
NOT_IN_TEXT = re.compile("[\ufffd\x01-\x08\x0b\x0e-\x1f]")


def read_delimited(content: bytes, name: str) -> tuple[list[list[str]], tuple[str, ...]]:
    """Return the records of delimited text, and remarks on its encoding, its delimiter and quotes
    that never close.

    Raises InputError when the bytes are not text.
    """
    encoding, text = decode(content, name)
    delimiter = find_delimiter(text)
    rows, stray = _records(text, delimiter)
    remarks = [
        f"read as {encoding} text delimited by {'tab' if delimiter == chr(9) else delimiter}"
    ]
    if stray:
        remarks.append(
            f"a quote opened in record {', '.join(map(str, stray))} never closes and was read as a "
            f"plain character"
        )
    return rows, tuple(remarks)


def decode(content: bytes, name: str) -> tuple[str, str]:
    """Return (encoding, text) of bytes: by byte order mark, as UTF-8, as UTF-16 without a mark,
    else as the likeliest legacy one.
    """
    for mark, encoding in BYTE_ORDER_MARKS:
        if content.startswith(mark):
            return encoding, _decode_all(content, encoding, name)
    try:
        if b"\0" not in content[:SAMPLE_BYTES]:
            return "utf-8", content.decode("utf-8")
    except UnicodeDecodeError:
        return _decode_legacy(content, name)
    return _decode_wide(content, name)


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


def _records(text: str, delimiter: str) -> tuple[list[list[str]], list[int]]:
    """Return all records and the numbers of those with a quote that never closes, which would
    swallow the rest of the file.
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
            start, is_stray = _read_until_stray(lines, start, delimiter, rows)
            if is_stray:
                stray.append(len(rows))
                if len(stray) > MAX_STRAY_QUOTES:
                    rows.extend(
                        csv.reader(lines[start:], delimiter=delimiter, quoting=csv.QUOTE_NONE)
                    )
                    break
    return rows, stray


def _read_until_stray(
    lines: list[str], start: int, delimiter: str, rows: list[list[str]]
) -> tuple[int, bool]:
    """Append records from `lines[start:]`; return the next line to read, and whether the last
    record read was a stray line.
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
