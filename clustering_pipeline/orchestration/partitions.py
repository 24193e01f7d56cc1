"""The one partition set: a category is a partition, and a retired one keeps its history."""

import dagster as dg

CATEGORIES = dg.DynamicPartitionsDefinition(name="category")
