"""Makes Dagster assets of stages: inputs, settings, version, metadata and checks in one place."""

import inspect
import time
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Required, TypedDict, Unpack

import dagster as dg
import pandas as pd
import pyarrow as pa

from clustering_pipeline.core.errors import StageError, disk_errors
from clustering_pipeline.core.manifests import MANIFESTS, Manifest, column_meanings, content_version
from clustering_pipeline.core.progress import Fact, Facts, measured_facts
from clustering_pipeline.orchestration.checks import SCHEMA, UNIQUE_KEYS, Check, Evidence
from clustering_pipeline.orchestration.jobs import CATEGORIES
from clustering_pipeline.orchestration.resources import MANIFEST_METADATA
from clustering_pipeline.orchestration.sync.lineage import SOURCE_VERSION
from clustering_pipeline.project import Project
from clustering_pipeline.settings import STAGES, StageSettings
from clustering_pipeline.stages.contract import STEPS, StageContext, StageResult

# Names the module whose `run` makes an asset, also in the UI.
STAGE_METADATA = "stage"
OWNERS = ["team:catalogue"]
SAMPLE_ROWS = 8
LONGEST_CELL = 80
STAGE_NAMES = {settings: name for name, settings in STAGES.items()}
# Annotates the parameter that is handed the settings of every stage, by the stage's name.
EveryStage = Mapping[str, StageSettings]
# Annotates the parameter that is handed the frames that the decorator lists, by their names.
Frames = Mapping[str, pd.DataFrame]


@dataclass(frozen=True)
class AssetRun:
    """What an asset may ask for besides manifests: its category, the project and the context of its
    stage.

    `facts`: by name those of the runs that made its inputs, so that what it tells of a step is of
    one that it is made from.
    """

    category: str
    project: Project
    stage: StageContext
    facts: Mapping[str, Facts] = field(default_factory=dict)


@dataclass(frozen=True)
class AssetResult:
    """A result with what Dagster cannot know of it.

    `source_version`: what the outside was like that it was made from, compared later to see that it
    changed. `data_version`: the result's version where that is not the hash of its manifest.
    """

    result: StageResult
    source_version: str | None = None
    data_version: str | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)


class AssetOptions(TypedDict, total=False):
    """How an asset is shown, when it may run, and what is checked of it.

    `key`, `code_version`: where they are not the name and the logic versions of its settings.
    `checks` come besides those of schema and keys; None is for what needs none of them.
    """

    group: Required[str]
    kinds: Required[Sequence[str]]
    pool: str
    key: Sequence[str]
    code_version: str
    checks: Sequence[Check] | None


@dataclass(frozen=True)
class _Declared:
    """An asset before Dagster knows it: which frames and settings its function is handed by which
    names.

    `every_stage`: the parameter that is handed the settings of all stages, "" when there is none.
    """

    name: str
    description: str
    manifest: Manifest
    frames: tuple[str, ...]
    settings: Mapping[str, type[StageSettings]]
    compute: Callable[[AssetRun, Mapping[str, Any]], StageResult | AssetResult]
    stage: str = ""
    every_stage: str = ""

    @property
    def settings_inputs(self) -> dict[str, type[StageSettings]]:
        """The classes of the settings that it is made from, by the name of the input."""
        own = set(self.settings.values())
        others = STAGES.items() if self.every_stage else ()
        return {
            **self.settings,
            **{f"{name}_in_force": kind for name, kind in others if kind not in own},
        }


def stage_asset(
    name: str, *, description: str, **options: Unpack[AssetOptions]
) -> dg.AssetsDefinition:
    """Return the partitioned asset that the stage of that name makes, one of `STEPS`."""
    step = STEPS[name]

    def compute(run: AssetRun, arguments: Mapping[str, Any]) -> StageResult | AssetResult:
        return step.compute(arguments, run.stage)

    declared = _Declared(
        name, description, step.manifest, step.inputs, step.settings, compute, step.module
    )
    return _as_dagster_asset(declared, **options)


def project_asset(
    manifest: Manifest, *, frames: Sequence[str] = (), **options: Unpack[AssetOptions]
) -> Callable[[Callable[..., StageResult | AssetResult]], dg.AssetsDefinition]:
    """Return a decorator that makes a partitioned asset of a function that also works with the
    project.

    Parameters annotated as frames are upstream assets of the same names, and one annotated as
    `Frames` is handed those listed as `frames`; one annotated with a stage's settings class is read
    from the `settings/<stage>` asset, and one annotated as `EveryStage` from all of them; the one
    called `run` is the `AssetRun`. The docstring is the description.
    """

    def decorate(function: Callable[..., StageResult | AssetResult]) -> dg.AssetsDefinition:
        parameters = {
            name: parameter.annotation
            for name, parameter in inspect.signature(function).parameters.items()
        }
        named = tuple(name for name, kind in parameters.items() if kind is pd.DataFrame)
        by_name = _parameter_of(parameters, Frames)
        settings = {
            name: annotation for name, annotation in parameters.items() if annotation in STAGE_NAMES
        }

        def compute(run: AssetRun, arguments: Mapping[str, Any]) -> StageResult | AssetResult:
            own = {name: value for name, value in arguments.items() if name not in frames}
            listed = {by_name: {name: arguments[name] for name in frames}} if by_name else {}
            return function(**own, **listed, run=run)

        declared = _Declared(
            function.__name__,
            inspect.getdoc(function) or "",
            manifest,
            (*named, *frames),
            settings,
            compute,
            every_stage=_parameter_of(parameters, EveryStage),
        )
        return _as_dagster_asset(declared, **options)

    return decorate


