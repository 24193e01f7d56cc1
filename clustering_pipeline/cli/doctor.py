"""`doctor`: what this machine has, each lack with its remedy."""

import importlib.metadata
import importlib.util
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

import typer
from rich.table import Table
from rich.text import Text

from clustering_pipeline.cli.terminal import Terminal, terminal_of
from clustering_pipeline.core.engine import available_cores
from clustering_pipeline.core.errors import PipelineError
from clustering_pipeline.project import PipelineHome, Project

State = Literal["ok", "absent", "problem"]
LOAD_SECONDS = 120
LEAST_FREE_GIGABYTES = 2.0
SUPPORTED_PYTHON = ((3, 11), (3, 13))

_MODELS_EXTRA = "`uv sync --extra models` (or `pip install 'clustering-pipeline[models]'`)"
_GPU_EXTRA = "`uv sync --extra gpu-cu13` (or `gpu` for CUDA 12) on Linux with an NVIDIA GPU"
_NO_GPU_NEEDED = "none is needed: presets with large models are faster on one"
_RAY_EXTRA = "`uv sync --extra ray`"
_BASE = "reinstall the package: `uv sync`"

# Module, distribution, what it is for, where it comes from.
_REQUIRED = (
    ("cv2", "opencv-python-headless", "pictures", _BASE),
    ("faiss", "faiss-cpu", "neighbours", _BASE),
    ("rapidocr", "rapidocr", "text on the pack", _BASE),
    ("onnxruntime", "onnxruntime", "text on the pack", _BASE),
    ("dagster", "dagster", "assets, schedules, the UI", _BASE),
)
_OPTIONAL = (
    ("torch", "torch", "neural encoders and detectors", _MODELS_EXTRA),
    ("transformers", "transformers", "CLIP, SigLIP, DINO, OWLv2", _MODELS_EXTRA),
    ("ultralytics", "ultralytics", "YOLO-World (AGPL-3.0)", _MODELS_EXTRA),
    ("google.genai", "google-genai", "Gemini", _MODELS_EXTRA),
    ("cuml", "cuml-cu12", "clustering on the GPU", _GPU_EXTRA),
    ("ray", "ray", "the Ray engine", _RAY_EXTRA),
)
_KEYS = (
    ("GEMINI_API_KEY", "Gemini's translations"),
    ("GOOGLE_API_KEY", "Gemini's translations"),
    ("GOOGLE_GENAI_USE_ENTERPRISE", "Gemini through Vertex"),
    ("GOOGLE_GENAI_USE_VERTEXAI", "Gemini through Vertex"),
    ("GOOGLE_APPLICATION_CREDENTIALS", "Gemini through Vertex"),
    ("HF_TOKEN", "gated models"),
)


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at. `remedy` says what to do when it is not `ok`."""

    group: str
    name: str
    state: State
    found: str
    remedy: str = ""


def examine(home: PipelineHome) -> Iterator[Finding]:
    """Yield what this machine has, cheap things first; nothing is changed but the home, which is
    created.
    """
    yield from _examine_machine()
    yield from _examine_modules()
    yield from _examine_models(home)
    yield from (_examine_key(name, purpose) for name, purpose in _KEYS)
    yield from _examine_places(home)
    yield from _examine_settings(home)


def _examine_machine() -> Iterator[Finding]:
    group, version = "machine", sys.version_info[:2]
    low, high = SUPPORTED_PYTHON
    supported = low <= version <= high
    yield Finding(
        group,
        "Python",
        "ok" if supported else "problem",
        f"{platform.python_version()} at {sys.executable}",
        "" if supported else "use Python 3.11, 3.12 or 3.13: `uv sync --python 3.11`",
    )
    yield Finding(
        group,
        "cores",
        "ok",
        f"{available_cores()} usable, {platform.machine()}, {platform.system()} "
        f"{platform.release()}",
    )
    yield Finding(group, "memory", "ok", _memory())
    gpu = _gpu()
    yield Finding(
        group,
        "GPU",
        "ok" if gpu else "absent",
        gpu or "none that the NVIDIA driver reports",
        "" if gpu else _NO_GPU_NEEDED,
    )


def _memory() -> str:
    try:
        total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (ValueError, OSError, AttributeError):
        return "unknown"
    return f"{total / 2**30:.1f} GiB"


def _gpu() -> str:
    tool = shutil.which("nvidia-smi")
    if tool is None:
        return ""
    query = [tool, "--query-gpu=name,memory.total,driver_version", "--format=csv,noheader"]
    answer = subprocess.run(query, capture_output=True, text=True, timeout=30, check=False)
    return "; ".join(answer.stdout.split("\n")).strip("; ") if answer.returncode == 0 else ""


def _examine_modules() -> Iterator[Finding]:
    with ThreadPoolExecutor(max_workers=available_cores()) as pool:
        required = pool.map(lambda row: _examine_module("required", *row), _REQUIRED)
        optional = pool.map(lambda row: _examine_module("optional", *row), _OPTIONAL)
        yield from required
        yield _examine_faiss()
        yield from optional
    if _is_installed("torch"):
        yield _examine_torch()


def _examine_module(
    group: str, module: str, distribution: str, purpose: str, source: str
) -> Finding:
    if not _is_installed(module):
        state: State = "absent" if group == "optional" else "problem"
        return Finding(
            group, module, state, f"not installed; {purpose}", f"for {purpose}: {source}"
        )
    error = _load_elsewhere(module)
    version = _version(distribution)
    if error:
        return Finding(
            group,
            module,
            "problem",
            f"{version} is installed and cannot be loaded: {error}",
            f"reinstall: {source}",
        )
    return Finding(group, module, "ok", f"{version}; {purpose}")


def _is_installed(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:
        return False


def _version(distribution: str) -> str:
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return "of unknown version"


def _load_elsewhere(module: str) -> str:
    """Import a module in a process of its own, which may crash without harm; return what went
    wrong, in one line.
    """
    command = [sys.executable, "-c", f"import {module}"]
    try:
        answer = subprocess.run(
            command, capture_output=True, text=True, timeout=LOAD_SECONDS, check=False
        )
    except subprocess.TimeoutExpired:
        return f"it did not load within {LOAD_SECONDS} s"
    if answer.returncode == 0:
        return ""
    lines = answer.stderr.strip().splitlines()
    return lines[-1] if lines else f"the process ended with status {answer.returncode}"


def _examine_faiss() -> Finding:
    providers = sorted(set(importlib.metadata.packages_distributions().get("faiss", [])))
    script = (
        "import faiss; print('GPU' if hasattr(faiss, 'StandardGpuResources') else 'CPU', "
        "faiss.get_num_gpus())"
    )
    answer = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        timeout=LOAD_SECONDS,
        check=False,
    )
    if answer.returncode != 0:
        return Finding("required", "faiss build", "problem", "none loads", _BASE)
    build, devices = answer.stdout.split()
    details = f"{build} build of {', '.join(providers)}; it sees {devices} GPU(s)"
    if len(providers) > 1:
        remedy = (
            "two packages install the module `faiss`, and the last one installed wins. "
            + _faiss_remedy(build)
        )
        return Finding(
            "required", "faiss build", "problem" if build == "CPU" else "ok", details, remedy
        )
    return Finding("required", "faiss build", "ok", details)


_TORCH_DEVICES = """
import torch
from clustering_pipeline.core.hardware import Hardware, idle_card
count = torch.cuda.device_count() if torch.cuda.is_available() else 0
print(", ".join(torch.cuda.get_device_name(number) for number in range(count)))
print(idle_card(Hardware()))
"""


def _examine_torch() -> Finding:
    """Ask torch itself which GPUs it can use, in a process of its own."""
    answer = subprocess.run(
        [sys.executable, "-c", _TORCH_DEVICES],
        capture_output=True,
        text=True,
        timeout=LOAD_SECONDS,
        check=False,
    )
    name = "torch's GPUs"
    if answer.returncode != 0:
        return Finding("optional", name, "problem", "torch does not load", _MODELS_EXTRA)
    devices, idle = answer.stdout.splitlines()
    if idle:
        problem, _, remedy = idle.removesuffix(".").partition("; ")
        return Finding("optional", name, "problem", problem, remedy)
    if devices:
        return Finding("optional", name, "ok", devices)
    return Finding(
        "optional", name, "absent", "none: neural models run on the processor", _NO_GPU_NEEDED
    )


def _faiss_remedy(build: str) -> str:
    if build == "GPU":
        return "The GPU build is active: nothing to do."
    return (
        "For the GPU build: `uv pip uninstall faiss-cpu` and `uv pip install --reinstall "
        "faiss-gpu-cu12`."
    )


def _examine_models(home: PipelineHome) -> Iterator[Finding]:
    from clustering_pipeline.core.hardware import Hardware
    from clustering_pipeline.models import MODEL_CARDS, locate_model

    absent = []
    for name, card in MODEL_CARDS.items():
        try:
            place = locate_model(name, Hardware(models_folder=home.models), "doctor")
        except PipelineError:
            absent.append(f"{name} ({card.megabytes:,} MB)")
        else:
            yield Finding("models on disk", name, "ok", f"{place}; {card.licence}")
    if absent:
        remedy = "for the one that a setting names: `clustering-pipeline models pull NAME`"
        yield Finding("models on disk", "not here", "absent", ", ".join(absent), remedy)


def _examine_key(name: str, purpose: str) -> Finding:
    if os.environ.get(name):
        return Finding("keys", name, "ok", f"set; {purpose}")
    return Finding(
        "keys", name, "absent", f"not set; {purpose}", f"only for {purpose}: export {name}=…"
    )


def _examine_places(home: PipelineHome) -> Iterator[Finding]:
    try:
        home.prepare()
        root = Project(home).storage_root
    except PipelineError as error:
        yield Finding("places", "Dagster home", "problem", str(home.path), str(error))
        return
    places = [
        ("Dagster home", str(home.path)),
        ("storage.root", root),
        ("temporary files", tempfile.gettempdir()),
    ]
    yield from (_examine_place(name, place) for name, place in places)
    yield _examine_database(home)


def _examine_database(home: PipelineHome) -> Finding:
    name = "storage.database"
    try:
        database = home.database
        if database is None:
            return Finding("places", name, "ok", f"SQLite files in {home.state}")
        Project(home).claim_storage()
    except PipelineError as error:
        shown = database.name if database is not None else str(home.settings_file)
        return Finding("places", name, "problem", shown, str(error))
    return Finding("places", name, "ok", f"{database.name}: shared with other machines")


def _examine_place(name: str, place: str) -> Finding:
    if "://" in place:
        return Finding("places", name, "ok", f"{place} (remote, not tried)")
    folder = Path(place)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=folder, prefix=".clustering-pipeline-"):
            free = shutil.disk_usage(folder).free / 2**30
    except OSError as error:
        return Finding(
            "places",
            name,
            "problem",
            f"{place}: {error.strerror}",
            "choose a folder that this account may write to",
        )
    if free < LEAST_FREE_GIGABYTES:
        remedy = "free some space, or set storage.root to a larger disk"
        return Finding("places", name, "problem", f"{place}: {free:.1f} GiB free", remedy)
    return Finding("places", name, "ok", f"{place}: writable, {free:,.1f} GiB free")


def _examine_settings(home: PipelineHome) -> Iterator[Finding]:
    project = Project(home)
    if not home.settings_file.exists():
        yield Finding(
            "settings", "settings file", "ok", f"{home.settings_file} is not there: defaults hold"
        )
        return
    problems = _settings_problems(project)
    if not problems:
        yield Finding("settings", "settings file", "ok", str(home.settings_file))
        if project.settings.installation().compute.engine == "ray":
            yield _examine_ray()
    for problem in problems:
        yield Finding("settings", "settings file", "problem", str(home.settings_file), problem)


def _examine_ray() -> Finding:
    from clustering_pipeline.core.ray_engine import ADDRESS, problem_with_ray

    address = os.environ.get(ADDRESS)
    name, place = "compute.engine", f"ray at {address}" if address else "ray on this machine"
    problem = problem_with_ray()
    if problem is None:
        return Finding("settings", name, "ok", place)
    return Finding("settings", name, "problem", place, problem)


def _settings_problems(project: Project) -> Iterable[str]:
    try:
        categories = [source.category for source in project.sources.all()]
    except PipelineError as error:
        return [str(error)]
    return project.settings.problems(categories)


def _verdict(findings: Sequence[Finding]) -> tuple[str, list[tuple[str, str]]]:
    """Return in a sentence whether the pipeline can be used, and what has to be put right."""
    problems = [finding for finding in findings if finding.state == "problem"]
    if not problems:
        return "All that is needed is here.", []
    count = "One thing has" if len(problems) == 1 else f"{len(problems)} things have"
    return f"{count} to be put right:", [
        (finding.name, finding.remedy or finding.found) for finding in problems
    ]


_SIGNS = {"ok": ("✓", "green"), "absent": ("–", "dim"), "problem": ("✗", "bold red")}


def doctor(context: typer.Context) -> None:
    """Show what this machine has: Python, GPU, backends, models, keys (never their values),
    folders, disk; with remedies.
    """
    terminal = terminal_of(context)
    with terminal.errors.status("Looking at this machine …"):
        findings = list(examine(PipelineHome.find()))
    _show(terminal, findings)
    problems = sum(finding.state == "problem" for finding in findings)
    terminal.emit({"problems": problems, "findings": [asdict(finding) for finding in findings]})


def _show(terminal: Terminal, findings: Sequence[Finding]) -> None:
    terminal.details(*_verdict(findings))
    table = Table.grid(padding=(0, 2))
    table.add_column()
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    group = ""
    for finding in findings:
        if finding.group != group:
            group = finding.group
            table.add_row("", Text(group, style="bold"), "")
        sign, style = _SIGNS[finding.state]
        cell = Text(finding.found)
        if finding.remedy:
            cell.append(
                f"\n→ {finding.remedy}", style="yellow" if finding.state == "problem" else "dim"
            )
        table.add_row(Text(sign, style=style), finding.name, cell)
    terminal.output.print(table)
