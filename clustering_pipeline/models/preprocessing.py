"""From pixels to a model's input, as the model's own preprocessor configuration says, without
torch.

Follows the Pillow backend of the image processors in Hugging Face transformers (CLIP, SigLIP, ViT,
BiT): resize, centre crop, rescale, normalise.
"""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from clustering_pipeline.core.errors import StageError

Pixels = NDArray[np.uint8]
# No published image tower has a larger input; a configuration that says so would fill the memory.
LONGEST_SIDE = 4096
Fit = Literal["pad", "squash", "model"]
_WHITE = 255
IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


@dataclass(frozen=True)
class ImagePreprocessing:
    """How a picture becomes a model's input.

    `resize` is (height, width), or (shortest edge,) to keep the aspect; `crop` is the centre crop
    (height, width) or None. `resample` is Pillow's number of the filter (2 bilinear, 3 bicubic).
    `mean` and `std` are per channel, on a scale of 0 to 1. `fitting` overrules resize and crop:
    "pad" keeps the whole picture on a white ground of the input's size, "squash" stretches it.
    """

    resize: tuple[int, ...]
    crop: tuple[int, int] | None
    resample: int
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    fitting: Fit = "model"

    @property
    def input_size(self) -> tuple[int, int]:
        """Height and width of the model's input in pixels."""
        if self.crop:
            return self.crop
        return (self.resize[0], self.resize[-1])

    def digest(self) -> str:
        """Return the sha256 of the configuration, for fingerprints."""
        content = asdict(self)
        if self.fitting == "model":
            del content["fitting"]
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()

    def with_fit(self, fitting: Fit | None) -> "ImagePreprocessing":
        """Return the same with another fit; None: "pad" where the model would cut the centre out,
        which loses the ends of a long product, and the model's own otherwise.
        """
        own: Fit = "model" if self.crop is None else "pad"
        return replace(self, fitting=fitting or own)

    def __call__(self, pictures: Sequence[Pixels]) -> NDArray[np.float32]:
        """Return the model's input, float32 (n, 3, height, width), for RGB pictures of shape (h, w,
        3).
        """
        scale, shift = self.normalisation()
        return self.fit(pictures) * scale[:, None, None] + shift[:, None, None]

    def fit(self, pictures: Sequence[Pixels]) -> Pixels:
        """Return uint8 (n, 3, height, width): the pictures resized and cropped, not yet
        normalised.
        """
        if not pictures:
            return np.empty((0, 3, *self.input_size), np.uint8)
        return np.ascontiguousarray(
            np.stack([self._fit(picture) for picture in pictures]).transpose(0, 3, 1, 2)
        )

    def normalisation(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Return scale and shift, float32 (3,) each: input = scale · pixel + shift, equal to
        rescale, subtract, divide.
        """
        mean, std = np.asarray(self.mean), np.asarray(self.std)
        return (1 / (255 * std)).astype(np.float32), (-mean / std).astype(np.float32)

    def _fit(self, picture: Pixels) -> Pixels:
        image = Image.fromarray(picture)
        height, width = self._resized(image.height, image.width)
        resized = np.asarray(image.resize((width, height), Image.Resampling(self.resample)))
        if self.fitting == "pad":
            return _on_white(resized, *self.input_size)
        cuts = self.fitting == "model" and self.crop is not None
        return _centre_crop(resized, *self.input_size) if cuts else resized

    def _resized(self, height: int, width: int) -> tuple[int, int]:
        if self.fitting != "model":
            most_high, most_wide = self.input_size
            if self.fitting == "squash":
                return most_high, most_wide
            scale = min(most_high / height, most_wide / width)
            return max(1, round(height * scale)), max(1, round(width * scale))
        if len(self.resize) == 2:
            return self.resize[0], self.resize[1]
        edge = self.resize[0]
        short, long = sorted((height, width))
        longer = max(1, int(edge * long / short))
        return (edge, longer) if height <= width else (longer, edge)


def read_preprocessing(folder: Path) -> ImagePreprocessing:
    """Read `preprocessor_config.json` of a model folder; raises StageError when it is missing or
    says something unknown.
    """
    path = folder / "preprocessor_config.json"
    try:
        configuration = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise StageError(
            f"The preprocessing of the model in {folder} cannot be read from {path.name}: {error}. "
            "Pull the model again, or copy that file beside its weights."
        ) from error
    try:
        return preprocessing_from_configuration(configuration)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise StageError(
            f"{path} describes a preprocessing that is not known here ({error}). Pull the model "
            "again, or choose one whose pictures are resized, cropped and normalised."
        ) from error


def preprocessing_from_configuration(configuration: dict[str, Any]) -> ImagePreprocessing:
    """Return the preprocessing that an image processor of transformers describes; raises KeyError,
    TypeError or ValueError.
    """
    resize, crop = _resize_and_crop(configuration)
    sides = (*resize, *(crop or ()))
    if not all(isinstance(side, int) and 0 < side <= LONGEST_SIDE for side in sides):
        raise ValueError(f"sides of {sides} pixels")
    normalises = configuration.get("do_normalize", True)
    if normalises and not all(configuration["image_std"]):
        raise ValueError("image_std has a zero")
    return ImagePreprocessing(
        resize=resize,
        crop=crop,
        resample=int(configuration.get("resample", Image.Resampling.BILINEAR)),
        mean=_three(configuration["image_mean"]) if normalises else (0.0, 0.0, 0.0),
        std=_three(configuration["image_std"]) if normalises else (1.0, 1.0, 1.0),
    )


def _resize_and_crop(
    configuration: dict[str, Any],
) -> tuple[tuple[int, ...], tuple[int, int] | None]:
    size, crop_share = configuration["size"], configuration.get("crop_pct")
    crop = (
        _height_and_width(configuration["crop_size"])
        if configuration.get("do_center_crop")
        else None
    )
    if isinstance(size, int) and crop_share is not None:
        # ResNet's as published: the library's processor takes the number for the shortest edge.
        size = {"shortest_edge": size}
    if isinstance(size, int):
        # The configurations of CLIP's first release give the shortest edge as a plain number, those
        # of ViT the square's side.
        return ((size,), crop) if crop else ((size, size), None)
    if "shortest_edge" not in size:
        return _height_and_width(size), crop
    edge = size["shortest_edge"]
    if crop_share is None:
        return (edge,), crop
    # ConvNeXT and ResNet: below 384 pixels a centre crop of that share, from there on a plain
    # square.
    return ((int(edge / crop_share),), (edge, edge)) if edge < 384 else ((edge, edge), None)


def _height_and_width(size: dict[str, int] | int) -> tuple[int, int]:
    return (size, size) if isinstance(size, int) else (size["height"], size["width"])


def _three(values: list[float]) -> tuple[float, float, float]:
    red, green, blue = values
    return float(red), float(green), float(blue)


def _on_white(picture: Pixels, height: int, width: int) -> Pixels:
    """Put a picture into the middle of a white ground that it fits on."""
    ground = np.full((height, width, 3), _WHITE, np.uint8)
    top, left = (height - picture.shape[0]) // 2, (width - picture.shape[1]) // 2
    ground[top : top + picture.shape[0], left : left + picture.shape[1]] = picture
    return ground


def _centre_crop(picture: Pixels, height: int, width: int) -> Pixels:
    """Cut the centre out; a side that is too short is padded with black, as the library's
    processors do.
    """
    missing_rows, missing_columns = (
        max(0, height - picture.shape[0]),
        max(0, width - picture.shape[1]),
    )
    if missing_rows or missing_columns:
        rows, columns = (missing_rows + 1) // 2, (missing_columns + 1) // 2
        picture = np.pad(
            picture, ((rows, missing_rows - rows), (columns, missing_columns - columns), (0, 0))
        )
    top, left = (picture.shape[0] - height) // 2, (picture.shape[1] - width) // 2
    return picture[top : top + height, left : left + width]
