"""Writes docs/python.ipynb: a notebook of drawn products, executed from its first cell to its last.

`python docs/drawing/notebook.py`
"""

import ast
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

TARGET = Path(__file__).resolve().parents[1] / "python.ipynb"
CELLS = (
    (
        "markdown",
        "# Products from Python\n\nThe pictures here are drawn: five shops list the products of a "
        "catalogue. Every call is described in [api.md](api.md).",
    ),
    (
        "code",
        "import pandas as pd\n"
        "from PIL import Image\n\n"
        "from clustering_pipeline import group, hash_image, verify\n"
        "from clustering_pipeline.synthetic import draw_products, photograph\n\n"
        "drawn = draw_products(9, seed=5)\n"
        "products = [drawn[number] for number in (2, 4, 6, 7, 8)]\n"
        "rows = [\n"
        "    {\n"
        '        "id": f"P{number}-{shop}",\n'
        '        "image": Image.fromarray(photograph(product, None, 20 * number + shop)),\n'
        '        "title": product.title,\n'
        '        "product": number,\n'
        "    }\n"
        "    for number, product in enumerate(products)\n"
        "    for shop in range(5)\n"
        "]\n"
        "frame = pd.DataFrame(rows)\n"
        'frame[["id", "title"]].head(3)',
    ),
    (
        "markdown",
        "One call groups them. Settings are keywords, a section each; reading the print on the "
        "packs is left out here because it takes longest.",
    ),
    ("code", 'result = group(frame, name="Drawn", matches={"text": False})\nresult'),
    ("markdown", "The tables are pandas frames."),
    ("code", "result.clusters"),
    ("code", 'result.listings[["id", "cluster_id", "status", "confidence"]].head(4)'),
    ("markdown", "Why two listings are one product, in words and drawn:"),
    ("code", 'result.matches("P0-0", "P0-1")'),
    ("code", 'result.matches("P0-0", "P0-1").figures[["inliers", "probability"]]'),
    ("markdown", "Which listings show what a new photograph shows:"),
    ("code", "result.search(photograph(products[2], None, 99), top=3)"),
    ("markdown", "How good it is, where the truth is known:"),
    (
        "code",
        'truth = frame.rename(columns={"product": "group"})\n'
        'result.evaluate(truth)[["pairwise_precision", "pairwise_recall", "pairwise_f1"]].round(3)',
    ),
    ("markdown", "Single steps work on arrays:"),
    (
        "code",
        "first, second = frame.image[0], frame.image[1]\n"
        "hash_image(first).distance(hash_image(second)), len(verify(first, second))",
    ),
)


def main() -> None:
    """Execute the cells and write the notebook."""
    TARGET.write_text(json.dumps(notebook(), ensure_ascii=False, indent=1) + "\n", "utf-8")


def notebook() -> dict[str, Any]:
    """Return the notebook in nbformat 4.5, every code cell with what it gave."""
    names: dict[str, Any] = {"__name__": "notebook"}
    return {
        "cells": list(_cells(names)),
        "metadata": {
            "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
            "language_info": {"name": "python"},
        },
        "nbformat": 4,
        "nbformat_minor": 5,
    }


def _cells(names: dict[str, Any]) -> Iterator[dict[str, Any]]:
    count = 0
    for number, (kind, source) in enumerate(CELLS):
        cell = {
            "cell_type": kind,
            "id": f"cell-{number}",
            "metadata": {},
            "source": source.splitlines(keepends=True),
        }
        if kind == "code":
            count += 1
            cell |= {"execution_count": count, "outputs": _outputs(execute(source, names), count)}
        yield cell


def execute(source: str, names: dict[str, Any]) -> Any:
    """Run a cell in `names` and return the value of its last line where that is an expression."""
    tree = ast.parse(source)
    last = tree.body.pop() if isinstance(tree.body[-1], ast.Expr) else None
    exec(compile(tree, "cell", "exec"), names)
    return (
        None if last is None else eval(compile(ast.Expression(last.value), "cell", "eval"), names)
    )


def _outputs(value: Any, count: int) -> list[dict[str, Any]]:
    if value is None:
        return []
    data = {"text/plain": repr(value).splitlines(keepends=True)}
    if hasattr(value, "_repr_html_"):
        data["text/html"] = value._repr_html_().splitlines(keepends=True)
    return [
        {"data": data, "execution_count": count, "metadata": {}, "output_type": "execute_result"}
    ]


if __name__ == "__main__":
    main()
