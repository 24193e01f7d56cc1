"""The prices of every reading of a category's workbook: a small Parquet file each, in the store."""

import io
from dataclasses import dataclass
from datetime import UTC, datetime

import pandas as pd

from clustering_pipeline.storage import FileTree

FOLDER = "prices"
SUFFIX = ".parquet"
TIME = "%Y%m%dT%H%M%S.%fZ"
SOURCE_DIGITS = 16
KEPT = ("product_base_id", "price", "currency", "observed_on")


@dataclass(frozen=True)
class Reading:
    """When a workbook was read, and its prices: `product_base_id`, `price` (the lowest where an id
    has several on a day), `currency`, `observed_on` (ISO 8601, the row's own day where it has one).
    """

    time: datetime
    prices: pd.DataFrame


class PriceHistory:
    """The readings of one category, the latest last."""

    def __init__(self, files: FileTree, category: str) -> None:
        self._files = files
        self._folder = f"{FOLDER}/{category}"

    def keep(
        self,
        catalogue: pd.DataFrame,
        offers: pd.DataFrame,
        source: str,
        time: datetime | None = None,
    ) -> None:
        """Keep the prices of a reading made now, or at `time`.

        `source`: what was read, as a hash. A source that is the last one read is the same
        observation: it replaces that reading and keeps its time.
        """
        names = self._files.list(self._folder, SUFFIX)
        digest = source[:SOURCE_DIGITS]
        moment = (time or datetime.now(UTC)).astimezone(UTC)
        name = f"{moment.strftime(TIME)}-{digest}{SUFFIX}"
        if names and names[-1].removesuffix(SUFFIX).endswith(digest):
            name = names[-1]
            moment = _time_of(name)
        buffer = io.BytesIO()
        observed = _observed(catalogue, offers, moment)
        observed.to_parquet(buffer, index=False, compression="zstd")
        self._files.write(f"{self._folder}/{name}", buffer.getvalue())

    def readings(self) -> list[Reading]:
        """Return all readings, the earliest first; a damaged one is set aside."""
        names = self._files.list(self._folder, SUFFIX)
        return [reading for name in names if (reading := self._reading(name)) is not None]

    def version(self) -> str:
        """Return a text that changes when a reading is added."""
        names = self._files.list(self._folder, SUFFIX)
        return f"{len(names)} {names[-1] if names else ''}"

    def _reading(self, name: str) -> Reading | None:
        path = f"{self._folder}/{name}"
        try:
            return Reading(_time_of(name), pd.read_parquet(io.BytesIO(self._files.read(path))))
        except (ValueError, OSError) as error:
            self._files.set_aside(path, str(error))
            return None


def _time_of(name: str) -> datetime:
    return datetime.strptime(name.partition("-")[0], TIME).replace(tzinfo=UTC)


def _observed(catalogue: pd.DataFrame, offers: pd.DataFrame, moment: datetime) -> pd.DataFrame:
    rows = catalogue[["listing", "product_base_id"]].merge(offers, on="listing")
    rows = rows[rows["price"].notna() & rows["product_base_id"].notna()]
    days = rows["observed_on"].fillna(moment.date().isoformat())
    rows = rows.assign(observed_on=days)[list(KEPT)]
    lowest = rows.sort_values(["product_base_id", "observed_on", "price"], kind="stable")
    return lowest.drop_duplicates(["product_base_id", "observed_on"], ignore_index=True)
