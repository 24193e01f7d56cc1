"""What runs work with, as Dagster's page of resources shows it: the settings of the installation
when it was loaded.

They show and do not set: a run reads the settings again and makes the context of its stages from
them (`Project.context`), where a category may have its own. No asset takes these resources, so
Dagster refuses a run that would set them elsewhere. Manifests between assets go through an I/O
manager: one Parquet file per asset and partition, nothing pickled.
"""

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pandas as pd
from pydantic import Field

from clustering_pipeline.core.engine import available_cores, workers_here
from clustering_pipeline.core.errors import InputError, StageError, disk_errors
from clustering_pipeline.core.hardware import (
    Device,
    Hardware,
    Precision,
    resolve_device,
    resolve_precision,
)
from clustering_pipeline.core.manifests import Manifest
from clustering_pipeline.core.ray_engine import ADDRESS
from clustering_pipeline.orchestration.runtime.instance import PARTITION_TAG
from clustering_pipeline.project import Project
from clustering_pipeline.settings import PipelineSettings
from clustering_pipeline.stages.prompts import has_credentials

MANIFEST_METADATA = "clustering_pipeline/manifest"
FROM_SETTINGS = (
    "the settings, when this location was loaded; a run reads them again, and a "
    "category may have its own"
)
FROM_DEFAULTS = (
    "the defaults, because the settings file cannot be used; `clustering-pipeline "
    "doctor` says where it is wrong"
)
# What a URL may hold besides a place: user and password, whatever characters are in them, and a
# query.
SECRET_PARTS = re.compile(r"(?<=://).*@|\?.*")


class GpuResource(dg.ConfigurableResource["GpuResource"]):
    """Device and precision of the neural models, and where their files are."""

    device: Device = Field(description="`compute.device`; auto is the best one present.")
    precision: Precision = Field(
        description="`compute.precision`; auto is the fastest that embeddings are safe in."
    )
    models_folder: str = Field(description="`compute.models`: the folder of the model files.")
    source: str = Field(FROM_SETTINGS, description="Where these values come from.")

    @classmethod
    def of(cls, hardware: Hardware, source: str) -> "GpuResource":
        """Return what shows `hardware`."""
        return cls(
            device=hardware.device,
            precision=hardware.precision,
            models_folder=str(hardware.models_folder or ""),
            source=source,
        )

    def resolved(self) -> str:
        """Return what this machine makes of it, such as "cuda, bf16".

        Raises StageError when the device asked for is not there, and ImportError where PyTorch is
        not installed.
        """
        hardware = Hardware(self.device, self.precision, Path(self.models_folder))
        device = resolve_device(hardware)
        return f"{device}, {resolve_precision(hardware, device)}"


class GeminiResource(dg.ConfigurableResource["GeminiResource"]):
    """The Gemini model that translates class words, and whether it can be asked; the key itself is
    never shown.
    """

    model: str = Field(description="`prompts.gemini_model`.")
    has_key: bool = Field(
        description="Whether the environment held a key, or said that Vertex AI is used."
    )
    source: str = Field(FROM_SETTINGS, description="Where these values come from.")


class StorageResource(dg.ConfigurableResource["StorageResource"]):
    """Where pictures, manifests and cached results are kept."""

    root: str = Field(
        description="`storage.root`: the folder, or the URL without what may be secret in it."
    )
    source: str = Field(FROM_SETTINGS, description="Where these values come from.")


class EngineResource(dg.ConfigurableResource["EngineResource"]):
    """What the batches of the stages run on."""

    engine: str = Field(
        description="`compute.engine`; local is processes on this machine, ray a Ray cluster."
    )
    address: str = Field(description="`RAY_ADDRESS` where the engine is ray; empty: this machine.")
    workers: int = Field(
        description="`compute.workers`; when unset all available cores, which of a Ray cluster are "
        "counted when a run joins it."
    )
    source: str = Field(FROM_SETTINGS, description="Where these values come from.")


def make_resources(project: Project) -> dict[str, dg.ConfigurableResource[Any]]:
    """Return the resources by name; where the settings cannot be used, they show the defaults and
    say so.
    """
    source = FROM_SETTINGS
    try:
        settings, root = project.settings.installation(), project.storage_root
    except InputError:
        settings, root, source = PipelineSettings(), str(project.home.storage), FROM_DEFAULTS
    compute = settings.compute
    return {
        "gpu": GpuResource.of(project.hardware(compute), source),
        "gemini": GeminiResource(
            model=settings.prompts.gemini_model, has_key=has_credentials(), source=source
        ),
        "storage": StorageResource(
            root=SECRET_PARTS.sub("", root) if "://" in root else root, source=source
        ),
        "engine": EngineResource(
            engine=compute.engine,
            address=os.environ.get(ADDRESS, "") if compute.engine == "ray" else "",
            workers=workers_here(compute.workers)
            if compute.engine == "local"
            else compute.workers or available_cores(),
            source=source,
        ),
    }


def project_resource(project: Project) -> dg.ResourceDefinition:
    """Return what hands `project` to the steps of a run.

    As long as the run lasts it has its category alone among the machines that share a database, and
    nobody prunes the storage; the runs of one Dagster instance are kept apart by its queue.
    """

    def during_run(context: dg.InitResourceContext) -> Iterator[Project]:
        run = context.run
        category = run.tags.get(PARTITION_TAG) if run else None
        if category is None:
            yield project
            return
        with project.home.working_among_machines(category) as is_mine:
            if not is_mine:
                raise StageError(
                    f"The category {category} is worked on by {project.home.worker_on(category)}. "
                    "Run it again when that has ended; nothing was started here."
                )
            with project.home.using_storage():
                yield project

    return dg.ResourceDefinition(during_run, description="Home, settings and storage.")


class ManifestIOManager(dg.IOManager):
    """Keeps the manifest of each asset and partition below `manifests/` of the storage."""

    def __init__(self, project: Project, manifests: dict[str, Manifest]) -> None:
        """`manifests`: the schemas by name; an asset names its own in its definition's metadata."""
        self.project = project
        self.manifests = manifests

    def handle_output(self, context: dg.OutputContext, obj: pd.DataFrame) -> None:
        """Write the frame as the manifest that the asset names."""
        # Before anything names the numbers that the register has given.
        self.project.keepsakes.keep()
        manifest = self.manifests[context.definition_metadata[MANIFEST_METADATA]]
        self.project.manifests.write(
            context.asset_key.to_user_string(), _partition(context), obj, manifest
        )

    def load_input(self, context: dg.InputContext) -> pd.DataFrame:
        """Return the manifest of the asset; raises StageError when it was never made."""
        asset, category = context.asset_key.to_user_string(), _partition(context)
        with disk_errors():
            frame = self.project.manifests.read(asset, category)
        if frame is None:
            raise StageError(
                f"`{asset}` of the category `{category}` is not there yet, and this asset is made "
                "from it. Materialise it first, or let `clustering-pipeline sync --category "
                f"{category}` make everything that is missing, in order."
            )
        return frame


def _partition(context: dg.InputContext | dg.OutputContext) -> str | None:
    return context.partition_key if context.has_partition_key else None
