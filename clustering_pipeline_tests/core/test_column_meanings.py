"""What the columns of the manifests mean, as people read it."""

from importlib.resources import files

from clustering_pipeline.core.manifests import MANIFESTS, column_meanings


def test_every_column_has_a_meaning_and_every_meaning_a_column():
    for manifest in MANIFESTS.values():
        assert all(column_meanings(manifest).values())
    lines = files("clustering_pipeline.core").joinpath("columns.tsv").read_text("utf-8")
    named = [tuple(line.split("\t")[:2]) for line in lines.splitlines()[1:]]
    assert len(named) == len(set(named))
    columns = {(one.name, name) for one in MANIFESTS.values() for name in one.schema.names}
    shared = {name for _, name in columns}
    for manifest, column in named:
        assert column in shared if manifest == "*" else (manifest, column) in columns


def test_a_manifest_may_mean_something_of_its_own():
    assert column_meanings(MANIFESTS["overruled_pictures"]) == {
        "image_sha256": "A picture that people want kept whatever its quality"
    }
    crops, clean = (column_meanings(MANIFESTS[name]) for name in ("crops", "clean_images"))
    assert crops["image_sha256"] == clean["image_sha256"]
