"""Settings of the stages that make images ready to compare: catalogue, download, prompts, crops,
clean images.
"""

import re
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from pydantic import Field, field_validator

from clustering_pipeline.settings.base import SettingsModel, StageSettings, performance_field

RefreshPolicy = Literal["never", "if_older_than", "always"]
TranslatorName = Literal["auto", "gemini", "glossary"]
DetectorName = Literal["contour", "yolo-world", "grounding-dino", "owlv2", "faster-rcnn", "given"]

LONGEST_WORD = 80
FIRST_GEMINI_MODEL = "gemini-2.5-flash"


@dataclass(frozen=True)
class QualityLimits:
    """What a picture must have; brightness and contrast in grey levels 0 to 255, sides in
    pixels.
    """

    sharpness: float
    darkest: float
    brightest: float
    contrast: float
    spread: float
    side: int
    aspect: float


_PRESETS = {
    "catalogue": QualityLimits(
        sharpness=20, darkest=8, brightest=250, contrast=10, spread=16, side=10, aspect=15
    ),
    "street": QualityLimits(
        sharpness=50, darkest=10, brightest=220, contrast=0, spread=0, side=16, aspect=15
    ),
}


class CatalogueSettings(StageSettings):
    """Which sheets and columns of the workbook are read, and how much of a hostile one."""

    logic_version: ClassVar[str] = "3"

    sheets: tuple[str, ...] = Field(
        (), description="Sheets to read; all that have the two columns when empty."
    )
    header_row: int | None = Field(
        None,
        ge=0,
        description="Row of the headers, from 1; 0 when there is none and columns are named by "
        "letter; found when unset.",
    )
    id_column: str | None = Field(
        None,
        description="Header (or letter) of the listing ids; recognised by its usual names when "
        "unset.",
    )
    url_column: str | None = Field(
        None,
        description="Header (or letter) of the picture URLs; recognised by its usual names when "
        "unset.",
    )
    title_column: str | None = Field(
        None,
        description="Header (or letter) of the listing titles; recognised when unset, optional.",
    )
    images_per_listing: Literal["first", "all"] = Field(
        "first", description="Whether the first URL of a cell with several is used, or all of them."
    )
    max_rows: int = Field(
        1_000_000,
        ge=1,
        description="Rows of all sheets together above which a workbook is refused.",
    )
    max_sheets: int = Field(200, ge=1, description="Sheets above which a workbook is refused.")
    max_cells: int = Field(
        60_000_000,
        ge=1,
        description="Cells of the used rectangles of all sheets together, blank ones included, "
        "above which a table is refused.",
    )
    max_characters: int = Field(
        80_000_000,
        ge=1,
        description="Characters of all cells together above which a table is refused; a text that "
        "cells share counts for each.",
    )
    max_uncompressed_megabytes: int = Field(
        512,
        ge=1,
        description="Megabytes that a zipped workbook may unpack to; more is taken for a zip bomb "
        "and refused.",
    )
    max_unfolded_megabytes: int = performance_field(
        1024,
        "Megabytes that reading a table may take which unfolds to many times its size, beside 32 "
        "for each megabyte of its own; one that needs more is refused.",
        later=True,
        ge=1,
    )


OfferRole = Literal[
    "price",
    "list_price",
    "discount",
    "seller",
    "place",
    "sold",
    "rating",
    "reviews",
    "link",
    "brand",
    "observed_on",
]


class OfferSettings(StageSettings):
    """What of the workbook's other columns is read as prices, sellers and the like, and which
    prices stand out.
    """

    columns: dict[OfferRole, str] = Field(
        {},
        description="Header of a column by what it holds (`price: Giá KM`); those not named are "
        "recognised by their usual names, an empty header means that there is none.",
    )
    decimal_mark: Literal["auto", ".", ","] = Field(
        "auto",
        description="Mark before the decimals of prices; `auto` finds it in the column, and takes "
        "three digits behind a single mark for thousands where the column does not tell.",
    )
    date_order: Literal["auto", "day first", "month first"] = Field(
        "auto",
        description="How dates such as 05/11/2026 are read; `auto` finds it in the column and "
        "leaves what stays uncertain unread.",
    )
    currency: str | None = Field(
        None,
        pattern="^[A-Z]{3}$",
        description="ISO 4217 code of prices that name no currency; the only one named in the "
        "table when unset.",
    )
    outlier_z: float = Field(
        3.5,
        gt=0,
        description="Robust z-score (median and MAD of the log prices of a cluster) from which a "
        "price is far from its cluster's.",
    )


