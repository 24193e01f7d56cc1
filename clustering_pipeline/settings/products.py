"""Settings of the stages that find the products and show them: features, embeddings, matches,
clusters, and the outputs.
"""

import math
from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, field_validator, model_validator

from clustering_pipeline.settings.base import (
    SettingsModel,
    StageSettings,
    combination_error,
    later_field,
    performance_field,
)

EncoderName = Literal[
    "efficientnet",
    "local",
    "clip",
    "vit",
    "dinov2",
    "dinov3",
    "resnet50",
    "resnet50-ibn",
    "vgg16",
    "autoencoder",
    "onnx",
]
MethodName = Literal[
    "graph", "dbscan", "hdbscan", "kmeans", "spectral", "agglomerative", "components"
]

# The other methods need every distance, so they need embeddings.
ON_MATCHES: tuple[MethodName, ...] = ("components", "dbscan", "graph", "spectral")
WHOLE_NUMBERS = ("k", "min_samples", "min_cluster_size")
SWEEPABLE = (
    *WHOLE_NUMBERS,
    "eps",
    "distance",
    "threshold",
    "smallest_weight",
    "largest_weight",
    "elsewhere",
)
MOST_SWEPT = 60


class LocalFeatureSettings(StageSettings):
    """How local features are taken from a crop."""

    logic_version: ClassVar[str] = "7"

    templates: bool = Field(
        True,
        description="Find what a shop lays over many of its pictures (frame, logo, banner), and "
        "look for the pack beside it.",
    )

    longest_side: int = Field(
        360,
        ge=64,
        le=2048,
        description="The product is scaled until its longer side has so many pixels before it is "
        "described.",
    )
    keypoints: int = Field(
        500, ge=16, le=4000, description="Most keypoints kept per crop, strongest first."
    )
    contrast_threshold: float = Field(
        0.02,
        gt=0,
        le=0.2,
        description="SIFT's contrast threshold (share of the grey range): lower finds fainter "
        "print.",
    )
    batch_size: int = performance_field(16, "Crops per batch.", ge=1)


ReidSide = Annotated[int, Field(ge=32, le=1024)]


class EmbeddingSettings(StageSettings):
    """Which encoder turns a crop into a vector."""

    logic_version: ClassVar[str] = "3"

    encoder: EncoderName = Field("efficientnet", description="What makes the vectors.")
    colour_share: float | None = Field(
        None,
        ge=0,
        description="local, efficientnet: weight of colour beside the rest, whose weight is 1; "
        "when unset, 0.6 and 0.2.",
    )
    model: str | None = Field(
        None,
        description="efficientnet: lite0, lite1, lite2, or a .pth file. Other neural encoders: "
        "folder, file, card name or hub repository of the weights. The encoder's own default when "
        "unset.",
    )
    flip: bool = Field(
        False, description="Neural encoders: average the vectors of a crop and of its mirror image."
    )
    reduce: Literal["none", "pca", "lda"] = Field(
        "none",
        description="pca, lda: reduce the vectors of the category to `reduced_dimension`; lda "
        "needs `reduce_labels`.",
    )
    reduced_dimension: int = Field(
        128, ge=2, description="Dimension after pca, and at most after lda."
    )
    whiten: bool = Field(False, description="pca: scale every direction to the same variance.")
    reduce_labels: str | None = Field(None, description="lda: CSV file with crop_sha256 and group.")
    input_size: tuple[ReidSide, ReidSide] = later_field(
        (256, 256),
        "resnet50-ibn: height and width of the input in pixels, such as 256 and 128 for the "
        "weights of FastReID.",
    )
    last_stride: Literal[1, 2] = later_field(
        2, "resnet50-ibn: stride of the last stage, 1 as most re-identification is trained."
    )
    pooling: Literal["mean", "gem"] = later_field(
        "mean",
        "resnet50-ibn: how the last stage becomes a vector; gem: by the generalised mean, whose "
        "power is the weights' own, 3 without one.",
    )
    neck: bool = later_field(
        False, "resnet50-ibn: whether the vector passes the weights' batch-norm neck (BNNeck)."
    )
    fit: Literal["pad", "squash", "model"] | None = later_field(
        None,
        "Neural encoders: how a crop becomes the model's square. pad: whole, on white. squash: "
        "whole, stretched. model: as the model's own preprocessing says. When unset, pad for "
        "models that would cut the centre out, model for others.",
    )
    batch_size: int = performance_field(32, "Crops per batch of a worker.", ge=1)
    device_batch: int | None = performance_field(
        None,
        "Crops that a GPU takes at once; as its memory allows, 256 at most, when unset.",
        later=True,
        ge=1,
    )

    @model_validator(mode="after")
    def _check_needs(self) -> Self:
        if self.encoder == "onnx" and self.model is None:
            raise combination_error(
                "the encoder onnx has no weights of its own. Set `model` beside it to the path of "
                "an exported .onnx file",
                "encoder",
            )
        if self.reduce == "lda" and self.reduce_labels is None:
            raise combination_error(
                "lda needs labels. Set `reduce_labels` beside it to a CSV file with crop_sha256 or "
                "image_sha256, and group",
                "reduce",
            )
        return self


