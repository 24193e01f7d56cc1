"""What 5 % new listings cost with default settings, text on the packs included, against all
listings at once.

Drawn pictures, fewer than in `scale`, because each pack takes long to read.
"""

import time
from pathlib import Path

from benchmarks.drawn_pictures import draw_pictures
from benchmarks.figures import Figure, Options
from benchmarks.stages import Picture, PreparedSet
from clustering_pipeline.settings import ClusterSettings, MatchSettings

QUICK, USUAL, FULL = 200, 1_000, 5_000
# One of so many pictures is new.
_ONE_OF = 21


def run(options: Options) -> list[Figure]:
    """Match and group the old listings, then all of them."""
    size = QUICK if options.quick else FULL if options.full else USUAL
    pictures = draw_pictures(options.scratch / "drawn", size + size // (_ONE_OF - 1))
    old = [picture for number, picture in enumerate(pictures) if number % _ONE_OF]
    first, more = (_timed(some, options.scratch) for some in (old, pictures))
    note = f"{more:.1f} s against {first:.1f} s of matches and clusters; asked for {FULL:,}"
    return [
        Figure(
            f"time of {len(pictures) - len(old)} new listings at {len(old):,}",
            more / first,
            "×",
            0.1,
            "at most",
            note=note,
        )
    ]


def _timed(pictures: list[Picture], scratch: Path) -> float:
    """Return how long matches and clusters take, seconds; what an earlier call has found out is
    kept in `scratch`.
    """
    prepared = PreparedSet(pictures, scratch)
    started = time.perf_counter()
    prepared.group(prepared.match(MatchSettings()), ClusterSettings())
    return time.perf_counter() - started
