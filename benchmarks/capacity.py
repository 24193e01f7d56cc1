"""What a catalogue of any size would take, reckoned from measured costs of one item: bytes, hours,
machines and money for each stage, and what gives way first.

`python -m benchmarks.capacity` prints it for other sizes and prices; with `--write` it renews the
tables of docs/scale.md. Nothing here was run at that size.
"""

import argparse
import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from benchmarks.report import RESULTS

PAGE = Path(__file__).resolve().parents[1] / "docs" / "scale.md"
_GIB, _TB, _HOUR = 2**30, 1e12, 3600.0
# Candidate pairs were counted, and matches and clusters timed, at this many crops.
_MEASURED_AT, _MEASURED_SMALL = 100_000, 5_000
# Memory for a blob's place in an object store, bytes: two texts, two numbers, an entry of a dict.
_PLACE_BYTES = 300
# Seconds that a run may spend on reading what is cached, and bytes that it reads in one.
_LONGEST_READING, _READING = 600.0, 500e6
# Rows of a sheet of Excel.
_SHEET_ROWS = 1_048_576


@dataclass(frozen=True)
class Costs:
    """What was measured of one item.

    Attributes:
        milliseconds: processor time of a picture, crop or pack by stage.
        grouping: processor milliseconds of matches and clusters for a crop, text left out, at
            100,000 crops.
        exponent: how the time of those grows with the crops of a category.
        picture, features, row: bytes of a picture, of a crop's local features and of its cached
            rows.
        dimension: numbers of a vector.
    """

    milliseconds: Mapping[str, float]
    grouping: float
    exponent: float
    picture: float
    features: float
    row: float
    dimension: int


@dataclass(frozen=True)
class Assumptions:
    """What is not measured, but chosen.

    Money is in US dollars: list prices of 2025 for a core of a rented machine and for an object
    store.
    """

    listings: int = 100_000_000
    category: int = 100_000
    cores: int = 512
    cores_of_machine: int = 16
    distinct: float = 0.9
    kept: float = 0.7
    packs_read: float = 0.5
    busy: float = 0.8
    pictures_per_second_per_host: float = 200.0
    hosts: int = 20
    core_hour: float = 0.04
    gigabyte_month: float = 0.023
    million_puts: float = 5.0
    million_gets: float = 0.4
    shard: float = 32e6


@dataclass(frozen=True)
class Stage:
    """What one stage takes: items, processor hours, hours on all cores, terabytes, dollars."""

    name: str
    items: float
    core_hours: float
    hours: float
    terabytes: float
    dollars: float


def read_costs(results: Path = RESULTS) -> Costs:
    """Return what the suites `costs` and `scale` have measured; raises FileNotFoundError."""
    cost, scale = (_figures(results / f"{name}.json") for name in ("costs", "scale"))
    note = next(note for name, (_, note) in scale.items() if name.startswith("cost per crop"))
    small, large = (float(number) for number in re.findall(r"\d+\.\d+", note)[:2])
    stages = ("crops", "hashes and quality", "local features", "embeddings", "text on a pack")
    return Costs(
        milliseconds={name: cost[name][0] for name in stages},
        grouping=large,
        exponent=1 + math.log(large / small) / math.log(_MEASURED_AT / _MEASURED_SMALL),
        picture=cost["bytes of a picture"][0],
        features=cost["bytes of local features"][0],
        row=cost["bytes of cached rows for a crop"][0],
        dimension=int(cost["numbers of a vector"][0]),
    )


def _figures(path: Path) -> dict[str, tuple[float, str]]:
    figures = json.loads(path.read_text(encoding="utf-8"))["figures"]
    return {figure["name"]: (float(figure["value"]), figure["note"]) for figure in figures}


def stages_of(costs: Costs, chosen: Assumptions) -> list[Stage]:
    """Return what each stage takes."""
    pictures = chosen.listings * chosen.distinct
    kept = pictures * chosen.kept
    rate = chosen.pictures_per_second_per_host * chosen.hosts
    fetched = pictures * costs.picture
    crops = chosen.category * chosen.distinct * chosen.kept
    grouping = costs.grouping * (crops / _MEASURED_AT) ** (costs.exponent - 1)
    text = costs.milliseconds["text on a pack"]
    return [
        Stage(
            "fetch",
            pictures,
            0.0,
            pictures / rate / _HOUR,
            fetched / _TB,
            _stored(fetched, chosen),
        ),
        _computed("crops", pictures, costs.milliseconds["crops"], fetched, chosen),
        _computed(
            "hashes and quality",
            pictures,
            costs.milliseconds["hashes and quality"],
            fetched,
            chosen,
        ),
        _computed(
            "local features",
            kept,
            costs.milliseconds["local features"],
            kept * costs.features,
            chosen,
            keeps=True,
        ),
        _computed("embeddings", kept, costs.milliseconds["embeddings"], fetched, chosen),
        _computed(
            "matches and clusters, without text", kept, grouping, kept * costs.features, chosen
        ),
        _computed("text on packs", kept * chosen.packs_read, text, fetched, chosen),
        Stage(
            "cached rows",
            kept,
            0.0,
            0.0,
            kept * costs.row / _TB,
            _stored(kept * costs.row, chosen),
        ),
    ]


