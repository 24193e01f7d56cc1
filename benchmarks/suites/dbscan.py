"""Exact DBSCAN over 512-dimensional unit vectors beside scikit-learn's: equal labels, time, memory,
share of the matrix rate.

FAISS's own range search, which computes every distance twice and labels nothing yet, stands beside
them.

The vectors are clusters of six noisy views each, half of them near the radius, in a background of
strangers. Each side runs in a process of its own, so that the peak of its memory is its own.
"""

import json
import subprocess
import sys
from functools import partial

from benchmarks.figures import Figure, Options
from benchmarks.measuring import interleave

SIZE, QUICK_SIZE, DIMENSIONS, EPS, MIN_SAMPLES = 50_000, 8_000, 512, 0.25, 3
_SCRIPT = """
import hashlib, json, resource, sys, time
import numpy as np

side, size = sys.argv[1], int(sys.argv[2])
random = np.random.default_rng(7)
centres = random.normal(size=(size // 8 + 1, {dimensions})).astype(np.float32)
views = np.repeat(centres, 8, axis=0)[:size]
spread = np.where(np.arange(size) % 2, 0.25, 0.45).astype(np.float32)[:, None]
vectors = views + spread * random.normal(size=views.shape).astype(np.float32)
vectors[::8] = random.normal(size=vectors[::8].shape)
vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
del centres, views
if side == "ours":
    from clustering_pipeline.grouping.density import dbscan
    work = lambda: dbscan(vectors, {eps}, {min_samples})
elif side == "scikit-learn":
    from sklearn.cluster import DBSCAN
    exact = vectors.astype(np.float64)
    work = lambda: DBSCAN(eps={eps}, min_samples={min_samples}, metric="cosine").fit_predict(exact)
elif side == "range search":
    import faiss
    index = faiss.IndexFlatIP({dimensions})
    index.add(vectors)
    work = lambda: [len(index.range_search(vectors[at:at + 1024], 1 - {eps})[0]) for at in range(0, size, 1024)][:1]
else:
    block = np.ascontiguousarray(vectors[:1024])
    product = block @ vectors.T
    work = lambda: [np.matmul(block, vectors.T, out=product) for _ in range(5)][:0]
started = time.perf_counter()
labels = work()
seconds = time.perf_counter() - started
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
digest = hashlib.sha256(np.asarray(labels, np.int64).tobytes()).hexdigest() if side in ("ours", "scikit-learn") else ""
rate = 5 * 2 * 1024 * size * {dimensions} / seconds if side == "rate" else 0
clusters = int(np.max(labels)) + 1 if digest else 0
print(json.dumps(dict(seconds=seconds, gib=peak, digest=digest, rate=rate, clusters=clusters)))
"""


def run(options: Options) -> list[Figure]:
    """Run both sides in turn and compare."""
    size, rounds = (QUICK_SIZE, 3) if options.quick else (SIZE, 1)
    answers: dict[str, list[dict[str, float | str]]] = {
        "ours": [],
        "scikit-learn": [],
        "range search": [],
        "rate": [],
    }
    interleave(
        {side: partial(_answer, answers[side], side, size) for side in answers},
        rounds,
        warm_up=0,
    )
    seconds = {
        side: tuple(float(answer["seconds"]) for answer in found) for side, found in answers.items()
    }
    ratios = tuple(
        theirs / ours for ours, theirs in zip(seconds["ours"], seconds["scikit-learn"], strict=True)
    )
    same = {answer["digest"] for side in ("ours", "scikit-learn") for answer in answers[side]}
    # Half of the products of all pairs, two operations per multiplication.
    shares = tuple(
        size**2 * DIMENSIONS / mine / float(rate["rate"])
        for mine, rate in zip(seconds["ours"], answers["rate"], strict=True)
    )
    note = f"{size:,} × {DIMENSIONS}, {answers['ours'][0]['clusters']} clusters"
    return [
        Figure("labels equal to scikit-learn's", float(len(same) == 1), "", 1.0, note=note),
        Figure(
            "times faster than scikit-learn",
            sorted(ratios)[len(ratios) // 2],
            "×",
            1.5,
            runs=ratios,
            note=note,
        ),
        Figure("seconds", sorted(seconds["ours"])[rounds // 2], "s", runs=seconds["ours"]),
        Figure(
            "seconds, scikit-learn",
            sorted(seconds["scikit-learn"])[rounds // 2],
            "s",
            runs=seconds["scikit-learn"],
        ),
        Figure(
            "seconds, FAISS range search",
            sorted(seconds["range search"])[rounds // 2],
            "s",
            runs=seconds["range search"],
        ),
        Figure(
            "peak memory of the process",
            max(float(answer["gib"]) for answer in answers["ours"]),
            "GiB",
            2.0,
            "at most",
        ),
        Figure(
            "peak memory, scikit-learn",
            max(float(answer["gib"]) for answer in answers["scikit-learn"]),
            "GiB",
        ),
        Figure(
            "share of the measured sgemm rate", sorted(shares)[len(shares) // 2], "", runs=shares
        ),
    ]


def _answer(answers: list[dict[str, float | str]], side: str, size: int) -> None:
    answers.append(_measure(side, size))


def _measure(side: str, size: int) -> dict[str, float | str]:
    script = _SCRIPT.format(dimensions=DIMENSIONS, eps=EPS, min_samples=MIN_SAMPLES)
    answer = subprocess.run(
        [sys.executable, "-c", script, side, str(size)], capture_output=True, text=True, check=True
    )
    found: dict[str, float | str] = json.loads(answer.stdout.splitlines()[-1])
    return found
