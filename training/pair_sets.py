"""The sets from which the evidence of pairs is learned: shared ones where they are present, and
drawn ones.
"""

import csv
import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd

from benchmarks.stages import Picture, PreparedSet
from clustering_pipeline.settings import MatchSettings
from clustering_pipeline.stages.matching.judging import Candidates, Examined
from clustering_pipeline.stages.matching.text_reader import TextLine
from clustering_pipeline.synthetic import draw_marks, encode_jpeg, render_mark, write_catalogue

SHARED = ("sellers", "storefront", "cartons")
# Drawn sets and their seeds.
SEEDS = {"drawn frames": 204, "drawn near variants": 205, "drawn marks": 206}
# Sets whose truth takes all sizes of a product for one.
SIZES_JOINED = ("sellers",)
# Parts of the products of which each is judged by models of the others.
FOLDS = 3
_FIRST_CARTONS = ("Arla", "Garant")


@dataclass(frozen=True)
class Variant:
    """A set with or without titles, and with all, some (as the pipeline chooses) or none of its
    packs read.
    """

    name: str
    titles: bool
    text: bool

    def __str__(self) -> str:
        return self.name + (", titles" if self.titles else "") + ("" if self.text else ", no text")


class PairSet:
    """A set of pictures with the truth, its candidates found and verified and its packs read
    once.
    """

    def __init__(self, name: str, datasets: Path, scratch: Path) -> None:
        """Take the pictures through the stages; `scratch` keeps what they make."""
        self.name = name
        folder = scratch / name.replace(" ", "_")
        self._pictures = _pictures(name, datasets, scratch / "drawn" / name.replace(" ", "_"))
        self.prepared = PreparedSet(self._pictures, folder)
        self._examined: dict[Variant, Examined] = {}
        self.halves = _halves(name, sorted(set(self.prepared.truth.tolist())))

    @property
    def variants(self) -> list[Variant]:
        """With text first, and titles where there are any."""
        titled = any(picture.title for picture in self._pictures)
        return [
            Variant(self.name, titles, text)
            for titles in ((False, True) if titled else (False,))
            for text in (True, False)
        ]

    def settings(self, text: bool = True) -> MatchSettings:
        """Return the default settings, with sizes as the truth has them."""
        return MatchSettings(text=text, sizes="join" if self.name in SIZES_JOINED else "apart")

    @cached_property
    def crops(self) -> list[str]:
        """The sha256 of each kept crop."""
        return self.prepared.matcher(self.settings()).products.crops

    @cached_property
    def listings(self) -> np.ndarray:
        """The number of a listing that shows each kept crop."""
        return self.prepared.listings_of(self.crops)

    @cached_property
    def truth(self) -> np.ndarray:
        """The product of each kept crop."""
        return np.asarray(self.prepared.truth[self.listings])

    @cached_property
    def candidates(self) -> tuple[Candidates, dict[int, list[TextLine]]]:
        """All candidates, and the lines on all packs."""
        matcher = self.prepared.matcher(self.settings(), titles=False)
        found = matcher.by_pictures()
        lines = matcher.read(range(len(matcher.products)))
        return matcher.with_text_neighbours(found, lines), lines

    def examined(self, variant: Variant) -> Examined:
        """Return the features of all candidates."""
        if variant not in self._examined:
            self._examined[variant] = self._examine(variant)
        return self._examined[variant]

    def _examine(self, variant: Variant) -> Examined:
        candidates, lines = self.candidates
        matcher = self.prepared.matcher(self.settings(), titles=variant.titles)
        return matcher.examine(candidates, lines if variant.text else {})

    def table(self, variant: Variant) -> pd.DataFrame:
        """Return the features of all candidates with `first` and `second`, their crops, `same`,
        `half` (A, B, or AB across), `fold_first` and `fold_second` (of `FOLDS` parts of the
        products), and `w`, the weight of each pair.
        """
        examined = self.examined(variant)
        pairs = examined.candidates.pairs
        first, second = self.truth[pairs].T
        halves = [np.array([self.halves[one] for one in side]) for side in (first, second)]
        sizes = pd.Series(self.truth).value_counts()
        weight = 1 / np.sqrt(sizes[first].to_numpy() * sizes[second].to_numpy())
        folds = np.array([_digest(one) % FOLDS for one in self.truth])[pairs]
        known = {
            "first": pairs[:, 0],
            "second": pairs[:, 1],
            "fold_first": folds[:, 0],
            "fold_second": folds[:, 1],
            "same": first == second,
            "half": np.where(halves[0] == halves[1], halves[0], "AB"),
            "w": weight / weight.sum(),
        }
        return pd.DataFrame({**examined.features, **known})


def _pictures(name: str, datasets: Path, drawn: Path) -> list[Picture]:
    if name in SHARED:
        return _shared(datasets / name)
    drawn.mkdir(parents=True, exist_ok=True)
    if name == "drawn marks":
        return _marks(drawn, SEEDS[name])
    choices = (
        {"products": 30, "sellers": 20, "listings_per_product": (5, 7), "all_decorated": True}
        if name == "drawn frames"
        else {"products": 40, "sellers": 12}
    )
    catalogue = write_catalogue(drawn, "http://localhost", seed=SEEDS[name], problems=(), **choices)
    return [
        Picture(catalogue.images / one.file_name, str(one.group), one.title)
        for one in catalogue.listings
    ]


def _shared(folder: Path) -> list[Picture]:
    titles: dict[str, str] = {}
    if (folder / "catalogue.xlsx").exists() and folder.name == "sellers":
        frame = pd.read_excel(folder / "catalogue.xlsx")
        column = next(
            name for name in frame.columns if "title" in name.lower() or "name" in name.lower()
        )
        said = frame.dropna(subset=[column])
        titles = dict(
            zip(
                said["url_thumbnail"].str.rsplit("/", n=1).str[1],
                said[column].astype(str),
                strict=True,
            )
        )
    with (folder / "labels.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    return [
        Picture(folder / "images" / row["image"], row["group"], titles.get(row["image"]))
        for row in rows
    ]


def _marks(folder: Path, seed: int, renderings: int = 12) -> list[Picture]:
    quality = np.random.default_rng(seed)
    found = []
    for number, mark in enumerate(draw_marks(30, seed)):
        for copy in range(renderings):
            path = folder / f"{number:03d}-{copy:02d}.jpg"
            path.write_bytes(
                encode_jpeg(
                    render_mark(mark, seed + 100 * number + copy), int(quality.integers(60, 92))
                )
            )
            found.append(Picture(path, f"m{number:03d}"))
    return found


def _halves(name: str, groups: Sequence[str]) -> dict[str, str]:
    """Return A or B per product: by brand in `sellers`, by brand family in `cartons`, alternate
    products elsewhere.
    """
    if name == "sellers":
        return {one: "AB"[_digest(one.split(".")[0]) % 2] for one in groups}
    if name == "cartons":
        return {one: "A" if one.split("-")[0] in _FIRST_CARTONS else "B" for one in groups}
    return {one: "AB"[number % 2] for number, one in enumerate(groups)}


def _digest(text: str) -> int:
    return int(hashlib.sha256(text.encode()).hexdigest(), 16)


def as_json(content: object) -> str:
    """Return readable JSON with numbers to four places."""
    return json.dumps(
        json.loads(json.dumps(content), parse_float=lambda text: round(float(text), 4)),
        indent=1,
        ensure_ascii=False,
    )
