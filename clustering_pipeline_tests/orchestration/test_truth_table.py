"""What each kind of change makes stale on the real assets: by our judgement, by Dagster's GraphQL,
and by what `sync` runs.
"""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import dagster as dg
import pandas as pd
import pytest
from dagster._core.remote_origin import InProcessCodeLocationOrigin
from dagster._core.types.loadable_target_origin import LoadableTargetOrigin
from dagster._core.workspace.context import WorkspaceProcessContext
from dagster._core.workspace.load_target import InProcessWorkspaceLoadTarget
from dagster_graphql.schema import create_schema

import clustering_pipeline.definitions
from clustering_pipeline.core.corrections import (
    Correction,
    Different,
    Keep,
    ListingReference,
    Same,
)
from clustering_pipeline.definitions import build_definitions, open_pipeline
from clustering_pipeline.orchestration.runtime.instance import add_category, open_instance
from clustering_pipeline.orchestration.runtime.runs import materialise
from clustering_pipeline.orchestration.sync.lineage import Status
from clustering_pipeline.orchestration.sync.synchronise import active_categories, synchronise
from clustering_pipeline.project import PipelineHome, Project
from clustering_pipeline.project.upkeep import find_unused, remove_unused
from clustering_pipeline.settings import ClusterSettings
from clustering_pipeline.stages.clustering import NumberRegister
from clustering_pipeline.storage import layout
from clustering_pipeline_tests.orchestration.conftest import Installation, SmallShop

SERUM = "serum"
STALE_STATUS = """query ($keys: [AssetKeyInput!]!, $category: String!) { assetNodes(assetKeys: $keys) {
  assetKey { path } staleStatusByPartition(partitions: [$category]) } }"""
AFTER_CLUSTERS = {"labeled_excel", "category_report", "search_index"}
AFTER_CATALOGUE = {"raw_images", "corrections", "overruled_pictures", "offers"}
# Both show every setting and what the register of cluster numbers says.
SHOWING_SETTINGS = {"labeled_excel", "category_report"}
AFTER_PICTURES = {
    "crops",
    "clean_images",
    "local_features",
    "embeddings",
    "semantic_duplicates",
    "matches",
    "clusters",
}
BUMPED = """\
from clustering_pipeline_tests.orchestration.test_truth_table import with_new_logic
defs = with_new_logic()
"""


class Table:
    """A category that was brought up to date, and the three judges of what a change makes stale."""

    def __init__(self, installation: Installation) -> None:
        self.installation = installation
        self.project, self.instance = installation.project, installation.instance
        self.target = LoadableTargetOrigin(module_name="clustering_pipeline.definitions")

    def stale(self, category: str = SERUM) -> dict[str, str]:
        """Return by our judgement what is not fresh, and why."""
        states = open_pipeline(self.project).states(self.instance, category)
        return {
            name: state.why for name, state in states.items() if state.status is not Status.FRESH
        }

    def stale_by_graphql(self, category: str = SERUM) -> set[str]:
        """Return what Dagster's GraphQL calls stale or missing."""
        target = InProcessWorkspaceLoadTarget(InProcessCodeLocationOrigin(self.target))
        names = open_pipeline(self.project).lineage.order
        variables = {"keys": [{"path": name.split("/")} for name in names], "category": category}
        with WorkspaceProcessContext(self.instance, target) as process:
            answer = create_schema().execute(
                STALE_STATUS, context=process.create_request_context(), variables=variables
            )
        assert not answer.errors
        nodes = answer.data["assetNodes"]
        assert len(nodes) == len(names)
        return {
            "/".join(node["assetKey"]["path"])
            for node in nodes
            if node["staleStatusByPartition"] != ["FRESH"]
        }

    def sync(self) -> set[str]:
        report = synchronise(SERUM, pipeline=open_pipeline(self.project), instance=self.instance)
        assert len(report.materialised) == len(set(report.materialised))
        return set(report.materialised)

    def expect(self, sources: set[str], made: set[str]) -> None:
        """Check that exactly `sources` are seen to have changed, and that `made` follow from them
        and nothing else.

        Dagster cannot look at a source, but once that is materialised it has to judge as we do,
        apart from what only might follow.
        """
        reasons = self.stale()
        assert {name for name, why in reasons.items() if why == "its source changed"} == sources
        # Made from manifests too, which have to be new before.
        seen_by_us_alone = sources & SHOWING_SETTINGS
        if roots := sorted(sources - seen_by_us_alone):
            materialise(open_pipeline(self.project).definitions, self.instance, roots, SERUM)
        ours = {name for name, why in self.stale().items() if not why.startswith("follows")}
        assert self.stale_by_graphql() - seen_by_us_alone == ours - seen_by_us_alone
        assert self.sync() == made
        self.expect_nothing()

    def expect_nothing(self) -> None:
        """Check that everything is fresh to everyone."""
        assert self.stale() == {}
        assert self.stale_by_graphql() == set()
        assert self.sync() == set()


