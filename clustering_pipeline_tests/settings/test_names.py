"""Names in settings: what they may be, and the fingerprints that caches are found by."""

from typing import get_args

import pytest

from clustering_pipeline.core.engine import ENGINES
from clustering_pipeline.settings import STAGES, ComputeSettings
from clustering_pipeline.stages.clustering import CLUSTERING_METHODS
from clustering_pipeline.stages.detection import DETECTORS
from clustering_pipeline.stages.embedding import ENCODERS
from clustering_pipeline.stages.prompts import AUTOMATIC_ORDER, TRANSLATORS

# A raised `logic_version` changes its stage's fingerprint on purpose; nothing else may.
DEFAULT_FINGERPRINTS = {
    "catalogue": "6ebffc397b0a55b6fe9067afa93195bee02018c400d3cefe0fd4cf99ca9318f1",
    "offers": "743c2ed0264c4f5a807ec4ac2981f23a257164ecbbd135b3aa53c4a394c69472",
    "download": "205c1d01bf0e2641f3eef0384ba4df43c740da16b3510deb4c2012ca217b654c",
    "prompts": "bd9ebdbe6f71802d43d549447bb2acb86fda8e15cc04ac6d98fee18a0b7e958e",
    "crops": "340e3cae84485981a47c9701794459b632fb3b6b7471001c426bebade064f0d4",
    "clean_images": "dd0c0411ef8669c3d934a3a8d5d6facc62f97e35f178347623bc8ba4faebe75f",
    "local_features": "8dbe743153b8e289d03355143ebc64aa31c7eeb16dbf204afc4bd20cb4b199fa",
    "embeddings": "9c0ceaf1dcda1ff36f352b1414bb51e18e4af6b6d9235aad78dbf5f60d63fa0a",
    "semantic_duplicates": "5c996b791ab48db0ee4a69ffffdd4a08e13bb26c33cb59ec48f4f4efd67cab5f",
    "matches": "b9c21442fefc3ee8676ed2f5a50b19e1650f31d161961d7e494f1d112abebc36",
    "clusters": "cf088fd0bb022a84a7e6c2bb7d5dd5b0961078c57de5afe027227d354fea0414",
    "workbook": "a57e9556b7f2df5980e508a696d3dd0ecd8454cacb838448966dd97b3f864bd0",
    "report": "22ce8a7c41e071ef2e3cca35e5a38ce99a4a533b46c54d4b294c99ee9f7f008f",
    "search": "66a851021c209b573b00974630d2d008d7d3b46695ab35746f69167abb479dfb",
}


@pytest.mark.parametrize(
    ("model", "name", "registry"),
    [
        (STAGES["embeddings"], "encoder", ENCODERS),
        (STAGES["crops"], "detector", DETECTORS),
        (STAGES["clusters"], "method", CLUSTERING_METHODS),
        (STAGES["prompts"], "translator", ["auto", *TRANSLATORS]),
        (ComputeSettings, "engine", ENGINES),
    ],
)
def test_a_setting_knows_the_names_of_its_registry(model, name, registry):
    assert sorted(get_args(model.model_fields[name].annotation)) == sorted(registry)


def test_the_automatic_translators_are_registered():
    assert set(AUTOMATIC_ORDER) <= set(TRANSLATORS)


def test_the_fingerprints_of_the_defaults_are_those_that_caches_were_written_with():
    assert {name: model().fingerprint() for name, model in STAGES.items()} == DEFAULT_FINGERPRINTS


@pytest.mark.parametrize(
    ("stage", "values", "fingerprint"),
    [
        (
            "embeddings",
            {"encoder": "clip", "model": "clip-vit-b-32"},
            "7df6752ebf2408c3bf3743922e504e67c29399421bb8fc3af6fd80488563c07b",
        ),
        (
            "crops",
            {"detector": "yolo-world", "mask": "sam"},
            "87dd31e35aa880757bd7ebe2d90802c4bb956a5c3dfe43493ef5dd5c6ecee128",
        ),
        (
            "prompts",
            {"translator": "gemini"},
            "65a173e93e0ea051631857043382dd99e29578bd27191020ae05d6c700921686",
        ),
        (
            "clusters",
            {"method": "kmeans", "k": 3},
            "84bad5a17f244105ee2d612fef74db49389f39916f4bd4ca5a23a38b8f668a86",
        ),
        (
            "clusters",
            {"method": "dbscan", "sweep": "eps=0.05:0.5:0.05"},
            "65a4a7887c3ecb564887d961b682cf87fa5d41a6a75fa1fae5b053fc387e583d",
        ),
        (
            "matches",
            {"further_embeddings": [{"encoder": "dinov2"}]},
            "4384975df76d0863897cb9e1a415fe58ca483d41f686b44c8e1d1c3bdd2c29bc",
        ),
    ],
)
def test_so_are_those_of_other_choices(stage, values, fingerprint):
    assert STAGES[stage].model_validate(values).fingerprint() == fingerprint


@pytest.mark.parametrize("fit", ["pad", "squash", "model"])
def test_a_knob_that_came_later_counts_when_it_is_set(fit):
    fitted = STAGES["embeddings"].model_validate({"fit": fit}).fingerprint()
    assert fitted != DEFAULT_FINGERPRINTS["embeddings"]