class SemanticDuplicateSettings(StageSettings):
    """When two embeddings show the same picture."""

    logic_version: ClassVar[str] = "3"

    threshold: float | None = Field(
        None,
        ge=-1,
        le=1,
        description="Cosine of one and the same picture; the encoder's own when unset.",
    )
    found: Literal["link", "reject"] = Field(
        "link",
        description="link: a near-identical picture inherits the cluster of its keeper. reject: "
        "its listing gets no cluster, as in a funnel that thins out training pictures.",
    )


class TextReaderSettings(StageSettings):
    """How the text on a pack is read."""

    logic_version: ClassVar[str] = "3"

    longest_side: int = Field(
        736,
        ge=160,
        le=2048,
        description="The product is scaled until its longer side has so many pixels before it is "
        "read.",
    )
    recogniser: str | None = Field(
        None,
        description="ONNX file of another PP-OCR recognition model; the built-in one when unset.",
    )
    recogniser_characters: str | None = Field(
        None, description="Text file with the characters of that model, one a line."
    )
    batch_size: int = performance_field(8, "Pictures per batch.", ge=1)


class VerificationSettings(StageSettings):
    """When the print of two crops is the same print."""

    logic_version: ClassVar[str] = "3"

    ratio: float = Field(
        0.85,
        gt=0,
        le=1,
        description="Lowe's ratio: nearest over second nearest descriptor distance.",
    )
    tolerance: float = Field(
        8.0,
        gt=0,
        description="Pixels of the product frame by which an inlier may miss the affine map.",
    )
    smallest: int = Field(8, ge=4, description="Fewest inliers of a verified pair.")


AttributeName = Literal["kind", "form", "ingredient", "shade", "purpose"]
OwnAttributes = dict[AttributeName, dict[str, tuple[str, ...]]]
# Of a phrase of one's own, in characters, and of all of them.
LONGEST_PHRASE = 80
MOST_PHRASES = 5_000


