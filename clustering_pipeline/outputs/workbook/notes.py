"""What the workbook says beside the listings: its summary, dates, and the large print of clusters
that no title names.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from importlib.metadata import version
from typing import Any

import numpy as np
import pandas as pd
from pydantic import BaseModel

from clustering_pipeline.settings import MatchSettings
from clustering_pipeline.stages.contract import StageContext
from clustering_pipeline.stages.matching import TextLine, held_texts, reading_places
from clustering_pipeline.stages.offers import Reading

Sections = Mapping[str, Mapping[str, str | int | float]]
ClusterDates = Mapping[int, tuple[date, date]]


@dataclass(frozen=True)
class WorkbookNotes:
    """What may be said in the workbook besides the labels.

    `category`: its slug. `summary`: sections of the sheet Summary, a
    title to names and values. `cluster_dates`: the dates at which each cluster number was first
    issued and last changed. `pack_texts`: crop to the lines of text on its pack, for the names of
    clusters without titles. `readings`: the prices of each reading of the workbook, the present one
    last. `review`: the address of the review pages.
    """

    category: str = ""
    summary: Sections = field(default_factory=dict)
    cluster_dates: ClusterDates = field(default_factory=dict)
    pack_texts: Mapping[str, Sequence[str]] = field(default_factory=dict)
    readings: Sequence[Reading] = ()
    review: str = ""


def summary_sections(file_name: str, sha256: str, settings: BaseModel) -> Sections:
    """Return the sections that tell what was read, under which settings, and by which version."""
    return {
        "Source": {"file": file_name, "sha256 of the file": sha256},
        "Settings other than the defaults": changed_settings(settings)
        or {"none": "all settings are at their defaults"},
        "Versions": {"clustering-pipeline": version("clustering-pipeline")},
    }


def changed_settings(settings: BaseModel) -> dict[str, str | int | float]:
    """Return the settings that differ from their defaults, such as `clusters.method`, with their
    values as text.
    """
    return dict(_flat(settings.model_dump(mode="json", exclude_defaults=True)))


def _flat(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    for name, value in values.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", _as_text(value)


def _as_text(value: Any) -> str:
    """Return a value as it is written for a person: the parts of a list between commas."""
    if isinstance(value, list):
        return ", ".join(map(_as_text, value))
    if isinstance(value, dict):
        return ", ".join(f"{name}: {_as_text(part)}" for name, part in value.items())
    return str(value)


def cluster_dates(events: pd.DataFrame) -> dict[int, tuple[date, date]]:
    """Return the dates of the first and the last event of each cluster number; columns `number`,
    `time` (ISO 8601).
    """
    dates = events.assign(date=events["time"].str[:10]).groupby("number")["date"]
    return {
        int(str(number)): (date.fromisoformat(group.min()), date.fromisoformat(group.max()))
        for number, group in dates
    }


READABLE = 0.6
# Brand, line, kind and variant are a pack's largest lines; what is smaller are directions and
# ingredients.
LARGEST_LINES = 5


def pack_texts(
    catalogue: pd.DataFrame,
    clusters: pd.DataFrame,
    local_features: pd.DataFrame,
    settings: MatchSettings,
    context: StageContext,
) -> dict[str, list[str]]:
    """Return the largest lines that the matching read on the packs of clusters without titles, by
    crop, from the top down.

    Nothing is read again: a pack whose text was not needed to match it has none here.
    """
    titled = set(catalogue.loc[catalogue["title"].notna(), "listing"])
    clustered = clusters[clusters["status"] == "clustered"]
    named = set(clustered.loc[clustered["listing"].isin(titled), "cluster_id"])
    crops = set(clustered.loc[~clustered["cluster_id"].isin(named), "crop_sha256"].dropna())
    return printed_lines(
        local_features[local_features["crop_sha256"].isin(crops)], settings, context
    )


def printed_lines(
    local_features: pd.DataFrame, settings: MatchSettings, context: StageContext
) -> dict[str, list[str]]:
    """Return the largest lines that the matching read on packs, by crop, from the top down; nothing
    is read again.
    """
    places = list(reading_places(local_features).items())
    texts = held_texts(places, settings.reader, context) if places else {}
    return {crop: largest_lines(lines) for crop, lines in texts.items()}


def largest_lines(lines: Sequence[TextLine]) -> list[str]:
    """Return the text of the largest lines that were read with confidence, in the order of
    reading.
    """
    readable = [line for line in lines if line.confidence >= READABLE]
    heights = [-float(np.linalg.norm(line.quad[3] - line.quad[0])) for line in readable]
    chosen = sorted(np.argsort(heights, kind="stable")[:LARGEST_LINES])
    return [readable[index].text for index in chosen]
