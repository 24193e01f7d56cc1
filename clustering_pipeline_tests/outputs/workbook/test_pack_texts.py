"""Names from the print on packs."""

import numpy as np
import pandas as pd

from clustering_pipeline.outputs.workbook import pack_texts
from clustering_pipeline.outputs.workbook.contents import largest_lines
from clustering_pipeline.settings import MatchSettings
from clustering_pipeline.stages.contract import StageContext
from clustering_pipeline.stages.matching import TextLine
from clustering_pipeline.storage import BlobStore, FeatureTables


def line(text, height, confidence=0.9):
    return TextLine(
        text, confidence, np.array([[0, 0], [1, 0], [1, height], [0, height]], np.float32)
    )


def test_the_largest_readable_lines_in_reading_order():
    lines = [
        line("small", 0.01),
        line("SUNPLAY", 0.2),
        line("noise", 0.3, 0.2),
        *(line(f"l{n}", 0.1) for n in range(4)),
        line("tiny", 0.005),
    ]
    assert largest_lines(lines) == ["SUNPLAY", "l0", "l1", "l2", "l3"]
    assert largest_lines([]) == []


def test_only_packs_of_clusters_without_titles_are_looked_up_and_none_is_read_anew(tmp_path):
    catalogue = pd.DataFrame({"listing": range(4), "title": ["Kem", None, None, None]})
    clusters = pd.DataFrame(
        {
            "listing": range(4),
            "cluster_id": [1, 1, 2, 2],
            "status": "clustered",
            "crop_sha256": list("abcd"),
        }
    )
    features = pd.DataFrame(
        {"crop_sha256": list("abcd"), "x0": 0, "y0": 0, "x1": 9, "y1": 9, "template": None}
    )
    context = StageContext(
        BlobStore(str(tmp_path)), FeatureTables(str(tmp_path / "tables")), tmp_path
    )
    assert pack_texts(catalogue, clusters, features, MatchSettings(), context) == {}