class MatchSettings(StageSettings):
    """Which pairs are looked at and what makes a match."""

    logic_version: ClassVar[str] = "13"

    enabled: bool = Field(True, description="false: clusters come from embeddings alone.")
    neighbours: int = Field(
        15, ge=1, description="Candidates per crop and encoder, in both directions."
    )
    local_neighbours: int = Field(
        10,
        ge=0,
        description="Further candidates per crop, by the vectors of the encoder `local`, whichever "
        "`embeddings.encoder` is; 0: none.",
    )
    exact_up_to: int = later_field(
        20_000,
        "Up to so many crops every vector is compared with every other to find the neighbours; "
        "beyond, neighbours come from an inverted file of compressed vectors, which finds about 98 "
        "of 100 of them.",
        ge=0,
    )
    learned_neighbours: int = Field(
        15,
        ge=0,
        description="Further candidates per crop, by vectors projected as the category's own "
        "verified pairs teach; 0: none.",
    )
    shape_neighbours: int = Field(
        30, ge=1, description="Further candidates per crop with little print, by their silhouettes."
    )
    further_embeddings: list[EmbeddingSettings] = Field(
        [],
        description="More encoders whose nearest neighbours become candidates too, each with the "
        "settings of `embeddings`.",
    )
    friend_rounds: int = Field(
        1,
        ge=0,
        le=4,
        description="How often friends of verified friends become candidates as well.",
    )
    friends: int = Field(
        15, ge=0, description="Candidates per crop and round that come from friends of friends."
    )
    text_neighbours: int = Field(
        5, ge=0, description="Candidates per pack by the text that was read on it."
    )
    plain_keypoints: int = Field(
        200,
        ge=0,
        description="Crops with at most so many keypoints have too little print: their silhouettes "
        "are compared too.",
    )
    crops: Literal["main", "all"] = Field(
        "main", description="main: only the main crop of a picture is matched."
    )
    number_conflict: Literal["evidence", "veto"] = Field(
        "evidence",
        description="Whether different volumes, masses or numbers of packs weaken a pair or refuse "
        "it.",
    )
    bundles: Literal["apart", "join"] = Field(
        "apart",
        description="Whether a bundle of several packs is another product than the single pack, or "
        "the same.",
    )
    sizes: Literal["apart", "join"] = Field(
        "apart", description="Whether 50 ml and 100 ml of one product are two products, or one."
    )
    attributes: OwnAttributes = later_field(
        {},
        "More words by which titles and packs say what a product is, beside the built-in ones of "
        "beauty and household: attribute (kind, form, ingredient, shade or purpose), value, and "
        "the phrases that mean it, such as `kind: {instant noodles: [mì gói, mì ăn liền]}`.",
    )
    plain_pairs: Literal["model", "calibrated"] = later_field(
        "model",
        "How pairs are judged of which neither crop has print or text. model: as all others. "
        "calibrated: by the encoder alone, on the scale of the category's own pairs with print; "
        "for encoders that know products better than the default.",
    )
    text: bool = Field(True, description="Read the text on the pack where it can change something.")
    reader: TextReaderSettings = Field(TextReaderSettings(), description="How text is read.")
    verification: VerificationSettings = Field(
        VerificationSettings(), description="How print is verified."
    )
    batch_size: int = performance_field(64, "Pairs per batch.", ge=1)

    @property
    def own_phrases(self) -> tuple[tuple[str, str, tuple[str, ...]], ...]:
        """`attributes` as rows of attribute, value and phrases."""
        return tuple(
            (attribute, value, phrases)
            for attribute, values in self.attributes.items()
            for value, phrases in values.items()
        )

    @field_validator("attributes")
    @classmethod
    def _check_phrases(cls, attributes: OwnAttributes) -> OwnAttributes:
        phrases = [
            phrase for values in attributes.values() for some in values.values() for phrase in some
        ]
        if len(phrases) > MOST_PHRASES:
            raise ValueError(
                f"{len(phrases):,} phrases are more than the {MOST_PHRASES:,} that are read; leave "
                f"out the rarest"
            )
        for phrase in phrases:
            if len(phrase) > LONGEST_PHRASE or not any(map(str.isalnum, phrase)):
                raise ValueError(
                    f"{phrase[:LONGEST_PHRASE]!r} is no phrase, which has a letter or digit and at "
                    f"most {LONGEST_PHRASE} characters, such as mì gói"
                )
        return attributes


# A cosine limit as the links that chance makes within it: one per so many crops.
ChanceLinks = Annotated[str, Field(pattern=r"^1/[1-9]\d{0,6}$")]


