"""The queue of questions on real sellers' pictures: whether its intervals cover the true precision and recall, what 100 answers gain, and how fast the pages come.

A simulated reviewer answers by the truth and errs in two of a hundred answers. The truth has all
sizes of a product as one, and so has the run (`matches.sizes: join`). `--keep` keeps the run of the
pictures, which takes longest.
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import httpx
import numpy as np
import pandas as pd

from benchmarks.figures import Figure, Options
from benchmarks.pages import served
from benchmarks.pipeline import clustering_pipeline, served_copy
from clustering_pipeline import Grouping, group, open_project
from clustering_pipeline.api.running import ProjectCategory
from clustering_pipeline.core.corrections import RecordedCorrection, as_row
from clustering_pipeline.core.manifests import CORRECTIONS, conform
from clustering_pipeline.evaluation import Truth, read_truth, score_clusters
from clustering_pipeline.outputs.report import Listing, read_listings, review_order
from clustering_pipeline.project import PipelineHome, Project
from clustering_pipeline.review import PairQueue, Signature, actions
from clustering_pipeline.stages.contract import STEPS
from clustering_pipeline.synthetic import draw_products, photograph, serve_folder

CATEGORY = "kem"
REVIEWERS, ANSWERS, WRONG = 50, 100, 0.02
PICTURES = 90


def run(options: Options) -> list[Figure]:
    """Simulate the reviewers, then ask a server for its pages."""
    home = _finished_home(options)
    found = open_project(home).result(CATEGORY)
    truth = read_truth(options.dataset("sellers") / "labels.csv")
    review = _Review.of(ProjectCategory(Project(PipelineHome(home)), CATEGORY), found, truth)
    reviewers = 3 if options.quick else REVIEWERS
    outcomes = [review.simulate(seed) for seed in range(reviewers)]
    return [*_measured(review, outcomes), *_pages(home, options.scratch / "drawn")]


def _finished_home(options: Options) -> Path:
    home = (options.kept or options.scratch) / "review-sellers"
    if Project(PipelineHome(home)).manifests.read("clusters", CATEGORY) is None:
        dataset = options.dataset("sellers")
        home.mkdir(parents=True, exist_ok=True)
        (home / "settings.yaml").write_text("matches:\n  sizes: join\n", encoding="utf-8")
        with serve_folder(dataset) as shop:
            catalogue = served_copy(dataset, shop, options.scratch / f"{CATEGORY}.xlsx")
            arguments = ("run", str(catalogue), "--category", CATEGORY, "--allow-host", shop.host)
            clustering_pipeline(home, *arguments, seconds=7200)
    return home


@dataclass(frozen=True)
class _Outcome:
    """What one reviewer's answers said, and the pairwise F1 after the next run honoured them."""

    precision: tuple[float, float]
    recall: tuple[float, float]
    f1: float
    answers: int


@dataclass(frozen=True)
class _Review:
    """The finished category with its truth."""

    place: ProjectCategory
    frames: Mapping[str, pd.DataFrame]
    listings: list[Listing]
    product: Mapping[int, str]
    scores: Mapping[str, float]

    @classmethod
    def of(cls, place: ProjectCategory, found: Grouping, truth: Truth) -> "_Review":
        frames = found.manifests
        listings = read_listings(place.tables(dict(frames)))
        product = {one.listing: truth.groups[str(truth.key_of(one.url))] for one in listings}
        scores = score_clusters(
            [product[one.listing] for one in listings], [one.cluster_id for one in listings]
        )
        return cls(place, frames, listings, product, scores)

    def simulate(self, seed: int) -> _Outcome:
        """Let a reviewer answer; `seed` decides the random order and which answers are wrong."""
        random = np.random.default_rng(seed)
        tables = self.place.tables(dict(self.frames))
        queue = PairQueue(tables, review_order(tables), seed=seed)
        said: list[RecordedCorrection] = []
        while len(said) < ANSWERS:
            questions = queue.questions(said, "reviewer")
            if not questions:
                break
            first, second = questions[0].first, questions[0].second
            is_same = self.product[first.listing] == self.product[second.listing]
            state = actions.same if is_same ^ (random.random() < WRONG) else actions.different
            stated = state(first, second, Signature("reviewer", CATEGORY))
            said.append(RecordedCorrection(len(said) + 1, stated[0]))
        quality = queue.standing(said).quality
        assert quality is not None
        return _Outcome(
            (quality.precision.low, quality.precision.high),
            (quality.recall.low, quality.recall.high),
            self._f1_after(said),
            len(said),
        )

    def _f1_after(self, said: list[RecordedCorrection]) -> float:
        rows = [{"number": one.number, **as_row(one.correction)} for one in said]
        frame = pd.DataFrame(rows, dtype=object).assign(time="2026-01-01T00:00:00+00:00")
        stated = conform(frame[CORRECTIONS.schema.names], CORRECTIONS)
        made = STEPS["clusters"].run(
            {**self.frames, "corrections": stated}, self.place.settings, self.place.context
        )
        numbers = dict(zip(made.manifest["listing"], made.manifest["cluster_id"], strict=True))
        return score_clusters(
            [self.product[one.listing] for one in self.listings],
            [numbers[one.listing] for one in self.listings],
        )["pairwise_f1"]


