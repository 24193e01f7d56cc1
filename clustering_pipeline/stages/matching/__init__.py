"""Which pairs of crops show the same product: candidates, verification by print and text, one
weight per pair.
"""

from clustering_pipeline.stages.matching.print_evidence import PairComparison, compare_pair
from clustering_pipeline.stages.matching.stage import run
from clustering_pipeline.stages.matching.text_reader import (
    TextLine,
    TextReader,
    held_texts,
    open_reader,
    reading_places,
)
from clustering_pipeline.stages.matching.verification import PrintEvidence, print_weight, verify

__all__ = [
    "PairComparison",
    "PrintEvidence",
    "TextLine",
    "TextReader",
    "compare_pair",
    "held_texts",
    "open_reader",
    "print_weight",
    "reading_places",
    "run",
    "verify",
]
