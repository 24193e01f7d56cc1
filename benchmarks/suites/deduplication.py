"""The funnel beside imagededup and cleanvision: speed, duplicates found, originals kept, rejects,
and the join at a million.
"""

import subprocess
import sys
from itertools import combinations, islice
from pathlib import Path
from statistics import median

import cv2
import numpy as np
import pandas as pd

from benchmarks.figures import Figure, Options, SuiteUnavailableError
from benchmarks.measuring import time_once
from benchmarks.peers import PeerEnvironment
from clustering_pipeline.core.engine import LocalEngine
from clustering_pipeline.core.manifests import (
    CATALOGUE,
    ENGLISH_PROMPTS,
    OVERRULED_PICTURES,
    RAW_IMAGES,
    empty,
)
from clustering_pipeline.imaging import Pixels, decode_image, decode_reduced, fit_within, to_jpeg
from clustering_pipeline.settings import CleanImageSettings, CropSettings
from clustering_pipeline.stages import detection
from clustering_pipeline.stages.contract import StageContext
from clustering_pipeline.stages.deduplication import clean_stage
from clustering_pipeline.stages.deduplication.quality import CropSource, measure_batch
from clustering_pipeline.storage import BlobStore, FeatureTables
from clustering_pipeline.synthetic import draw_products, draw_sellers, photograph

IMAGEDEDUP = PeerEnvironment("imagededup", ["imagededup"])
CLEANVISION = PeerEnvironment("cleanvision", ["cleanvision"])
ENCODE = """
import json, sys, time
from imagededup.methods import PHash
if __name__ == "__main__":
    hasher = PHash(verbose=False)
    start = time.perf_counter()
    hashes = hasher.encode_images(image_dir=sys.argv[1], num_enc_workers=2)
    seconds = time.perf_counter() - start
    found = hasher.find_duplicates(encoding_map=hashes, max_distance_threshold=10, num_dist_workers=1)
    removed = hasher.find_duplicates_to_remove(encoding_map=hashes, max_distance_threshold=10)
    print(json.dumps({"seconds": seconds, "found": found, "removed": removed}))
"""
INSPECT = """
import json, sys, time
from cleanvision import Imagelab
if __name__ == "__main__":
    lab = Imagelab(data_path=sys.argv[1], verbose=False)
    start = time.perf_counter()
    lab.find_issues({"dark": {}, "light": {}, "blurry": {}, "low_information": {}, "near_duplicates": {}, "exact_duplicates": {}},
                    n_jobs=2, verbose=False)
    print(json.dumps({"seconds": time.perf_counter() - start}))
"""
JOIN = """
import json, resource, sys, time
import numpy as np
from clustering_pipeline.deduplication import pairs_within
count = int(sys.argv[1])
rng = np.random.default_rng(0)
codes = rng.integers(0, 2**64, count, dtype=np.uint64)
near = codes[: count // 10].copy()
for _ in range(5):
    near ^= np.uint64(1) << rng.integers(0, 64, len(near), dtype=np.uint64)
codes[-len(near):] = near
start = time.perf_counter()
pairs = pairs_within(codes, 6)
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
print(json.dumps([time.perf_counter() - start, peak, len(pairs)]))
"""
_NETWORK = (
    "A neural encoder comes on top: the suite `embeddings` measures it where its weights are."
)


def run(options: Options) -> list[Figure]:
    """Return every figure; those whose data set or peer is absent are left out with a line on
    standard output.
    """
    figures = []
    for part in (_join, _variants, _speed, _funnel_speed, _studio, _blur):
        try:
            figures += part(options)
        except SuiteUnavailableError as error:
            print(f"left out: {error}")
    return figures


def _context(folder: Path, workers: int | None = None) -> StageContext:
    return StageContext(
        BlobStore(str(folder / "blobs")),
        FeatureTables(str(folder / "features")),
        folder,
        LocalEngine(workers),
    )


