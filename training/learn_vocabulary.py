"""Learns the `local` encoder's words and projections from our own synthetic pictures and writes the
package data.

Run `python -m training.learn_vocabulary`; equal seeds on one machine give an equal file.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import typer
from numpy.typing import NDArray
from sklearn.cluster import MiniBatchKMeans

from clustering_pipeline.stages.embedding.local import Floats, Vocabulary, vlad, write_vocabulary
from clustering_pipeline.stages.features import LocalFeatures, extract, unit_descriptors
from clustering_pipeline.synthetic import (
    draw_marks,
    draw_products,
    draw_sellers,
    photograph,
    render_mark,
)

TARGET = (
    Path(__file__).parents[1]
    / "clustering_pipeline"
    / "stages"
    / "embedding"
    / "local_vocabulary.npz"
)


def synthetic_pictures(products: int, photographs: int, seed: int) -> Iterator[NDArray[np.uint8]]:
    """Yield `photographs` pictures, each of another seller, of `products` packs and of a fifth as
    many marks: uint8 RGB.

    Then as many families of packs again, photographed without a seller's frame: one product of
    each, because near variants teach a projection what they share rather than what tells packs
    apart.
    """
    sellers = draw_sellers(photographs, seed)
    for position, product in enumerate(draw_products(products, seed)):
        for number in range(photographs):
            yield photograph(product, sellers[number], seed + 1000 * number + position)
    for position, mark in enumerate(draw_marks(products // 5, seed)):
        for number in range(photographs):
            yield render_mark(mark, seed + 1000 * number + position)
    for position, product in enumerate(draw_products(12 * products, seed)[::4]):
        for number in range(2):
            yield photograph(product, None, seed + 1000 * number + position)


def learn_vocabulary(
    described: Sequence[tuple[LocalFeatures, Floats]],
    words: int,
    dimension: int,
    colour_dimension: int,
    seed: int,
) -> Vocabulary:
    """Return words by k-means over the descriptors, and uncentred and centred principal directions
    of colour and VLAD.
    """
    rng = np.random.default_rng(seed)
    descriptors = np.concatenate(
        [unit_descriptors(features.descriptors) for features, _ in described]
    )
    sample = descriptors[rng.permutation(len(descriptors))[:200_000]]
    kmeans = MiniBatchKMeans(words, random_state=seed, batch_size=8192, n_init=3, max_iter=60).fit(
        sample
    )
    centres = kmeans.cluster_centers_.astype(np.float32)
    aggregated = np.array(
        [vlad(unit_descriptors(features.descriptors), centres) for features, _ in described]
    )
    mean = aggregated.mean(axis=0)
    colours = np.array([colour for _, colour in described])
    return Vocabulary(
        centres,
        mean,
        _principal(aggregated - mean, dimension),
        _principal(colours, colour_dimension),
    )


def _principal(rows: Floats, dimension: int) -> Floats:
    """Return the leading right singular vectors of `rows`: float32 (dimension, columns)."""
    _, vectors = np.linalg.eigh(rows @ rows.T if len(rows) < rows.shape[1] else rows.T @ rows)
    leading = vectors[:, ::-1][:, :dimension].T
    directions = leading @ rows if len(rows) < rows.shape[1] else leading
    principal: Floats = (directions / np.linalg.norm(directions, axis=1, keepdims=True)).astype(
        np.float32
    )
    return principal


def main(
    products: int = 300, photographs: int = 5, seed: int = 20240229, target: Path = TARGET
) -> None:
    """Draw the pictures, learn, and write the vocabulary."""
    described = [extract(picture) for picture in synthetic_pictures(products, photographs, seed)]
    vocabulary = learn_vocabulary(
        described, words=64, dimension=192, colour_dimension=64, seed=seed
    )
    target.write_bytes(write_vocabulary(vocabulary))


if __name__ == "__main__":
    typer.run(main)
