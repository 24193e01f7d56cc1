"""Bad answers and files as they occur, each with the kind that it has to be given, and good ones
that look odd.
"""

import gzip
import io
import struct
import zlib
from dataclasses import dataclass

import numpy as np
from PIL import Image

from clustering_pipeline_tests.stages.download.server import chunked, cut, drip, reply, silence

LARGEST = 300_000


@dataclass(frozen=True)
class Case:
    """`kind`: the expected one, None for a picture."""

    name: str
    kind: str | None
    url: str


def encoded(image, format, **options):
    buffer = io.BytesIO()
    image.save(buffer, format, **options)
    return buffer.getvalue()


def photo(size=(64, 48), mode="RGB"):
    noise = np.random.default_rng(3).integers(0, 255, (size[1], size[0], 3), np.uint8)
    return Image.fromarray(noise).convert(mode)


def half(content):
    return content[: len(content) // 2]


def png_chunk(name, content):
    return (
        struct.pack(">I", len(content))
        + name
        + content
        + struct.pack(">I", zlib.crc32(name + content))
    )


def png_header(width, height):
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + png_chunk(b"IHDR", header)
        + png_chunk(b"IDAT", zlib.compress(b"\0" * 1000))
    )


def bmp_header(width, height):
    content = encoded(photo(), "BMP")
    return content[:18] + struct.pack("<ii", width, height) + content[26:]


def gif_header(width, height):
    return b"GIF89a" + struct.pack("<HH", width, height) + encoded(photo(), "GIF")[10:]


