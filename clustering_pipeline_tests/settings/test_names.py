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
    "catalogue": "58db73e90a8e430b674f043bb8816d9c0cc8c15960b4c82c1c16d82129a6d9dd",
    "download": "205c1d01bf0e2641f3eef0384ba4df43c740da16b3510deb4c2012ca217b654c",
    "prompts": "bd9ebdbe6f71802d43d549447bb2acb86fda8e15cc04ac6d98fee18a0b7e958e",
    "crops": "835cd45966920bb431b321cd48bbdd0071cc6fa68213a3b74c7fe51eb10883e5",
    "clean_images": "195e84896512051994a14c26d9212f908b2fe0e1ce2bb7751c3637bbca44f3b5",
    "local_features": "814c545b8feaf25bf062f4d7d785d7d45ded3effd247e41503a71a053dff6031",
    "embeddings": "0322b0fb4d0c0a3064bd66a60cd53e2c445746a7aaa57f6ed1756bf4eb6db1a8",
    "semantic_duplicates": "5c996b791ab48db0ee4a69ffffdd4a08e13bb26c33cb59ec48f4f4efd67cab5f",
    "matches": "1c54e80b940d79062ff63fddc40ff0dc1ca0f1e68fc3b5112a87c95a3ff2f577",
    "clusters": "f0acbde8a4f2d49e172c62e8702a452466262e436187ba9d4aca7489db85b4a7",
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
            "f773f09863326820b5237cd7307a48d294223a921c59604d0472fda4f0537ddb",
        ),
        (
            "crops",
            {"detector": "yolo-world", "mask": "sam"},
            "09640e5aa628a90002516f59a44def7b8edf14bb94a27425e6423862fa7f8d42",
        ),
        ("prompts", {"translator": "gemini"}, "65a173e93e0ea051631857043382dd99e29578bd27191020ae05d6c700921686"),
        ("clusters", {"method": "kmeans", "k": 3}, "f181003addfe360a58cad4f1426bc1c4ac984431b169a2f5efe24d86bab7eaf2"),
        (
            "clusters",
            {"method": "dbscan", "sweep": "eps=0.05:0.5:0.05"},
            "476b04956e8db3fce63d559670aea539ce41412d14ceb241689dc78edc513053",
        ),
        (
            "matches",
            {"further_embeddings": [{"encoder": "dinov2"}]},
            "188b35578515e84615e4b93119b3048c2b8ad89f2039e58618821bfaf8b1df0b",
        ),
    ],
)
def test_so_are_those_of_other_choices(stage, values, fingerprint):
    assert STAGES[stage].model_validate(values).fingerprint() == fingerprint
