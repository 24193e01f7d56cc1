"""Reading a large catalogue: seconds and peak memory of a workbook with 200,000 rows and eight
columns.
"""

import random
import subprocess
import sys
from pathlib import Path

import openpyxl

from benchmarks.figures import Figure, Options

CATEGORY = "Kem chống nắng"
READ = """
import resource, sys, time
from clustering_pipeline.catalogue import read_workbook
from clustering_pipeline.settings import CatalogueSettings
content = open(sys.argv[1], "rb").read()
start = time.perf_counter()
rows = len(read_workbook(content, "catalogue.xlsx", CatalogueSettings()).listings)
print(time.perf_counter() - start, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, rows)
"""


def run(options: Options) -> list[Figure]:
    """Write one workbook and read it in fresh processes."""
    rows = 20_000 if options.quick else 200_000
    path = options.scratch / "catalogue.xlsx"
    write_large_workbook(path, rows)
    results = [_read(path) for _ in range(3)]
    seconds = tuple(result[0] for result in results)
    memory = tuple(result[1] for result in results)
    found = int(results[0][2])
    return [
        Figure(
            f"reading {rows:,} rows of an .xlsx", sorted(seconds)[1], "s", 25.0, "at most", seconds
        ),
        Figure("peak memory of that", sorted(memory)[1], "MB", 1536.0, "at most", memory),
        Figure("rows read", found, "", rows, "at least"),
    ]


def write_large_workbook(path: Path, rows: int) -> None:
    """Write a synthetic category export with eight columns."""
    generator = random.Random(20)
    workbook = openpyxl.Workbook(write_only=True)
    sheet = workbook.create_sheet("products")
    sheet.append(
        ["product_base_id", "url_thumbnail", "name", "brand", "price", "sold", "shop", "category"]
    )
    for number in range(rows):
        url = f"https://cdn.shop.example/file/{generator.getrandbits(128):032x}_tn"
        name = f"{CATEGORY} số {number} SPF50+ PA++++ 50ml chính hãng"
        price, sold = generator.randrange(10_000, 900_000), generator.randrange(1000)
        sheet.append(
            [
                10**9 + number,
                url,
                name,
                f"Brand {number % 300}",
                price,
                sold,
                f"shop_{number % 5000}",
                CATEGORY,
            ]
        )
    workbook.save(path)


def _read(path: Path) -> tuple[float, float, float]:
    finished = subprocess.run(
        [sys.executable, "-c", READ, str(path)], check=True, capture_output=True, text=True
    )
    seconds, megabytes, rows = map(float, finished.stdout.split())
    return seconds, megabytes, rows
