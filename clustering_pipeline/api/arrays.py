"""Single steps of the pipeline on pictures and arrays, without a catalogue around them; and
pictures as Python's functions are handed them.
"""

import io
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray
from PIL import Image

from clustering_pipeline.core.errors import InputError
from clustering_pipeline.core.hardware import Hardware
from clustering_pipeline.imaging import Pixels, decode_image
from clustering_pipeline.outputs.report import points_in_crop
from clustering_pipeline.project import PipelineHome
from clustering_pipeline.settings import (
    ClusterSettings,
    DownloadSettings,
    EmbeddingSettings,
    LocalFeatureSettings,
    MatchSettings,
)
from clustering_pipeline.settings.layers import SettingsLayer
from clustering_pipeline.settings.pipeline import resolve
from clustering_pipeline.stages import clustering, features, matching
from clustering_pipeline.stages.contract import StageContext
from clustering_pipeline.stages.deduplication import hash_bits, to_hexadecimal
from clustering_pipeline.stages.download import fetch_one
from clustering_pipeline.stages.embedding import open_encoder
from clustering_pipeline.stages.features import LocalFeatures, unit_descriptors
from clustering_pipeline.storage import BlobStore, FeatureTables

Picture = str | Path | bytes | Image.Image | NDArray[np.uint8]
# Pictures that an encoder is handed at once.
BATCH = 32


@dataclass(frozen=True)
class ImageHashes:
    """The perceptual hashes of a picture, 16 hexadecimal digits each, as the imagehash package
    writes them.
    """

    phash: str
    dhash: str

    def distance(self, other: "ImageHashes") -> int:
        """Return in how many of 64 bits the pHashes differ."""
        return (int(self.phash, 16) ^ int(other.phash, 16)).bit_count()


def hash_image(picture: Picture) -> ImageHashes:
    """Return the perceptual hashes of a picture: those of copies of one size or another differ in
    few bits.

    `picture`: a path, bytes, a PIL image or RGB pixels, uint8 (height, width, 3). Raises InputError
    and ImageError.

    Example:
        >>> from clustering_pipeline.synthetic import draw_products, photograph
        >>> photo = photograph(draw_products(1, seed=3)[0], None, 1)
        >>> smaller = cv2.resize(photo, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
        >>> hash_image(photo).distance(hash_image(smaller)) <= 6
        True
    """
    grey = cv2.cvtColor(pixels_of(picture), cv2.COLOR_RGB2GRAY)
    phash, dhash = hash_bits(grey.astype(np.uint8, copy=False))
    return ImageHashes(to_hexadecimal(phash), to_hexadecimal(dhash))


def embed(pictures: Sequence[Picture], **settings: Any) -> NDArray[np.float32]:
    """Return a vector of length 1 for each picture, float32 (n, dimension): near ones look alike.

    `settings`: of the section `embeddings`, such as `encoder="local"`. A picture is taken whole, as
    a crop of a catalogue is. Raises InputError, ImageError, and StageError for weights that are not
    here.

    Example:
        >>> from clustering_pipeline.synthetic import draw_products, photograph
        >>> noodles, cream = draw_products(9, seed=5)[4:7:2]
        >>> vectors = embed([photograph(one, None, 1) for one in (noodles, noodles, cream)])
        >>> near, far = vectors[0] @ vectors[1], vectors[0] @ vectors[2]
        >>> vectors.dtype.name, len(vectors), bool(near > far)
        ('float32', 3, True)
    """
    chosen: EmbeddingSettings = _section("embeddings", settings)
    if chosen.reduce != "none":
        raise InputError(
            "embed() takes each picture by itself, and embeddings.reduce looks at all of a "
            "catalogue. Leave it out, or use group()."
        )
    encoder = open_encoder(chosen)
    with _context() as context:
        encoder.load(context)
        try:
            prepare = encoder.preparation(context)
            views = [_view(encoder.reads, pixels_of(one)) for one in pictures]
            parts = [
                encoder.encode(prepare(views[start : start + BATCH]))
                for start in range(0, len(views), BATCH)
            ]
        finally:
            encoder.release()
    if not parts:
        return np.zeros((0, 0), np.float32)
    vectors = np.concatenate(parts).astype(np.float32)
    unit: NDArray[np.float32] = vectors / np.maximum(
        np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12
    )
    return unit


@dataclass(frozen=True)
class PrintAgreement:
    """How far the print of two products agrees.

    Attributes:
        probability: how likely both show one product by print and silhouette alone, 0 to 1.
        points_first, points_second: the points that agree with one affine map, float64 (m, 2), x
            and y in pixels of each picture.
    """

    probability: float
    points_first: NDArray[np.float64]
    points_second: NDArray[np.float64]

    def __len__(self) -> int:
        """How many points agree."""
        return len(self.points_first)


def verify(first: Picture, second: Picture, **settings: Any) -> PrintAgreement:
    """Return how far the print of the products in two pictures agrees under one affine map.

    `settings`: of the section `matches`. Text, titles and what a catalogue adds are left out.
    Raises InputError and ImageError.

    Example:
        >>> from clustering_pipeline.synthetic import draw_products, photograph
        >>> noodles, cream = draw_products(9, seed=5)[4:7:2]
        >>> photos = [photograph(one, None, n) for n, one in enumerate((noodles, noodles, cream))]
        >>> one, two = (verify(photos[0], other).probability for other in photos[1:])
        >>> one > 0.9 > two
        True
    """
    chosen: MatchSettings = _section("matches", settings)
    one, other = (_described(pixels_of(picture)) for picture in (first, second))
    descriptors = unit_descriptors(one.descriptors), unit_descriptors(other.descriptors)
    judged = matching.compare_pair(one, other, chosen, descriptors)
    match = matching.verify(one, other, chosen.verification, descriptors).match
    if match is None:
        nothing = np.zeros((0, 2))
        return PrintAgreement(judged.probability, nothing, nothing)
    return PrintAgreement(
        judged.probability,
        points_in_crop(one, match.first),
        points_in_crop(other, match.second),
    )


