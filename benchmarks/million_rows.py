"""One size of the suite `millions`, in a process of its own: `python -m benchmarks.million_rows
HOME ROWS HOST` takes a catalogue from addresses to judged pictures and prints one JSON object.
"""

import json
import multiprocessing
import resource
import sys
import time
from pathlib import Path

import pandas as pd

from benchmarks.planted_run import processor_seconds
from clustering_pipeline.core.manifests import (
    CATALOGUE,
    CLEAN_IMAGES,
    CROPS,
    ENGLISH_PROMPTS,
    OVERRULED_PICTURES,
    RAW_IMAGES,
    Manifest,
    conform,
    empty,
)
from clustering_pipeline.settings import CleanImageSettings, CropSettings, DownloadSettings
from clustering_pipeline.stages import detection, download
from clustering_pipeline.stages.contract import StageContext
from clustering_pipeline.stages.deduplication import clean_stage
from clustering_pipeline.storage import BlobStore, FeatureTables, FileTree, ManifestStore

SIDE = 64


def main() -> None:
    """Run the three stages and write their manifests."""
    home, rows, host = Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
    context = StageContext(
        BlobStore(str(home / "blobs")), FeatureTables(str(home / "features")), home / "state"
    )
    manifests = ManifestStore(FileTree(str(home / "manifests")))
    seconds: dict[str, float] = {}
    processor: dict[str, float] = {}
    since = [0.0, 0.0]

    def keep(name: str, manifest: Manifest, frame: pd.DataFrame) -> pd.DataFrame:
        manifests.write(name, "rows", frame, manifest)
        now = time.perf_counter(), processor_seconds()
        seconds[name], processor[name] = now[0] - since[0], now[1] - since[1]
        since[:] = now
        return frame

    # In a run of the pipeline the stages before have started the workers.
    list(context.engine.map_batches(list, range(64), batch_size=1))
    since[:] = time.perf_counter(), processor_seconds()
    raw = keep(
        "raw_images",
        RAW_IMAGES,
        download.run(
            catalogue=_catalogue(rows, host),
            settings=DownloadSettings(allow_hosts=(host,)),
            context=context,
        ).manifest,
    )
    crops = keep(
        "crops",
        CROPS,
        detection.run(
            raw_images=raw,
            english_prompts=empty(ENGLISH_PROMPTS),
            catalogue=empty(CATALOGUE),
            settings=CropSettings(),
            context=context,
        ).manifest,
    )
    clean = keep(
        "clean_images",
        CLEAN_IMAGES,
        clean_stage.run(
            crops=crops,
            raw_images=raw,
            overruled_pictures=empty(OVERRULED_PICTURES),
            settings=CleanImageSettings(minimum_side=SIDE // 2),
            context=context,
        ).manifest,
    )
    print(
        json.dumps(
            {
                "seconds": seconds,
                "processor": processor,
                "rows": len(clean),
                "gib": _largest_process(),
            }
        )
    )


def _catalogue(rows: int, host: str) -> pd.DataFrame:
    urls = [[f"http://{host}/drawn/{number}.jpg"] for number in range(rows)]
    frame = pd.DataFrame({"listing": range(rows), "urls": urls, "usable": True})
    return conform(
        frame.reindex(columns=CATALOGUE.schema.names).assign(
            sheet="listings", sheet_row=range(2, rows + 2), url_cell="", extra="{}"
        ),
        CATALOGUE,
    )


def _largest_process() -> float:
    """Return the peak of memory of the largest among this process and its workers, GiB."""
    peaks = [
        int(line.split()[1])
        for child in multiprocessing.active_children()
        for line in Path(f"/proc/{child.pid}/status").read_text().splitlines()
        if line.startswith("VmHWM")
    ]
    return max([resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, *peaks]) / 2**20


if __name__ == "__main__":
    main()
