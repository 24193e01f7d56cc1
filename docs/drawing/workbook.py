"""Draws docs/workbook.jpg: the first rows of a labelled workbook and of its sheets Products and
Clusters, as LibreOffice shows them.

`python docs/drawing/workbook.py LABELLED.xlsx`; needs LibreOffice (`soffice`) and poppler
(`pdftoppm`).
"""

import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import openpyxl
from openpyxl.worksheet.properties import PageSetupProperties
from PIL import Image

TARGET = Path(__file__).resolve().parents[1] / "workbook.jpg"
ROWS = {"Products": 6, "Clusters": 4}
LISTING_ROWS = 12
DOTS_PER_INCH, WIDTH, MARGIN, QUALITY = 150, 1400, 16, 85


def shorten(source: Path, target: Path) -> None:
    """Keep the first rows of the listings, products and clusters, each sheet one page wide."""
    workbook = openpyxl.load_workbook(source)
    for sheet in workbook.worksheets[1:]:
        if sheet.title not in ROWS:
            workbook.remove(sheet)
    for sheet in workbook.worksheets:
        last = ROWS.get(sheet.title, LISTING_ROWS)
        sheet.print_area = f"A1:{sheet.cell(last, sheet.max_column).coordinate}"
        sheet.sheet_properties.pageSetUpPr = PageSetupProperties(fitToPage=True)
        sheet.page_setup.orientation, sheet.page_setup.fitToHeight = "landscape", 0
    workbook.save(target)


def render(workbook: Path, folder: Path) -> list[Image.Image]:
    """Return a picture of each page."""
    office = [
        "soffice",
        f"-env:UserInstallation={(folder / 'profile').as_uri()}",
        "--headless",
        "--convert-to",
        "pdf",
    ]
    subprocess.run([*office, "--outdir", folder, workbook], check=True, capture_output=True)
    pages = [
        "pdftoppm",
        "-r",
        str(DOTS_PER_INCH),
        "-png",
        folder / f"{workbook.stem}.pdf",
        folder / "page",
    ]
    subprocess.run(pages, check=True)
    return [Image.open(path).convert("RGB") for path in sorted(folder.glob("page*.png"))]


def trimmed(page: Image.Image) -> Image.Image:
    """Return a page without its white margins, as wide as the drawing."""
    rows, columns = np.nonzero(np.asarray(page).min(axis=2) < 250)
    content = page.crop((columns.min(), rows.min(), columns.max() + 1, rows.max() + 1))
    return content.resize(
        (WIDTH, content.height * WIDTH // content.width), Image.Resampling.LANCZOS
    )


def main() -> None:
    """Draw the workbook named on the command line."""
    with tempfile.TemporaryDirectory() as scratch:
        short = Path(scratch) / "short.xlsx"
        shorten(Path(sys.argv[1]), short)
        pages = [trimmed(page) for page in render(short, Path(scratch))]
    height = sum(page.height + MARGIN for page in pages) + MARGIN
    canvas = Image.new("RGB", (WIDTH + 2 * MARGIN, height), "white")
    top = MARGIN
    for page in pages:
        canvas.paste(page, (MARGIN, top))
        top += page.height + MARGIN
    canvas.save(TARGET, quality=QUALITY, optimize=True)


if __name__ == "__main__":
    main()
