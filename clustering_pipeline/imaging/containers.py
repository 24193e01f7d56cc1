"""The chunks and segments that a PNG or JPEG is made of: what its pixels need, and how often a
decoder passes over them.

PNG: ISO/IEC 15948, clause 5. JPEG: ITU-T T.81, annex B.
"""

import re
import struct
import zlib
from collections.abc import Iterator

PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
JPEG_SIGNATURE = b"\xff\xd8"
PNG_END = b"\0\0\0\0IEND\xaeB`\x82"
# Beside the critical chunks, whose names begin with a capital: transparency, orientation, frames.
KEPT_CHUNKS = (b"tRNS", b"eXIf", b"acTL", b"fcTL", b"fdAT")
CHUNK_BYTES = 12
# Within a scan only stuffed bytes and restart markers follow 0xff.
END_OF_SCAN = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")
START_OF_SCAN = 0xDA
ALONE = (0x01, *range(0xD0, 0xD9))


def png_pixels(content: bytes) -> bytes:
    """Return a PNG without the chunks that say nothing of its pixels, however large or damaged they
    are, and with an end where that alone is missing.

    Chunks that pixels need are kept as they are; one that is cut off ends what is returned.
    """
    view = memoryview(content)
    parts = [view[: len(PNG_SIGNATURE)]]
    position = len(PNG_SIGNATURE)
    while position + 8 <= len(content):
        length, name = struct.unpack_from(">I4s", content, position)
        end = position + CHUNK_BYTES + length
        is_critical = not name[0] & 0x20
        if name == b"IEND" or (end > len(content) and not is_critical):
            break
        chunk = view[position:end]
        if is_critical or (name in KEPT_CHUNKS and _is_intact(chunk)):
            parts.append(chunk)
        if end > len(content):
            return b"".join(parts)
        position = end
    return b"".join([*parts, PNG_END])


def _is_intact(chunk: memoryview) -> bool:
    return zlib.crc32(chunk[4:-4]) == int.from_bytes(chunk[-4:], "big")


def jpeg_scans(content: bytes) -> int:
    """Return how many scans a JPEG has; a progressive one is decoded once over for each."""
    return sum(marker == START_OF_SCAN for marker in _markers(content))


def _markers(content: bytes) -> Iterator[int]:
    position = len(JPEG_SIGNATURE)
    while position + 4 <= len(content):
        if content[position] != 0xFF:
            return
        marker = content[position + 1]
        if marker == 0xFF:
            position += 1
            continue
        yield marker
        position += 2
        if marker not in ALONE:
            position += int.from_bytes(content[position : position + 2], "big")
        if marker == START_OF_SCAN:
            found = END_OF_SCAN.search(content, position)
            position = found.start() if found else len(content)
