"""The notebook of the docs is what its script writes, and its cells run."""

import importlib.util
import json
from pathlib import Path

import pytest

DOCS = Path(__file__).resolve().parents[2] / "docs"
LARGEST = 400_000


def script():
    spec = importlib.util.spec_from_file_location("notebook", DOCS / "drawing" / "notebook.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def committed():
    return json.loads((DOCS / "python.ipynb").read_text(encoding="utf-8"))


def test_the_committed_notebook_has_the_cells_of_its_script_and_their_output():
    cells = committed()["cells"]
    assert [(cell["cell_type"], "".join(cell["source"])) for cell in cells] == list(script().CELLS)
    codes = [cell for cell in cells if cell["cell_type"] == "code"]
    assert [cell["execution_count"] for cell in codes] == list(range(1, len(codes) + 1))
    assert all(cell["outputs"] for cell in codes)
    assert (DOCS / "python.ipynb").stat().st_size < LARGEST


@pytest.mark.slow
def test_the_cells_give_what_the_notebook_shows():
    made, names = script(), {"__name__": "notebook"}
    for cell in committed()["cells"]:
        if cell["cell_type"] == "code":
            value = made.execute("".join(cell["source"]), names)
            shown = "".join(cell["outputs"][0]["data"]["text/plain"])
            assert repr(value).splitlines()[0] == shown.splitlines()[0]


def test_the_page_names_everything_that_is_public():
    import clustering_pipeline

    page = (DOCS / "api.md").read_text(encoding="utf-8")
    assert [name for name in clustering_pipeline.__all__ if f"`{name}" not in page] == [
        "OpenedProject"
    ]
    grouping = [name for name in vars(clustering_pipeline.Grouping) if not name.startswith("_")]
    assert [name for name in grouping if f".{name}" not in page] == []
