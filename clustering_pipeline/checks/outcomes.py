"""What a check looks at and what it says."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal

import pandas as pd

from clustering_pipeline.manifests import Manifest
from clustering_pipeline.settings import PipelineSettings

Facts = Mapping[str, int | float | str]


@dataclass(frozen=True)
class Evidence:
    """One materialisation: the manifest with its schema and facts, what it was made from, and the facts of the last one."""

    result: pd.DataFrame
    manifest: Manifest
    upstream: Mapping[str, pd.DataFrame]
    facts: Facts
    facts_before: Facts
    settings: PipelineSettings


@dataclass(frozen=True)
class Outcome:
    """Whether a check passed, in a sentence, with the figures it looked at."""

    passed: bool
    sentence: str
    figures: Mapping[str, int | float | str] = field(default_factory=dict)
    severity: Literal["warn", "error"] = "warn"


@dataclass(frozen=True)
class Check:
    """A named check of an asset. A blocking one stops what is made from the asset; only integrity is worth that."""

    name: str
    evaluate: Callable[[Evidence], Outcome]
    blocking: bool = False

    @property
    def description(self) -> str:
        """What the check looks at."""
        return (self.evaluate.__doc__ or "").strip()