class ClusterSettings(StageSettings):
    """Which method makes clusters, of what evidence, and its parameters."""

    logic_version: ClassVar[str] = "7"

    method: MethodName = Field("graph", description="The grouping method.")
    evidence: Literal["auto", "matches", "embeddings"] = Field(
        "auto",
        description="What is grouped: verified matches or the cosines of embeddings; auto: matches "
        "for graph, else embeddings.",
    )
    device: Literal["cpu", "gpu"] = Field(
        "cpu", description="gpu: dbscan, hdbscan and agglomerative by cuML, kmeans by FAISS."
    )
    no_match: Literal["keep", "drop", "singleton"] = Field(
        "keep",
        description="Listings that match nothing: keep: -1; drop: -1 and left out of every figure; "
        "singleton: a cluster of their own.",
    )
    same_photo: Literal["join", "split_on_title_conflict"] = Field(
        "split_on_title_conflict",
        description="Listings with one and the same photo: always together, or apart when titles "
        "contradict in number or unit.",
    )
    crops: Literal["main", "all"] = Field(
        "main", description="Crops of a picture that can join listings."
    )
    attach: bool = Field(
        False,
        description="Listings that had a cluster before keep it; only new ones are placed, or make "
        "clusters of their own.",
    )
    smallest_weight: float = Field(
        0.0,
        ge=0,
        description="graph: what is taken off each match's weight; nothing left, no link.",
    )
    largest_weight: float = Field(
        6.0,
        gt=0,
        description="graph: matches count at most this weight; more than smallest_weight.",
    )
    elsewhere: float = Field(
        300.0,
        ge=0,
        description="graph: weight of links between the products of a catalogue of usual size; "
        "more joins more.",
    )
    contradiction: float = Field(
        4.0,
        ge=0,
        description="graph: least evidence (natural log of odds) of contradictions that cuts a "
        "module in two.",
    )
    trials: int = Field(
        5, ge=1, le=100, description="graph: searches, of which the shortest description is taken."
    )
    eps: Annotated[float, Field(gt=0, le=2)] | Literal["auto"] | ChanceLinks = Field(
        0.25,
        description="dbscan: cosine distance within which two crops are neighbours, 0 to 2; auto: "
        "the largest before one cluster takes in all others; 1/N: as far as chance makes one link "
        "per N crops.",
    )
    min_samples: int = Field(
        2,
        ge=1,
        description="dbscan, hdbscan: listings within reach, itself included, that make a crop a "
        "core.",
    )
    min_cluster_size: int = Field(2, ge=2, description="hdbscan: listings of the smallest cluster.")
    k: Annotated[int, Field(ge=2)] | Literal["auto"] = Field(
        "auto", description="kmeans, spectral: number of clusters; auto: by k_rule."
    )
    k_rule: Literal["elbow", "silhouette", "gap"] = Field(
        "silhouette", description="How k: auto chooses among k_range."
    )
    k_range: tuple[int, int] = Field(
        (2, 500), description="Least and greatest number of clusters that k: auto tries."
    )
    linkage: Literal["average", "complete", "single"] = Field(
        "average", description="agglomerative: distance of two clusters."
    )
    distance: float = Field(
        0.25,
        gt=0,
        le=2,
        description="agglomerative: cosine distance up to which clusters are merged.",
    )
    threshold: Annotated[float, Field(ge=-1, le=1)] | Literal["auto"] | ChanceLinks = Field(
        0.7,
        description="components: least cosine (or probability) of two linked crops; auto and 1/N "
        "as for eps.",
    )
    sweep: str | None = Field(
        None,
        description="A parameter and its range, such as eps=0.05:0.5:0.05, whose quality indices "
        "are drawn; changes no result.",
    )
    projection: Literal["none", "pca", "tsne", "umap"] = Field(
        "none",
        description="Draws the category in two dimensions: PCA, t-SNE after PCA, or UMAP where "
        "umap-learn is installed.",
    )
    block_rows: int = performance_field(1024, "Rows of the distance matrix held at once.", ge=1)

    @property
    def works_on(self) -> Literal["matches", "embeddings"]:
        """What the method groups: verified matches, or the cosines of embeddings."""
        if self.evidence != "auto":
            return self.evidence
        return "matches" if self.method == "graph" else "embeddings"

    def swept(self) -> tuple[str, float, float, float]:
        """Return the parameter that `sweep` names, its least and greatest value, and the step;
        raises ValueError when it is none.
        """
        parameter, _, span = str(self.sweep).partition("=")
        low, high, step = (float(part) for part in span.split(":"))
        count = math.ceil((high + step / 2 - low) / step)
        if parameter not in SWEEPABLE or not 1 <= count <= MOST_SWEPT:
            raise ValueError
        for value in (low, low + (count - 1) * step):
            ClusterSettings.model_validate(
                {parameter: int(value) if parameter in WHOLE_NUMBERS else value}
            )
        return parameter, low, high, step

    def at_swept(self, value: float) -> Self:
        """Return the settings with `value` for the parameter that `sweep` names."""
        parameter = self.swept()[0]
        return self.model_copy(
            update={parameter: int(value) if parameter in WHOLE_NUMBERS else float(value)}
        )

    @field_validator("k_range")
    @classmethod
    def _check_k_range(cls, span: tuple[int, int]) -> tuple[int, int]:
        if span[0] < 2 or span[1] < span[0]:
            raise ValueError(
                f"k_range {span} must be the least and the greatest number of clusters, from 2 up"
            )
        return span

    @model_validator(mode="after")
    def _check_weights(self) -> Self:
        if self.largest_weight <= self.smallest_weight:
            raise combination_error(
                f"largest_weight {self.largest_weight:g} must exceed smallest_weight "
                f"{self.smallest_weight:g}",
                "largest_weight",
                "smallest_weight",
            )
        return self

    @model_validator(mode="after")
    def _check_method(self) -> Self:
        if self.evidence == "matches" and self.method not in ON_MATCHES:
            raise combination_error(
                f"the method {self.method} needs all distances and cannot work on matches alone. "
                "Set clusters.evidence to embeddings, or clusters.method to one of "
                f"{', '.join(ON_MATCHES)}",
                "evidence",
                "method",
            )
        for method, name in (("dbscan", "eps"), ("components", "threshold")):
            limit = getattr(self, name)
            if self.method == method and isinstance(limit, str) and self.works_on == "matches":
                raise combination_error(
                    f"{name} {limit} reads distances of embeddings. Set clusters.{name} to a "
                    "number to group by matches, or clusters.evidence to embeddings",
                    name,
                    "evidence",
                )
        if self.method == "agglomerative" and self.device == "gpu" and self.linkage != "single":
            raise combination_error(
                "cuML has single linkage only. Set clusters.linkage to single, or clusters.device "
                "to cpu for average and complete",
                "linkage",
                "device",
            )
        return self

    @model_validator(mode="after")
    def _check_sweep(self) -> Self:
        try:
            if self.sweep is not None:
                self.swept()
        except (ValueError, ArithmeticError) as error:
            raise combination_error(
                f"{self.sweep!r} is no range. Write a parameter and its least and greatest value "
                f"and step, at most {MOST_SWEPT} values, such as eps=0.05:0.5:0.05; the parameters "
                f"are {', '.join(sorted(SWEEPABLE))}",
                "sweep",
            ) from error
        return self


