"""Manifests between assets."""

import dagster as dg
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from clustering_pipeline.core.errors import StageError
from clustering_pipeline.core.manifests import CORRECTIONS, ENGLISH_PROMPTS, MANIFESTS, empty
from clustering_pipeline.orchestration.resources import MANIFEST_METADATA, ManifestIOManager
from clustering_pipeline.project import PipelineHome, Project
from clustering_pipeline.storage import FileTree, ManifestStore

PARTITIONS = dg.StaticPartitionsDefinition(["serum", "a/../../b, c.d"])


def words(partition: str) -> pd.DataFrame:
    return pd.DataFrame(
        {"word": [partition], "english": ["bottle"], "synonyms": [["flask"]], "translator": [None]}
    )


@dg.asset(
    partitions_def=PARTITIONS,
    io_manager_key="manifests",
    metadata={MANIFEST_METADATA: ENGLISH_PROMPTS.name},
)
def prompts(context: dg.AssetExecutionContext) -> pd.DataFrame:
    return words(context.partition_key)


@dg.asset(
    partitions_def=PARTITIONS,
    io_manager_key="manifests",
    metadata={MANIFEST_METADATA: ENGLISH_PROMPTS.name},
    ins={"prompts": dg.AssetIn()},
)
def copied(prompts: pd.DataFrame) -> pd.DataFrame:
    return prompts


@pytest.fixture
def manager(tmp_path) -> ManifestIOManager:
    return ManifestIOManager(Project(PipelineHome(tmp_path).prepare()), MANIFESTS)


@pytest.mark.parametrize("partition", PARTITIONS.get_partition_keys())
def test_what_was_written_is_read(manager, partition):
    result = dg.materialize(
        [prompts, copied], partition_key=partition, resources={"manifests": manager}
    )
    assert list(result.asset_value("copied")["word"]) == [partition]
    files = [path for path in manager.project.home.storage.rglob("*") if path.is_file()]
    assert len(files) == 2
    assert all(
        path.suffix == ".parquet" and path.parent.parent.name == "manifests" for path in files
    )


def test_a_missing_upstream_is_named_with_the_remedy(manager):
    with pytest.raises(
        StageError,
        match=r"`prompts` of the category `serum` is not there yet.*sync --category serum",
    ):
        dg.materialize(
            [prompts, copied],
            selection=[copied],
            partition_key="serum",
            resources={"manifests": manager},
        )


def test_a_damaged_manifest_says_which(tmp_path):
    files = FileTree(str(tmp_path))
    files.write("clusters/serum.parquet", b"not parquet")
    with pytest.raises(StageError, match=r"clusters/serum\.parquet"):
        ManifestStore(files).read("clusters", "serum")


def test_versions_follow_the_content(tmp_path):
    store = ManifestStore(FileTree(str(tmp_path)))
    assert store.version("corrections", "serum") is None
    store.write("corrections", "serum", empty(CORRECTIONS), CORRECTIONS)
    first = store.version("corrections", "serum")
    store.write("corrections", "serum", empty(CORRECTIONS), CORRECTIONS)
    assert store.version("corrections", "serum") == first
    assert store.categories("corrections") == ["serum"]


@given(st.text(min_size=1, max_size=40), st.text(min_size=1, max_size=40))
def test_no_partition_key_leaves_its_folder(first, second):
    path = ManifestStore.path_of("clusters", first)
    assert path.startswith("clusters/") and path.count("/") == 1 and ".." not in path
    assert (path == ManifestStore.path_of("clusters", second)) == (first == second)


def test_facts_of_before_are_read_under_their_names_of_now(tmp_path):
    store = ManifestStore(FileTree(str(tmp_path)))
    store.write_facts("clean_images", "serum", {"rejected: too small": 2, "crops kept": 5})
    assert store.read_facts("clean_images", "serum") == {"rejected_too_small": 2, "crops_kept": 5}
    store.write_facts("english_prompts", "serum", {"gemini was not used": "No key.", "words": 3})
    assert store.read_facts("english_prompts", "serum") == {"gemini_failure": "No key.", "words": 3}
