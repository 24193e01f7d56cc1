"""The map equation's search: description length, agreement and time beside Infomap's, and growth to
100,000 crops.

Graphs are planted: products of 4 to 40 crops whose links are strong, and weak links between
products at random. Infomap (GPL, so never a dependency) runs in an environment of its own; both
minimise the same published two-level description of the whole graph, ours of each connected part.
"""

import time

import numpy as np

from benchmarks.figures import Figure, Options
from benchmarks.peers import PeerEnvironment
from clustering_pipeline.evaluation import score_clusters
from clustering_pipeline.stages.clustering import codelength, communities, walk_on

_INFOMAP = """
import json, sys, time
import numpy as np
from infomap import Infomap
links = np.load(sys.argv[1])
search = Infomap(two_level=True, silent=True, num_trials=int(sys.argv[2]), seed=7)
started = time.process_time()
search.add_links([(int(a), int(b), float(w)) for a, b, w in links])
search.run()
seconds = time.process_time() - started
print(json.dumps(dict(seconds=seconds, modules={str(k): v for k, v in search.get_modules().items()})))
"""


def run(options: Options) -> list[Figure]:
    """Compare on one graph, then grow our search alone."""
    sizes = (1_000, 4_000) if options.quick else (5_000, 100_000)
    return [*_beside_infomap(options, sizes[0]), *_growth(*sizes)]


def planted(size: int, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return the product of each crop, and rows, columns and weights of about 20 links per crop,
    one in ten of them false.
    """
    random = np.random.default_rng(seed)
    sizes = random.integers(4, 40, size // 4)
    products = np.repeat(np.arange(len(sizes)), sizes)[:size]
    starts = np.searchsorted(products, np.arange(products[-1] + 2))
    rows = random.integers(0, size, size * 20)
    product = products[rows]
    columns = starts[product] + (
        random.random(len(rows)) * (starts[product + 1] - starts[product])
    ).astype(np.int64)
    false = random.random(len(rows)) < 0.1
    columns[false] = random.integers(0, size, int(false.sum()))
    low, high = np.minimum(rows, columns), np.maximum(rows, columns)
    pairs, first = np.unique(low[low != high] * size + high[low != high], return_index=True)
    weights = np.where(
        false[low != high][first],
        random.uniform(0.6, 2, len(first)),
        random.uniform(0.6, 6, len(first)),
    )
    return products, pairs // size, pairs % size, weights


def _search(
    products: np.ndarray, rows: np.ndarray, columns: np.ndarray, weights: np.ndarray
) -> tuple[np.ndarray, float]:
    """Return the labels and the processor seconds, which other work on the machine changes less
    than the clock's.
    """
    keys = np.random.default_rng(1).integers(0, 2**63, len(products)).astype(np.uint64)
    started = time.process_time()
    labels = communities(len(products), rows, columns, weights, keys)
    return labels, time.process_time() - started


def _beside_infomap(options: Options, size: int) -> list[Figure]:
    graph = planted(size, seed=3)
    labels, seconds = _search(*graph)
    links = options.scratch / "links.npy"
    np.save(links, np.column_stack(graph[1:]))
    answer = (
        PeerEnvironment("infomap", ["infomap>=2.8", "numpy"])
        .create()
        .run(_INFOMAP, str(links), "5")
    )
    theirs = np.full(size, -1, np.int64)
    theirs[[int(node) for node in answer["modules"]]] = list(answer["modules"].values())
    theirs = np.unique(theirs, return_inverse=True)[1]
    whole = walk_on(size, *graph[1:])
    ratio = codelength(whole, labels).item() / codelength(whole, theirs).item()
    note = f"{size:,} nodes, {len(graph[1]):,} links, 5 trials"
    return [
        Figure("description length against Infomap's", ratio, "×", 1.005, "at most", note=note),
        Figure(
            "BCubed F1", score_clusters(graph[0].tolist(), labels.tolist())["bcubed_f1"], note=note
        ),
        Figure(
            "BCubed F1, Infomap",
            score_clusters(graph[0].tolist(), theirs.tolist())["bcubed_f1"],
            note=note,
        ),
        Figure("processor seconds", seconds, "s", note=note),
        Figure("processor seconds, Infomap", float(answer["seconds"]), "s", note=note),
    ]


def _growth(small: int, large: int) -> list[Figure]:
    costs = {}
    for size in (small, large):
        graph = planted(size, seed=5)
        labels, seconds = _search(*graph)
        costs[size] = (
            seconds / size * 1e6,
            len(graph[1]),
            score_clusters(graph[0].tolist(), labels.tolist())["bcubed_f1"],
        )
    return [
        Figure(
            f"processor microseconds per crop at {size:,}",
            cost,
            "µs",
            note=f"{links:,} links, BCubed F1 {score:.3f}",
        )
        for size, (cost, links, score) in costs.items()
    ] + [
        Figure(
            f"cost per crop at {large:,} against {small:,}",
            costs[large][0] / costs[small][0],
            "×",
            2.0,
            "at most",
        )
    ]
