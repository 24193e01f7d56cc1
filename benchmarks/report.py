"""Results on disk: JSON for machines, a Markdown table for people."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from benchmarks.figures import Figure

RESULTS = Path(__file__).with_name("results")


def write_suite(
    folder: Path,
    suite: str,
    about: str,
    figures: Sequence[Figure],
    machine: dict[str, str],
    seconds: float,
) -> Path:
    """Write `<suite>.json` and `<suite>.md` below `folder`, then the summary of all suites; return
    the Markdown's path.
    """
    folder.mkdir(parents=True, exist_ok=True)
    record = {
        "suite": suite,
        "about": about,
        "seconds": round(seconds, 1),
        "machine": machine,
        "figures": [asdict(figure) | {"is_met": figure.is_met} for figure in figures],
    }
    (folder / f"{suite}.json").write_text(
        json.dumps(record, ensure_ascii=False, indent=2) + "\n", encoding="utf-8"
    )
    page = folder / f"{suite}.md"
    page.write_text(_page(suite, about, figures, machine, seconds), encoding="utf-8")
    _write_summary(folder)
    return page


def _page(
    suite: str, about: str, figures: Sequence[Figure], machine: dict[str, str], seconds: float
) -> str:
    described = "\n".join(f"- {name}: {value}" for name, value in machine.items())
    return (
        f"# {suite}\n\n{about.strip()}\n\n{markdown_table(figures)}\n\nMeasured in "
        f"{seconds:.0f} s on:\n\n{described}\n"
    )


def markdown_table(figures: Sequence[Figure]) -> str:
    """Return figures as a Markdown table: name, measured, spread, asked, met, note."""
    lines = ["| figure | measured | runs | asked | met | note |", "|---|---|---|---|---|---|"]
    lines += [f"| {' | '.join(_cells(figure))} |" for figure in figures]
    return "\n".join(lines)


def _cells(figure: Figure) -> list[str]:
    spread = (
        f"{len(figure.runs)}: {_number(min(figure.runs))} to {_number(max(figure.runs))}"
        if figure.runs
        else "1"
    )
    asked = "" if figure.asked is None else f"{figure.bound} {_number(figure.asked)}"
    met = {True: "yes", False: "**no**", None: ""}[figure.is_met]
    return [
        figure.name,
        f"{_number(figure.value)} {figure.unit}".strip(),
        spread,
        asked,
        met,
        figure.note.replace("|", "\\|"),
    ]


def _number(value: float) -> str:
    if value == int(value) and abs(value) < 1e15:
        return f"{int(value):,}"
    return f"{value:,.1f}" if abs(value) >= 100 else f"{value:.4g}"


def _write_summary(folder: Path) -> None:
    parts = [
        "# Results\n\nOne section per suite; `python -m benchmarks SUITE` measures one again.\n"
    ]
    for path in sorted(folder.glob("*.json")):
        record = json.loads(path.read_text(encoding="utf-8"))
        if isinstance(record, list):
            # What the training of the evidence model writes is no suite's.
            continue
        figures = [
            Figure(**{name: value for name, value in row.items() if name != "is_met"})
            for row in record["figures"]
        ]
        machine = record["machine"]
        parts.append(
            f"## {record['suite']}\n\n{markdown_table(figures)}\n\n"
            f"{machine['processor']}, {machine['cores']} cores, commit {machine['commit']}, "
            f"{machine['date']}.\n"
        )
    (folder / "README.md").write_text("\n".join(parts), encoding="utf-8")
