import pytest

from benchmarks.collection import numbers_of, plant
from clustering_pipeline.settings import EmbeddingSettings, MatchSettings
from clustering_pipeline.stages import embedding, matching
from clustering_pipeline.stages.contract import StageContext
from clustering_pipeline.storage import BlobStore, FeatureTables


@pytest.fixture(scope="module")
def planted(tmp_path_factory):
    root = tmp_path_factory.mktemp("planted")
    context = StageContext(
        BlobStore(str(root / "blobs")), FeatureTables(str(root / "features")), root
    )
    return plant(numbers_of(40), context), context


def pairs_of(planted, settings):
    collection, context = planted
    embeddings = embedding.run(
        clean_images=collection.clean_images,
        local_features=collection.local_features,
        settings=EmbeddingSettings(encoder="local"),
        context=context,
    ).manifest
    found = matching.run(
        **vars(collection), embeddings=embeddings, settings=settings, context=context
    )
    return set(zip(found.manifest["crop_a"], found.manifest["crop_b"], strict=True)), found.facts[
        "candidates"
    ]


def test_neighbours_of_every_encoder_are_candidates(planted):
    few = {
        "neighbours": 1,
        "local_neighbours": 0,
        "learned_neighbours": 0,
        "friend_rounds": 0,
        "text": False,
    }
    another = EmbeddingSettings(encoder="local", reduce="pca", reduced_dimension=3)
    alone, candidates = pairs_of(planted, MatchSettings(**few))
    together, more = pairs_of(planted, MatchSettings(**few, further_embeddings=[another]))
    assert more > candidates
    assert together >= alone


def test_neighbours_as_the_verified_pairs_teach_are_candidates_too(planted):
    few = {"neighbours": 1, "local_neighbours": 0, "friend_rounds": 0, "text": False}
    alone, candidates = pairs_of(planted, MatchSettings(**few, learned_neighbours=0))
    together, more = pairs_of(planted, MatchSettings(**few, learned_neighbours=5))
    assert more > candidates
    assert together >= alone


def test_neighbours_of_the_encoder_local_are_candidates_beside_another_ones(planted):
    few = {"neighbours": 1, "learned_neighbours": 0, "friend_rounds": 0, "text": False}
    _, candidates = pairs_of(planted, MatchSettings(**few, local_neighbours=0))
    _, same = pairs_of(planted, MatchSettings(**few, local_neighbours=1))
    _, more = pairs_of(planted, MatchSettings(**few, local_neighbours=5))
    assert candidates == same < more
