"""Serves synthetic pictures from memory on loopback: `python -m benchmarks.picture_server COUNT`
prints its port.

`/N.jpg` is one of COUNT JPEGs of 20 to 60 KB, `/small/N.jpg` a tiny JPEG; a comment makes the bytes
of every N different. `/drawn/N.jpg` is a JPEG of 64 pixels that shows something else for every N.
`/requests` answers with a JSON list: how many pictures were asked for, and
how many different ones.
"""

import asyncio
import io
import json
import sys
from typing import ClassVar

import numpy as np
from PIL import Image


def draw_picture(seed: int) -> bytes:
    """Return a JPEG of smooth colours with grain, between 20,000 and 60,000 bytes."""
    generator = np.random.default_rng(seed)
    wanted = int(generator.integers(22_000, 58_000))
    side = int(generator.integers(360, 640))
    colours = Image.fromarray(generator.integers(0, 255, (10, 10, 3), np.uint8)).resize(
        (side, side), Image.Resampling.BICUBIC
    )
    grain = generator.normal(0, 1, (side, side, 1))
    low, high = 0.0, 60.0
    for _ in range(6):
        strength = (low + high) / 2
        content = _encode(np.asarray(colours) + grain * strength)
        low, high = (strength, high) if len(content) < wanted else (low, strength)
    return content


def _blotches(seed: int) -> bytes:
    colours = np.random.default_rng(seed).integers(0, 255, (6, 6, 3), np.uint8)
    return _encode(np.asarray(Image.fromarray(colours).resize((64, 64), Image.Resampling.BICUBIC)))


def _encode(pixels: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8)).save(buffer, "JPEG", quality=80)
    return buffer.getvalue()


class PictureServer(asyncio.Protocol):
    """One connection; what is counted and served is shared by all."""

    pictures: ClassVar[list[bytes]] = []
    small: ClassVar[bytes] = b""
    asked: ClassVar[list[bytes]] = []

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin with nothing received."""
        self.transport: asyncio.WriteTransport = transport  # type: ignore[assignment]
        self.received = b""

    def data_received(self, data: bytes) -> None:
        """Answer every whole request."""
        self.received += data
        while b"\r\n\r\n" in self.received:
            head, _, self.received = self.received.partition(b"\r\n\r\n")
            self._answer(head.split(b" ", 2)[1], closes=b"connection: close" in head.lower())

    def _answer(self, path: bytes, *, closes: bool) -> None:
        body = self._body(path)
        closing = b"Connection: close\r\n" if closes else b""
        head = b"HTTP/1.1 200 OK\r\nContent-Type: image/jpeg\r\n%bContent-Length: %d\r\n\r\n" % (
            closing,
            len(body),
        )
        self.transport.writelines([head, body])
        if closes:
            self.transport.close()

    def _body(self, path: bytes) -> bytes:
        if path == b"/requests":
            return json.dumps([len(self.asked), len(set(self.asked))]).encode()
        self.asked.append(path)
        if path.startswith(b"/drawn/"):
            return _blotches(int(path[7:-4]))
        is_small = path.startswith(b"/small/")
        picture = self.small if is_small else self.pictures[int(path[1:-4]) % len(self.pictures)]
        comment = b"\xff\xfe" + (len(path) + 2).to_bytes(2, "big") + path
        return picture[:2] + comment + picture[2:]


async def _serve() -> None:
    server = await asyncio.get_running_loop().create_server(
        PictureServer, "127.0.0.1", 0, backlog=4096
    )
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


def main() -> None:
    """Draw the pictures and serve until killed."""
    PictureServer.pictures = [draw_picture(seed) for seed in range(int(sys.argv[1]))]
    PictureServer.small = _encode(np.full((12, 12, 3), 200.0))
    asyncio.run(_serve())


if __name__ == "__main__":
    main()
