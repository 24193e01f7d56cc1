"""Which database something is, and how far its append-only tables had come."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class State:
    """Which database it is, and the highest number of each of its append-only tables."""

    identity: str
    heights: Mapping[str, int] = field(default_factory=dict)

    def holds(self, earlier: "State") -> bool:
        """Whether this is the same database at that time or later."""
        return self.identity == earlier.identity and all(
            self.heights.get(table, 0) >= height for table, height in earlier.heights.items()
        )


def difference(present: State, remembered: State) -> str:
    """Return in words why what was found does not hold what is remembered."""
    if present.identity != remembered.identity:
        return "it is of another installation"
    behind = {
        table: (present.heights.get(table, 0), height)
        for table, height in remembered.heights.items()
        if present.heights.get(table, 0) < height
    }
    return "it is older: " + ", ".join(
        f"{table} end at {have:,}, and there were {height:,}"
        for table, (have, height) in behind.items()
    )
