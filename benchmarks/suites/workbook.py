"""Writing the labelled workbook: seconds and peak memory for 100,000 listings."""

import subprocess
import sys
from pathlib import Path

from benchmarks.figures import Figure, Options
from benchmarks.suites.catalogue import write_large_workbook

LABEL = """
import resource, sys, time
from pathlib import Path
import pandas as pd
from clustering_pipeline.stages.catalogue import read_workbook
from clustering_pipeline.core.manifests import CLEAN_IMAGES, CLUSTERS, MATCHES, RAW_IMAGES, conform, empty
from clustering_pipeline.settings import CatalogueSettings, WorkbookSettings
from clustering_pipeline.storage import BlobStore
from clustering_pipeline.outputs.workbook import OriginalWorkbook, ResultTables, label_workbook

source, scratch = Path(sys.argv[1]), Path(sys.argv[2])
content = source.read_bytes()
catalogue = read_workbook(content, source.name, CatalogueSettings()).listings
frame = pd.DataFrame(index=catalogue.index, columns=CLUSTERS.schema.names, dtype=object)
frame["listing"], frame["cluster_id"], frame["cluster_size"] = catalogue["listing"], catalogue["listing"] // 4 + 1, 4
frame["status"], frame["confidence"], frame["is_representative"] = "clustered", 0.9, catalogue["listing"] % 4 == 0
clusters = conform(frame, CLUSTERS)
start = time.perf_counter(), time.process_time()
labelled = label_workbook(
    OriginalWorkbook(content, source.name, CatalogueSettings()),
    ResultTables(catalogue, empty(RAW_IMAGES), empty(CLEAN_IMAGES), empty(MATCHES), clusters),
    settings=WorkbookSettings(), blobs=BlobStore(str(scratch)), output_name="labelled.xlsx",
)
(scratch / "labelled.xlsx").write_bytes(labelled.content)
memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
print(time.perf_counter() - start[0], time.process_time() - start[1], memory, labelled.rows)
"""


def run(options: Options) -> list[Figure]:
    """Label one large workbook in fresh processes; reading the catalogue is not part of the
    seconds.
    """
    rows = 10_000 if options.quick else 100_000
    source = options.scratch / "catalogue.xlsx"
    write_large_workbook(source, rows)
    results = [_label(source, options.scratch) for _ in range(3)]
    seconds, processor, memory = (tuple(result[index] for result in results) for index in range(3))
    note = f"{sorted(processor)[1]:.1f} s of one core"
    return [
        Figure(
            f"labelling {rows:,} listings in an .xlsx",
            sorted(seconds)[1],
            "s",
            60.0,
            "at most",
            seconds,
            note,
        ),
        Figure("peak memory of that", sorted(memory)[1], "MB", 2048.0, "at most", memory),
        Figure("rows labelled", results[0][3], "", rows, "at least"),
    ]


def _label(source: Path, scratch: Path) -> tuple[float, float, float, float]:
    command = [sys.executable, "-c", LABEL, str(source), str(scratch)]
    finished = subprocess.run(command, check=True, capture_output=True, text=True)
    seconds, processor, memory, rows = map(float, finished.stdout.split())
    return seconds, processor, memory, rows
