"""A synthetic catalogue on disk: pictures, the workbook that lists them, and the truth; and a
loopback shop that serves the pictures.
"""

import csv
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Literal

import cv2
import numpy as np
import openpyxl
from numpy.typing import NDArray

from clustering_pipeline.synthetic.products import Product, draw_products
from clustering_pipeline.synthetic.scenes import (
    Pose,
    Seller,
    decorate,
    draw_sellers,
    photograph,
    studio_picture,
)

Origin = Literal["own", "brand", "copy", "near_copy", "dead_link", "web_page", "blurred", "dark"]
PROBLEMS: tuple[Origin, ...] = (
    "dead_link",
    "dead_link",
    "dead_link",
    "web_page",
    "blurred",
    "dark",
)
_WEB_PAGE = (
    b"<!doctype html><html><title>Sorry</title><body><h1>This picture has moved</h1></body></html>"
)


@dataclass(frozen=True)
class SyntheticListing:
    """One row of a synthetic catalogue.

    `group` is the product's number, -1 where the picture shows nothing usable. `price`,
    `list_price`: as the shop writes them, "" where it names none; `sold`: likewise.
    """

    product_base_id: str
    title: str
    shop: str
    file_name: str
    group: int
    origin: Origin
    price: str = ""
    list_price: str = ""
    sold: str = ""


@dataclass(frozen=True)
class SyntheticCatalogue:
    """Where a synthetic catalogue lies: workbook, folder of pictures, and `labels.csv` with columns
    image and group.
    """

    workbook: Path
    images: Path
    truth: Path
    listings: tuple[SyntheticListing, ...]


def write_catalogue(
    folder: Path,
    base_url: str,
    *,
    products: int = 40,
    sellers: int = 12,
    seed: int = 0,
    listings_per_product: tuple[int, int] = (3, 8),
    problems: tuple[Origin, ...] = PROBLEMS,
    all_decorated: bool = False,
) -> SyntheticCatalogue:
    """Draw a catalogue into `folder`.

    Args:
        folder: receives `catalogue.xlsx`, `labels.csv` and `images/`; created when absent.
        base_url: where `images/` will be served, without a trailing slash.
        products: how many product models.
        sellers: how many shops they are spread over.
        seed: the same seed gives the same catalogue, to the byte of each picture.
        listings_per_product: fewest and most shops that list a product.
        problems: the broken listings at the end of the workbook.
        all_decorated: every shop has a frame and stickers.

    Returns:
        The paths, and what each row is.
    """
    images = folder / "images"
    images.mkdir(parents=True, exist_ok=True)
    shops = draw_sellers(sellers, seed, all_decorated=all_decorated)
    listings: list[SyntheticListing] = []
    for product in draw_products(products, seed):
        listings.extend(_list_product(images, product, shops, seed, listings_per_product))
    listings = _shuffled(listings, seed)
    for number, origin in enumerate(problems):
        listings.append(_add_problem(images, origin, number, draw_products(1, seed + 1)[0]))
    catalogue = SyntheticCatalogue(
        folder / "catalogue.xlsx", images, folder / "labels.csv", tuple(listings)
    )
    _write_workbook(catalogue, base_url)
    _write_truth(catalogue)
    return catalogue


def _shuffled(listings: list[SyntheticListing], seed: int) -> list[SyntheticListing]:
    order = np.random.default_rng([seed, 6]).permutation(len(listings))
    return [listings[index] for index in order]


