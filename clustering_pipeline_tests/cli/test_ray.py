"""`run` with the engine `ray` leaves the manifests that it leaves with `local`."""

import hashlib
import json
import re
import shutil
from pathlib import Path

import pytest

from clustering_pipeline.synthetic import write_catalogue
from clustering_pipeline_tests.cli.conftest import Call
from clustering_pipeline_tests.cli.shops import open_shop, start_command

pytestmark = [pytest.mark.ray, pytest.mark.timeout(900)]
pytest.importorskip("ray", reason="needs the extra `ray`: `uv sync --extra ray`")

# So small that every stage has batches for several workers.
SETTINGS = """
download: {{allow_hosts: ["{host}"]}}
crops: {{batch_size: 2}}
clean_images: {{batch_size: 2}}
local_features: {{batch_size: 2}}
embeddings: {{batch_size: 2}}
matches: {{batch_size: 2, reader: {{batch_size: 2}}}}
compute: {{engine: {engine}, workers: 2}}
"""


def manifests(home: Path) -> dict[str, str]:
    """Return the digest of each manifest by its path, but for those that name files of the home."""
    folder = home / "storage" / "manifests"
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*.parquet"))
        if path.parent.name not in ("labeled_excel", "category_report")
    }


def test_both_engines_leave_the_same_manifests_to_the_byte(tmp_path: Path):
    images = tmp_path / "images"
    images.mkdir()
    found = {}
    with open_shop(images) as shop:
        catalogue = write_catalogue(
            tmp_path, shop.url, products=4, seed=11, listings_per_product=(3, 4)
        )
        for engine in ("local", "ray"):
            home = tmp_path / engine
            home.mkdir()
            settings = SETTINGS.format(host=shop.host, engine=engine)
            (home / "settings.yaml").write_text(settings)
            workbook = home / "catalogue.xlsx"
            shutil.copy(catalogue.workbook, workbook)
            process = start_command(home, ("run", workbook, "--json"), tmp_path)
            output, errors = process.communicate(timeout=600)
            assert process.returncode == 0, errors
            assert json.loads(output)["clusters"]
            # What the pipeline says of its progress, and nothing that Ray says of itself.
            assert re.search(r"[A-Z][a-z]+ [a-z]+: \d+ \w+ in [\d.]+ s", errors)
            assert not re.search(r"ray::|raylet|worker\.py", errors)
            found[engine] = manifests(home)
    assert len(found["local"]) > 10
    assert found["ray"] == found["local"]


@pytest.mark.parametrize("address", ["", "127.0.0.1:1"])
def test_doctor_says_whether_ray_can_be_used(
    call: Call, home: Path, monkeypatch: pytest.MonkeyPatch, address: str
):
    monkeypatch.setenv("RAY_ADDRESS", address)
    home.mkdir()
    (home / "settings.yaml").write_text("compute: {engine: ray}\n")
    findings = {finding["name"]: finding for finding in call("doctor", "--json").json["findings"]}
    found = findings["compute.engine"]
    if address:
        assert (found["state"], found["found"]) == ("problem", f"ray at {address}")
        assert "Nothing answers" in found["remedy"]
    else:
        assert (found["state"], found["found"]) == ("ok", "ray on this machine")
