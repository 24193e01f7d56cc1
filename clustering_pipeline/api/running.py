"""The stages of one category one after the other, in this process and without Dagster."""

import logging
from dataclasses import dataclass

import pandas as pd

from clustering_pipeline.core.errors import InputError
from clustering_pipeline.core.manifests import (
    CATALOGUE,
    CLUSTERS,
    CORRECTIONS,
    MANIFESTS,
    OFFERS,
    OVERRULED_PICTURES,
    empty,
)
from clustering_pipeline.outputs.category import category_tables
from clustering_pipeline.outputs.report import CategoryTables
from clustering_pipeline.project import Project
from clustering_pipeline.settings import PipelineSettings
from clustering_pipeline.stages import catalogue
from clustering_pipeline.stages.catalogue import CatalogueSource
from clustering_pipeline.stages.contract import STEPS, StageContext
from clustering_pipeline.stages.deduplication import overrides_stage

# What Dagster leaves in a home that it has run.
RUN_BY_DAGSTER = "history"


@dataclass(frozen=True)
class ProjectCategory:
    """One category of one project, with all that its stages are handed."""

    project: Project
    category: str

    @property
    def is_own(self) -> bool:
        """Whether nobody but these functions writes results here: Dagster would take them for
        damage in a home that it has run.
        """
        return not (self.project.home.path / RUN_BY_DAGSTER).exists()

    def check_own(self) -> None:
        """Raise InputError for a home that Dagster runs."""
        if not self.is_own:
            folder = self.project.home.path
            raise InputError(
                f"{folder} is the home of `clustering-pipeline run` or Dagster, which would take "
                f"results from here for damage. Open them with open_project({str(folder)!r}) and "
                "change them with the commands or pages, or give `keep` a folder of its own."
            )

    @property
    def settings(self) -> PipelineSettings:
        """The settings in force; raises InputError."""
        return self.project.category_settings(self.category)

    @property
    def context(self) -> StageContext:
        """What the stages are handed."""
        return self.project.context(self.category, logging.getLogger(__name__))

    @property
    def source(self) -> CatalogueSource:
        """The record of the catalogue; raises InputError where there is none."""
        return self.project.sources.load(self.category)

    def tables(self, frames: dict[str, pd.DataFrame]) -> CategoryTables:
        """Return the frames as the pages read them, with names for the clusters."""
        return category_tables(
            frames,
            self.source.display_name,
            self.context,
            matches=self.settings.matches,
            offers=self.settings.offers,
        )


def run_stages(place: ProjectCategory) -> dict[str, pd.DataFrame]:
    """Return the manifest of every stage by its name, and keep them in the project.

    What an earlier call computed is not computed again. Raises InputError for what the caller can
    put right and StageError when a stage fails.
    """
    settings, context, said = place.settings, place.context, _statements(place)
    frames: dict[str, pd.DataFrame] = {
        "catalogue": catalogue.run(
            source=place.source, settings=settings.catalogue, context=context
        ).manifest
    }
    with place.project.home.using_storage():
        for name, step in STEPS.items():
            if name == "crops":
                frames["overruled_pictures"] = overrides_stage.run(
                    corrections=said,
                    catalogue=frames["catalogue"],
                    raw_images=frames["raw_images"],
                ).manifest
            if name == "clusters":
                frames["corrections"] = said
            frames[name] = step.run(frames, settings, context).manifest
        _keep(place, frames)
    return frames


def run_clusters(
    place: ProjectCategory, frames: dict[str, pd.DataFrame]
) -> dict[str, pd.DataFrame]:
    """Return frames in which the statements of people hold that were made since; the others stay as
    they are.
    """
    renewed = {**frames, "corrections": _statements(place)}
    with place.project.home.using_storage():
        renewed[CLUSTERS.name] = (
            STEPS[CLUSTERS.name].run(renewed, place.settings, place.context).manifest
        )
        _keep(place, {name: renewed[name] for name in (CORRECTIONS.name, CLUSTERS.name)})
    return renewed


def read_frames(place: ProjectCategory) -> dict[str, pd.DataFrame]:
    """Return the manifests that the last run of a category left; raises InputError when there are
    none.
    """
    wanted = [CATALOGUE.name, OVERRULED_PICTURES.name, CORRECTIONS.name, *STEPS]
    frames = {name: place.project.manifests.read(name, place.category) for name in wanted}
    # A home of an earlier version has none, and nothing here is made from them.
    if frames[OFFERS.name] is None:
        frames[OFFERS.name] = empty(OFFERS)
    missing = [name for name, frame in frames.items() if frame is None]
    if missing:
        raise InputError(
            f"The category {place.category!r} is not finished: {', '.join(missing)} is missing. "
            "Run its workbook first."
        )
    return {name: frame for name, frame in frames.items() if frame is not None}


def _statements(place: ProjectCategory) -> pd.DataFrame:
    return place.project.corrections.manifest(place.category)


def _keep(place: ProjectCategory, frames: dict[str, pd.DataFrame]) -> None:
    for name, frame in frames.items():
        place.project.manifests.write(name, place.category, frame, MANIFESTS[name])
