"""The stages between a workbook and its clusters: plain functions on arrays and frames, which know
nothing of Dagster.
"""
