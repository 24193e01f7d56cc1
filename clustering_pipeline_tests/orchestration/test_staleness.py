"""What is stale, and what one run should do about it; always in agreement with Dagster's own
resolver.
"""

from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.definitions.data_version import CachingStaleStatusResolver, StaleStatus
from dagster._core.loader import LoadingContextForTest

from clustering_pipeline.core.errors import InputError, StageError
from clustering_pipeline.orchestration.jobs import CATEGORIES
from clustering_pipeline.orchestration.sync.lineage import (
    SOURCE_VERSION,
    Lineage,
    SourceVersion,
    Status,
)
from clustering_pipeline.orchestration.sync.synchronise import Pipeline, bring_up_to_date
from clustering_pipeline.project import PipelineHome, Project


class World:
    """Values outside Dagster, from which a small graph of assets is made: knob and table, middle,
    left, right, last.
    """

    def __init__(self, folder: str) -> None:
        self.folder = folder
        self.project = Project(PipelineHome(Path(folder) / "home"))
        self.knob = "a"
        self.table = "rows"
        self.middle_keeps = 100
        self.middle_code = "1"
        self.fails: set[str] = set()
        self.made: list[str] = []

    def sources(self, category: str) -> dict[str, SourceVersion]:
        return {"knob": SourceVersion(self.knob, self.knob), "table": SourceVersion(self.table)}

    def definitions(self) -> dg.Definitions:
        return dg.Definitions(
            [
                self.asset("knob", [], lambda: self.knob, source=lambda: self.knob),
                self.asset("table", [], lambda: self.table.strip(), source=lambda: self.table),
                self.asset(
                    "middle",
                    ["table"],
                    lambda table: table[: self.middle_keeps],
                    code=self.middle_code,
                ),
                self.asset("left", ["middle", "knob"], lambda middle, knob: middle + knob),
                self.asset("right", ["middle"], lambda middle: middle),
                self.asset("last", ["left", "right"], lambda left, right: left + right),
            ],
            resources={"io_manager": dg.FilesystemIOManager(base_dir=self.folder)},
        )

    def asset(self, name, parents, compute, source=None, code="1") -> dg.AssetsDefinition:
        @dg.asset(
            name=name,
            ins={parent: dg.AssetIn(parent) for parent in parents},
            partitions_def=CATEGORIES,
            code_version=code,
        )
        def asset(context: dg.AssetExecutionContext, **inputs):
            self.made.append(name)
            if name in self.fails:
                raise StageError(f"{name} is out of order")
            value = compute(**inputs)
            # Where the manifest of a real asset lies; what is in it is of no account here.
            manifests = self.project.manifests
            manifests.files.write(manifests.path_of(name, context.partition_key), b"made")
            metadata = {SOURCE_VERSION: source()} if source else {}
            return dg.MaterializeResult(
                value=value, metadata=metadata, data_version=dg.DataVersion(value)
            )

        return asset

    def pipeline(self) -> Pipeline:
        definitions = self.definitions()
        return Pipeline(
            definitions, self.project, Lineage.of(definitions.resolve_asset_graph()), self.sources
        )


@pytest.fixture
def world(tmp_path) -> World:
    return World(str(tmp_path))


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as instance:
        instance.add_dynamic_partitions("category", ["serum", "toner"])
        yield instance


def sync(
    world: World, instance: dg.DagsterInstance, category: str = "serum", **options
) -> list[str]:
    """Synchronise and return what was made, in order."""
    world.made = []
    bring_up_to_date(world.pipeline(), instance, category, **options)
    assert_agrees_with_dagster(world, instance)
    return world.made


def assert_agrees_with_dagster(world: World, instance: dg.DagsterInstance) -> None:
    """Check that our states are Dagster's, apart from what Dagster cannot know: sources, and what
    only follows.
    """
    pipeline = world.pipeline()
    for category in ("serum", "toner"):
        context = LoadingContextForTest(instance)
        resolver = CachingStaleStatusResolver(
            instance, pipeline.definitions.resolve_asset_graph(), context
        )
        states = pipeline.states(instance, category)
        for name, state in states.items():
            theirs = resolver.get_status(dg.AssetKey(name), category)
            if state.why == "its source changed" or state.why.startswith("follows"):
                assert theirs is StaleStatus.FRESH
            else:
                assert theirs.value.lower() == state.status.value, name


