"""What words and numbers say about a product, wherever they were read."""

from clustering_pipeline.wording.plain import plain_letters, plain_words, string_similarity
from clustering_pipeline.wording.quantities import Quantity, conflict_between, quantity_conflict, read_quantities
from clustering_pipeline.wording.titles import NOTHING_SAID, Statement, contradiction_between, read_titles

__all__ = [
    "NOTHING_SAID",
    "Quantity",
    "Statement",
    "conflict_between",
    "contradiction_between",
    "plain_letters",
    "plain_words",
    "quantity_conflict",
    "read_quantities",
    "read_titles",
    "string_similarity",
]
