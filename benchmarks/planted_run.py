"""One step of the `scale` suite, in a process of its own: `python -m benchmarks.planted_run
plant|group HOME SIZE NEW ORDER`.
"""

import json
import multiprocessing
import os
import pickle
import resource
import sys
import time
from dataclasses import fields
from pathlib import Path

import numpy as np
import pandas as pd

from benchmarks.collection import Collection, numbers_of, plant, product_of
from clustering_pipeline.core.manifests import CORRECTIONS, empty
from clustering_pipeline.evaluation import score_clusters
from clustering_pipeline.settings import ClusterSettings, EmbeddingSettings, MatchSettings
from clustering_pipeline.stages import clustering, embedding, matching
from clustering_pipeline.stages.contract import StageContext
from clustering_pipeline.storage import BlobStore, FeatureTables


def main() -> None:
    """Run the step that the command line names; `group` prints one JSON object."""
    step, home, size, new, order = sys.argv[1:]
    root = Path(home)
    context = StageContext(
        BlobStore(str(root / "blobs")),
        FeatureTables(str(root / "features")),
        root,
        category="planted",
    )
    if step == "plant":
        _plant(context, numbers_of(int(size), int(new)))
    else:
        print(json.dumps(_group(context, shuffled=order == "shuffled")))


def _plant(context: StageContext, numbers: list[int]) -> None:
    collection = plant(numbers, context)
    embeddings = embedding.run(
        clean_images=collection.clean_images,
        local_features=collection.local_features,
        settings=EmbeddingSettings(encoder="local"),
        context=context,
    ).manifest
    context.state.joinpath("manifests.pickle").write_bytes(pickle.dumps((collection, embeddings)))


def _group(context: StageContext, *, shuffled: bool) -> dict[str, object]:
    collection, embeddings = pickle.loads(context.state.joinpath("manifests.pickle").read_bytes())
    if shuffled:
        collection = _shuffle(collection)
        embeddings = embeddings.sample(frac=1, random_state=1, ignore_index=True)
    shown = {field.name: getattr(collection, field.name) for field in fields(Collection)} | {
        "embeddings": embeddings
    }
    # In a run of the pipeline the stages before have started the workers.
    list(context.engine.map_batches(list, range(64), batch_size=1))
    started, used = time.perf_counter(), processor_seconds()
    matched = matching.run(**shown, settings=MatchSettings(text=False), context=context)
    between = time.perf_counter()
    del shown["local_features"]
    read = shown | {"matches": matched.manifest, "corrections": empty(CORRECTIONS)}
    clusters = clustering.run(
        **read, settings=ClusterSettings(), context=context
    ).manifest.sort_values("listing")
    ended = time.perf_counter()
    numbers = clusters["cluster_id"].fillna(-1).astype(int)
    truth = product_of(clusters["listing"].to_numpy(np.int64))
    return {
        "seconds": ended - started,
        "matches": between - started,
        "clusters": ended - between,
        "processor_seconds": processor_seconds() - used,
        "gib": _peak_memory(),
        "candidates": int(matched.facts["candidates"]),
        "bcubed": score_clusters(truth.tolist(), numbers.tolist())["bcubed_f1"],
        "numbers": dict(zip(clusters["listing"].tolist(), numbers.tolist(), strict=True)),
    }


def _peak_memory() -> float:
    """Return the sum of the peaks of this process and its workers, GiB."""
    peaks = [
        int(line.split()[1])
        for text in _of_workers("status")
        for line in text.splitlines()
        if line.startswith("VmHWM")
    ]
    return (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss + sum(peaks)) / 2**20


def processor_seconds() -> float:
    """Return what this process and its workers have used so far, seconds."""
    ticks = [
        int(ticks)
        for text in _of_workers("stat")
        for ticks in text.rsplit(") ", 1)[1].split()[11:13]
    ]
    return time.process_time() + sum(ticks) / os.sysconf("SC_CLK_TCK")


def _of_workers(name: str) -> list[str]:
    return [
        Path(f"/proc/{child.pid}/{name}").read_text() for child in multiprocessing.active_children()
    ]


def _shuffle(collection: Collection) -> Collection:
    def shuffled(frame: pd.DataFrame) -> pd.DataFrame:
        return frame.sample(frac=1, random_state=2, ignore_index=True)

    return Collection(
        **{field.name: shuffled(getattr(collection, field.name)) for field in fields(Collection)}
    )


if __name__ == "__main__":
    main()