def _parameter_of(parameters: Mapping[str, Any], annotation: Any) -> str:
    """Return the name of the parameter that is annotated so, "" when there is none."""
    return next((name for name, kind in parameters.items() if kind == annotation), "")


def _as_dagster_asset(declared: _Declared, **options: Unpack[AssetOptions]) -> dg.AssetsDefinition:
    """Return the asset: inputs, settings, version, metadata and checks."""
    checks = options.get("checks", ())
    all_checks = () if checks is None else (SCHEMA, UNIQUE_KEYS, *checks)
    asset_key = dg.AssetKey(options.get("key", [declared.name]))
    frames, settings, manifest = declared.frames, declared.settings_inputs, declared.manifest
    inputs = {name: dg.AssetIn(name) for name in frames}
    inputs |= {
        name: dg.AssetIn(["settings", STAGE_NAMES[annotation]])
        for name, annotation in settings.items()
    }
    metadata = {MANIFEST_METADATA: manifest.name, "dagster/column_schema": column_schema(manifest)}
    metadata |= {STAGE_METADATA: declared.stage} if declared.stage else {}

    @dg.asset(
        key=asset_key,
        ins=inputs,
        partitions_def=CATEGORIES,
        group_name=options["group"],
        kinds=set(options["kinds"]),
        owners=OWNERS,
        pool=options.get("pool"),
        description=declared.description,
        code_version=options.get("code_version") or _code_version(declared.settings.values()),
        metadata=metadata,
        io_manager_key="manifests",
        dagster_type=frame_type(manifest.name),
        check_specs=[check_spec(check, asset_key) for check in all_checks],
    )
    def asset(
        context: dg.AssetExecutionContext,
        project: dg.ResourceParam[Project],
        **upstream: pd.DataFrame,
    ) -> Iterator[dg.AssetCheckResult | dg.MaterializeResult[pd.DataFrame]]:
        run = _asset_run(context, project, frames)
        arguments: dict[str, Any] = {name: upstream[name] for name in frames}
        in_force = {name: read_settings(upstream[name], settings[name]) for name in settings}
        arguments |= {name: in_force[name] for name in declared.settings}
        if declared.every_stage:
            arguments[declared.every_stage] = {
                STAGE_NAMES[settings[name]]: stage for name, stage in in_force.items()
            }
        started = time.monotonic()
        name = asset_key.to_user_string()
        with disk_errors(), project.home.using_storage(), project.listener.working_on(name):
            project.home.confirm_turns()
            made = declared.compute(run, arguments)
            project.home.confirm_turns()
        outcome = made if isinstance(made, AssetResult) else AssetResult(made)
        seconds = time.monotonic() - started
        stage_facts = {name: _plain(fact) for name, fact in outcome.result.facts.items()}
        rows = int(stage_facts.get("rows", len(outcome.result.manifest)))
        facts = stage_facts | measured_facts(rows, run.stage.cache, seconds)
        manifests = project.manifests
        evidence = Evidence(
            result=outcome.result.manifest,
            manifest=manifest,
            upstream={frame: upstream[frame] for frame in frames},
            facts=facts,
            facts_before=manifests.read_facts(name, run.category),
            settings=project.category_settings(run.category),
        )
        yield from check_results(all_checks, evidence, asset_key)
        manifests.write_facts(name, run.category, facts)
        yield _materialise(outcome, facts, manifest)

    return asset


def page_link(run: AssetRun, page: str) -> dg.UrlMetadataValue:
    """Return the link to a page of the run's category (`report`, `pages/left-out`) that `serve` and
    `ui` show.
    """
    root = run.project.settings.installation().automation.pages_url.rstrip("/")
    return dg.MetadataValue.url(f"{root}/c/{run.category}/{page}")


def read_settings(frame: pd.DataFrame, settings: type[StageSettings]) -> StageSettings:
    """Return the settings that a `settings/<stage>` manifest holds."""
    return settings.model_validate_json(frame["settings"].iloc[0])