@contextmanager
def open_home(home: Path, shop: SmallShop) -> Iterator[Installation]:
    project = Project(PipelineHome(home).prepare())
    with open_instance(project.home) as instance:
        yield Installation(project, instance, shop)


@pytest.fixture(scope="module")
def finished(tmp_path_factory, small_shop) -> Iterator[tuple[Path, Path]]:
    """A home with one finished category, and a copy of it that stays as it is."""
    home, copy = (tmp_path_factory.mktemp(name) / "home" for name in ("table", "copy"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DAGSTER_HOME", str(home))
        with open_home(home, small_shop) as installation:
            installation.settings()
            installation.keep_rows(slice(0, 4))
            assert len(Table(installation).sync()) == len(
                open_pipeline(installation.project).lineage.order
            )
        shutil.copytree(home, copy)
        yield home, copy


@pytest.fixture
def table(finished, small_shop) -> Iterator[Table]:
    """The finished category, in the folder that its records name, whatever the test before made of
    it.
    """
    home, copy = finished
    shutil.rmtree(home)
    shutil.copytree(copy, home)
    with open_home(home, small_shop) as installation:
        yield Table(installation)


def test_the_same_catalogue_again(table):
    table.project.sources.record(table.installation.workbook, "Serum")
    table.expect_nothing()


@pytest.mark.slow
def test_the_same_listings_saved_anew(table):
    table.installation.keep_rows(slice(0, 4))
    table.expect({"catalogue", "labeled_excel"}, {"labeled_excel"})


def test_a_setting_changed_and_changed_back(table):
    table.installation.settings("clusters:\n  method: components\n")
    assert table.stale()["settings/clusters"] == "its source changed"
    table.installation.settings()
    table.expect_nothing()


@pytest.mark.slow
def test_a_setting_changed(table):
    table.installation.settings("clusters:\n  method: components\n")
    table.expect({"settings/clusters"}, {"clusters"} | AFTER_CLUSTERS)


def test_a_setting_that_touches_no_cluster_is_shown(table):
    table.installation.settings("search:\n  recall: 0.9\n")
    table.expect({"settings/search"}, {"search_index"} | SHOWING_SETTINGS)


def test_a_register_that_has_moved_on_is_shown(table):
    register = NumberRegister(table.project.home.state / layout.CLUSTER_NUMBERS)
    register.number("toner", [frozenset({"of another category"})])
    table.expect_nothing()
    register.number(SERUM, [*register.current(SERUM).values(), frozenset({"one more"})])
    table.expect(SHOWING_SETTINGS, SHOWING_SETTINGS)


@pytest.mark.slow
def test_a_row_added(table):
    table.installation.keep_rows(slice(0, 5))
    table.expect({"catalogue", "labeled_excel"}, AFTER_CATALOGUE | AFTER_PICTURES | AFTER_CLUSTERS)


@pytest.mark.slow
def test_a_row_removed(table):
    asked = table.installation.shop.server.requests.total()
    table.installation.keep_rows(slice(0, 3))
    table.expect({"catalogue", "labeled_excel"}, AFTER_CATALOGUE | AFTER_PICTURES | AFTER_CLUSTERS)
    assert len(table.project.manifests.read("clusters", SERUM)) == 3
    assert table.installation.shop.server.requests.total() == asked


def test_a_correction_that_comes_during_a_run_waits_for_the_next(table):
    a, b = list(table.project.manifests.read("catalogue", SERUM)["product_base_id"])[:2]
    pipeline, looks = open_pipeline(table.project), []

    def read_sources(category):
        looks.append(category)
        if len(looks) == 2:
            statement = Different(ListingReference(a), ListingReference(b))
            table.project.corrections.add([Correction(statement, "a reviewer", category)])
        return pipeline.read_sources(category)

    table.installation.settings("report:\n  language: vi\n")
    busy = replace(pipeline, read_sources=read_sources)
    report = synchronise(SERUM, pipeline=busy, instance=table.instance)
    assert report.waiting == ("corrections",)
    assert "clusters" not in report.materialised
    assert {"corrections", "clusters"} <= table.sync()


def blobs_named_by(table, asset: str, column: str) -> list[Path]:
    digests = table.project.manifests.read(asset, SERUM)[column].dropna()
    root = table.project.home.storage / "blobs"
    return [root / table.project.blobs.path_of(digest) for digest in digests]


def empty(path: Path) -> None:
    path.write_bytes(b"")


def flip_a_bit(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(bytes(content))


def manifest(asset: str):
    return lambda table: [table.project.home.storage / f"manifests/{asset}/{SERUM}.parquet"]


def blob(asset: str, column: str):
    return lambda table: blobs_named_by(table, asset, column)[:1]


def workbook_copy(table) -> list[Path]:
    digest = table.project.sources.load(SERUM).sha256
    return [table.project.home.storage / "blobs" / table.project.blobs.path_of(digest)]


def parts(table) -> list[Path]:
    return sorted((table.project.home.storage / "features").rglob("part-*.parquet"))


@pytest.mark.slow
@pytest.mark.parametrize("damage", [empty, flip_a_bit])
@pytest.mark.parametrize(
    "victims",
    [
        manifest("clusters"),
        manifest("catalogue"),
        manifest("settings/matches"),
        blob("raw_images", "image_sha256"),
        blob("local_features", "features"),
        workbook_copy,
        parts,
    ],
    ids=["clusters", "catalogue", "settings", "picture", "features", "workbook", "parts"],
)
def test_what_is_damaged_is_made_anew_when_it_is_needed(table, victims, damage):
    before = {
        name: table.project.manifests.read(name, SERUM)
        for name in ("catalogue", "raw_images", "crops", "local_features", "matches", "clusters")
    }
    for victim in victims(table):
        damage(victim)
    # Something that reads all of it.
    synchronise(SERUM, pipeline=open_pipeline(table.project), instance=table.instance, force=True)
    for name, frame in before.items():
        pd.testing.assert_frame_equal(table.project.manifests.read(name, SERUM), frame)
    table.expect_nothing()


def test_a_manifest_that_is_not_the_recorded_one_is_made_anew(table):
    path = manifest("clusters")(table)[0]
    whole = path.read_bytes()
    flip_a_bit(path)
    assert table.sync() == {"clusters"}
    assert path.read_bytes() == whole


def with_new_logic() -> dg.Definitions:
    """Return the definitions with another logic of the grouping than the one that ran."""
    changed = {dg.AssetKey("clusters"), dg.AssetKey(["settings", "clusters"])}
    return build_definitions().map_resolved_asset_specs(
        func=lambda spec: (
            spec.replace_attributes(code_version="new") if spec.key in changed else spec
        )
    )


def test_new_logic_of_a_stage(table, tmp_path, monkeypatch):
    monkeypatch.setattr(ClusterSettings, "logic_version", "new")
    monkeypatch.setattr(
        clustering_pipeline.definitions, "build_definitions", lambda project: with_new_logic()
    )
    location = tmp_path / "location.py"
    location.write_text(BUMPED)
    table.target = LoadableTargetOrigin(python_file=str(location), working_directory=str(tmp_path))
    # The fingerprint of settings tells the logic that reads them.
    table.expect({"settings/clusters"}, {"clusters"} | SHOWING_SETTINGS)


@pytest.fixture
def changed_photo(table) -> Iterator[None]:
    """Another picture behind the address of the first one, as long as the test runs."""
    pictures = sorted((table.installation.shop.folder / "images").iterdir())
    before = pictures[0].read_bytes()
    pictures[0].write_bytes(pictures[-1].read_bytes())
    yield
    pictures[0].write_bytes(before)


@pytest.mark.slow
def test_a_photo_changed_behind_its_address(table, changed_photo):
    table.expect_nothing()
    settings = table.project.home.settings_file
    settings.write_text(settings.read_text().replace("retries: 0", "retries: 0\n  refresh: always"))
    assert (
        table.sync()
        == {"settings/download", "raw_images", "overruled_pictures"}
        | AFTER_PICTURES
        | AFTER_CLUSTERS
    )


@pytest.mark.slow
def test_a_correction_added(table):
    # Whatever the grouping says of the first and the last listing, the person says the contrary.
    ids = table.project.manifests.read("catalogue", SERUM)["product_base_id"]
    numbers = table.project.manifests.read("clusters", SERUM)["cluster_id"]
    are_together = numbers.iloc[0] == numbers.iloc[-1] >= 0
    pair = (ListingReference(str(ids.iloc[0])), ListingReference(str(ids.iloc[-1])))
    statement = Different(*pair) if are_together else Same(*pair)
    table.project.corrections.add([Correction(statement, "a person")])
    table.expect({"corrections"}, {"clusters"} | AFTER_CLUSTERS)


@pytest.mark.slow
def test_a_reject_overruled(table):
    listing = table.project.manifests.read("catalogue", SERUM)["product_base_id"].iloc[0]
    statement = Keep(ListingReference(str(listing)))
    [number] = table.project.corrections.add([Correction(statement, "a person")])
    picture = table.project.manifests.read("raw_images", SERUM)["image_sha256"].iloc[0]
    table.expect(
        {"overruled_pictures", "corrections"},
        {"clean_images", "semantic_duplicates", "clusters", "category_report"},
    )
    assert table.project.manifests.read("overruled_pictures", SERUM)["image_sha256"].tolist() == [
        picture
    ]
    table.project.corrections.undo(number, author="a person")
    assert {"overruled_pictures", "clean_images"} <= table.sync()


def test_a_category_added(table):
    add_category(table.instance, "toner")
    table.project.sources.record(table.installation.workbook, "Toner")
    everything = set(open_pipeline(table.project).lineage.order)
    assert table.stale("toner").keys() == table.stale_by_graphql("toner") == everything
    assert active_categories(table.project, table.instance) == [SERUM, "toner"]
    table.expect_nothing()


def test_a_category_retired(table):
    table.project.retired.retire(SERUM)
    assert active_categories(table.project, table.instance) == []
    table.expect_nothing()


@pytest.mark.slow
def test_pruning_costs_nothing_until_a_setting_is_changed_back(table):
    assert find_unused(table.project).digests == ()
    before = table.project.manifests.version("clusters", SERUM)
    table.installation.settings("local_features:\n  keypoints: 300\n")
    table.sync()
    unused = find_unused(table.project)
    # The features of the four pictures as they were.
    assert len(unused.digests) == 4
    remove_unused(table.project, unused)
    table.expect_nothing()
    table.installation.settings()
    assert {"settings/local_features", "local_features"} <= table.sync()
    assert table.project.manifests.version("clusters", SERUM) == before
    table.expect_nothing()
