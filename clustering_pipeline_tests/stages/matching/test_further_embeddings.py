import pytest

from benchmarks.collection import numbers_of, plant
from clustering_pipeline.settings import EmbeddingSettings, MatchSettings
from clustering_pipeline.stages.contract import StageContext
from clustering_pipeline.stages.embedding import embed_crops
from clustering_pipeline.stages.matching import match_crops
from clustering_pipeline.storage import BlobStore, FeatureTables


@pytest.fixture(scope="module")
def planted(tmp_path_factory):
    root = tmp_path_factory.mktemp("planted")
    context = StageContext(BlobStore(str(root / "blobs")), FeatureTables(str(root / "features")), root)
    return plant(numbers_of(40), context), context


def pairs_of(planted, settings):
    collection, context = planted
    embeddings = embed_crops(collection.clean_images, collection.local_features, EmbeddingSettings(), context).manifest
    pictures = (collection.clean_images, collection.crops, collection.raw_images, collection.catalogue)
    found = match_crops(embeddings, collection.local_features, *pictures, collection.semantic_duplicates, settings, context)
    return set(zip(found.manifest["crop_a"], found.manifest["crop_b"], strict=True)), found.facts["candidates"]


def test_neighbours_of_every_encoder_are_candidates(planted):
    few = {"neighbours": 1, "friend_rounds": 0, "text": False}
    another = EmbeddingSettings(reduce="pca", reduced_dimension=3)
    alone, candidates = pairs_of(planted, MatchSettings(**few))
    together, more = pairs_of(planted, MatchSettings(**few, further_embeddings=[another]))
    assert more > candidates
    assert together >= alone
