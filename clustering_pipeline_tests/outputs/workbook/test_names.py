"""Names of clusters."""

import pandas as pd
import pytest

from clustering_pipeline.outputs.workbook.labelling import common_words, suggest_names


@pytest.mark.parametrize(
    ("titles", "name"),
    [
        (["Mặt nạ mật ong 25 ml", "Mặt nạ mật ong 25ml mẫu mới"], "Mặt nạ mật ong 25 ml"),
        (
            ["KEM CHỐNG NẮNG ABC 50ML", "Kem chống nắng ABC 50ml - freeship"],
            "Kem chống nắng ABC 50 ml",
        ),
        (["Kem Hada Labo 50g", "Kem Hada Labo 50 g", "Kem Hada Labo"], "Kem Hada Labo 50 g"),
        (["Kem Hada Labo 50g", "Kem Hada Labo", "Kem Hada Labo"], "Kem Hada Labo 50 g"),
        (["Kem Hada Labo 50g", "Kem Hada Labo 100g", "Kem Hada Labo"], "Kem Hada Labo"),
        (["Combo 2 chai dầu gội 650ml"], "Combo 2 chai dầu gội 650 ml"),
        (["dầu gội 650ml"], "Dầu gội 650 ml"),
        (["SỮA CHỐNG NẮNG ANESSA SPF50+ 60ML"], "Sữa chống nắng anessa SPF50+ 60 ml"),
        (
            ["[Mã giảm 10%] Toner XYZ chính hãng", "(HOT) Toner XYZ chính hãng", "toner xyz"],
            "Toner XYZ",
        ),
        (["Sữa rửa mặt", "Tẩy trang"], ""),
        (["Chính hãng"], ""),
        ([], ""),
    ],
)
def test_a_name_is_what_titles_share(titles, name):
    assert common_words(titles) == name


def named(*titles: str | None, texts=None) -> dict[int, str]:
    """The name of a cluster of the first two titles and of one of the rest."""
    listings = range(len(titles))
    catalogue = pd.DataFrame({"listing": listings, "title": list(titles)})
    clusters = pd.DataFrame(
        {
            "listing": listings,
            "status": "clustered",
            "cluster_id": [1 if listing < 2 else 2 for listing in listings],
            "crop_sha256": [f"crop {listing}" for listing in listings],
        }
    )
    return suggest_names(catalogue, clusters, texts)


def test_without_titles_the_pack_and_else_no_name():
    texts = {"crop 0": ["SUNPLAY", "SPF 50"], "crop 1": ["Sunplay", "SPF 50", "75g"]}
    names = named(None, None, None, None, texts=texts)
    assert set(names) == {1}
    assert names[1].startswith("Sunplay SPF 50")


def test_words_of_titles_that_shout_are_written_as_others_write_them():
    names = named(
        "CÀ PHÊ HÒA TAN HƯƠNG QUÊ 20GÓI",
        "CÀ PHÊ HÒA TAN HƯƠNG QUÊ 20 GÓI",
        "Cà phê hòa tan Hương Quê 10 gói",
        "Cà phê hòa tan Hương Quê 10 gói",
    )
    assert names == {
        1: "Cà phê hòa tan Hương Quê 20 gói",
        2: "Cà phê hòa tan Hương Quê 10 gói",
    }


def test_a_long_name_is_cut_between_words_and_keeps_its_quantity():
    long = "Kem dưỡng da ban đêm phục hồi chuyên sâu cho da nhạy cảm và da khô thiếu ẩm lâu năm"
    (name,) = named(f"{long} 50ml", f"{long} 50 ml").values()
    assert len(name) <= 80
    assert name.endswith(" 50 ml")
    assert name.removesuffix(" 50 ml") in long
