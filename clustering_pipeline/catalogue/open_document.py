"""The used rectangle of an .ods sheet, known before a reader allocates it: repeated cells make millions of a few bytes."""

from collections.abc import Callable
from xml.parsers import expat

from clustering_pipeline.catalogue.packages import WorkbookPackage, damaged

CONTENT_PART = "content.xml"


def check_used_cells(package: WorkbookPackage, check: Callable[[str, int], None]) -> None:
    """Call `check(sheet, cells)` with the used rectangle of every sheet; raises InputError when the XML is damaged."""
    measure = _Measure(check)
    parser = expat.ParserCreate()
    parser.StartElementHandler = measure.start
    parser.EndElementHandler = measure.end
    try:
        parser.Parse(package.read_xml(CONTENT_PART), True)
    except (expat.ExpatError, ValueError) as error:
        raise damaged(package.name, error) from error


class _Measure:
    """Counts rows and columns up to the last cell that holds something."""

    def __init__(self, check: Callable[[str, int], None]) -> None:
        self._check = check
        self._sheet = ""
        self._rows = self._used_rows = self._columns = self._used_columns = self._repeat = 0

    def start(self, name: str, attributes: dict[str, str]) -> None:
        if name == "table:table":
            self._sheet = attributes.get("table:name", "")
            self._rows = self._used_rows = self._used_columns = 0
        elif name == "table:table-row":
            self._repeat = int(attributes.get("table:number-rows-repeated", 1))
            self._rows += self._repeat
            self._columns = 0
        elif name in ("table:table-cell", "table:covered-table-cell"):
            self._columns += int(attributes.get("table:number-columns-repeated", 1))
            if any(key in attributes for key in ("office:value-type", "calcext:value-type", "table:formula")):
                self._used_columns = max(self._used_columns, self._columns)
                self._used_rows = self._rows

    def end(self, name: str) -> None:
        if name == "table:table":
            self._check(self._sheet, self._used_rows * self._used_columns)
