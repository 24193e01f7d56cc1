"""The pools that limit how many steps use one scarce thing at a time, over all runs of the
instance.
"""

from collections.abc import Mapping

import dagster as dg

GPU, NETWORK, GEMINI = "gpu", "network", "gemini"

# One model on the device, a few categories downloading, and one caller of Gemini: what the instance
# gets when it is opened first.
LIMITS = {GPU: 1, NETWORK: 2, GEMINI: 1}


def set_missing_limits(instance: dg.DagsterInstance) -> None:
    """Give the pools that have no limit yet theirs; one that somebody set stays."""
    held = {limit.name for limit in instance.event_log_storage.get_pool_limits()}
    if missing := {pool: limit for pool, limit in LIMITS.items() if pool not in held}:
        set_limits(instance, missing)


def set_limits(instance: dg.DagsterInstance, limits: Mapping[str, int]) -> dict[str, int]:
    """Give the pools of the instance their limits and return all that are set; doing it again
    changes nothing.
    """
    for pool, limit in limits.items():
        instance.event_log_storage.set_concurrency_slots(pool, limit)
    return {limit.name: limit.limit for limit in instance.event_log_storage.get_pool_limits()}
