"""What a run changed in the clusters of a category."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

import pandas as pd

from clustering_pipeline.core.corrections import Name
from clustering_pipeline.core.manifests import CATALOGUE, CLUSTERS, CORRECTIONS
from clustering_pipeline.stages.clustering import changes_between
from clustering_pipeline.storage import ManifestStore

# Of the changes that are told one by one.
MOST_TOLD = 200
ChangeKind = Literal["birth", "retirement", "split", "merge", "left", "joined", "name"]


@dataclass(frozen=True)
class ClusterChange:
    """A cluster that is new, gone, split off `other`, merged into `other`, that listings left which
    have no cluster now, that such ones joined, or that has a new `name`.
    """

    kind: ChangeKind
    number: int
    other: int | None = None
    listings: int = 0
    name: str = ""


@dataclass(frozen=True)
class CategoryState:
    """A category at one moment: the cluster of every listing, None where it has none, and the names
    that people gave to clusters.
    """

    placed: Mapping[str, int | None]
    names: Mapping[int, str]

    @classmethod
    def read(cls, manifests: ManifestStore, category: str) -> "CategoryState | None":
        """Return the state that the last run left; None before there was one."""
        clusters = manifests.read(CLUSTERS.name, category)
        catalogue = manifests.read(CATALOGUE.name, category)
        if clusters is None or catalogue is None:
            return None
        frame = clusters.merge(catalogue[["listing", "product_base_id"]], on="listing")
        # One id may stand on several rows.
        again = frame.groupby("product_base_id", dropna=False).cumcount()
        keys = frame["product_base_id"].astype(str) + "\n" + again.astype(str)
        numbers = frame["cluster_id"].where(frame["cluster_id"] >= 0)
        placed = {
            key: None if pd.isna(number) else int(number)
            for key, number in zip(keys, numbers, strict=True)
        }
        return cls(placed, _names(manifests.read(CORRECTIONS.name, category)))

    @property
    def clusters(self) -> dict[int, frozenset[str]]:
        """The listings of every cluster."""
        members: dict[int, set[str]] = {}
        for listing, number in self.placed.items():
            if number is not None:
                members.setdefault(number, set()).add(listing)
        return {number: frozenset(listings) for number, listings in members.items()}


def _names(corrections: pd.DataFrame | None) -> dict[int, str]:
    if corrections is None:
        return {}
    said = corrections[corrections["kind"] == Name.kind]
    return {
        int(number): str(name)
        for number, name in zip(said["cluster_id"], said["name"], strict=True)
    }


@dataclass(frozen=True)
class Outcome:
    """What a finished run did: `moved` counts the listings whose cluster is another than before,
    `runs` are those of Dagster.
    """

    changes: tuple[ClusterChange, ...] = ()
    moved: int = 0
    materialised: tuple[str, ...] = ()
    runs: tuple[str, ...] = ()
    is_first: bool = False
    waiting: tuple[str, ...] = ()

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> "Outcome":
        """Return the outcome that `as_json` wrote."""
        lists = {name: tuple(values[name]) for name in ("materialised", "runs", "waiting")}
        changes = tuple(ClusterChange(**one) for one in values["changes"])
        return cls(**{**values, **lists, "changes": changes})

    def as_json(self) -> dict[str, Any]:
        """Return the outcome as plain values."""
        return asdict(self)


def compare(
    before: CategoryState | None, after: CategoryState | None
) -> tuple[tuple[ClusterChange, ...], int]:
    """Return the changes from one state to the next, those that people see first, and how many
    listings have another cluster; nothing where there was no state before.
    """
    if before is None or after is None:
        return (), 0
    old, new = before.clusters, after.clusters
    changes = [
        ClusterChange(change.kind, change.number, change.other, change.members)
        for change in changes_between(old, new)
    ]
    moves = [
        (was, after.placed[listing])
        for listing, was in before.placed.items()
        if listing in after.placed and after.placed[listing] != was
    ]
    alone = Counter(was for was, now in moves if now is None and was in new)
    joined = Counter(now for was, now in moves if was is None and now in old)
    changes += [ClusterChange("left", number, listings=count) for number, count in alone.items()]
    changes += [ClusterChange("joined", number, listings=count) for number, count in joined.items()]
    named = [
        ClusterChange("name", number, listings=len(new[number]), name=name)
        for number, name in sorted(after.names.items())
        if before.names.get(number) != name and number in new
    ]
    return tuple([*changes, *named][:MOST_TOLD]), len(moves)