class WorkbookSettings(StageSettings):
    """How the labelled workbook is written."""

    sheets: bool = Field(
        True,
        description="Whether the sheets Products, Listings, Clusters, Problems and Summary are "
        "added after the user's own.",
    )
    pictures: int = Field(
        2000,
        ge=0,
        description="Clusters that get a picture on the sheet Clusters, the largest first; 0 for "
        "none.",
    )
    picture_pixels: int = Field(
        96, ge=32, le=400, description="Longest side of a picture on the sheet Clusters, in pixels."
    )
    language: Literal["en", "vi"] = later_field(
        "en",
        "Language of the columns, statuses and reasons that are added: English or Vietnamese.",
    )
    links: bool = Field(
        True,
        description="Whether cells link from listing to cluster and back, up to Excel's 65,530 "
        "links a sheet.",
    )


class ReportSettings(StageSettings):
    """How the report page is written."""

    language: Literal["en", "vi"] = Field(
        "en", description="Language of the report page: English or Vietnamese."
    )
    thumbnail_pixels: int = Field(
        132, ge=32, le=512, description="Longest side of a picture in the page, in pixels."
    )
    picture_megabytes: float = Field(
        12,
        ge=0,
        le=500,
        description="Megabytes of pictures in the page; the most doubtful clusters get theirs "
        "first.",
    )
    pictures_per_cluster: int = Field(
        12, ge=2, le=200, description="Distinct pictures shown of one cluster."
    )
    pairs_drawn: int = Field(
        100,
        ge=0,
        le=5000,
        description="Clusters whose worst pair is drawn with its evidence, the most doubtful "
        "first.",
    )
    clusters_shown: int = Field(2000, ge=1, description="Clusters shown, the most doubtful first.")
    rows_shown: int = Field(
        500, ge=1, description="Listings shown without a match, rejected, and failed, each."
    )


class SearchSettings(StageSettings):
    """How the search index is built."""

    exact_below: int = Field(
        20_000,
        ge=1,
        description="Vectors up to which every search compares all of them; above, inverted lists "
        "are built.",
    )
    recall: float = Field(
        0.985,
        gt=0,
        le=1,
        description="Share of the true 10 nearest that a search over inverted lists has to find; "
        "the number of lists that are looked into is measured for it.",
    )
    seed: int = Field(7, ge=0, description="Seed of the lists' centres.")


class ProductSections(SettingsModel):
    """The sections of how products are described, matched, grouped and shown."""

    local_features: LocalFeatureSettings = Field(default_factory=LocalFeatureSettings)
    embeddings: EmbeddingSettings = Field(default_factory=EmbeddingSettings)
    semantic_duplicates: SemanticDuplicateSettings = Field(
        default_factory=SemanticDuplicateSettings
    )
    matches: MatchSettings = Field(default_factory=MatchSettings)
    clusters: ClusterSettings = Field(default_factory=ClusterSettings)
    workbook: WorkbookSettings = Field(default_factory=WorkbookSettings)
    report: ReportSettings = Field(default_factory=ReportSettings)
    search: SearchSettings = Field(default_factory=SearchSettings)
