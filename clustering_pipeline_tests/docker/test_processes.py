"""The processes of docker/, without containers: PostgreSQL, the gRPC code server, the webserver and
the daemon.
"""

import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import dagster as dg
import pytest
import yaml

from clustering_pipeline.definitions import build_definitions
from clustering_pipeline.synthetic import LoopbackShop, serve_folder, write_catalogue
from clustering_pipeline_tests.docker.processes import (
    POSTGRES,
    Web,
    free_port,
    postgres,
    process,
    wait_for,
)

ROOT = Path(__file__).resolve().parents[2]

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(900),
    pytest.mark.skipif(
        POSTGRES is None, reason="PostgreSQL is not installed (apt-get install postgresql)"
    ),
]


def prepare_home(home: Path, shop: LoopbackShop, code_port: int) -> None:
    """Write the configuration of docker/ into a home, with the ports and folders of this test."""
    home.mkdir()
    instance = yaml.safe_load((ROOT / "docker" / "dagster.yaml").read_text())
    instance["storage"]["postgres"]["postgres_db"]["port"] = {"env": "DAGSTER_POSTGRES_PORT"}
    instance["compute_logs"]["config"]["base_dir"] = str(home / "logs")
    (home / "dagster.yaml").write_text(yaml.safe_dump(instance))
    workspace = (ROOT / "docker" / "workspace.yaml").read_text().replace("4000", str(code_port))
    (home / "workspace.yaml").write_text(workspace)
    settings = {
        "download": {"allow_hosts": [shop.host]},
        "matches": {"text": False},
        "compute": {"workers": 1},
    }
    (home / "settings.yaml").write_text(yaml.safe_dump(settings))
    (home / "catalogues").mkdir()


@pytest.fixture
def web(tmp_path) -> Iterator[tuple[Web, Path]]:
    code_port, web_port, home = free_port(), free_port(), tmp_path / "home"
    with ExitStack() as stack:
        shop_folder = tmp_path / "shop"
        shop_folder.mkdir()
        shop = stack.enter_context(serve_folder(shop_folder))
        url = f"{shop.url}/images"
        write_catalogue(
            shop_folder, url, products=2, sellers=3, listings_per_product=(3, 3), problems=()
        )
        database = stack.enter_context(postgres(tmp_path / "postgres"))
        prepare_home(home, shop, code_port)
        environment = {
            **os.environ,
            **database,
            "DAGSTER_HOME": str(home),
            "DAGSTER_CODE_HOST": "127.0.0.1",
        }
        setup = [sys.executable, "-c", "from clustering_pipeline.cli import main; main()", "pools"]
        subprocess.run(setup, env=environment, check=True, capture_output=True)
        tools, workspace = Path(sys.executable).parent, ["-w", str(home / "workspace.yaml")]
        code = [
            "code-server",
            "start",
            "-h",
            "127.0.0.1",
            "-p",
            str(code_port),
            "-m",
            "clustering_pipeline.definitions",
        ]
        stack.enter_context(
            process([str(tools / "dagster"), *code], environment, tmp_path / "code.log")
        )
        wait_for("the code server", lambda: socket.create_connection(("127.0.0.1", code_port), 1))
        server = [
            str(tools / "dagster-webserver"),
            "-h",
            "127.0.0.1",
            "-p",
            str(web_port),
            *workspace,
        ]
        stack.enter_context(process(server, environment, tmp_path / "webserver.log"))
        stack.enter_context(
            process(
                [str(tools / "dagster-daemon"), "run", *workspace],
                environment,
                tmp_path / "daemon.log",
            )
        )
        yield Web(web_port), home


def test_a_dropped_workbook_is_run_and_a_changed_setting_runs_what_it_should(web):
    server, home = web
    wait_for("the webserver", lambda: server.ask("{ version }"))
    shutil.copy(
        home.parent / "shop" / "catalogue.xlsx", home / "catalogues" / "Kem chống nắng.xlsx"
    )
    first = wait_for("the run of the workbook", lambda: server.finished(1))[-1]
    everything = set(build_definitions().resolve_all_asset_keys()) - {dg.AssetKey("sync_report")}
    assert {tuple(asset["key"]["path"]) for asset in first["assets"]} == {
        tuple(key.path) for key in everything
    }
    assert (home / "storage" / "outputs" / "kem-chong-nang").is_dir()
    assert server.ask(STALENESS)["assetNodeOrError"] == {"staleStatusByPartition": ["FRESH"]}

    settings = yaml.safe_load((home / "settings.yaml").read_text())
    (home / "settings.yaml").write_text(
        yaml.safe_dump({**settings, "clusters": {"method": "dbscan"}})
    )
    before = len(server.runs())
    server.ask(START_SYNC, selector=SYNC)
    runs = wait_for("the run of the changed setting", lambda: server.finished(before + 1))
    changed = ["/".join(asset["key"]["path"]) for asset in runs[-before - 1]["assets"]]
    assert sorted(changed) == ["clusters", "settings/clusters"]


STALENESS = """{ assetNodeOrError(assetKey: {path: ["clusters"]}) {
  ... on AssetNode { staleStatusByPartition(partitions: ["kem-chong-nang"]) } } }"""
SYNC = {
    "sensorName": "sync",
    "repositoryName": "__repository__",
    "repositoryLocationName": "clustering_pipeline",
}
START_SYNC = (
    "mutation ($selector: SensorSelector!) { startSensor(sensorSelector: $selector) { "
    "__typename } }"
)
