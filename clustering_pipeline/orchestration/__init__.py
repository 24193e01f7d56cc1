"""What keeps categories up to date: partitions, staleness, synchronisation, jobs, schedules and
sensors.
"""

from clustering_pipeline.orchestration.runtime.instance import (
    add_category,
    known_categories,
    open_instance,
    remove_category,
)
from clustering_pipeline.orchestration.sync.lineage import Status
from clustering_pipeline.orchestration.sync.status import (
    AssetReport,
    CategoryStatus,
    category_statuses,
)
from clustering_pipeline.orchestration.sync.synchronise import (
    SyncReport,
    synchronise,
    synchronise_all,
)

__all__ = [
    "AssetReport",
    "CategoryStatus",
    "Status",
    "SyncReport",
    "add_category",
    "category_statuses",
    "known_categories",
    "open_instance",
    "remove_category",
    "synchronise",
    "synchronise_all",
]