def _clean(contents: dict[str, bytes], context: StageContext, crop: str = "on") -> pd.DataFrame:
    """Return CLEAN_IMAGES with the picture's name for each, after detection as in a run."""
    names = {context.blobs.put(content): name for name, content in contents.items()}
    sizes = [len(contents[name]) for name in names.values()]
    raw = pd.DataFrame({"listing": range(len(names)), "image_sha256": list(names), "bytes": sizes})
    raw = raw.reindex(columns=RAW_IMAGES.schema.names)
    settings = CropSettings.model_validate({"crop": crop})
    crops = detection.run(
        raw_images=raw.assign(position=0),
        english_prompts=empty(ENGLISH_PROMPTS),
        catalogue=empty(CATALOGUE),
        settings=settings,
        context=context,
    ).manifest
    manifest = clean_stage.run(
        crops=crops,
        raw_images=raw,
        overruled_pictures=empty(OVERRULED_PICTURES),
        settings=CleanImageSettings(),
        context=context,
    ).manifest
    return manifest.assign(name=manifest["image_sha256"].map(names))


def _join(options: Options) -> list[Figure]:
    figures = []
    for count, seconds, megabytes in ((20_000, 1.0, None), (1_000_000, 90.0, 2048.0)):
        if options.quick and count > 100_000:
            continue
        results = [_run_join(count) for _ in range(3 if options.full or count < 100_000 else 1)]
        times, memory = tuple(one[0] for one in results), tuple(one[1] for one in results)
        figures.append(
            Figure(
                f"join of {count:,} hashes, radius 6", median(times), "s", seconds, "at most", times
            )
        )
        if megabytes:
            figures.append(
                Figure("peak memory of that", median(memory), "MB", megabytes, "at most", memory)
            )
    return figures


def _run_join(count: int) -> list[float]:
    answer = subprocess.run(
        [sys.executable, "-c", JOIN, str(count)], check=True, capture_output=True, text=True
    )
    return [float(value) for value in answer.stdout.strip().strip("[]").split(",")]


def _originals(count: int, designs: bool = False) -> list[Pixels]:
    """Return pictures of different products, with `designs` of none of whose near variants there is
    another.
    """
    products = draw_products(4 * count if designs else count, 5)
    if designs:
        products = list({product.family: product for product in reversed(products)}.values())[::-1][
            :count
        ]
    sellers = draw_sellers(count, seed=5)
    return [
        photograph(product, seller, seed)
        for seed, (product, seller) in enumerate(zip(products, sellers, strict=True))
    ]


def _real_originals(options: Options, count: int) -> list[Pixels]:
    """Return real listing photos of which no two are candidates for being the same."""
    folder = options.dataset("listings")
    candidates = pd.read_csv(folder / "near_duplicate_candidates.csv", dtype=str)
    doubtful = {Path(str(name)).name for name in candidates.to_numpy().ravel()}
    names = [path for path in sorted((folder / "images").iterdir()) if path.name not in doubtful]
    order = np.random.default_rng(0).permutation(len(names)).tolist()
    pictures = (decode_image(names[place].read_bytes()) for place in order)
    return list(islice((pixels for pixels in pictures if min(pixels.shape[:2]) >= 150), count))


