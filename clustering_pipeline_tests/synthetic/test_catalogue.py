"""The synthetic catalogue: what it promises to the demo and to the benchmarks."""

import csv
import urllib.error
import urllib.request
from pathlib import Path

import openpyxl
import pytest

from clustering_pipeline.synthetic import (
    SyntheticCatalogue,
    draw_products,
    serve_folder,
    write_catalogue,
)


@pytest.fixture(scope="module")
def catalogue(tmp_path_factory: pytest.TempPathFactory) -> SyntheticCatalogue:
    return write_catalogue(
        tmp_path_factory.mktemp("catalogue"), "http://127.0.0.1:1", products=6, seed=3
    )


def test_same_seed_gives_the_same_pictures(catalogue: SyntheticCatalogue, tmp_path: Path):
    again = write_catalogue(tmp_path, "http://127.0.0.1:1", products=6, seed=3)
    assert again.listings == catalogue.listings
    for first in sorted(catalogue.images.iterdir()):
        assert (again.images / first.name).read_bytes() == first.read_bytes()


def test_workbook_and_truth_name_the_same_listings(catalogue: SyntheticCatalogue):
    rows = list(openpyxl.load_workbook(catalogue.workbook).active.values)
    assert rows[0][0] == "product_base_id"
    assert rows[0][3] == "url_thumbnail"
    with catalogue.truth.open(encoding="utf-8") as file:
        truth = list(csv.DictReader(file))
    assert [row[3].rsplit("/", 1)[1] for row in rows[1:]] == [row["image"] for row in truth]


def test_each_product_has_three_to_eight_listings_and_problems_stand_alone(
    catalogue: SyntheticCatalogue,
):
    groups = [listing.group for listing in catalogue.listings]
    assert {group for group in groups if group >= 0} == set(range(6))
    assert all(3 <= groups.count(number) <= 8 for number in range(6))
    assert [listing.origin for listing in catalogue.listings if listing.group == -1] == [
        "dead_link", "dead_link", "dead_link", "web_page", "blurred", "dark",
    ]  # fmt: skip


def test_titles_keep_their_words_apart(catalogue: SyntheticCatalogue):
    words = {word for product in draw_products(6, seed=3) for word in product.title.lower().split()}
    volumes = {product.volume.replace(" ", "").lower() for product in draw_products(6, seed=3)}
    added = {
        "[chính",
        "hãng]",
        "chính",
        "hãng",
        "(mã",
        "giảm",
        "10%)",
        "hot",
        "-",
        "giao",
        "nhanh",
        "mẫu",
        "mới",
    }
    titles = [listing.title.lower() for listing in catalogue.listings if listing.group >= 0]
    assert {word for title in titles for word in title.split()} <= words | volumes | added


def test_ids_are_unique(catalogue: SyntheticCatalogue):
    assert len({listing.product_base_id for listing in catalogue.listings}) == len(
        catalogue.listings
    )


def test_exact_copies_have_the_bytes_of_another_listing(tmp_path: Path):
    catalogue = write_catalogue(tmp_path, "http://127.0.0.1:1", products=14, seed=0)
    contents = [
        path.read_bytes()
        for path in catalogue.images.iterdir()
        if path.name in {x.file_name for x in catalogue.listings}
    ]
    copies = sum(listing.origin == "copy" for listing in catalogue.listings)
    assert copies > 0
    assert len(contents) - len(set(contents)) == copies


def test_shop_serves_counts_and_refuses_what_is_not_there(catalogue: SyntheticCatalogue):
    name = catalogue.listings[0].file_name
    with serve_folder(catalogue.images) as shop:
        assert (
            urllib.request.urlopen(f"{shop.url}/{name}").read()
            == (catalogue.images / name).read_bytes()
        )
        for path in ("missing.jpg", "", "../labels.csv"):
            with pytest.raises(urllib.error.HTTPError):
                urllib.request.urlopen(f"{shop.url}/{path}")
        assert shop.requests[f"/{name}"] == 1
