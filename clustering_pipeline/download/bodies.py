"""Reading a body in bounded memory, whatever the server sends."""

import asyncio
import zlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp

LARGE_BYTES = 2_000_000
_LARGE_AT_ONCE = 8
_ZLIB_WINDOWS = {"gzip": 31, "x-gzip": 31, "deflate": 15}
READABLE_ENCODINGS = frozenset({"", "identity", *_ZLIB_WINDOWS})


class LargeBodies:
    """Bounds the memory of answers: only `places` bodies at once may grow beyond `LARGE_BYTES`; the others stop reading."""

    def __init__(self, places: int = _LARGE_AT_ONCE) -> None:
        self._places = asyncio.Semaphore(places)

    @asynccontextmanager
    async def visit(self) -> AsyncIterator["LargeBodyPass"]:
        """Give a request its pass; the place that it may take is free again when the answer was dealt with."""
        visitor = LargeBodyPass(self._places)
        try:
            yield visitor
        finally:
            visitor.leave()


class LargeBodyPass:
    """One request's right to a place among the large bodies."""

    def __init__(self, places: asyncio.Semaphore) -> None:
        self._places = places
        self._is_held = False

    async def grow(self, length: int) -> None:
        """Wait for a place once a body of `length` bytes is large."""
        if length > LARGE_BYTES and not self._is_held:
            await self._places.acquire()
            self._is_held = True

    def leave(self) -> None:
        """Give the place back, if one was taken."""
        if self._is_held:
            self._places.release()


async def read_body(response: aiohttp.ClientResponse, encoding: str, limit: int, large: LargeBodyPass) -> bytes | None:
    """Return the decoded body, None when it is over `limit` bytes; raises ClientPayloadError when it is damaged."""
    decoder = zlib.decompressobj(_ZLIB_WINDOWS[encoding]) if encoding in _ZLIB_WINDOWS else None
    body = bytearray()
    async for chunk in response.content.iter_any():
        try:
            body += decoder.decompress(chunk, limit + 1 - len(body)) if decoder else chunk
        except zlib.error as error:
            raise aiohttp.ClientPayloadError("damaged compression") from error
        if len(body) > limit:
            # Closed rather than read to its end; the connection is not used again.
            response.close()
            return None
        await large.grow(len(body))
    if decoder and not decoder.eof:
        raise aiohttp.ClientPayloadError("incomplete compression")
    return bytes(body)