def _list_product(
    images: Path,
    product: Product,
    shops: list[Seller],
    seed: int,
    listings_per_product: tuple[int, int],
) -> list[SyntheticListing]:
    rng = np.random.default_rng([seed, 5, product.number])
    fewest, most = listings_per_product
    chosen = rng.choice(
        len(shops), min(int(rng.integers(fewest, most + 1)), len(shops)), replace=False
    )
    listings: list[SyntheticListing] = []
    for position, shop in enumerate(shops[index] for index in chosen):
        origin = _choose_origin(rng, position)
        name = f"p{product.number:05d}-{position:02d}.jpg"
        if origin in ("copy", "near_copy"):
            content = (images / listings[int(rng.integers(position))].file_name).read_bytes()
            content = content if origin == "copy" else _encoded_again(content, rng)
        else:
            content = encode_jpeg(_picture(product, shop, origin, rng), int(rng.integers(60, 93)))
        (images / name).write_bytes(content)
        identifier = f"{27_000_000_000 + product.number * 1000 + position}"
        listings.append(
            SyntheticListing(
                identifier, _shop_title(product, rng), shop.name, name, product.number, origin
            )
        )
    return draw_offers(listings, seed, product.number)


def _choose_origin(rng: np.random.Generator, position: int) -> Origin:
    if position == 0:
        return "brand"
    drawn = rng.choice(4, p=[0.6, 0.2, 0.08, 0.12])
    origins: tuple[Origin, ...] = ("own", "brand", "copy", "near_copy")
    return origins[drawn]


def _picture(
    product: Product, shop: Seller, origin: Origin, rng: np.random.Generator
) -> NDArray[np.uint8]:
    side = int(rng.choice([320, 400, 520, 640]))
    if origin == "own":
        return photograph(
            product, shop, int(rng.integers(2**31)), Pose(float(rng.choice([0.3, 0.6, 0.9])), side)
        )
    picture = studio_picture(product, side)
    decorate(picture, shop)
    return picture


def _encoded_again(content: bytes, rng: np.random.Generator) -> bytes:
    decoded = np.asarray(cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR))
    picture = cv2.cvtColor(decoded, cv2.COLOR_BGR2RGB)
    scale = rng.uniform(0.5, 1.0)
    smaller = cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    return encode_jpeg(np.asarray(smaller, np.uint8), int(rng.integers(45, 85)))


def _shop_title(product: Product, rng: np.random.Generator) -> str:
    before = ("", "[CHÍNH HÃNG] ", "(Mã giảm 10%) ", "HOT - ", "")[rng.integers(5)]
    after = ("", " chính hãng", " - giao nhanh", " mẫu mới", "")[rng.integers(5)]
    joined = product.title.replace(product.volume, product.volume.replace(" ", ""))
    title = joined if rng.random() < 0.5 else product.title
    return before + (title.upper() if rng.random() < 0.1 else title) + after


def _add_problem(images: Path, origin: Origin, number: int, product: Product) -> SyntheticListing:
    name = f"x{number:05d}.jpg"
    content = _problem_content(origin, product)
    if content is not None:
        (images / name).write_bytes(content)
    return SyntheticListing(
        f"{99_000_000_000 + number}", product.title, "Chợ Online", name, -1, origin
    )


def _problem_content(origin: Origin, product: Product) -> bytes | None:
    if origin == "dead_link":
        return None
    if origin == "web_page":
        return _WEB_PAGE
    picture = photograph(product, None, 7, Pose(0.6))
    if origin == "blurred":
        return encode_jpeg(np.asarray(cv2.GaussianBlur(picture, (0, 0), 22), np.uint8), 90)
    return encode_jpeg((picture * 0.03).astype(np.uint8), 90)


def encode_jpeg(picture: NDArray[np.uint8], quality: int) -> bytes:
    """Return an (h, w, 3) uint8 RGB picture as JPEG; the same machine gives the same bytes."""
    _, encoded = cv2.imencode(
        ".jpg", cv2.cvtColor(picture, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, quality]
    )
    return encoded.tobytes()


# What shops ask of a product: so much of its usual price, but a few ask another price altogether.
CHEAPER, DEARER, ODD, ODD_FACTOR = 0.85, 1.2, 0.02, 3.0
LEAST_PRICE, MOST_PRICE = 45_000, 890_000


