import logging

import numpy as np
import pytest

from clustering_pipeline.core.errors import InputError
from clustering_pipeline.models import TextTower
from clustering_pipeline.outputs.search import (
    QuerySettings,
    SearchIndex,
    WordSearch,
    build_index,
    has_text_tower,
)
from clustering_pipeline.project import PipelineHome, Project
from clustering_pipeline.settings import EmbeddingSettings, SearchSettings
from clustering_pipeline.storage import FileTree
from clustering_pipeline_tests.outputs.report import samples as category
from clustering_pipeline_tests.outputs.search import samples


def test_only_clip_in_its_own_space_understands_words():
    assert has_text_tower(EmbeddingSettings(encoder="clip"))
    assert not has_text_tower(EmbeddingSettings(encoder="clip", reduce="pca"))
    assert not has_text_tower(EmbeddingSettings(encoder="local"))


def test_an_encoder_without_words_says_so(tmp_path):
    context = category.context(tmp_path)
    files, _ = samples.build(category.tables(context), context, tmp_path / "search")
    with pytest.raises(InputError, match="pictures only"):
        WordSearch(SearchIndex.load(files), context)


def test_words_find_the_picture_that_lies_where_they_do(tmp_path):
    pytest.importorskip("transformers", reason="the extra `models` is not installed")
    from clustering_pipeline_tests.stages.detection.test_neural import tiny_clip

    folder = tiny_clip(tmp_path / "clip")
    context = Project(PipelineHome(tmp_path / "home").prepare()).context(
        "c", logging.getLogger("test")
    )
    tables = category.tables(context)
    embeddings = samples.embeddings(tables)
    vectors = TextTower(folder, "cpu").encode(
        [chr(ord("a") + number) for number in range(len(embeddings))]
    )
    embeddings["vector"] = [np.asarray(vector) for vector in vectors]
    files = FileTree(str(tmp_path / "search"))
    build_index(
        embeddings=embeddings,
        **{
            name: getattr(tables, name)
            for name in ("clusters", "catalogue", "crops", "raw_images", "clean_images")
        },
        local_features=samples.local_features(tables),
        settings=SearchSettings(),
        files=files,
        query=QuerySettings(embeddings=EmbeddingSettings(encoder="clip", model=str(folder))),
    )
    hit = WordSearch(SearchIndex.load(files), context).search("c", 1)[0]
    assert hit.crop_sha256 == embeddings["crop_sha256"].iloc[2] and hit.score > 0.999