def variants(original: Pixels) -> dict[str, bytes]:
    """Return a picture and its copies: compressed again, at half the size, cropped by 5 % and
    brighter.
    """
    height, width = original.shape[:2]
    y, x = round(0.025 * height), round(0.025 * width)
    brighter = np.clip(
        original[y : height - y, x : width - x].astype(np.float32) * 1.15 + 8, 0, 255
    ).astype(np.uint8)
    return {
        "original": to_jpeg(original, 92),
        "copy": to_jpeg(original, 75),
        "resized": to_jpeg(fit_within(original, max(height, width) // 2), 88),
        "cropped": to_jpeg(brighter, 88),
    }


def _variants(options: Options) -> list[Figure]:
    count = 60 if options.quick else 500
    folder = options.scratch / "variants"
    figures = _variant_figures(
        f"{count} designs", _originals(count, designs=True), folder, asked=True
    )
    figures += _peer_variants(folder, count)
    # Near variants of one design that differ in a printed number alone are products of their own,
    # in the eyes of a shop.
    siblings = _originals(count)
    figures += _variant_figures(
        f"{count} products, near variants among them", siblings, options.scratch / "siblings"
    )
    try:
        real = _real_originals(options, count)
    except SuiteUnavailableError as error:
        print(f"left out: {error}")
        return figures
    return figures + _variant_figures(
        f"{len(real)} real listing photos", real, options.scratch / "real"
    )


def _variant_figures(
    title: str, originals: list[Pixels], folder: Path, asked: bool = False
) -> list[Figure]:
    folder.mkdir()
    contents = {
        f"{number:04d}_{kind}.jpg": content
        for number, original in enumerate(originals)
        for kind, content in variants(original).items()
    }
    for name, content in contents.items():
        (folder / name).write_bytes(content)
    rows = _clean(contents, _context(folder.with_name(f"{folder.name}-store")))
    names = dict(zip(rows["crop_sha256"], rows["name"], strict=True))
    groups = rows[rows["keeper"].notna()].groupby("keeper")["name"].apply(list)
    found = {pair for members in groups for pair in combinations(sorted(members), 2)}
    precision, f1 = _pair_scores(found, len(originals))
    kept = {names[digest] for digest in rows.loc[rows["status"] == "kept", "crop_sha256"]}
    share = sum(f"{number:04d}_original.jpg" in kept for number in range(len(originals))) / len(
        originals
    )
    least = (0.97, 0.995, 0.98) if asked else (None, None, None)
    return [
        Figure(f"{title} × original, copy, resized, cropped: pair F1", f1, "", least[0]),
        Figure(f"{title}: pair precision", precision, "", least[1]),
        Figure(f"{title}: full-resolution original kept", share, "of groups", least[2]),
    ]


def _pair_scores(found: set[tuple[str, str]], count: int) -> tuple[float, float]:
    """Return precision and F1 over pairs of names that begin with their group's number."""
    right = sum(a[:4] == b[:4] for a, b in found)
    precision, recall = right / max(1, len(found)), right / (6 * count)
    return precision, 2 * precision * recall / max(1e-9, precision + recall)


def _peer_variants(folder: Path, count: int) -> list[Figure]:
    answer = IMAGEDEDUP.create().run(ENCODE, str(folder))
    found = {tuple(sorted((a, b))) for a, others in answer["found"].items() for b in others}
    removed = set(answer["removed"])
    kept = sum(f"{number:04d}_original.jpg" not in removed for number in range(count)) / count
    return [
        Figure("imagededup PHash ≤ 10: pair F1", _pair_scores(found, count)[1]),
        Figure("imagededup PHash ≤ 10: original kept", kept, "of groups"),
    ]


def _speed(options: Options) -> list[Figure]:
    count, side = (200, 800) if options.quick else (2000, 800)
    folder, store = options.scratch / "speed", BlobStore(str(options.scratch / "speed-store"))
    folder.mkdir()
    originals = [
        cv2.resize(one, (side, side), interpolation=cv2.INTER_CUBIC) for one in _originals(50)
    ]
    sources = []
    for number in range(count):
        content = to_jpeg(np.roll(originals[number % 50], 7 * number, axis=1), 88)
        (folder / f"{number:05d}.jpg").write_bytes(content)
        sources.append(CropSource(f"{number:064d}", store.put(content), (0, 0, side, side), True))
    engine = LocalEngine(2)
    spent: dict[str, list[float]] = {"ours": [], "imagededup": [], "cleanvision": []}
    for _ in range(4):
        spent["ours"].append(time_once(lambda: _measure_all(engine, store, sources)))
        spent["imagededup"].append(float(IMAGEDEDUP.create().run(ENCODE, str(folder))["seconds"]))
    # The first round starts the workers, which a run does once for all its stages.
    spent = {name: times[1:] for name, times in spent.items()}
    spent["cleanvision"].append(float(CLEANVISION.create().run(INSPECT, str(folder))["seconds"]))
    return _ratios(spent, count, side)


def _measure_all(engine: LocalEngine, store: BlobStore, sources: list[CropSource]) -> None:
    for _ in engine.map_batches(_Measure(store), sources, batch_size=100):
        pass


class _Measure:
    def __init__(self, store: BlobStore) -> None:
        self.store = store

    def __call__(self, crops: list[CropSource]) -> list[object]:
        return list(measure_batch(crops, self.store, "product"))


def _ratios(spent: dict[str, list[float]], count: int, side: int) -> list[Figure]:
    middle = {name: median(times) for name, times in spent.items()}
    ours = tuple(count / seconds for seconds in spent["ours"])
    figures = [
        Figure(
            f"hash and quality of {count:,} JPEGs {side} × {side}",
            count / middle["ours"],
            "pictures/s",
            runs=ours,
        )
    ]
    for name, asked in (("imagededup", 3.0), ("cleanvision", 10.0)):
        runs = tuple(peer / own for peer, own in zip(spent[name], spent["ours"], strict=False))
        figures.append(
            Figure(
                f"… times as fast as {name}", middle[name] / middle["ours"], "×", asked, runs=runs
            )
        )
    return figures


def _funnel_speed(options: Options) -> list[Figure]:
    count = 300 if options.quick else 10_000 if options.full else 2000
    context = _context(options.scratch / "funnel", 2)
    originals = [
        cv2.resize(one, (640, 640), interpolation=cv2.INTER_AREA) for one in _originals(50)
    ]
    contents = [
        to_jpeg(np.roll(originals[number % 50], 13 * number, axis=0), 88) for number in range(count)
    ]
    spent = _stages(contents, context)
    rate = count / sum(spent.values())
    each = ", ".join(f"{stage} {1000 * seconds / count:.1f} ms" for stage, seconds in spent.items())
    note = (
        f"{count:,} measured: {each} a picture; 116,298 would take {116_298 / rate / 60:.0f} "
        f"minutes. {_NETWORK}"
    )
    return [Figure("everything before the encoder, 640 × 640", rate, "pictures/s", 42.0, note=note)]


def _stages(contents: list[bytes], context: StageContext) -> dict[str, float]:
    """Return the seconds of each stage from bytes in memory to the kept crops."""
    frames: dict[str, pd.DataFrame] = {}

    def store() -> None:
        raw = pd.DataFrame(
            {
                "listing": range(len(contents)),
                "image_sha256": [context.blobs.put(one) for one in contents],
            }
        )
        frames["raw"] = raw.assign(position=0).reindex(columns=RAW_IMAGES.schema.names)

    def crops() -> None:
        frames["crops"] = detection.run(
            raw_images=frames["raw"],
            english_prompts=empty(ENGLISH_PROMPTS),
            catalogue=empty(CATALOGUE),
            settings=CropSettings(),
            context=context,
        ).manifest

    def clean() -> None:
        clean_stage.run(
            crops=frames["crops"],
            raw_images=frames["raw"],
            overruled_pictures=empty(OVERRULED_PICTURES),
            settings=CleanImageSettings(),
            context=context,
        )

    return {stage.__name__: time_once(stage) for stage in (store, crops, clean)}


def _studio(options: Options) -> list[Figure]:
    folder = options.dataset("cartons")
    labels = pd.read_csv(folder / "labels.csv")
    names = labels.loc[labels["split"] == "iconic", "image"]
    contents = {
        Path(name).name: (folder / "images" / Path(name).name).read_bytes() for name in names
    }
    rejected = {}
    for crop in ("on", "off"):
        status = _clean(contents, _context(options.scratch / f"studio-{crop}"), crop)["status"]
        rejected[crop] = int((status == "rejected").sum())
    greys = (decode_reduced(content, None, grey=True) for content in contents.values())
    bright = sum(grey.picture.mean() > 220 for grey in greys)
    note = f"a mean brightness limit of 220 rejects {bright} of {len(contents)}"
    return [
        Figure(f"studio pictures rejected, crop {crop}", float(count), "", 0, "at most", note=note)
        for crop, count in rejected.items()
    ]


def _blur(options: Options) -> list[Figure]:
    folder = options.dataset("blur")
    contents = {path.name: path.read_bytes() for path in sorted((folder / "images").iterdir())}
    rows = _clean(contents, _context(options.scratch / "blur")).set_index("name")
    scenes = {name.rsplit("_", 1)[0] for name in contents}
    sharpness = rows["sharpness"].astype(float)
    wrong = sum(
        sharpness[f"{scene}_S.jpg"] <= sharpness[f"{scene}_{kind}.jpg"]
        for scene in scenes
        for kind in "FM"
    )
    return [
        Figure("sharp pictures below a blurred one of their scene", float(wrong), "", 0, "at most")
    ]
