"""What a figure was measured on."""

import importlib.metadata
import os
import platform
import shutil
import subprocess
from datetime import UTC, datetime
from pathlib import Path

LIBRARIES = (
    "numpy",
    "opencv-python-headless",
    "faiss-cpu",
    "scikit-learn",
    "pandas",
    "pyarrow",
    "dagster",
    "rapidocr",
    "onnxruntime",
    "torch",
    "torchvision",
    "transformers",
)


def describe_machine() -> dict[str, str]:
    """Return processor, cores, memory, system, Python, libraries, commit and date, without names or
    paths of this machine.
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    gpu = _gpu()
    return {
        "processor": _processor(),
        "cores": str(cores),
        "memory": f"{memory:.1f} GiB",
        **({"GPU": gpu} if gpu else {}),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "libraries": ", ".join(
            f"{name} {version}" for name in LIBRARIES if (version := _version(name))
        ),
        "commit": commit(),
        "date": datetime.now(UTC).date().isoformat(),
    }


def _gpu() -> str:
    tool = shutil.which("nvidia-smi")
    if tool is None:
        return ""
    query = [tool, "--query-gpu=name,memory.total,driver_version", "--format=csv,noheader"]
    answer = subprocess.run(query, capture_output=True, text=True, check=False)
    return "; ".join(answer.stdout.strip().splitlines()) if answer.returncode == 0 else ""


def _processor() -> str:
    information = Path("/proc/cpuinfo")
    if not information.exists():
        return platform.processor() or "unknown"
    names = [
        line.partition(":")[2].strip()
        for line in information.read_text().splitlines()
        if line.startswith("model name")
    ]
    return names[0] if names else "unknown"


def _version(name: str) -> str:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return ""


def commit() -> str:
    """Return the short name of the commit that is checked out, `unknown` outside a repository."""
    answer = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False
    )
    return answer.stdout.strip() or "unknown"