class DownloadSettings(StageSettings):
    """How pictures are fetched, what counts as one, and when one that is held is asked for
    again.
    """

    allow_hosts: tuple[str, ...] = Field(
        (),
        description="HOST or HOST:PORT entries that may be reached although their address is "
        "loopback or private.",
    )
    trust_proxy: bool = Field(
        False,
        description="Use the proxy that the environment names (HTTP_PROXY, HTTPS_PROXY, NO_PROXY). "
        "A proxy resolves host names itself, so private addresses are no longer refused by name, "
        "only when written as numbers. Allowed hosts go without it.",
    )
    refresh: RefreshPolicy = Field(
        "never",
        description="When a picture that is held is asked for again: never, if_older_than "
        "(refresh_after_days) or always.",
    )
    refresh_after_days: float = Field(
        30.0,
        description="Age in days above which the policy if_older_than asks for a held picture "
        "again.",
        ge=0,
    )
    max_bytes: int = Field(
        20_000_000, description="Largest picture file, in bytes after content decoding.", ge=1
    )
    max_pixels: int = Field(
        80_000_000,
        description="Largest picture, width × height in pixels, checked before decoding.",
        ge=1,
    )
    min_side: int = Field(8, description="Smallest width and height of a picture, in pixels.", ge=1)
    max_redirects: int = Field(
        5,
        description="Redirects followed from one URL; every hop's address is checked.",
        ge=0,
        le=20,
    )
    user_agent: str = Field(
        "Mozilla/5.0 (compatible; clustering-pipeline)",
        description="The User-Agent header of every request.",
        min_length=1,
    )
    concurrency: int = performance_field(64, "Requests under way at once.", ge=1, le=1024)
    per_host_concurrency: int = performance_field(
        16, "Requests under way at once to one host and port.", ge=1, le=256
    )
    requests_per_second_per_host: float | None = performance_field(
        None, "Most requests begun per second to one host and port; unlimited when unset.", gt=0
    )
    retries: int = performance_field(
        3,
        "Further attempts after a time-out, a reset, a refused connection or the statuses 408, "
        "425, 429 and 5xx.",
        ge=0,
        le=20,
    )
    backoff_seconds: float = performance_field(
        0.5,
        "Longest wait before the first further attempt, in seconds; it doubles each time, and half "
        "of it is random.",
        ge=0,
    )
    connect_seconds: float = performance_field(
        10.0, "Time to connect to one address, in seconds.", gt=0
    )
    idle_seconds: float = performance_field(
        15.0, "Longest silence of a server before its answer and within it, in seconds.", gt=0
    )
    attempt_seconds: float = performance_field(
        30.0, "Longest time of one attempt, in seconds.", gt=0
    )
    deadline_seconds: float = performance_field(
        60.0,
        "Longest time from the first attempt at a picture to the end of the last, waits included, "
        "in seconds.",
        gt=0,
    )
    breaker_failures: int = performance_field(
        10,
        "Connection failures, time-outs and exhausted 5xx in a row after which a host is set "
        "aside.",
        ge=1,
    )
    breaker_probe_seconds: float = performance_field(
        5.0,
        "Wait before a host that was set aside is tried again, in seconds; it doubles each time.",
        gt=0,
    )
    breaker_patience_seconds: float = performance_field(
        30.0,
        "How long a host that was set aside is tried before its pictures are given up for this "
        "run, in seconds.",
        gt=0,
    )
    warn_failed_share: float = performance_field(
        0.05, "Share of failed pictures above which the check warns.", ge=0, le=1
    )
    max_failed_share: float = performance_field(
        0.5, "Share of failed pictures above which the check fails.", ge=0, le=1
    )

    least_share: float = performance_field(
        0.5,
        "Least share of the pictures that the last run had and the workbook still lists that a run "
        "has to have: with fewer, or with none at all, it ends with an error, and the last results "
        "stay. 0 takes whatever comes.",
        later=True,
        ge=0,
        le=1,
    )

    @field_validator("allow_hosts")
    @classmethod
    def _name_hosts(cls, entries: tuple[str, ...]) -> tuple[str, ...]:
        for entry in entries:
            if not entry.strip() or "/" in entry or "@" in entry:
                raise ValueError(
                    f"{entry!r} is not HOST or HOST:PORT, such as 127.0.0.1:8765 or "
                    f"pictures.intranet"
                )
        return entries


