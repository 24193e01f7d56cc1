"""What was drawn beside the latest grouping of each category, kept for its report."""

import json
from collections.abc import Mapping

from clustering_pipeline.stage import StageContext
from clustering_pipeline.storage import FileTree


def _path(category: str) -> str:
    return f"cluster_drawings/{category}.json"


def keep_drawings(context: StageContext, category: str, drawings: Mapping[str, str]) -> dict[str, str]:
    """Keep drawings (name to SVG) as those of the category's latest grouping and return name to sha256."""
    digests = {name: context.blobs.put(drawing.encode()) for name, drawing in drawings.items()}
    FileTree(str(context.state)).write(_path(category), json.dumps(digests).encode())
    return digests


def read_drawings(context: StageContext, category: str) -> dict[str, str]:
    """Return the drawings (name to SVG) of the category's latest grouping; none when nothing was tuned, swept or projected."""
    files = FileTree(str(context.state))
    if not files.exists(_path(category)):
        return {}
    digests = json.loads(files.read(_path(category)))
    return {name: context.blobs.get(digest).decode() for name, digest in digests.items()}
