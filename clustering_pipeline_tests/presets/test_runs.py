"""Every preset from workbook to labelled workbook, on loopback, with tiny weights in the real
formats for the published ones.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import openpyxl
import pytest

from clustering_pipeline.project import PipelineHome, Project
from clustering_pipeline.synthetic import SyntheticCatalogue, write_catalogue
from clustering_pipeline_tests.cli.conftest import Call, call, home  # noqa: F401
from clustering_pipeline_tests.cli.shops import open_shop
from clustering_pipeline_tests.presets.weights import (
    certain_faster_rcnn,
    tiny_autoencoder,
    tiny_resnet_ibn,
    tiny_vgg,
)
from clustering_pipeline_tests.stages.detection.test_neural import tiny_clip, tiny_yolo_world
from clustering_pipeline_tests.stages.embedding.test_neural import tiny_transformer
from clustering_pipeline_tests.stages.prompts.test_gemini import gemini, says  # noqa: F401

pytest.importorskip("torch")
pytest.importorskip("transformers")

PRESETS = Path(__file__).parents[2] / "docs" / "presets"
CATEGORY = "kem-chong-nang"


@dataclass(frozen=True)
class Shop:
    """A small catalogue whose pictures are on loopback, one of them gone."""

    catalogue: SyntheticCatalogue
    host: str


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory):
    folder = tmp_path_factory.mktemp("shop")
    (folder / "images").mkdir()
    with open_shop(folder / "images") as served:
        catalogue = write_catalogue(
            folder, served.url, products=3, seed=5, listings_per_product=(3, 3), problems=()
        )
        next(iter(sorted((folder / "images").iterdir()))).unlink()
        yield Shop(catalogue, served.host)


@dataclass(frozen=True)
class Run:
    """What a preset left: the rows of its workbook by status, and its manifests."""

    listings: int
    rows: list[dict[str, object]]
    project: Project

    def column(self, manifest: str, name: str) -> set[object]:
        frame = self.project.manifests.read(manifest, CATEGORY)
        return set(frame[name].dropna())

    def dimension(self) -> int:
        (length,) = {
            len(vector) for vector in self.project.manifests.read("embeddings", CATEGORY)["vector"]
        }
        return length


@pytest.fixture
def run_preset(call: Call, home: Path, shop: Shop) -> Callable[..., Run]:  # noqa: F811
    def run(name: str, **changes: object) -> Run:
        chosen = [
            part
            for key, value in changes.items()
            for part in ("--set", f"{key.replace('__', '.')}={value}")
        ]
        local = (
            "--allow-host",
            shop.host,
            "--set",
            "compute.workers=1",
            "--set",
            "compute.device=cpu",
        )
        settings = ("--settings", PRESETS / f"{name}.yaml", *local, *chosen)
        answer = call("run", shop.catalogue.workbook, "--category", CATEGORY, *settings, "--json")
        assert answer.code == 0, answer.errors
        sheet = openpyxl.load_workbook(answer.json["workbook"]).worksheets[0]
        header, *rows = sheet.iter_rows(values_only=True)
        return Run(
            len(shop.catalogue.listings),
            [dict(zip(header, row, strict=True)) for row in rows],
            Project(PipelineHome(home)),
        )

    return run


def assert_every_row_has_a_result(run: Run) -> None:
    assert len(run.rows) == run.listings
    for row in run.rows:
        assert row["status"] in ("clustered", "no_match", "rejected", "download_failed")
        assert (row["cluster_id"] is None) == (row["status"] in ("rejected", "download_failed"))
        assert row["cluster_id"] is not None or row["reason"]
    assert [row["status"] for row in run.rows].count("download_failed") == 1


def test_clip_dbscan(run_preset, gemini, tmp_path):  # noqa: F811
    words = ["hộp", "tuýp", "chai"]
    gemini(
        says(
            [
                {"word": w, "english": e, "synonyms": []}
                for w, e in zip(words, ["box", "tube", "bottle"], strict=True)
            ]
        )
    )
    tiny_transformer("clip", tmp_path / "clip")
    run = run_preset(
        "clip-dbscan",
        prompts__words='["hộp", "tuýp", "chai"]',
        crops__model=tiny_yolo_world(tmp_path / "yolo"),
        crops__text_model=tiny_clip(tmp_path / "text"),
        crops__image_size=64,
        crops__minimum_score=0.0,
        embeddings__model=tmp_path / "clip",
    )
    assert_every_row_has_a_result(run)
    assert run.column("english_prompts", "translator") == {"gemini"}
    assert run.column("crops", "detector") == {"yolo-world"}
    assert run.dimension() == 12
    assert run.column("clusters", "cluster_id")


@pytest.mark.slow
def test_fashion_search(run_preset, tmp_path, call, shop):  # noqa: F811
    run = run_preset(
        "fashion-search",
        crops__model=certain_faster_rcnn(tmp_path / "detector"),
        crops__image_size=64,
        embeddings__model=tiny_autoencoder(tmp_path / "autoencoder"),
    )
    assert_every_row_has_a_result(run)
    assert run.column("crops", "label") == {"top"}
    assert run.dimension() == 8
    picture = sorted((shop.catalogue.workbook.parent / "images").iterdir())[0]
    found = call("search", picture, "--category", CATEGORY, "--mode", "class", "--json")
    assert found.code == 0, found.errors
    assert found.json["hits"]
    trained = call(
        "train", "autoencoder", "--category", CATEGORY, "--dimension", 8, "--epochs", 1, "--json"
    )
    assert trained.code == 0, trained.errors
    assert {path.name for path in Path(trained.json["folder"]).iterdir()} == {
        "config.json",
        "loss.svg",
        "model.safetensors",
    }


@pytest.mark.slow
def test_resnet_dedup(run_preset, tmp_path):
    run = run_preset("resnet-dedup", embeddings__model=tiny_resnet_ibn(tmp_path / "ibn.pth"))
    assert_every_row_has_a_result(run)
    assert run.dimension() == 2048


def test_case_study(run_preset, tmp_path):
    tiny_transformer("clip", tmp_path / "clip")
    run = run_preset("case-study", embeddings__model=tmp_path / "clip", clusters__k_range="[2, 6]")
    assert_every_row_has_a_result(run)
    assert len(run.column("clusters", "cluster_id")) >= 2


@pytest.mark.slow
def test_vgg_spectral(run_preset, tmp_path):
    run = run_preset(
        "vgg-spectral",
        embeddings__model=tiny_vgg(tmp_path / "vgg16.pth"),
        clusters__k_range="[2, 6]",
    )
    assert_every_row_has_a_result(run)
    assert run.dimension() == 4096