def _computed(
    name: str,
    items: float,
    milliseconds: float,
    read: float,
    chosen: Assumptions,
    *,
    keeps: bool = False,
) -> Stage:
    """Return a stage that computes; what it writes is stored for a month, what it reads is asked
    for once.
    """
    hours = items * milliseconds / 1e3 / _HOUR
    money = hours / chosen.busy * chosen.core_hour
    money += _stored(read, chosen) if keeps else items / 1e6 * chosen.million_gets
    return Stage(name, items, hours, hours / chosen.busy / chosen.cores, read / _TB, money)


def _stored(size: float, chosen: Assumptions) -> float:
    """Return dollars of storing so many bytes for a month, in shards."""
    puts = size / chosen.shard / 1e6 * chosen.million_puts
    return size / 1e9 * chosen.gigabyte_month + puts


def limits_of(costs: Costs, chosen: Assumptions) -> list[tuple[str, str, str]]:
    """Return what gives way, where, and what it is reckoned from; the first comes first."""
    vector = costs.dimension * 4
    crops = chosen.distinct * chosen.kept
    scanned = chosen.listings * crops * costs.row
    categories = max(chosen.listings / chosen.category, 1)
    limits = [
        (
            _LONGEST_READING * _READING / (costs.row * crops),
            "a run reads all cached rows of its stages, whatever category they are of: ten minutes "
            "of every run",
            f"{costs.row / 1e3:.0f} kB for a crop at 500 MB a second; at {chosen.listings:,} "
            f"listings {scanned / _TB:,.1f} TB, in each of {categories:,.0f} categories",
        ),
        (
            8 * _GIB / (2 * vector) / crops,
            "memory of one category's vectors, which are held twice while neighbours are looked "
            "for",
            f"{costs.dimension} numbers of 4 bytes, in 8 GiB",
        ),
        (
            float(_SHEET_ROWS),
            "rows of a sheet of Excel, for one category",
            "more listings need .csv or .parquet in, and have no labelled workbook",
        ),
        (
            4 * _GIB / (2 * _PLACE_BYTES) / chosen.distinct,
            "memory of where blobs lie in an object store, in each process",
            f"about {_PLACE_BYTES} bytes a blob, two blobs for a picture, in 4 GiB",
        ),
        (
            7 * 24 * _HOUR * chosen.pictures_per_second_per_host * chosen.hosts / chosen.distinct,
            "a week for fetching",
            f"{chosen.hosts} hosts that give {chosen.pictures_per_second_per_host:.0f} pictures a "
            "second each",
        ),
    ]
    return [(f"{size:,.0f}", what, why) for size, what, why in sorted(limits)]


def tables(costs: Costs, chosen: Assumptions) -> str:
    """Return the two tables as Markdown."""
    stages = stages_of(costs, chosen)
    total = (
        sum(stage.core_hours for stage in stages),
        sum(stage.hours for stage in stages),
        sum(stage.dollars for stage in stages),
    )
    machines = math.ceil(chosen.cores / chosen.cores_of_machine)
    lines = [
        f"{chosen.listings:,} listings in categories of {chosen.category:,}, on {machines} "
        f"machines of {chosen.cores_of_machine} cores:",
        "",
        "| stage | items | processor hours | hours on all | TB read or kept | US$ |",
        "|---|---|---|---|---|---|",
        *(
            f"| {stage.name} | {stage.items:,.0f} | {stage.core_hours:,.0f} | {stage.hours:,.1f} | "
            f"{stage.terabytes:,.1f} | {stage.dollars:,.0f} |"
            for stage in stages
        ),
        f"| all | | {total[0]:,.0f} | {total[1]:,.1f} | | {total[2]:,.0f} |",
        "",
        "| gives way at about so many listings | what | reckoned from |",
        "|---|---|---|",
        *(f"| {size} | {what} | {why} |" for size, what, why in limits_of(costs, chosen)),
    ]
    return "\n".join(lines)


_BEGIN, _END = "<!-- reckoned by benchmarks/capacity.py -->", "<!-- until here -->"


def renewed(page: str, costs: Costs, chosen: Assumptions) -> str:
    """Return a page with the tables between its two marks made anew."""
    before, _, rest = page.partition(_BEGIN)
    _, _, after = rest.partition(_END)
    return f"{before}{_BEGIN}\n\n{tables(costs, chosen)}\n\n{_END}{after}"


def main() -> None:
    """Print the tables, or renew the page."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.capacity", description=__doc__)
    parser.add_argument("--write", action="store_true", help="renew docs/scale.md")
    for name, value in vars(Assumptions()).items():
        parser.add_argument(f"--{name.replace('_', '-')}", type=type(value), default=value)
    arguments = vars(parser.parse_args())
    write, costs = arguments.pop("write"), read_costs()
    chosen = Assumptions(**arguments)
    if write:
        PAGE.write_text(renewed(PAGE.read_text(encoding="utf-8"), costs, chosen), encoding="utf-8")
    else:
        print(tables(costs, chosen))


if __name__ == "__main__":
    main()
