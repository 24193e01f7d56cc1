"""Results as a notebook and as a terminal show them."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from jinja2 import Environment

from clustering_pipeline.core.markup import open_templates

TERMINAL_NAMES = 46


@cache
def _templates() -> Environment:
    return open_templates("clustering_pipeline.api")


def render(template: str, **values: Any) -> str:
    """Return the HTML of a template of this package."""
    return _templates().get_template(template).render(**values)


@dataclass(frozen=True)
class Tile:
    """One picture of a cluster: a data URI, None where the picture cannot be read, and its
    caption.
    """

    picture: str | None
    caption: str


@dataclass(frozen=True)
class ShownCluster:
    """A cluster as it is shown: `tiles` of its first pictures, and how many more it has."""

    number: int
    name: str
    listings: int
    confidence: float | None
    tiles: Sequence[Tile]
    more: int


@dataclass(frozen=True)
class Shown:
    """Clusters to look at: pictures in a notebook, a table in a terminal (`print` it in a
    script).
    """

    heading: str
    clusters: Sequence[ShownCluster]
    left_out: int

    def __str__(self) -> str:
        lines = [self.heading]
        for one in self.clusters:
            name = (
                one.name
                if len(one.name) <= TERMINAL_NAMES
                else one.name[: TERMINAL_NAMES - 1] + "…"
            )
            sure = "" if one.confidence is None else f"{one.confidence:.2f}"
            lines.append(f"{one.number:>6}  {one.listings:>4} ×  {sure:>4}  {name}")
        if self.left_out:
            lines.append(f"and {self.left_out:,} more clusters")
        return "\n".join(lines)

    __repr__ = __str__

    def _repr_html_(self) -> str:
        return render("shown.html", shown=self)