def test_the_first_run_is_one_run_of_everything(world, instance):
    assert sorted(sync(world, instance)) == ["knob", "last", "left", "middle", "right", "table"]
    assert len(instance.get_runs()) == 1


def test_nothing_changed_runs_nothing(world, instance):
    sync(world, instance)
    assert sync(world, instance) == []
    assert len(instance.get_runs()) == 1


def test_a_changed_knob_touches_what_reads_it_and_what_follows(world, instance):
    sync(world, instance)
    world.knob = "b"
    assert sync(world, instance) == ["knob", "left", "last"]


def test_a_knob_changed_and_changed_back_runs_nothing(world, instance):
    sync(world, instance)
    world.knob = "b"
    states = world.pipeline().states(instance, "serum")
    assert (states["knob"].why, states["left"].why, states["last"].why) == (
        "its source changed",
        "`knob` changed",
        "follows `left`",
    )
    world.knob = "a"
    assert sync(world, instance) == []


def test_a_changed_source_that_reads_the_same_stops_there(world, instance):
    sync(world, instance)
    world.table = "rows  "
    assert sync(world, instance) == ["table"]


def test_a_change_that_a_stage_absorbs_stops_there(world, instance):
    world.middle_keeps = 2
    sync(world, instance)
    world.table = "rokoko"
    assert sync(world, instance) == ["table", "middle"]


def test_a_changed_source_touches_what_follows_once(world, instance):
    sync(world, instance)
    world.table = "other"
    assert sync(world, instance) == ["table", "middle", "left", "right", "last"]


def test_a_new_code_version_runs_that_asset(world, instance):
    sync(world, instance)
    world.middle_code = "2"
    states = world.pipeline().states(instance, "serum")
    assert states["middle"].why == "code version 1 became 2"
    assert sync(world, instance) == ["middle"]


def test_another_category_is_left_alone(world, instance):
    sync(world, instance)
    states = world.pipeline().states(instance, "toner")
    assert {state.status for state in states.values()} == {Status.MISSING}


def test_force_runs_everything_once_and_leaves_everything_fresh(world, instance):
    sync(world, instance)
    assert len(sync(world, instance, force=True)) == 6
    assert sync(world, instance) == []


def test_a_failure_keeps_its_words_and_what_did_not_depend_on_it(world, instance):
    world.fails = {"left"}
    with pytest.raises(
        StageError, match=r"The stage left of the category serum failed\. left is out of order"
    ):
        sync(world, instance)
    world.fails = set()
    assert sync(world, instance) == ["left", "last"]


def test_an_input_error_stays_one(world, instance):
    pipeline = world.pipeline()

    @dg.asset(partitions_def=CATEGORIES)
    def picky():
        raise InputError("There is no file here.")

    definitions = dg.Definitions([picky])
    pipeline = Pipeline(
        definitions,
        world.project,
        Lineage.of(definitions.resolve_asset_graph()),
        lambda category: {},
    )
    with pytest.raises(InputError, match=r"^There is no file here\.$"):
        bring_up_to_date(pipeline, instance, "serum")


def test_a_source_that_never_rests_is_read_once_and_waits(world, instance):
    versions = iter(range(1000))
    world.sources = lambda category: {"table": SourceVersion(str(next(versions)))}
    report = bring_up_to_date(world.pipeline(), instance, "serum")
    assert report.waiting == ("table",)
    assert sorted(report.materialised) == sorted(world.pipeline().lineage.order)


def test_what_was_removed_from_the_graph_is_noticed(world, instance):
    sync(world, instance)
    smaller = Lineage.of(world.definitions().resolve_asset_graph())
    parents = {**smaller.parents, "last": ("left",)}
    pipeline = Pipeline(
        world.definitions(),
        world.project,
        Lineage(smaller.order, parents, smaller.code_versions),
        world.sources,
    )
    assert pipeline.states(instance, "serum")["last"].why == "is no longer made from `right`"