class PromptSettings(StageSettings):
    """The class words of a category and who translates them."""

    words: tuple[str, ...] = Field(
        (), description="Vietnamese class words; sensible ones for the category when empty."
    )
    translator: TranslatorName = Field(
        "auto", description="Who translates; auto takes the first that answers, the glossary last."
    )
    synonyms: int = Field(4, ge=0, le=20, description="Synonyms kept per word.")
    gemini_model: str = Field(
        "gemini-3.5-flash-lite", min_length=1, description="Gemini model that translates."
    )
    gemini_timeout: float = performance_field(
        30.0, "Seconds that one request to Gemini may take.", gt=0, le=600
    )
    gemini_attempts: int = performance_field(
        3, "Requests made before a failing or unusable answer counts.", ge=1, le=10
    )
    gemini_retry_delay: float = performance_field(
        1.0,
        "Seconds before the first repeated request where the server names no wait; doubled each "
        "time.",
        ge=0,
        le=60,
    )
    gemini_longest_wait: float = performance_field(
        120.0, "Longest wait, in seconds, that the server may ask for before a repeat.", ge=0
    )
    gemini_input_price: float | None = performance_field(
        None,
        "US dollars per million tokens sent, for the cost shown; the model's published price when "
        "unset.",
        ge=0,
    )
    gemini_output_price: float | None = performance_field(
        None,
        "US dollars per million tokens received, thoughts included; the published price when "
        "unset.",
        ge=0,
    )

    def fingerprint(self, *parts: str) -> str:
        """As every stage's. The default model stands under the name of the first one: a provider
        that retires a model must not make held translations be asked for again.
        """
        default = type(self).model_fields["gemini_model"].default
        if self.gemini_model != default:
            return super().fingerprint(*parts)
        first = self.model_copy(update={"gemini_model": FIRST_GEMINI_MODEL})
        return StageSettings.fingerprint(first, *parts)

    @field_validator("words")
    @classmethod
    def _check_words(cls, words: tuple[str, ...]) -> tuple[str, ...]:
        for word in words:
            if not word.strip() or len(word) > LONGEST_WORD:
                raise ValueError(
                    f"{word[:LONGEST_WORD]!r} is no class word, which has 1 to {LONGEST_WORD} "
                    f"characters, such as hộp, gói or chai"
                )
        return words


class CropSettings(StageSettings):
    """Which detector finds the product and which boxes count."""

    logic_version: ClassVar[str] = "2"

    crop: Literal["on", "off"] = Field("on", description="off: the whole picture is the crop.")
    detector: DetectorName = Field("contour", description="What finds the boxes.")
    model: str | None = Field(
        None,
        description="Neural detectors: folder, file, card name or hub repository of the weights; "
        "the detector's own when unset.",
    )
    text_model: str = Field(
        "clip-vit-b-32",
        description="yolo-world: the CLIP model whose text tower reads the prompts.",
    )
    mask: Literal["off", "sam"] = Field(
        "off",
        description="sam: Segment Anything tells the product in each box from its background, "
        "which becomes white.",
    )
    mask_model: str = Field(
        "sam", description="mask: folder, card name or hub repository of SAM's or SAM 2's weights."
    )
    image_size: int | None = Field(
        None,
        ge=32,
        le=4096,
        description="yolo-world: side of its square input, faster-rcnn: shorter side of its input, "
        "in pixels.",
    )
    given_columns: tuple[str, str, str, str] = Field(
        ("x0", "y0", "x1", "y1"),
        description="given: the catalogue's columns with the left, top, right and bottom of the "
        "box, in pixels.",
    )
    given_class_column: str | None = Field(
        None, description="given: the catalogue's column with the class of the box."
    )
    minimum_score: float | None = Field(
        None,
        ge=0,
        le=1,
        description="Score below which a box does not count; the detector's own limit when unset.",
    )
    minimum_area: float = Field(
        0.01, ge=0, lt=1, description="Smallest box, as a share of the picture's area."
    )
    maximum_aspect: float = Field(
        12.0, ge=1, description="Longest box, as its longer side over its shorter one."
    )
    overlap: float = Field(
        0.7,
        gt=0,
        le=1,
        description="Intersection over union above which the lower of two boxes is the same "
        "product.",
    )
    padding: float = Field(
        0.02, ge=0, le=1, description="Room added around a box, as a share of its longer side."
    )
    maximum_crops: int = Field(4, ge=1, le=64, description="Most crops of one picture.")
    batch_size: int = performance_field(32, "Pictures per batch.", ge=1)
    device_batch: int = performance_field(
        16, "Neural detectors: pictures of one shape that a GPU takes at once, if they fit.", ge=1
    )


def _limit(description: str, *, ge: int, le: int | None = None) -> Any:
    """Return a limit on pictures; the preset's holds when it is unset."""
    return Field(None, ge=ge, le=le, description=f"{description}; the preset's when unset.")