def draw_offers(
    listings: list[SyntheticListing], seed: int, product: int
) -> list[SyntheticListing]:
    """Return the listings of one product with prices around a usual one, as each shop writes
    them.
    """
    rng = np.random.default_rng([seed, 11, product])
    usual = float(np.exp(rng.uniform(np.log(LEAST_PRICE), np.log(MOST_PRICE))))
    priced = []
    for listing in listings:
        factor = rng.uniform(CHEAPER, DEARER) * (ODD_FACTOR if rng.random() < ODD else 1)
        price = int(round(usual * factor, -3))
        listed = int(round(price * rng.choice([1.0, 1.15, 1.3, 1.5]), -3))
        sold = int(10 ** rng.uniform(0, 4))
        priced.append(
            replace(
                listing,
                price=_written_price(price, int(rng.integers(4))),
                list_price=_written_price(listed, 0) if listed > price else "",
                sold=f"Đã bán {sold / 1000:.1f}k".replace(".", ",") if sold > 999 else str(sold),
            )
        )
    return priced


def _written_price(price: int, habit: int) -> str:
    grouped = f"{price:,}".replace(",", ".")
    return (f"₫{grouped}", f"{grouped}đ", grouped, f"{price // 1000}k")[habit]


def _write_workbook(catalogue: SyntheticCatalogue, base_url: str) -> None:
    workbook = openpyxl.Workbook()
    sheet = workbook.worksheets[0]
    sheet.title = "listings"
    sheet.append(
        ["product_base_id", "title", "shop", "url_thumbnail", "price", "list_price", "sold"]
    )
    for listing in catalogue.listings:
        sheet.append(
            [
                listing.product_base_id,
                listing.title,
                listing.shop,
                f"{base_url}/{listing.file_name}",
                listing.price or None,
                listing.list_price or None,
                listing.sold or None,
            ]
        )
    for column, width in zip("ABCDEFG", (16, 60, 20, 48, 13, 13, 14), strict=True):
        sheet.column_dimensions[column].width = width
    sheet.freeze_panes = "A2"
    workbook.save(catalogue.workbook)


def _write_truth(catalogue: SyntheticCatalogue) -> None:
    with catalogue.truth.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["image", "group"])
        writer.writerows((listing.file_name, listing.group) for listing in catalogue.listings)


class LoopbackShop:
    """Serves a folder on a free loopback port and counts the requests for each path."""

    def __init__(self, folder: Path) -> None:
        """`folder`: what is served; it may be filled after the start."""
        self.requests: Counter[str] = Counter()
        handler = partial(_CountingHandler, directory=str(folder), requests=self.requests)
        self._server = _Server(("127.0.0.1", 0), handler)

    @property
    def host(self) -> str:
        """HOST:PORT, as `--allow-host` wants it."""
        return f"127.0.0.1:{self._server.server_address[1]}"

    @property
    def url(self) -> str:
        """The address of the folder, without a trailing slash."""
        return f"http://{self.host}"

    def start(self) -> None:
        """Answer requests from a thread of its own."""
        threading.Thread(
            target=self._server.serve_forever, name="loopback-shop", daemon=True
        ).start()

    def stop(self) -> None:
        """Close the port."""
        self._server.shutdown()
        self._server.server_close()


@contextmanager
def serve_folder(folder: Path) -> Iterator[LoopbackShop]:
    """Serve `folder` on a free loopback port for as long as the context lasts."""
    shop = LoopbackShop(folder)
    shop.start()
    try:
        yield shop
    finally:
        shop.stop()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    # A downloader opens many connections at once; the default backlog of five would refuse some.
    request_queue_size = 256


class _CountingHandler(SimpleHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def __init__(self, *args: Any, requests: Counter[str], **kwargs: Any) -> None:
        self._requests = requests
        super().__init__(*args, **kwargs)

    def send_head(self) -> Any:
        self._requests[self.path] += 1
        return super().send_head()

    def list_directory(self, _path: Any) -> None:
        self.send_error(404)

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing: the terminal belongs to the progress bars."""
