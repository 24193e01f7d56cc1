"""Pictures as folders."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from clustering_pipeline.core.errors import InputError
from clustering_pipeline.imaging import decode_image, to_png
from clustering_pipeline.outputs.workbook import export_pictures, picture_table
from clustering_pipeline.outputs.workbook.export import safe_name
from clustering_pipeline.storage import BlobStore


@pytest.fixture
def tables(tmp_path):
    """Four listings: a cluster of two, one alone, one rejected; the second shows the picture of the
    first.
    """
    blobs = BlobStore(str(tmp_path / "blobs"))
    pictures = [blobs.put(to_png(np.full((20, 30, 3), shade, np.uint8))) for shade in (10, 90, 170)]
    images = [pictures[0], pictures[0], pictures[1], pictures[2]]
    listings = range(4)
    return {
        "blobs": blobs,
        "catalogue": pd.DataFrame(
            {"listing": listings, "product_base_id": ["../a", "b", "B", None]}
        ),
        "raw_images": pd.DataFrame(
            {"listing": listings, "position": 0, "image_sha256": images, "format": "PNG"}
        ),
        "crops": pd.DataFrame(
            {
                "image_sha256": pictures,
                "crop_sha256": ["x", "y", "z"],
                "is_main": True,
                "x0": 5,
                "y0": 0,
                "x1": 15,
                "y1": 20,
            }
        ),
        "clean_images": pd.DataFrame(
            {"crop_sha256": ["x", "y", "z"], "status": ["kept", "kept", "rejected"]}
        ),
        "clusters": pd.DataFrame(
            {
                "listing": listings,
                "cluster_id": pd.array([7, 7, -1, None], "Int64"),
                "cluster_name": ["Kem: 50/ml", "Kem: 50/ml", None, None],
                "status": ["clustered", "clustered", "no_match", "rejected"],
            }
        ),
    }


def export(folder, tables, **choices):
    manifests = {name: table for name, table in tables.items() if name != "blobs"}
    return export_pictures(folder, picture_table(**manifests), blobs=tables["blobs"], **choices)


def exported(folder):
    return sorted(
        path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()
    )


def test_a_folder_per_cluster(tables, tmp_path):
    result = export(tmp_path / "out", tables)
    assert exported(tmp_path / "out") == [
        "00007 Kem_ 50_ml/_a-0.png",
        "00007 Kem_ 50_ml/b-0.png",
        "no_match/B-0.png",
        "rejected/no id-0.png",
    ]
    assert (result.files, result.folders, result.skipped) == (4, 3, 0)


def test_a_folder_per_product_mixes_up_no_ids_on_any_file_system(tables, tmp_path):
    export(tmp_path / "out", tables, by="product")
    assert exported(tmp_path / "out") == [
        "_a/_a-0.png",
        "b/B-0 (2).png",
        "b/b-0.png",
        "no id/no id-0.png",
    ]


def test_only_kept_crops(tables, tmp_path):
    export(tmp_path / "out", tables, cut=True, kept_only=True)
    assert exported(tmp_path / "out") == ["00007 Kem_ 50_ml/_a-0.jpg", "no_match/B-0.jpg"]
    assert decode_image((tmp_path / "out/no_match/B-0.jpg").read_bytes()).shape == (20, 10, 3)


def test_linked_pictures_share_the_stored_bytes(tables, tmp_path):
    export(tmp_path / "out", tables, link=True)
    assert (tmp_path / "out/no_match/B-0.png").stat().st_nlink > 1


def test_a_folder_in_use_is_refused(tables, tmp_path):
    (tmp_path / "mine.txt").touch()
    with pytest.raises(InputError, match="empty folder"):
        export(tmp_path, tables)


def test_a_picture_that_is_gone_is_counted(tables, tmp_path):
    digest = tables["raw_images"]["image_sha256"][3]
    tables["blobs"].files.remove(tables["blobs"].path_of(digest))
    assert export(tmp_path / "out", tables).skipped == 1


@pytest.mark.parametrize("name", ["CON", "nul.txt", "..", "", "a\u202egpj.exe", "x" * 300, "a. . "])
def test_names_that_systems_refuse_become_safe(name):
    safe = safe_name(name)
    assert (
        safe
        and len(safe) <= 81
        and safe not in ("..", "CON", "nul.txt")
        and not safe.endswith((".", " "))
    )


@given(st.text(max_size=120))
def test_any_text_becomes_a_single_safe_name(text):
    safe = safe_name(text)
    assert (
        safe
        and "/" not in safe
        and "\\" not in safe
        and "\0" not in safe
        and safe not in (".", "..")
    )