class CleanImageSettings(StageSettings):
    """What is too bad to compare, and what is the same picture."""

    logic_version: ClassVar[str] = "6"

    preset: Literal["catalogue", "street"] = Field(
        "catalogue",
        description="catalogue: judged on the product, safe for studio pictures on white. street: "
        "judged on the whole picture by the limits of the published funnel (sharpness 50, mean "
        "brightness 10 to 220).",
    )
    minimum_sharpness: float | None = _limit(
        "Variance of the Laplacian, the longer side at most 256 pixels", ge=0
    )
    minimum_brightness: float | None = _limit(
        "Mean grey level under which a picture is dark", ge=0, le=255
    )
    maximum_brightness: float | None = _limit(
        "Mean grey level above which a picture is bright", ge=0, le=255
    )
    minimum_contrast: float | None = _limit(
        "Grey levels between the 1st and the 99th percentile", ge=0, le=255
    )
    minimum_spread: float | None = _limit(
        "Grey levels that nearly all of the whole picture spans", ge=0, le=255
    )
    minimum_side: int | None = _limit("Shorter side of a crop in pixels", ge=1)
    maximum_aspect: float | None = _limit("Longer over shorter side of a crop", ge=1)
    keep: tuple[str, ...] = Field(
        (),
        description="sha256 of pictures or crops, or their first 8 or more digits, that are kept "
        "whatever their quality.",
    )
    duplicates: bool = Field(
        True, description="false: no picture is taken for another's duplicate."
    )
    phash_radius: int = Field(
        10,
        ge=0,
        le=16,
        description="Bits of 64 in which the pHash of a duplicate, or of its centre, may differ.",
    )
    dhash_radius: int = Field(
        4,
        ge=0,
        le=16,
        description="Bits of 64 in which the dHash of a duplicate may differ instead.",
    )
    minimum_correlation: float = Field(
        0.85,
        ge=-1,
        le=1,
        description="Correlation of the lightness of two duplicates at 32 × 32 pixels, laid over "
        "each other.",
    )
    maximum_light_difference: float = Field(
        10.0,
        ge=0,
        description="Largest difference of one of 64 regions in L* (0 to 100), brightness and "
        "contrast evened out.",
    )
    maximum_colour_difference: float = Field(
        17.0,
        ge=0,
        description="Largest difference of one of 64 regions in the a*b* plane of CIE L*a*b*, "
        "saturation evened out.",
    )
    orientations: Literal["upright", "mirrored", "all"] = Field(
        "upright",
        description="Which duplicates count: as they are, also mirrored, or also turned by quarter "
        "turns.",
    )
    batch_size: int = performance_field(256, "Crops per batch.", ge=1)

    @field_validator("keep")
    @classmethod
    def _name_digests(cls, digests: tuple[str, ...]) -> tuple[str, ...]:
        for digest in digests:
            if not re.fullmatch("[0-9a-fA-F]{8,64}", digest):
                raise ValueError(
                    f"{digest!r} is not the beginning of a sha256: 8 to 64 hexadecimal digits, as "
                    f"the report shows them"
                )
        return digests

    @property
    def region(self) -> Literal["product", "whole"]:
        """Where quality is measured."""
        return "whole" if self.preset == "street" else "product"

    def limits(self) -> QualityLimits:
        """Return the preset's limits with those that are set in their place."""
        preset = _PRESETS[self.preset]
        return QualityLimits(
            sharpness=_first(self.minimum_sharpness, preset.sharpness),
            darkest=_first(self.minimum_brightness, preset.darkest),
            brightest=_first(self.maximum_brightness, preset.brightest),
            contrast=_first(self.minimum_contrast, preset.contrast),
            spread=_first(self.minimum_spread, preset.spread),
            side=preset.side if self.minimum_side is None else self.minimum_side,
            aspect=_first(self.maximum_aspect, preset.aspect),
        )


def _first(value: float | None, otherwise: float) -> float:
    return otherwise if value is None else value


class ImageSections(SettingsModel):
    """The sections of what is read, fetched, cut out and left out."""

    catalogue: CatalogueSettings = Field(default_factory=CatalogueSettings)
    offers: OfferSettings = Field(default_factory=OfferSettings)
    download: DownloadSettings = Field(default_factory=DownloadSettings)
    prompts: PromptSettings = Field(default_factory=PromptSettings)
    crops: CropSettings = Field(default_factory=CropSettings)
    clean_images: CleanImageSettings = Field(default_factory=CleanImageSettings)