def damaged_png():
    content = bytearray(encoded(photo(), "PNG"))
    content[len(content) // 2] ^= 0xFF
    return bytes(content)


JPEG = encoded(photo(), "JPEG")
STATUSES = {
    400: "http_error", 401: "forbidden", 402: "http_error", 403: "forbidden", 404: "not_found", 405: "http_error",
    406: "http_error", 407: "forbidden", 408: "timeout", 410: "not_found", 418: "http_error", 425: "http_error",
    429: "rate_limited", 451: "forbidden", 500: "server_error", 501: "server_error", 502: "server_error", 503: "server_error",
    504: "server_error", 520: "server_error", 304: "http_error", 300: "http_error",
}  # fmt: skip

FILES = {
    "empty": (b"", "not_an_image"),
    "web page": (b"<!DOCTYPE html><html><body>404</body></html>", "not_an_image"),
    "web page after spaces": (b"\n\n  <html></html>", "not_an_image"),
    "json": (b'{"error": "gone"}', "not_an_image"),
    "text": (b"image not found", "not_an_image"),
    "pdf": (b"%PDF-1.7 " + b"x" * 500, "not_an_image"),
    "zip": (b"PK\x03\x04" + b"\0" * 500, "not_an_image"),
    "gzip file": (gzip.compress(JPEG), "not_an_image"),
    "random bytes": (bytes(range(256)) * 8, "not_an_image"),
    "zeros": (b"\0" * 5000, "not_an_image"),
    "svg": (b'<svg xmlns="http://www.w3.org/2000/svg"></svg>', "unsupported_format"),
    "svg after a declaration": (b'<?xml version="1.0"?><svg></svg>', "unsupported_format"),
    "heic": (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + b"\0" * 500, "unsupported_format"),
    "windows icon": (encoded(photo((32, 32)), "ICO"), "unsupported_format"),
    "photoshop": (b"8BPS\0\1" + b"\0" * 500, "unsupported_format"),
    "jpeg xl": (b"\xff\x0a" + b"\0" * 500, "unsupported_format"),
    "jpeg 2000": (encoded(photo(), "JPEG2000"), "unsupported_format"),
    "postscript": (b"%!PS-Adobe-3.0 EPSF-3.0\n", "unsupported_format"),
    "half a jpeg": (half(JPEG), "truncated"),
    "half a progressive jpeg": (half(encoded(photo(), "JPEG", progressive=True)), "truncated"),
    "jpeg without its end": (JPEG[:-40], "truncated"),
    "jpeg signature": (b"\xff\xd8\xff\xe0", "truncated"),
    "half a png": (half(encoded(photo(), "PNG")), "truncated"),
    "damaged png": (damaged_png(), "truncated"),
    "png signature": (b"\x89PNG\r\n\x1a\n", "truncated"),
    "half a webp": (half(encoded(photo(), "WEBP")), "truncated"),
    "half a lossless webp": (half(encoded(photo(), "WEBP", lossless=True)), "truncated"),
    "half a gif": (half(encoded(photo(), "GIF")), "truncated"),
    "half a bmp": (half(encoded(photo(), "BMP")), "truncated"),
    "half a tiff": (half(encoded(photo(), "TIFF")), "truncated"),
    "half an avif": (half(encoded(photo(), "AVIF")), "truncated"),
    "png bomb": (png_header(50_000, 50_000), "bomb"),
    "gif bomb": (gif_header(65_535, 65_535), "bomb"),
    "bmp bomb": (bmp_header(30_000, 30_000), "bomb"),
    "tracking pixel": (encoded(photo((1, 1)), "GIF"), "too_small"),
    "thin line": (encoded(photo((500, 1)), "PNG"), "too_small"),
    "file over the limit": (JPEG + b"\0" * LARGEST, "too_large"),
    "rgb jpeg": (JPEG, None),
    "cmyk jpeg": (encoded(photo(mode="CMYK"), "JPEG"), None),
    "grey jpeg": (encoded(photo(mode="L"), "JPEG"), None),
    "progressive jpeg": (encoded(photo(), "JPEG", progressive=True), None),
    "palette png": (encoded(photo(mode="P"), "PNG"), None),
    "transparent png": (encoded(photo(mode="RGBA"), "PNG"), None),
    "16-bit png": (encoded(Image.fromarray(np.full((40, 40), 40_000, np.uint16)), "PNG"), None),
    "webp": (encoded(photo(), "WEBP"), None),
    "avif": (encoded(photo(), "AVIF"), None),
    "animated gif": (encoded(photo(), "GIF", save_all=True, append_images=[photo(mode="L")]), None),
    "bmp": (encoded(photo(), "BMP"), None),
    "tiff": (encoded(photo(), "TIFF"), None),
    "jpeg with a tail": (JPEG + b"\0" * 500, None),
}

ADDRESSES = {
    "http://127.0.0.1/a.jpg": "blocked_address",
    "http://127.1/a.jpg": "blocked_address",
    "http://0x7f.1/a.jpg": "blocked_address",
    "http://2130706433/a.jpg": "blocked_address",
    "http://017700000001/a.jpg": "blocked_address",
    "http://０x7f.1/a.jpg": "blocked_address",
    "http://localhost/a.jpg": "blocked_address",
    "http://[::1]/a.jpg": "blocked_address",
    "http://[::]/a.jpg": "blocked_address",
    "http://[::ffff:127.0.0.1]/a.jpg": "blocked_address",
    "http://[::ffff:7f00:1]/a.jpg": "blocked_address",
    "http://[64:ff9b::10.0.0.1]/a.jpg": "blocked_address",
    "http://[fe80::1]/a.jpg": "blocked_address",
    "http://[ff02::1]/a.jpg": "blocked_address",
    "http://169.254.169.254/latest/meta-data/": "blocked_address",
    "http://168.63.129.16/": "blocked_address",
    "http://10.0.0.1/a.jpg": "blocked_address",
    "http://192.168.1.1/a.jpg": "blocked_address",
    "http://100.64.0.1/a.jpg": "blocked_address",
    "http://0.0.0.0/a.jpg": "blocked_address",
    "http://224.0.0.1/a.jpg": "blocked_address",
    "http://255.255.255.255/a.jpg": "blocked_address",
    "http://no-such-shop.invalid/a.jpg": "dns",
    "ftp://shop.vn/a.jpg": "invalid_url",
    "javascript:alert(1)": "invalid_url",
    "data:image/png;base64,AAAA": "invalid_url",
    "file:///etc/passwd": "invalid_url",
    "http://": "invalid_url",
    "https:///a.jpg": "invalid_url",
    "http://shop.vn:99999/a.jpg": "invalid_url",
    "http://shop..vn/a.jpg": "invalid_url",
    "http://[::1/a.jpg": "invalid_url",
    "http://[fe80::1%25eth0]/a.jpg": "invalid_url",
    "C:\\photos\\a.jpg": "invalid_url",
    "n/a": "invalid_url",
    "http://" + "a" * 64 + ".vn/": "invalid_url",
    "http://shop.vn/" + "a" * 9_000: "invalid_url",
}


def behaviours():
    """Answers that are more than a status and a body: name → (answer, kind)."""
    head = b"HTTP/1.1 200 OK\r\nContent-Type: image/jpeg\r\n"
    counted, in_chunks = (
        head + b"Content-Length: 100000\r\n\r\n",
        head + b"Transfer-Encoding: chunked\r\n\r\n",
    )
    bomb = gzip.compress(b"\0" * (LARGEST * 20))
    return {
        "closes without a word": (cut(b""), "connect"),
        "closes within the header": (cut(b"HTTP/1.1 200 OK\r\nContent-"), "connect"),
        "breaks off in a counted body": (cut(counted + JPEG), "truncated"),
        "breaks off in a chunked body": (cut(in_chunks + b"400\r\n" + JPEG[:500]), "truncated"),
        "closes a body without a length early": (cut(head + b"\r\n" + half(JPEG)), "truncated"),
        "announces too much": (reply(200, b"x", length=10**9), "too_large"),
        "sends chunks without end": (
            drip(in_chunks, b"10000\r\n" + b"x" * 65_536 + b"\r\n", 0.001),
            "too_large",
        ),
        "gzip bomb": (reply(200, bomb, Content_Encoding="gzip"), "too_large"),
        "gzip of a picture": (reply(200, gzip.compress(JPEG), Content_Encoding="gzip"), None),
        "deflate of a picture": (reply(200, zlib.compress(JPEG), Content_Encoding="deflate"), None),
        "half a gzip": (
            reply(200, half(gzip.compress(JPEG)), Content_Encoding="gzip"),
            "truncated",
        ),
        "damaged gzip": (reply(200, b"no gzip at all", Content_Encoding="gzip"), "truncated"),
        "brotli": (reply(200, JPEG, Content_Encoding="br"), "unsupported_format"),
        "never answers": (silence, "timeout"),
        "stops after the header": (drip(counted, b"", 60), "timeout"),
        "drips": (drip(counted, b"x", 0.1), "timeout"),
        "drips its header": (drip(b"HTTP/1.1 200 OK\r\n", b"X-A: b\r\n", 1), "timeout"),
        "mail server": (b"220 mail.shop.vn ESMTP\r\n", "http_error"),
        "binary noise": (bytes(range(200)), "http_error"),
        "header too long": (b"HTTP/1.1 200 OK\r\nX: " + b"a" * 100_000 + b"\r\n\r\n", "http_error"),
        "impossible status": (b"HTTP/1.1 xyz OK\r\n\r\n", "http_error"),
        "impossible length": (head + b"Content-Length: -5\r\n\r\n", "http_error"),
        "no content": (b"HTTP/1.1 204 No Content\r\n\r\n", "not_an_image"),
        "a part only": (reply(206, half(JPEG)), "truncated"),
        "wrong content type": (reply(200, JPEG, "text/html"), None),
        "no content type": (reply(200, JPEG, None), None),
        "chunked picture": (chunked(JPEG), None),
        "redirects to itself": (None, "too_many_redirects"),
        "redirects nowhere": (reply(302), "http_error"),
        "redirects to what is missing": (reply(301, Location="/not-there.jpg"), "not_found"),
        "redirects to a file": (reply(302, Location="file:///etc/passwd"), "invalid_url"),
        "redirects to metadata": (
            reply(307, Location="http://169.254.169.254/latest"),
            "blocked_address",
        ),
        "redirects to an odd spelling": (
            reply(308, Location="http://0x7f.0.0.1:9/a"),
            "blocked_address",
        ),
        "redirects to another port": (
            reply(302, Location="http://127.0.0.1:9/a"),
            "blocked_address",
        ),
        "redirects to a picture": (reply(303, Location="//{host}/good.jpg"), None),
    }


def cases(server):
    """Put every case on the server and return them."""
    server.serve("/good.jpg", reply(200, JPEG))
    found = [Case(url, kind, url) for url, kind in ADDRESSES.items()]
    found += [
        Case(f"status {status}", kind, server.serve(f"/status/{status}", reply(status)))
        for status, kind in STATUSES.items()
    ]
    for number, (name, (content, kind)) in enumerate(FILES.items()):
        found.append(Case(name, kind, server.serve(f"/file/{number}", reply(200, content))))
    for number, (name, (answer, kind)) in enumerate(behaviours().items()):
        path = f"/behaviour/{number}"
        if answer is None:
            answer = reply(302, Location=path)
        elif isinstance(answer, bytes):
            answer = answer.replace(b"{host}", server.host.encode())
        found.append(Case(name, kind, server.serve(path, answer)))
    return found
