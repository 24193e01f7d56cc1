"""Names of clusters."""

import pandas as pd
import pytest

from clustering_pipeline.outputs.workbook.labelling import common_words, suggest_names


@pytest.mark.parametrize(
    ("titles", "name"),
    [
        (["Mặt nạ mật ong 25 ml", "Mặt nạ mật ong 25 ml mẫu mới"], "Mặt nạ mật ong 25 ml"),
        (
            ["KEM CHỐNG NẮNG ABC 50ML", "Kem chống nắng ABC 50ml - freeship"],
            "Kem chống nắng ABC 50ml",
        ),
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


def test_without_titles_the_pack_then_the_category():
    catalogue = pd.DataFrame({"listing": range(4), "title": [None] * 4})
    clusters = pd.DataFrame(
        {
            "listing": range(4),
            "status": "clustered",
            "cluster_id": [1, 1, 2, 2],
            "crop_sha256": ["a", "b", "c", "d"],
        }
    )
    texts = {"a": ["SUNPLAY", "SPF 50"], "b": ["Sunplay", "SPF 50", "75g"]}
    assert suggest_names(catalogue, clusters, texts, "Kem chống nắng") == {
        1: "Sunplay SPF 50",
        2: "Kem chống nắng",
    }
