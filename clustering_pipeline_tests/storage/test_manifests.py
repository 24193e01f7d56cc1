"""Manifests that an earlier version wrote."""

import pyarrow as pa

from clustering_pipeline.core.manifests import LOCAL_FEATURES, write_parquet
from clustering_pipeline.storage.files import FileTree
from clustering_pipeline.storage.manifests import ManifestStore


def test_a_manifest_of_an_earlier_version_has_later_columns_without_values(tmp_path):
    store = ManifestStore(FileTree(str(tmp_path)))
    earlier = pa.schema([field for field in LOCAL_FEATURES.schema if "template" not in field.name])
    row = {"crop_sha256": "c", "features": "f", "x0": 0, "y0": 0, "x1": 9, "y1": 9, "copies": 1}
    content = write_parquet(pa.Table.from_pylist([row], schema=earlier))
    store.files.write(store.path_of("local_features", "kem"), content)
    frame = store.read("local_features", "kem")
    assert set(frame.columns) == set(LOCAL_FEATURES.schema.names)
    assert frame["template"].isna().all() and frame["template_pictures"].isna().all()
    assert frame["x1"].tolist() == [9]
