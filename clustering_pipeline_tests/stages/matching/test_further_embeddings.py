import pytest

from benchmarks.collection import numbers_of, plant
from clustering_pipeline.settings import EmbeddingSettings, MatchSettings
from clustering_pipeline.stages import embedding, matching
from clustering_pipeline.stages.contract import StageContext
from clustering_pipeline.storage import BlobStore, FeatureTables


@pytest.fixture(scope="module")
def planted(tmp_path_factory):
    root = tmp_path_factory.mktemp("planted")
    context = StageContext(BlobStore(str(root / "blobs")), FeatureTables(str(root / "features")), root)
    return plant(numbers_of(40), context), context


def pairs_of(planted, settings):
    collection, context = planted
    embeddings = embedding.run(
        clean_images=collection.clean_images,
        local_features=collection.local_features,
        settings=EmbeddingSettings(),
        context=context,
    ).manifest
    found = matching.run(**vars(collection), embeddings=embeddings, settings=settings, context=context)
    return set(zip(found.manifest["crop_a"], found.manifest["crop_b"], strict=True)), found.facts["candidates"]


def test_neighbours_of_every_encoder_are_candidates(planted):
    few = {"neighbours": 1, "friend_rounds": 0, "text": False}
    another = EmbeddingSettings(reduce="pca", reduced_dimension=3)
    alone, candidates = pairs_of(planted, MatchSettings(**few))
    together, more = pairs_of(planted, MatchSettings(**few, further_embeddings=[another]))
    assert more > candidates
    assert together >= alone