def communities(
    pairs: ArrayLike, weights: ArrayLike | None = None, *, size: int | None = None, **settings: Any
) -> NDArray[np.int64]:
    """Return the community of each node of a weighted graph, int64 (size,), by the two-level map
    equation (Rosvall, Axelsson and Bergstrom 2009).

    Args:
        pairs: int (m, 2), each edge once, nodes counted from 0.
        weights: positive float (m,), 1 for all by default.
        size: how many nodes there are; one more than the largest by default.
        settings: `trials` and `elsewhere` of the section `clusters`.

    Raises:
        InputError: for pairs or weights of another shape, or nodes that are not there.

    Example:
        >>> communities([(0, 1), (0, 2), (1, 2), (3, 4), (3, 5), (4, 5), (2, 3)],
        ...             [1, 1, 1, 1, 1, 1, 0.1], elsewhere=0).tolist()
        [0, 0, 0, 1, 1, 1]
    """
    chosen: ClusterSettings = _section("clusters", settings)
    edges = np.asarray(pairs, np.int64).reshape(-1, 2)
    heavy = np.ones(len(edges)) if weights is None else np.asarray(weights, np.float64)
    nodes = int(edges.max(initial=-1)) + 1 if size is None else size
    if heavy.shape != (len(edges),) or not (heavy > 0).all():
        raise InputError(
            f"There are {len(edges)} pairs and weights of the shape {heavy.shape}. Give a positive "
            "weight for each pair."
        )
    if len(edges) and (
        edges.min() < 0 or edges.max() >= nodes or (edges[:, 0] == edges[:, 1]).any()
    ):
        raise InputError(
            f"The pairs name nodes from {edges.min()} to {edges.max()} of {nodes}, or a node with "
            "itself. Count the nodes from 0, and give `size` where some have no pair."
        )
    return clustering.communities(
        nodes,
        edges[:, 0],
        edges[:, 1],
        heavy,
        np.arange(nodes, dtype=np.uint64),
        trials=chosen.trials,
        elsewhere=chosen.elsewhere,
    )


def _section(name: str, values: dict[str, Any]) -> Any:
    """Return a section of the default settings with other values; raises InputError."""
    return resolve([SettingsLayer("the call", {name: values})]).stage(name)


def _view(reads: str, pixels: Pixels) -> Any:
    if reads == "views":
        return pixels, pixels
    return features.extract(pixels, LocalFeatureSettings()) if reads == "local_features" else pixels


def _described(pixels: Pixels) -> LocalFeatures:
    return features.extract(pixels, LocalFeatureSettings())[0]


@contextmanager
def _context() -> Iterator[StageContext]:
    """Give a context whose storage is gone after the block; models are those of the home."""
    with tempfile.TemporaryDirectory(prefix="clustering-pipeline-") as folder:
        yield StageContext(
            BlobStore(f"{folder}/blobs"),
            FeatureTables(f"{folder}/features"),
            Path(folder),
            hardware=Hardware(models_folder=PipelineHome.find().models),
        )


def is_url(text: object) -> bool:
    """Whether a cell or an argument is the address of a picture on the web."""
    return isinstance(text, str) and text.strip().lower().startswith(("http://", "https://"))


def bytes_of(picture: Picture, which: str = "The picture") -> bytes:
    """Return a picture as a file's bytes: those of the file it came from, else a PNG.

    `which` names it in messages. Raises InputError for what is no picture, or a file that cannot be
    read.
    """
    if isinstance(picture, bytes):
        return picture
    if isinstance(picture, str | Path):
        return _read(Path(picture).expanduser(), which)
    if isinstance(picture, np.ndarray):
        return _png(Image.fromarray(_checked(picture, which)))
    if isinstance(picture, Image.Image):
        return _png(picture)
    raise InputError(
        f"{which} is a {type(picture).__name__}. Give a path, a URL, bytes, a PIL image or an RGB "
        "array."
    )


def pixels_of(picture: Picture, download: DownloadSettings | None = None) -> Pixels:
    """Return a picture as RGB, uint8 (height, width, 3), turned as its EXIF data say.

    `download`: how a URL is fetched; None where none is taken. Raises InputError, ImageError, and
    FetchError for a URL.
    """
    if isinstance(picture, np.ndarray):
        return _checked(picture, "The picture")
    if download is not None and is_url(picture):
        return decode_image(fetch_one(str(picture).strip(), download))
    return decode_image(bytes_of(picture))


def _read(path: Path, which: str) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise InputError(
            f"{which}, {path}, cannot be read ({error.strerror}); a relative path counts from "
            f"{Path.cwd()}."
        ) from error


def _checked(pixels: NDArray[np.uint8], which: str) -> Pixels:
    if pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[2] != 3:
        raise InputError(
            f"{which} is an array of {pixels.dtype} {pixels.shape}. Give uint8 (height, width, 3), "
            "RGB."
        )
    return pixels


def _png(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    is_plain = image.mode in ("1", "L", "LA", "P", "RGB", "RGBA")
    (image if is_plain else image.convert("RGB")).save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()
