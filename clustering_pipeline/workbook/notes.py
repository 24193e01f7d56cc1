"""What the sheets say besides the labels of this run."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from typing import Any

import pandas as pd
from pydantic import BaseModel

Sections = Mapping[str, Mapping[str, str | int | float]]
Seen = Mapping[int, tuple[str, str]]


@dataclass(frozen=True)
class WorkbookNotes:
    """What may be said in the workbook besides the labels.

    `category`, `category_name`: slug and display name. `summary`: sections of the sheet Summary, a title to names and values.
    `seen`: the dates at which each cluster number was first issued and last changed. `pack_texts`: crop to the lines of
    text on its pack, for the names of clusters without titles.
    """

    category: str = ""
    category_name: str = ""
    summary: Sections = field(default_factory=dict)
    seen: Seen = field(default_factory=dict)
    pack_texts: Mapping[str, Sequence[str]] = field(default_factory=dict)


def summary_sections(file_name: str, sha256: str, settings: BaseModel) -> Sections:
    """Return the sections that tell what was read, under which settings, and by which version."""
    return {
        "Source": {"file": file_name, "sha256 of the file": sha256},
        "Settings other than the defaults": changed_settings(settings) or {"none": "all settings are at their defaults"},
        "Versions": {"clustering-pipeline": version("clustering-pipeline")},
    }


def changed_settings(settings: BaseModel) -> dict[str, str | int | float]:
    """Return the settings that differ from their defaults, such as `clusters.method`, with their values as text."""
    return dict(_flat(settings.model_dump(mode="json", exclude_defaults=True)))


def _flat(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    for name, value in values.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", str(value)


def cluster_dates(events: pd.DataFrame) -> dict[int, tuple[str, str]]:
    """Return the dates of the first and the last event of each cluster number; columns `number`, `time` (ISO 8601)."""
    dates = events.assign(date=events["time"].str[:10]).groupby("number")["date"]
    return {int(str(number)): (str(group.min()), str(group.max())) for number, group in dates}
