"""What words and numbers say about a product, wherever they were read."""

from clustering_pipeline.wording.quantities import Quantity, conflict_between, quantity_conflict, read_quantities

__all__ = ["Quantity", "conflict_between", "quantity_conflict", "read_quantities"]
