"""What a run survives: Ctrl-C, a kill, a second run beside it, a full disk, no network."""

import json
import os
import shutil
import signal
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from clustering_pipeline.synthetic import SyntheticCatalogue, write_catalogue
from clustering_pipeline_tests.cli.conftest import Call
from clustering_pipeline_tests.cli.shops import QUICK, GatedShop, open_shop, start_command

ANSWERED_BEFORE_THE_STOP = 4
ONE_AT_A_TIME = ("--set", "download.concurrency=1", "--set", "download.per_host_concurrency=1")


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[GatedShop]:
    (tmp_path / "shop" / "images").mkdir(parents=True)
    with open_shop(tmp_path / "shop" / "images", ANSWERED_BEFORE_THE_STOP) as opened:
        yield opened


@pytest.fixture
def catalogue(tmp_path: Path, shop: GatedShop) -> SyntheticCatalogue:
    return write_catalogue(
        tmp_path / "shop", shop.url, products=3, seed=2, listings_per_product=(3, 3), problems=()
    )


def arguments(catalogue: SyntheticCatalogue, shop: GatedShop) -> tuple[object, ...]:
    return ("run", catalogue.workbook, "--allow-host", shop.host, *QUICK, *ONE_AT_A_TIME, "--json")


def finish(home: Path, catalogue: SyntheticCatalogue, shop: GatedShop) -> dict[str, object]:
    """Open the gate, run the same command again and return its result."""
    shop.gate.set()
    process = start_command(home, arguments(catalogue, shop), home.parent)
    output, errors = process.communicate(timeout=280)
    assert process.returncode == 0, errors
    return json.loads(output)


@pytest.mark.slow
@pytest.mark.parametrize(
    "stop", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL], ids=["ctrl-c", "sigterm", "kill-9"]
)
def test_a_run_that_is_stopped_half_way_goes_on_from_there(
    tmp_path: Path, home: Path, catalogue: SyntheticCatalogue, shop: GatedShop, stop: signal.Signals
):
    process = start_command(home, arguments(catalogue, shop), tmp_path)
    assert shop.is_waiting.wait(240)
    answered = {path for path in shop.requests if shop.requests[path]} - {list(shop.requests)[-1]}
    process.send_signal(stop)
    if stop is not signal.SIGKILL:
        # The answer under way is awaited; nothing new is asked for.
        shop.gate.set()
    output, errors = process.communicate(timeout=240)
    assert output == ""
    if stop is not signal.SIGKILL:
        assert process.returncode == 130, errors
        assert "What was done is kept" in errors
    assert not catalogue.workbook.with_name("catalogue.clustered.xlsx").exists()
    shop.requests.clear()
    result = finish(home, catalogue, shop)
    assert result["rows"] == len(catalogue.listings)
    assert "download_failed" not in result["status_counts"]
    assert not answered & set(shop.requests)


@pytest.mark.slow
def test_a_second_run_of_a_category_is_told_to_wait(
    tmp_path: Path, home: Path, catalogue: SyntheticCatalogue, shop: GatedShop, call: Call
):
    first = start_command(home, arguments(catalogue, shop), tmp_path)
    assert shop.is_waiting.wait(240)
    second = call(*arguments(catalogue, shop))
    assert second.code == 3
    assert "Wait until it has ended" in second.error
    shop.gate.set()
    output, errors = first.communicate(timeout=240)
    assert first.returncode == 0, errors
    assert json.loads(output)["rows"] == len(catalogue.listings)


@pytest.mark.slow
def test_two_categories_at_once_lose_nothing(
    tmp_path: Path, home: Path, catalogue: SyntheticCatalogue, shop: GatedShop
):
    shop.gate.set()
    shutil.copyfile(catalogue.workbook, tmp_path / "other.xlsx")
    other = ("run", tmp_path / "other.xlsx", *arguments(catalogue, shop)[2:])
    both = [start_command(home, these, tmp_path) for these in (arguments(catalogue, shop), other)]
    results = []
    for process in both:
        output, errors = process.communicate(timeout=280)
        assert process.returncode == 0, errors
        results.append(json.loads(output))
    assert results[0]["status_counts"] == results[1]["status_counts"]
    assert {result["category"] for result in results} == {"catalogue", "other"}


@pytest.mark.slow
def test_a_run_without_a_network_still_writes_the_workbook(
    tmp_path: Path, home: Path, catalogue: SyntheticCatalogue, shop: GatedShop, call: Call
):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        nobody = f"127.0.0.1:{taken.getsockname()[1]}"
        unreachable = write_catalogue(
            tmp_path / "nobody", f"http://{nobody}", products=2, problems=()
        )
        quickly = ("--set", "download.retries=0", "--set", "download.least_share=0")
        answer = call(
            "run", unreachable.workbook, "--allow-host", nobody, *QUICK, *quickly, "--json"
        )
    assert answer.code == 0, answer.errors
    assert answer.json["status_counts"] == {"download_failed": len(unreachable.listings)}
    assert Path(answer.json["workbook"]).exists()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of a few megabytes."""
    folder = tmp_path / "small"
    folder.mkdir()
    if os.geteuid() != 0 or shutil.which("mount") is None:
        pytest.skip("only root can mount a small file system")
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=6m", "tmpfs", folder],
        capture_output=True,
        text=True,
        check=False,
    )
    if mounted.returncode != 0:
        pytest.skip(f"a small file system cannot be mounted here: {mounted.stderr.strip()}")
    yield folder
    subprocess.run(["umount", "-l", folder], check=True)


@pytest.mark.slow
def test_a_full_disk_is_said_in_words_and_a_larger_one_goes_on(
    tmp_path: Path,
    home: Path,
    catalogue: SyntheticCatalogue,
    shop: GatedShop,
    small_disk: Path,
    call: Call,
):
    shop.gate.set()
    (small_disk / "ballast").write_bytes(bytes(5_900_000))
    answer = call(*arguments(catalogue, shop), "--set", f"storage.root={small_disk}")
    assert answer.code == 3, answer.errors
    assert "space" in answer.error
    assert "Traceback" not in answer.errors
    (small_disk / "ballast").unlink()
    again = call(*arguments(catalogue, shop), "--set", f"storage.root={small_disk}")
    assert again.code == 0, again.errors
    assert again.json["rows"] == len(catalogue.listings)
