"""Knobs of the grouping."""

from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, model_validator

from clustering_pipeline.settings.base import StageSettings, performance_field


class ClusterSettings(StageSettings):
    """Which method makes clusters, of what evidence, and its parameters."""

    logic_version: ClassVar[str] = "2"

    method: str = Field(
        "graph", description="graph, dbscan, hdbscan, kmeans, spectral, agglomerative or components: the grouping method."
    )
    evidence: Literal["auto", "matches", "embeddings"] = Field(
        "auto",
        description="What is grouped: verified matches or the cosines of embeddings; auto: matches for graph, else embeddings.",
    )
    device: Literal["cpu", "gpu"] = Field("cpu", description="gpu: dbscan, hdbscan and agglomerative by cuML, kmeans by FAISS.")
    no_match: Literal["keep", "drop", "singleton"] = Field(
        "keep",
        description="Listings that match nothing: keep: -1; drop: -1 and left out of every figure; singleton: a cluster of their own.",
    )
    same_photo: Literal["join", "split_on_title_conflict"] = Field(
        "split_on_title_conflict",
        description="Listings with one and the same photo: always together, or apart when titles contradict in number or unit.",
    )
    crops: Literal["main", "all"] = Field("main", description="Crops of a picture that can join listings.")
    attach: bool = Field(
        False,
        description="Listings that had a cluster before keep it; only new ones are placed, or make clusters of their own.",
    )
    smallest_weight: float = Field(
        0.5, ge=0, description="graph: what is taken off each match's weight; nothing left, no link."
    )
    largest_weight: float = Field(6.0, gt=0, description="graph: matches count at most this weight; more than smallest_weight.")
    elsewhere: float = Field(
        300.0, ge=0, description="graph: weight of links between the products of a catalogue of usual size; more joins more."
    )
    contradiction: float = Field(
        2.0, ge=0, description="graph: least evidence (natural log of odds) of contradictions that cuts a module in two."
    )
    trials: int = Field(5, ge=1, le=100, description="graph: searches, of which the shortest description is taken.")
    eps: Annotated[float, Field(gt=0, le=2)] | Literal["auto"] = Field(
        0.25,
        description="dbscan: cosine distance within which two crops are neighbours, 0 to 2; auto: the knee of the k-distances.",
    )
    min_samples: int = Field(
        2, ge=1, description="dbscan, hdbscan: listings within reach, itself included, that make a crop a core."
    )
    min_cluster_size: int = Field(2, ge=2, description="hdbscan: listings of the smallest cluster.")
    k: Annotated[int, Field(ge=2)] | Literal["auto"] = Field(
        "auto", description="kmeans, spectral: number of clusters; auto: by k_rule."
    )
    k_rule: Literal["elbow", "silhouette", "gap"] = Field("silhouette", description="How k: auto chooses among k_range.")
    k_range: tuple[int, int] = Field((2, 500), description="Least and greatest number of clusters that k: auto tries.")
    linkage: Literal["average", "complete", "single"] = Field("average", description="agglomerative: distance of two clusters.")
    distance: float = Field(0.25, gt=0, le=2, description="agglomerative: cosine distance up to which clusters are merged.")
    threshold: float = Field(0.7, ge=-1, le=1, description="components: least cosine (or probability) of two linked crops.")
    sweep: str | None = Field(
        None,
        description="A parameter and its range, such as eps=0.05:0.5:0.05, whose quality indices are drawn; changes no result.",
    )
    projection: Literal["none", "pca", "tsne", "umap"] = Field(
        "none", description="Draws the category in two dimensions: PCA, t-SNE after PCA, or UMAP where umap-learn is installed."
    )
    block_rows: int = performance_field(1024, "Rows of the distance matrix held at once.", ge=1)

    @model_validator(mode="after")
    def _check_order(self) -> Self:
        if self.largest_weight <= self.smallest_weight:
            raise ValueError(f"largest_weight {self.largest_weight:g} must exceed smallest_weight {self.smallest_weight:g}")
        if self.k_range[0] < 2 or self.k_range[1] < self.k_range[0]:
            raise ValueError(f"k_range {self.k_range} must be the least and the greatest number of clusters, from 2 up")
        return self