def _measured(review: _Review, outcomes: list[_Outcome]) -> list[Figure]:
    precision, recall = review.scores["pairwise_precision"], review.scores["pairwise_recall"]
    covers = [
        (low <= precision <= high, least <= recall <= most)
        for (low, high), (least, most) in ((one.precision, one.recall) for one in outcomes)
    ]
    gains = [one.f1 - review.scores["pairwise_f1"] for one in outcomes]
    widths = [(high - low) / 2 for one in outcomes for low, high in (one.precision, one.recall)]
    note = f"{len(outcomes)} reviewers of {outcomes[0].answers} answers, 2 % of them wrong"
    margins = f"± {np.mean(widths[::2]):.2f} and ± {np.mean(widths[1::2]):.2f} on average"
    return [
        Figure(
            "interval covers the true precision",
            float(np.mean([one for one, _ in covers])),
            "",
            0.9,
            note=f"{note}; truth {precision:.3f}",
        ),
        Figure(
            "interval covers the true recall",
            float(np.mean([other for _, other in covers])),
            "",
            0.9,
            note=f"truth {recall:.3f}; margins of both: {margins}",
        ),
        Figure("both at once", float(np.mean([one and other for one, other in covers]))),
        Figure(
            "pairwise F1 gained by 100 answers",
            float(np.mean(gains)),
            "",
            0.05,
            runs=tuple(gains),
            note=f"from {review.scores['pairwise_f1']:.3f}",
        ),
    ]


def _pages(home: Path, drawn: Path) -> list[Figure]:
    with served(Project(PipelineHome(home))) as address:
        following = _seconds(f"{address}/c/{CATEGORY}/queue/next?count=1", 30)
        whole = _seconds(f"{address}/c/{CATEGORY}/queue", 30)
    product = draw_products(1, seed=3)[0]
    pictures = [photograph(product, None, number) for number in range(PICTURES)]
    frame = pd.DataFrame({"id": range(PICTURES), "image": pictures})
    found = group(frame, name="Drawn", keep=drawn, matches={"text": False})
    number, shown = found.clusters.index[0], int(found.clusters["pictures"].iloc[0])
    with served(Project(PipelineHome(drawn))) as address:
        cluster = _seconds(f"{address}/c/drawn/review/{number}", 30)
    return [
        Figure("next question on loopback, median", following, "ms", 100.0, "at most"),
        Figure("page of a question on loopback, median", whole, "ms", 100.0, "at most"),
        Figure(
            f"page of a cluster of {shown} pictures on loopback, median",
            cluster,
            "ms",
            300.0,
            "at most",
        ),
    ]


def _seconds(address: str, times: int) -> float:
    """Return the median milliseconds of a request, the first left out."""
    seconds = []
    with httpx.Client(timeout=120) as client:
        for _ in range(times + 1):
            started = time.perf_counter()
            client.get(address).raise_for_status()
            seconds.append(time.perf_counter() - started)
    return 1e3 * float(np.median(seconds[1:]))