@cache
def frame_type(name: str) -> dg.DagsterType:
    """Return the type of a manifest's frame: its columns, and that keys are there; a frame that
    differs is not written.
    """
    from dagster_pandas import PandasColumn, create_dagster_pandas_dataframe_type
    from dagster_pandas.constraints import NonNullableColumnConstraint

    manifest = MANIFESTS[name]
    with warnings.catch_warnings():
        # Called beta for years; Dagster is pinned to its minor.
        warnings.simplefilter("ignore", dg.BetaWarning)
        present = [NonNullableColumnConstraint()]
        columns = [
            PandasColumn(column, constraints=present if column in manifest.key else [])
            for column in manifest.schema.names
        ]
        made: dg.DagsterType = create_dagster_pandas_dataframe_type(
            f"{name}_manifest", f"The manifest `{name}`.", columns
        )
        return made


def check_spec(check: Check, asset: dg.AssetKey) -> dg.AssetCheckSpec:
    """Return what Dagster is told of a check beforehand."""
    return dg.AssetCheckSpec(
        check.name, asset=asset, description=check.description, blocking=check.blocking
    )


def check_results(
    checks: Iterable[Check], evidence: Evidence, asset: dg.AssetKey
) -> Iterator[dg.AssetCheckResult]:
    """Yield what the checks say; raises StageError after a blocking one failed, so that nothing is
    written.
    """
    for check in checks:
        outcome = check.evaluate(evidence)
        severity = (
            dg.AssetCheckSeverity.ERROR
            if outcome.severity == "error"
            else dg.AssetCheckSeverity.WARN
        )
        yield dg.AssetCheckResult(
            passed=outcome.passed,
            asset_key=asset,
            check_name=check.name,
            severity=severity,
            description=outcome.sentence,
            metadata=dict(outcome.figures),
        )
        if check.blocking and not outcome.passed:
            raise StageError(
                f"`{asset.to_user_string()}` did not pass the check {check.name}: "
                f"{outcome.sentence} Nothing was written. {check.advice}"
            )


def column_schema(manifest: Manifest) -> dg.TableSchema:
    """Return the columns of a manifest as Dagster shows them, each with what it means."""
    unique = set(manifest.key) if len(manifest.key) == 1 else set()
    meanings = column_meanings(manifest)
    return dg.TableSchema(
        columns=[
            dg.TableColumn(
                field.name,
                str(field.type),
                description=meanings[field.name],
                constraints=dg.TableColumnConstraints(
                    nullable=field.name not in manifest.key, unique=field.name in unique
                ),
            )
            for field in manifest.schema
        ],
        constraints=dg.TableConstraints([f"unique: {', '.join(manifest.key)}"]),
    )


def _code_version(settings: Iterable[type[StageSettings]]) -> str:
    return "-".join(stage_settings.logic_version for stage_settings in settings) or "1"


def _asset_run(
    context: dg.AssetExecutionContext, project: Project, inputs: Iterable[str]
) -> AssetRun:
    category, manifests = context.partition_key, project.manifests
    facts = {name: manifests.read_facts(name, category) for name in inputs}
    return AssetRun(category, project, project.context(category, context.log), facts)


def _materialise(
    made: AssetResult, facts: Facts, manifest: Manifest
) -> dg.MaterializeResult[pd.DataFrame]:
    frame = made.result.manifest
    metadata = {name: _shown(fact) for name, fact in facts.items()}
    metadata |= {
        "dagster/row_count": len(frame),
        "sample": _sample(frame, manifest),
        **made.metadata,
    }
    if made.source_version:
        metadata[SOURCE_VERSION] = made.source_version
    version = made.data_version or content_version(frame, manifest)
    return dg.MaterializeResult(
        value=frame, metadata=metadata, data_version=dg.DataVersion(version)
    )


def _plain(fact: Any) -> Fact:
    """Return a fact as Python's own number or text, which is what JSON and Dagster take."""
    plain: Fact = fact.item() if hasattr(fact, "item") else fact
    return plain


def _shown(fact: float | str) -> Any:
    if isinstance(fact, str) and fact.lstrip().startswith("|"):
        return dg.MetadataValue.md(fact)
    return fact


def _sample(frame: pd.DataFrame, manifest: Manifest) -> dg.TableMetadataValue:
    names = [
        field.name
        for field in manifest.schema
        if not pa.types.is_list(field.type) or pa.types.is_string(field.type.value_type)
    ]
    records = [
        dg.TableRecord({name: _cell(value) for name, value in zip(names, row, strict=True)})
        for row in frame[names].head(SAMPLE_ROWS).itertuples(index=False)
    ]
    return dg.MetadataValue.table(
        records, schema=dg.TableSchema([dg.TableColumn(name) for name in names])
    )


def _cell(value: Any) -> str:
    text = (
        ", ".join(map(str, value))
        if hasattr(value, "__len__") and not isinstance(value, str)
        else str(value)
    )
    return "" if value is None or value is pd.NA else text[:LONGEST_CELL]
