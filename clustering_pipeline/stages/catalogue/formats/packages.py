"""Zipped workbooks (.xlsx, .xlsm, .ods) opened within limits: nothing is unpacked before it is
known to be small enough.
"""

import io
import re
import zipfile
import zlib

from clustering_pipeline.core.errors import InputError

MAX_PARTS = 100_000
CHUNK_BYTES = 1 << 20
# The prologue of a part, where a document type declaration would stand. OOXML forbids one and no
# office program writes it.
DOCTYPE = re.compile(rb"<!\s*(DOCTYPE|ENTITY)", re.IGNORECASE)
UTF16_MARKS = (b"\xff\xfe", b"\xfe\xff", b"<\x00", b"\x00<")
PROLOGUE_BYTES = 4096


class WorkbookPackage:
    """The parts of a zipped workbook, read on demand."""

    def __init__(self, content: bytes, name: str, max_uncompressed_megabytes: int) -> None:
        """Open `content`, named `name` in messages.

        Raises InputError for a damaged archive, for one that unpacks to more than the limit, and
        for an encrypted entry.
        """
        self.name = name
        try:
            self._archive = zipfile.ZipFile(io.BytesIO(content))
        except (zipfile.BadZipFile, ValueError, OSError) as error:
            raise damaged(name, error) from error
        self._check_limits(max_uncompressed_megabytes * 2**20)
        self._names = {info.filename: info for info in self._archive.infolist()}

    def _check_limits(self, max_bytes: int) -> None:
        entries = self._archive.infolist()
        total = sum(entry.file_size for entry in entries)
        if total > max_bytes or len(entries) > MAX_PARTS:
            raise InputError(
                f"{self.name} unpacks to {total / 2**20:,.0f} MB in {len(entries):,} parts, which "
                f"is over the limit of {max_bytes / 2**20:,.0f} MB: it is taken for a zip bomb. If "
                "it is a real workbook, raise catalogue.max_uncompressed_megabytes."
            )
        if any(entry.flag_bits & 1 for entry in entries):
            raise password_protected(self.name)

    @property
    def names(self) -> list[str]:
        """The names of all parts, in the order of the archive."""
        return list(self._names)

    def __contains__(self, part: str) -> bool:
        return part in self._names

    def read(self, part: str) -> bytes:
        """Return the bytes of `part`, never more than its declared size; raises InputError when it
        is missing or damaged.
        """
        try:
            return self._archive.read(part)
        except (
            KeyError,
            zipfile.BadZipFile,
            zlib.error,
            EOFError,
            NotImplementedError,
            OSError,
        ) as error:
            raise damaged(self.name, error) from error

    def read_xml(self, part: str) -> bytes:
        """Return the bytes of an XML part, in UTF-8.

        Raises InputError when it is in another encoding, or declares a document type, which could
        define entities.
        """
        content = self.read(part)
        if content.startswith(UTF16_MARKS):
            raise InputError(
                f"{self.name} is written in UTF-16, which its readers do not know. Open it in "
                f"Excel or LibreOffice and save it anew."
            )
        if DOCTYPE.search(content[:PROLOGUE_BYTES]):
            raise InputError(
                f"{self.name} declares XML entities in its part {part}, which no office program "
                "does and which is refused. Open the workbook in Excel or LibreOffice and save it "
                "anew."
            )
        return content

    def verify(self) -> None:
        """Unpack every part once, keeping nothing; raises InputError when one is longer than
        declared or damaged.
        """
        for part in self._names:
            try:
                with self._archive.open(part) as stream:
                    while stream.read(CHUNK_BYTES):
                        pass
            except (
                zipfile.BadZipFile,
                zlib.error,
                EOFError,
                NotImplementedError,
                OSError,
            ) as error:
                raise damaged(self.name, error) from error


def damaged(name: str, error: Exception) -> InputError:
    """Return the error for a workbook whose bytes cannot be made sense of."""
    return InputError(
        f"{name} cannot be read as a workbook ({type(error).__name__}: {error}). It may be damaged "
        "or only half copied: open it in Excel or LibreOffice, save it anew as .xlsx, and give "
        "that file."
    )


def password_protected(name: str) -> InputError:
    """Return the error for an encrypted workbook."""
    return InputError(
        f"{name} is protected by a password and cannot be read. Open it, save a copy without the "
        "password (File › Info › Protect Workbook › Encrypt with Password, and empty the field), "
        "and give that copy."
    )
