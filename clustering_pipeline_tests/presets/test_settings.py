from pathlib import Path

import numpy as np
import pytest

from clustering_pipeline.settings.layers import read_layer
from clustering_pipeline.settings.pipeline import resolve
from clustering_pipeline.stages.clustering import CLUSTERING_METHODS
from clustering_pipeline.stages.clustering.tuning import choose_parameters
from clustering_pipeline.stages.detection import DETECTORS
from clustering_pipeline.stages.embedding import ENCODERS
from clustering_pipeline_tests.stages.clustering.test_methods import (
    blobs,
    problem_of,
    same_partition,
)

PRESETS = sorted((Path(__file__).parents[2] / "docs" / "presets").glob("*.yaml"))


def test_the_five_published_systems_have_a_preset():
    assert [path.stem for path in PRESETS] == [
        "case-study",
        "clip-dbscan",
        "fashion-search",
        "resnet-dedup",
        "vgg-spectral",
    ]


@pytest.mark.parametrize("path", PRESETS, ids=lambda path: path.stem)
def test_a_preset_names_what_there_is_and_groups(path):
    settings = resolve([read_layer(path)])
    assert settings.crops.detector in DETECTORS
    assert settings.embeddings.encoder in ENCODERS
    vectors, truth = blobs(products=8, each=6, noise=24, spread=0.02)
    chosen, _ = choose_parameters(problem_of(vectors), settings.clusters)
    labels = CLUSTERING_METHODS[chosen.method](problem_of(vectors), chosen)
    assert len(np.unique(labels[labels >= 0])) >= 2
    if chosen.method in ("components", "dbscan"):
        assert same_partition(labels[: len(truth)], truth)
